"""A fitted density: columns, components, weights."""
