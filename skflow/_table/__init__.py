"""Tables as users give them: read once, as numbers and codes, and written once, as they were."""
