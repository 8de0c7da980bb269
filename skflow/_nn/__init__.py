"""Stacks of flows and their training."""
