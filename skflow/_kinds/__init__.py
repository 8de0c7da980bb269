"""Kinds of columns: categories, values that many rows share, and the densities of such tables."""
