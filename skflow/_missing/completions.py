"""What is known of rows with missing cells, and the completions of their discrete part.

Of a table of numbers a row is a completion. Where categories are missing, or where it is not known
whether a number is at its spike, a row is as many completions as there are ways to fill in the
discrete part, each with a weight; then what is known of the real part is given one. The density of
the row is the sum over its completions. Where there are too many, completions are drawn, one column
after another, from the chain that is the density of the discrete part, and the sum becomes a mean:
their weights are the probabilities of what is known (likelihood weighting: Fung and Chang 1990).
"""

from dataclasses import dataclass, fields
from itertools import product

import numpy as np

from .._core.random import sobol
from .._core.rows import at, patterns
from .._models.mixture import Context
from .._table.table import MISSING, UNKNOWN


@dataclass
class Completions:
    """The known cells of rows, in standardised units, completion by completion.

    Attributes
    ----------
    U : ndarray of shape (m, d)
        0 at unknown columns, and where a number is absent.
    log_det : ndarray of shape (m,)
        Log-determinant of the standardisation of the known columns.
    known : ndarray of bool, shape (m, d)
    row : ndarray of shape (m,)
        Which row a completion is of, ascending.
    log_weight : ndarray of shape (m,)
        Log-probabilities of discrete parts; 0 where there is none.
    context : Context or None
        What the real part is conditional on; None where there is no discrete part.
    """

    U: np.ndarray
    log_det: np.ndarray
    known: np.ndarray
    row: np.ndarray
    log_weight: np.ndarray
    context: Context | None = None

    def take(self, completions):
        """Some of the completions, an index array or a mask."""
        arrays = [getattr(self, field.name)[completions] for field in fields(self)[:-1]]
        return Completions(*arrays, at(self.context, completions))

    @property
    def settled(self):
        """Completions ``(m,)`` of which every number that is there is known, or none is."""
        if self.context is None:
            return np.zeros(len(self.U), dtype=bool)
        unknown = ~self.known & ~self.context.absent
        return ~unknown.any(axis=1) | ~self.known.any(axis=1)

    def joint(self, log_prob):
        """Log-densities ``(m,)``, in the data's units, of what is known and of the completion."""
        return log_prob + self.log_det + self.log_weight

    def total(self, joint):
        """Sums over the completions of each row, of logarithms ``(m,)``, as logarithms ``(n,)``."""
        highest = np.full(self.row.max() + 1, -np.inf)
        np.maximum.at(highest, self.row, joint)
        finite = np.where(np.isfinite(highest), highest, 0.0)
        with np.errstate(divide="ignore"):
            return np.log(np.bincount(self.row, np.exp(joint - finite[self.row]))) + finite

    def shares(self, joint):
        """What part of its row a completion is ``(m,)``, given what is known."""
        total = self.total(joint)[self.row]
        # rows that are not possible in any case: none is more likely than another
        possible = np.isfinite(total)
        return np.exp(np.subtract(joint, total, out=np.zeros(len(joint)), where=possible))


def count_completions(density, X, n_most):
    """How many completions each of the rows ``(n,)`` may be."""
    return np.minimum(_n_ways(density.schema.split(X)[0], density.schema.sizes + 1), n_most)


def _n_ways(discrete, sizes):
    """How many ways there are to fill in each discrete part, as floats, for they may be very many.

    ``sizes`` ``(q,)`` are how many values a column may have.
    """
    return np.where(discrete == MISSING, sizes, 1.0).prod(axis=1)


def find_completions(density, X, n_most, unseen=True):
    """The ``Completions`` of rows ``(n, d)`` with missing cells.

    Up to ``n_most`` of a row are all that there are, more are drawn. ``unseen`` says whether
    categories that ``fit`` has not seen are among them; among those that are drawn there are none.
    """
    row, log_weight = np.arange(len(X)), np.zeros(len(X))
    discrete, X = density.schema.split(X)
    if discrete.shape[1]:
        row, discrete, log_weight = _ways(density, discrete, n_most, unseen)
        X = X[row]
    context = density.context(discrete)
    if context is not None:
        X = np.where(context.absent, np.nan, X)
    U, log_det = density.columns.forward(X)
    known = ~np.isnan(X)
    return Completions(np.where(known, U, 0.0), log_det, known, row, log_weight, context)


def _ways(density, discrete, n_most, unseen):
    """Rows, discrete parts without missing cells, and log-probabilities of the completions."""
    chain, sizes = density.discrete, density.schema.sizes
    first = np.zeros(len(sizes), dtype=int)
    for factor in chain.factors:
        first[factor.column] = UNKNOWN if unseen and factor.unseen > 0 else 0
    found = []
    for known, rows in patterns(discrete != MISSING):
        n_ways = _n_ways(discrete[rows[:1]], sizes - first)[0]
        n_completions = int(n_ways) if n_ways <= n_most else n_most
        filled = np.repeat(discrete[rows], n_completions, axis=0)
        if n_ways <= n_most:
            values = [range(first[j], sizes[j]) for j in np.flatnonzero(~known)]
            ways = np.array(list(product(*values)), dtype=int).reshape(n_completions, len(values))
            filled[:, ~known] = np.tile(ways, (len(rows), 1))
            log_weight = chain.log_prob(filled)
        else:
            points = np.tile(sobol(n_completions, len(sizes)), (len(rows), 1))
            filled, log_weight = chain.fill(filled, points)
            log_weight -= np.log(n_completions)
        found.append((np.repeat(rows, n_completions), filled, log_weight))
    row, filled, log_weight = (np.concatenate(parts) for parts in zip(*found))
    order = np.argsort(row, kind="stable")
    return row[order], filled[order], log_weight[order]
