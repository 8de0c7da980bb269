"""Frequencies of a category given others, smoothed by those given fewer of them."""

import numpy as np

from .._core.saving import saved_as

#: Sets of given values that are counted: on average at least so many rows have one in common.
LEAST_ROWS = 2.0


@saved_as("frequencies")
class Frequencies:
    """P(y | x_1, ..., x_m) by counts, interpolated.

    With ``n`` rows that have ``x_1, ..., x_m`` in common, ``n_y`` of them with ``y``,

        P(y | x_1, ..., x_m) = (n_y + c P(y | x_1, ..., x_{m-1})) / (n + c)

    with the concentration ``c``; at the end stands the uniform distribution. So the columns come in
    the order of what they tell, the most informative first. (The mean of a hierarchy of Dirichlet
    distributions: MacKay and Peto 1995.)

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        How many values each given column has.
    keys : list of ndarray
        For each number of given columns, from none, the sets of values that were seen, ascending.
    counts : list of ndarray of shape (n_sets, n_values)
        How often each value was seen with them.
    """

    def __init__(self, concentration):
        self.concentration = concentration

    def fit(self, X, y, sizes, n_values, weight):
        """Fit to given columns ``(n, m)`` and values ``(n,)``, all integers from 0."""
        self.sizes, self.keys, self.counts = np.asarray(sizes), [], []
        for level in range(X.shape[1] + 1):
            keys, place = np.unique(self._keys(X, level), return_inverse=True)
            if level > 0 and (len(y) < LEAST_ROWS * len(keys) or self._size(level) > 2**62):
                break
            counts = np.zeros((len(keys), n_values))
            np.add.at(counts, (place, y), weight)
            self.keys.append(keys)
            self.counts.append(counts)
        return self

    def _size(self, level):
        """How many sets of values of so many columns there are, as a float."""
        return np.prod(self.sizes[:level] + 1.0)

    def _keys(self, X, level):
        """A number for each set of values of the first columns; unknown ones are -1."""
        keys = np.zeros(len(X), dtype=np.int64)
        for column, size in zip(X.T[:level], self.sizes):
            keys = keys * (size + 1) + column + 1
        return keys

    def predict_proba(self, X):
        """Probabilities ``(n, n_values)``."""
        n_values = self.counts[0].shape[1]
        probabilities = np.full((len(X), n_values), 1 / n_values)
        for level, (keys, counts) in enumerate(zip(self.keys, self.counts)):
            own = self._keys(X, level)
            place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
            # of sets that were not seen all counts are 0, and nothing changes
            seen = counts[place] * (keys[place] == own)[:, None]
            total = seen.sum(axis=1, keepdims=True) + self.concentration
            probabilities = (seen + self.concentration * probabilities) / total
        return probabilities
