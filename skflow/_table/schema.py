"""What kinds of columns a table has, and the table in two parts: what is discrete, what is real.

A category is discrete. A *spike*, a value that many rows share among real numbers, makes a column
both: whether a row is at the spike is discrete, and the real number is absent there.
"""

from dataclasses import dataclass

import numpy as np

from .._core.saving import saved_as
from .._table.table import MISSING

#: A spike is a value of at least this part of the rows, so many times as frequent as any other, in
#: a column that has at least so many other values.
SPIKE_SHARE, SPIKE_RATIO, SPIKE_OTHERS = 0.05, 10, 50


@saved_as("schema")
@dataclass
class Schema:
    """What each column of a table is.

    Attributes
    ----------
    categories : dict of int to ndarray
        For each column with categories these, as in ``Table``.
    category_columns : ndarray of shape (q_1,)
        Numbers of the columns with categories.
    spike_columns : ndarray of shape (q_2,)
    spike_values : ndarray of shape (q_2,)
    real_columns : ndarray of shape (r,)
        Those with a real part, the columns with spikes among them.
    sizes : ndarray of shape (q,)
        How many values each column of the discrete part has: the categories, then at a spike or
        not.
    """

    categories: dict
    category_columns: np.ndarray
    spike_columns: np.ndarray
    spike_values: np.ndarray
    real_columns: np.ndarray
    sizes: np.ndarray

    @property
    def n_columns(self):
        return len(self.category_columns) + len(self.real_columns)

    @property
    def spikes(self):
        """The values of the spikes ``(d,)``, NaN for columns without one."""
        spikes = np.full(self.n_columns, np.nan)
        spikes[self.spike_columns] = self.spike_values
        return spikes

    def split(self, X):
        """Discrete part ``(n, q)``, integers, and real part ``(n, r)``, NaN where it is absent.

        Where a cell is NaN, the discrete part is ``MISSING`` and the real one NaN.
        """
        if not len(self.sizes):
            return np.zeros((len(X), 0), dtype=int), X
        at_spike = X[:, self.spike_columns] == self.spike_values
        discrete = np.column_stack([X[:, self.category_columns], at_spike])
        missing = np.isnan(X[:, [*self.category_columns, *self.spike_columns]])
        discrete = np.where(missing, MISSING, discrete).astype(int)
        real = X[:, self.real_columns]
        return discrete, np.where(self.absent(discrete), np.nan, real)

    def join(self, discrete, real):
        """The table ``(n, d)`` of which ``split`` makes these."""
        if not len(self.sizes):
            return real
        X = np.empty((len(discrete), self.n_columns))
        n_categories = len(self.category_columns)
        X[:, self.category_columns] = discrete[:, :n_categories]
        X[:, self.real_columns] = real
        for k, (j, value) in enumerate(zip(self.spike_columns, self.spike_values)):
            X[discrete[:, n_categories + k] == 1, j] = value
        return X

    def absent(self, discrete):
        """Where rows have no real number ``(n, r)``."""
        absent = np.zeros((len(discrete), len(self.real_columns)), dtype=bool)
        places = np.searchsorted(self.real_columns, self.spike_columns)
        absent[:, places] = discrete[:, len(self.category_columns) :] == 1
        return absent

    def numbers(self, discrete):
        """The discrete part as numbers for a network ``(n, c)``: a column for each value.

        One for both of two; zeros for a category that ``fit`` has not seen.
        """
        parts = []
        for column, size in zip(discrete.T, self.sizes):
            shown = range(1, size) if size == 2 else range(size)
            parts.append(column[:, None] == np.array(shown))
        return np.hstack(parts).astype(np.float64)

    def described(self, real):
        """The kinds of all columns in words, from those of the real ones ``(r,)``."""
        kinds = self.spread(real, "")
        for j, values in self.categories.items():
            kinds[j] = f"category ({len(values)})"
        for j, value in zip(self.spike_columns, self.spike_values):
            kinds[j] += f" with a spike (at {value:.6g})"
        return kinds

    def atoms(self):
        """Values that have a probability of their own: of categories, and spikes, by column."""
        spikes = dict(zip(self.spike_columns.tolist(), self.spike_values.tolist()))
        return {"categories": self.categories, "spikes": spikes}

    def spread(self, values, fill=np.nan):
        """Values ``(r,)`` of the real part as those of all columns ``(d,)``."""
        spread = np.full(self.n_columns, fill, dtype=np.asarray(values).dtype)
        spread[self.real_columns] = values
        return spread


def fit_schema(X, categories=None, spikes=True):
    """The ``Schema`` of a table ``(n, d)``.

    ``categories`` are those of the ``Table``, with whose codes it is given; ``spikes`` says whether
    to look for any.
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


def spike_of(column):
    """The value that many rows of a column share, or None."""
    column = column[np.isfinite(column)]
    values, counts = np.unique(column, return_counts=True)
    if len(values) <= SPIKE_OTHERS:
        return None
    first = counts.argmax()
    others = np.delete(counts, first).max()
    if counts[first] < max(SPIKE_SHARE * len(column), SPIKE_RATIO * others):
        return None
    return values[first]
