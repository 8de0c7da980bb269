"""The density estimators, and what they share."""
