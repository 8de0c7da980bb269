"""The regressor: p(y given x)."""
