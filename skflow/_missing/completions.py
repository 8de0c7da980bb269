"""The known cells of rows with missing cells, and the completions of their discrete part.

A row of numbers has one completion. If categories are missing, or if it is not known whether a
number is at its spike, the row has a completion for each way to fill in the discrete part, each
with a weight; the real part is conditional on the completion. The density of the row is the sum
over its completions. If there are too many, completions are drawn, column by column, from the chain
of the discrete part, and the sum becomes a mean with the probabilities of the known cells as
weights (likelihood weighting: Fung and Chang 1990).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .._core.random import sobol
from .._core.rows import patterns
from .._models.mixture import Context
from .._table.table import MISSING, UNKNOWN

if TYPE_CHECKING:
    from .._models.density import Density


@dataclass
class Completions:
    """The completions of rows, in standardised units.

    Attributes
    ----------
    U : ndarray of shape (m, d)
        0 where a number is unknown or absent.
    log_det : ndarray of shape (m,)
        Log-determinant of the standardisation of the known columns.
    known : ndarray of bool, shape (m, d)
    row : ndarray of shape (m,)
        Row of each completion, ascending.
    log_weight : ndarray of shape (m,)
        Log-probabilities of the discrete parts; 0 without a discrete part.
    context : Context or None
        Context of the real part; None without a discrete part.
    """

    U: np.ndarray
    log_det: np.ndarray
    known: np.ndarray
    row: np.ndarray
    log_weight: np.ndarray
    context: Context | None = None

    def take(self, completions: np.ndarray) -> Completions:
        """Return the completions that an index array or a mask selects."""
        arrays = {f.name: getattr(self, f.name)[completions] for f in fields(self)[:-1]}
        context = None if self.context is None else self.context[completions]
        return Completions(**arrays, context=context)

    @property
    def settled(self) -> np.ndarray:
        """Completions ``(m,)`` that need no draws: all present numbers are known, or none."""
        if self.context is None:
            return np.zeros(len(self.U), dtype=bool)
        unknown = ~self.known & ~self.context.absent
        return ~unknown.any(axis=1) | ~self.known.any(axis=1)

    def joint(self, log_prob: np.ndarray) -> np.ndarray:
        """Return log-densities ``(m,)`` of completions and known cells, in the data's units."""
        return log_prob + self.log_det + self.log_weight

    def total(self, joint: np.ndarray) -> np.ndarray:
        """Return the log-sums ``(n,)`` over the completions of each row, given logs ``(m,)``."""
        highest = np.full(self.row.max() + 1, -np.inf)
        np.maximum.at(highest, self.row, joint)
        finite = np.where(np.isfinite(highest), highest, 0.0)
        with np.errstate(divide="ignore"):
            return np.log(np.bincount(self.row, np.exp(joint - finite[self.row]))) + finite

    def shares(self, joint: np.ndarray) -> np.ndarray:
        """Return the probability ``(m,)`` of each completion given the known cells."""
        total = self.total(joint)[self.row]
        # impossible rows: all completions are equally likely
        possible = np.isfinite(total)
        return np.exp(np.subtract(joint, total, out=np.zeros(len(joint)), where=possible))


def count_completions(density: Density, X: np.ndarray, n_most: int) -> np.ndarray:
    """Return the number of completions of each row ``(n,)``."""
    return np.minimum(_n_ways(density.schema.split(X)[0], density.schema.sizes + 1), n_most)


def _n_ways(discrete: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return in how many ways each discrete part can be filled in, as floats.

    ``sizes`` ``(q,)`` are the numbers of values of the columns.
    """
    return np.where(discrete == MISSING, sizes, 1.0).prod(axis=1)


def find_completions(
    density: Density, X: np.ndarray, n_most: int, unseen: bool = True
) -> Completions:
    """Return the ``Completions`` of rows ``(n, d)`` with missing cells.

    Up to ``n_most`` completions of a row are enumerated, more are drawn. With ``unseen``,
    enumerations include categories that ``fit`` did not see.
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


def _ways(
    density: Density, discrete: np.ndarray, n_most: int, unseen: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row, the complete discrete part and the log-probability of completions."""
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
