"""Coupling structures: layouts, search, candidates."""
