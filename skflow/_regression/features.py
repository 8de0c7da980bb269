"""The features of a regression as numbers that networks can see."""

from dataclasses import dataclass

import numpy as np

from .._core.saving import saved_as
from .._table.columns import constant_columns, location_and_scale

#: So many standard deviations may a context leave the range of the training rows; farther away it
#: is taken to lie there.
_MARGIN = 1.0


@saved_as("features")
@dataclass
class Features:
    """What targets are conditional on: standardised, kept near the range of the training rows.

    Attributes
    ----------
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units: networks are not trusted far beyond.
    """

    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def forward(self, X):
        with np.errstate(over="ignore"):
            return np.clip((X - self.location) / self.scale, self.lower, self.upper)


def fit_features(X, weight=None):
    """The ``Features`` of rows ``(n, c)``; a constant column says nothing and becomes 0."""
    constant = constant_columns(X)
    location, scale = location_and_scale(X, weight, constant)
    U = (X - location) / scale
    margin = np.where(constant, 0, _MARGIN)
    return Features(location, scale, U.min(axis=0) - margin, U.max(axis=0) + margin)
