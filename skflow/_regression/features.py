"""The features of a regression as numbers that networks can see."""

from dataclasses import dataclass

import numpy as np

from .._core.saving import saved_as
from .._table.columns import constant_columns, filled, location_and_scale

#: So many standard deviations may a context leave the range of the training rows; farther away it
#: is taken to lie there.
_MARGIN = 1.0


@saved_as("features")
@dataclass
class Features:
    """What targets are conditional on: standardised, kept near the range of the training rows.

    A missing number becomes the mean of its column. Categories become columns of 0 and 1, all 0
    where one is missing or unknown. For each column with missing cells in ``fit`` another one says
    where they are.

    Attributes
    ----------
    missing : ndarray of int
        Columns of the table that had missing cells in ``fit``.
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units: networks are not trusted far beyond.
    """

    missing: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def forward(self, X, table):
        """Numbers ``(n, c)`` of codes ``(n, d)`` of a ``Table``."""
        X = _numbers(X, table, self.missing)
        with np.errstate(over="ignore"):
            C = np.clip((X - self.location) / self.scale, self.lower, self.upper)
        return np.where(np.isnan(C), 0.0, C)


def fit_features(X, table, weight=None):
    """The ``Features`` of codes ``(n, d)``; a constant column says nothing and becomes 0."""
    missing = np.flatnonzero(np.isnan(X).any(axis=0))
    X = filled(_numbers(X, table, missing))
    constant = constant_columns(X)
    location, scale = location_and_scale(X, weight, constant)
    U = (X - location) / scale
    margin = np.where(constant, 0, _MARGIN)
    return Features(missing, location, scale, U.min(axis=0) - margin, U.max(axis=0) + margin)


def _numbers(X, table, missing):
    return np.hstack([table.indicators(X), np.isnan(X[:, missing])])
