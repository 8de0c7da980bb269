"""The kinds of columns of a table, which split it into a discrete and a real part.

A category is discrete. A *spike* is a value that many rows of a real column share. Such a column is
both: whether a row is at the spike is discrete, and the real number is absent there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.saving import saved_as
from .columns import Columns, filled, fit_columns
from .table import MISSING

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

#: A spike has at least this fraction of the rows and is this many times as frequent as any other
#: value, and its column has at least this many other values.
SPIKE_SHARE, SPIKE_RATIO, SPIKE_OTHERS = 0.05, 10, 50


@saved_as("schema")
@dataclass
class Schema:
    """The kind of each column of a table.

    Attributes
    ----------
    categories : dict of int to ndarray
        As in ``Table``.
    category_columns : ndarray of shape (q_1,)
        Indices of the categorical columns.
    spike_columns : ndarray of shape (q_2,)
    spike_values : ndarray of shape (q_2,)
    real_columns : ndarray of shape (r,)
        Columns with a real part, which includes columns with spikes.
    sizes : ndarray of shape (q,)
        Number of values of each discrete column: first the categories, then 2 for each spike.
    """

    categories: dict[int, np.ndarray]
    category_columns: np.ndarray
    spike_columns: np.ndarray
    spike_values: np.ndarray
    real_columns: np.ndarray
    sizes: np.ndarray

    @property
    def n_columns(self) -> int:
        return len(self.category_columns) + len(self.real_columns)

    @property
    def spikes(self) -> np.ndarray:
        """The values of the spikes ``(d,)``, NaN for columns without one."""
        spikes = np.full(self.n_columns, np.nan)
        spikes[self.spike_columns] = self.spike_values
        return spikes

    def split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the discrete part ``(n, q)``, integers, and the real part ``(n, r)``.

        The real part is NaN at a spike. A missing cell is ``MISSING`` and NaN.
        """
        if not len(self.sizes):
            return np.zeros((len(X), 0), dtype=int), X
        at_spike = X[:, self.spike_columns] == self.spike_values
        discrete = np.column_stack([X[:, self.category_columns], at_spike])
        missing = np.isnan(X[:, [*self.category_columns, *self.spike_columns]])
        discrete = np.where(missing, MISSING, discrete).astype(int)
        real = X[:, self.real_columns]
        return discrete, np.where(self.absent(discrete), np.nan, real)

    def join(self, discrete: np.ndarray, real: np.ndarray) -> np.ndarray:
        """Return the table ``(n, d)``; the inverse of ``split``."""
        if not len(self.sizes):
            return real
        X = np.empty((len(discrete), self.n_columns))
        n_categories = len(self.category_columns)
        X[:, self.category_columns] = discrete[:, :n_categories]
        X[:, self.real_columns] = real
        for k, (j, value) in enumerate(zip(self.spike_columns, self.spike_values)):
            X[discrete[:, n_categories + k] == 1, j] = value
        return X

    def absent(self, discrete: np.ndarray) -> np.ndarray:
        """Return the mask ``(n, r)`` of absent real numbers."""
        absent = np.zeros((len(discrete), len(self.real_columns)), dtype=bool)
        places = np.searchsorted(self.real_columns, self.spike_columns)
        absent[:, places] = discrete[:, len(self.category_columns) :] == 1
        return absent

    def numbers(self, discrete: np.ndarray) -> OneHot:
        """Return the discrete part as ``OneHot``.

        Two values share one column. A category that ``fit`` did not see is all zeros.
        """
        first, n_columns = np.where(self.sizes == 2, 1, 0), np.where(self.sizes == 2, 1, self.sizes)
        ends = n_columns.cumsum()
        seen = (first <= discrete) & (discrete < self.sizes)
        return OneHot(np.where(seen, discrete - first + ends - n_columns, ends[-1]), ends[-1])

    def described(self, real: np.ndarray) -> np.ndarray:
        """Return the kinds of all columns in words, given those of the real ones ``(r,)``."""
        kinds = self.spread(real, "")
        for j, values in self.categories.items():
            kinds[j] = f"category ({len(values)})"
        for j, value in zip(self.spike_columns, self.spike_values):
            kinds[j] += f" with a spike (at {value:.6g})"
        return kinds

    def atoms(self) -> dict[str, dict[int, Any]]:
        """Return the values with positive probability: categories and spikes, by column."""
        spikes = dict(zip(self.spike_columns.tolist(), self.spike_values.tolist()))
        return {"categories": self.categories, "spikes": spikes}

    def spread(self, values: np.ndarray, fill: float | str = np.nan) -> np.ndarray:
        """Return values ``(r,)`` of the real columns as an array for all columns ``(d,)``."""
        spread = np.full(self.n_columns, fill, dtype=np.asarray(values).dtype)
        spread[self.real_columns] = values
        return spread


class OneHot:
    """Rows of zeros and ones, kept as the places of the ones: of many categories, few numbers.

    ``places`` ``(..., q)`` are columns, ``n_columns`` for none. ``np.asarray`` returns the rows,
    and a product sums rows of the other matrix.
    """

    def __init__(self, places: np.ndarray, n_columns: int) -> None:
        self.places, self.n_columns = places, n_columns

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Any) -> OneHot:
        return OneHot(self.places[rows], self.n_columns)

    def __matmul__(self, matrix: np.ndarray) -> np.ndarray:
        matrix = np.vstack([matrix, np.zeros_like(matrix[:1])])
        return sum(matrix[column] for column in np.moveaxis(self.places, -1, 0))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        places = self.places.reshape(-1, self.places.shape[-1])
        rows, columns = np.nonzero(places < self.n_columns)
        numbers = np.zeros((len(places), self.n_columns), dtype or np.float64)
        numbers[rows, places[rows, columns]] = 1
        return numbers.reshape(*self.places.shape[:-1], self.n_columns)


def fit_schema(
    X: np.ndarray, categories: dict[int, np.ndarray] | None = None, spikes: bool = True
) -> Schema:
    """Return the ``Schema`` of a table of codes ``(n, d)``.

    ``categories`` are those of the ``Table``. ``spikes`` is whether to look for spikes.
    """
    categories = categories or {}
    category_columns = np.array(sorted(categories), dtype=int)
    real_columns = np.setdiff1d(np.arange(X.shape[1]), category_columns)
    found = {j: spike_of(X[:, j]) for j in real_columns} if spikes else {}
    found = {j: value for j, value in found.items() if value is not None}
    sizes = [len(categories[j]) for j in category_columns] + [2] * len(found)
    return Schema(
        categories,
        category_columns,
        np.array(list(found), dtype=int),
        np.array(list(found.values()), dtype=np.float64),
        real_columns,
        np.array(sizes, dtype=int),
    )


def spike_of(column: np.ndarray) -> float | None:
    """Return the spike of a column, or None."""
    column = column[np.isfinite(column)]
    values, counts = np.unique(column, return_counts=True)
    if len(values) <= SPIKE_OTHERS:
        return None
    first = counts.argmax()
    others = np.delete(counts, first).max()
    if counts[first] < max(SPIKE_SHARE * len(column), SPIKE_RATIO * others):
        return None
    return values[first]


def fit_real_columns(
    X: np.ndarray,
    schema: Schema,
    weight: np.ndarray | None,
    *,
    bounds: tuple[np.ndarray, np.ndarray],
    names: np.ndarray | None,
    **options: Any,
) -> Columns:
    """Return the ``Columns`` of the real part of a table ``(n, d)``.

    ``bounds`` and ``names``, which may be None, are of all columns.
    """
    bounded = np.any(np.isfinite(bounds), axis=0)[schema.category_columns]
    if bounded.any():
        column = schema.category_columns[bounded.argmax()]
        raise ValueError(
            f"bounds has limits for column {column if names is None else repr(names[column])}, "
            "which is categorical. Leave it out of bounds, or of categorical_features."
        )
    if not len(schema.real_columns):
        raise ValueError(
            "All columns of X are categorical, which leaves nothing for a flow to model. Give at "
            "least one column of real numbers, or count the rows of each combination."
        )
    real = schema.split(X)[1]
    if len(schema.spike_columns):
        real = filled(real)
    lower, upper = (ends[schema.real_columns] for ends in bounds)
    names = (np.arange(X.shape[1]) if names is None else names)[schema.real_columns]
    spikes = schema.spikes[schema.real_columns]
    return fit_columns(real, weight, bounds=(lower, upper), names=names, spikes=spikes, **options)
