"""Densities of rows in standardised units: models, their mixture, and how it is fitted."""
