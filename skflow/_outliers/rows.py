"""Rows of a detector: conversion of tables to codes, and warnings about columns."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.checks import warn_of
from .._table.columns import constant_columns, copied_columns, few_valued_columns
from .._table.reading import TableMixin
from .._table.schema import fit_schema
from .._table.table import UNKNOWN

#: Values are clipped to so many ranges of a column beyond its ends.
MAX_RANGES = 1e9


class RowsMixin(TableMixin):
    """Reads tables: the detector represents categories by codes."""

    def _read(self, X):
        """Return the table of fit as an array ``(n, d)``; set ``_schema`` and ``_reach``."""
        X = self._fit_table(X, "from_dtype", ensure_min_samples=2)
        self._n_rows = len(X)
        self._schema = fit_schema(X, self._table.categories)
        self._reach = _reach(X)
        return X

    def _within_reach(self, X):
        """Return the rows with values clipped, so that every density can compute with them.

        Infinite values stay, so that other densities may raise.
        """
        return np.where(np.isinf(X), X, np.clip(X, *self._reach))

    def _checked(self, X, dtype=np.float64):
        check_is_fitted(self)
        X = self._encode(self._source(X), dtype=dtype)
        return X if self._takes_missing() else self._finite(X, allow_nan=True)

    def _unseen(self, X, codes, rows):
        """Return the categories that ``fit`` did not see, by index in ``rows`` and column."""
        found = {}
        for j in self._table.categories:
            places = np.flatnonzero(codes[rows, j] == UNKNOWN).tolist()
            if places:
                values = self._source(X).values(j)
                found |= {(i, j): values[rows[i]] for i in places}
        return found

    def _warn_of_columns(self, X):
        """Warn about real columns that can make a row an outlier alone."""
        real, names = self._schema.real_columns, self._table.feature_names
        X, names = X[:, real], names if names is None else names[real]
        constant = constant_columns(X)
        few = (
            "of few values, at most one in 20 rows. A row can be an outlier by a rare one alone, "
            "or by one that is inconsistent with the rest of the row; leave out codes, years and "
            "the like if that is not what you look for."
        )
        same = "constant: a row with any other value there is an outlier, whatever else it has."
        copied = (
            "a copy of another column, perhaps in another unit: rows in which the two differ are "
            "outliers, and others are harder to find. Leave the copies out."
        )
        selected = (few_valued_columns(X) & ~constant, constant, copied_columns(X) & ~constant)
        warn_of(zip(selected, (few, same, copied)), names)


def _reach(X):
    """Return the lowest and highest values ``(2, d)`` to which rows are clipped."""
    lowest, highest = (np.nan_to_num(end.reduce(X, axis=0)) for end in (np.fmin, np.fmax))
    with np.errstate(over="ignore"):
        width = highest - lowest
        width[width == 0] = np.maximum(1.0, np.abs(lowest))[width == 0]
        return np.array([lowest - MAX_RANGES * width, highest + MAX_RANGES * width])
