"""Why a row is unusual: the conditional distribution of each of its columns, given all others.

The row is scored with one column set to many values in turn. Only density ratios count, so the
density need not be normalised: any score that means a log-density will do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from .._nn.blocks import blocks

#: Returns log-densities ``(n,)`` of rows.
Score = Callable[[np.ndarray], np.ndarray]

TINY = np.finfo(float).tiny

#: Values to try: so many quantiles of a column, values beyond its range by these fractions of it,
#: the row's own value, and then, so many times, so many more around the likeliest.
N_QUANTILES, BEYOND, N_ZOOMS, N_FINER = 25, (0.25, 1.0, 4.0), 3, 8
#: For quantiles, steps between two values, and the least log-density relative to the highest.
N_BETWEEN, LOWEST = 8, -700.0


def values_to_try(X: np.ndarray) -> np.ndarray:
    """Return ascending quantiles of the columns and values beyond ``(N_QUANTILES + 6, d)``.

    Columns without negative values get none, and likewise for positive values.
    """
    quantiles = np.nanquantile(X, np.linspace(0, 1, N_QUANTILES), axis=0)
    beyond = np.outer(BEYOND, quantiles[-1] - quantiles[0])
    low, high = quantiles[0] - beyond[::-1], quantiles[-1] + beyond
    low = np.where(quantiles[0] >= 0, np.maximum(low, 0), low)
    high = np.where(quantiles[-1] <= 0, np.minimum(high, 0), high)
    return np.vstack([low, quantiles, high])


def ends_of(tried: np.ndarray) -> np.ndarray:
    """Return the lowest and highest values ``(2, d)`` of the columns behind ``tried``."""
    return tried[[len(BEYOND), -1 - len(BEYOND)]]


@dataclass
class Conditional:
    """The distribution of a column given all others, row by row.

    Attributes
    ----------
    values : ndarray of shape (n, m)
        Ascending values of the column.
    scores : ndarray of shape (n, m)
        Scores of the rows with the column set to these values.
    atoms : ndarray of bool, shape (m,)
        True for values with a probability, not a density: categories, and values that many rows
        share.
    """

    values: np.ndarray
    scores: np.ndarray
    atoms: np.ndarray

    def mean_score(self) -> np.ndarray:
        """Return the mean score ``(n,)`` over the distribution, NaN if its density is 0."""
        weights = self._weights()
        likely = np.where(weights > 0, self.scores, 0.0)
        with np.errstate(invalid="ignore"):
            return (weights * likely).sum(axis=1) / weights.sum(axis=1)

    def contribution(self, own: np.ndarray, at_atom: np.ndarray) -> np.ndarray:
        """Return how much less likely rows ``(n,)`` are than usual, from their scores ``(n,)``.

        With atoms, the probability of the atom counts, or the probability of no atom and the
        density among other values, so that the result does not depend on units. ``at_atom``
        ``(n,)`` is true for rows at an atom.
        """
        if not self.atoms.any():
            return self.mean_score() - own
        with np.errstate(divide="ignore", invalid="ignore"):  # for a density of 0 everywhere
            return self._beside_atoms(own, at_atom)

    def _beside_atoms(self, own: np.ndarray, at_atom: np.ndarray) -> np.ndarray:
        weights = self._weights()
        total = weights.sum(axis=1)
        alone = weights[:, self.atoms] / total[:, None]
        rest = weights[:, ~self.atoms].sum(axis=1) / total
        usual = xlogy(alone, alone).sum(axis=1) + xlogy(rest, rest)
        log_total = np.log(total / 2) + self.scores.max(axis=1)
        if self.atoms.all():
            return usual - own + log_total
        others = ~self.atoms
        density = Conditional(self.values[:, others], self.scores[:, others], self.atoms[others])
        beside = np.log(np.maximum(rest, TINY)) + own - density.mean_score()
        return usual - np.where(at_atom, own - log_total, beside)

    def likeliest(self, level: float) -> np.ndarray:
        """Return the ends ``(n, 2)`` of the likeliest categories with probability ``level``.

        These are the likeliest category, and the least likely one that is needed.
        """
        weights = self._weights()
        order = np.argsort(-weights, axis=1, kind="stable")
        ordered = np.take_along_axis(weights, order, axis=1)
        with np.errstate(invalid="ignore"):
            before = (np.cumsum(ordered, axis=1) - ordered) / ordered.sum(axis=1, keepdims=True)
        last = np.maximum((before < level).sum(axis=1) - 1, 0)
        ends = np.stack([order[:, 0], order[np.arange(len(order)), last]], axis=1)
        return np.take_along_axis(self.values, ends, axis=1)

    def quantiles(self, levels: list[float]) -> np.ndarray:
        """Return quantiles ``(n, len(levels))``, NaN if the density is 0 everywhere.

        The log-density is linear between two values.
        """
        fine = self._between(N_BETWEEN)
        weights, values = fine._weights(), fine.values
        if self.atoms.any():
            order = values.argsort(axis=1, kind="stable")
            weights, values = (np.take_along_axis(a, order, axis=1) for a in (weights, values))
        with np.errstate(invalid="ignore"):
            part = np.cumsum(weights, axis=1) - 0.5 * weights
            part /= weights.sum(axis=1, keepdims=True)
        found = np.array([np.interp(levels, p, v) for p, v in zip(part, values)])
        return np.where(np.isnan(part).any(axis=1, keepdims=True), np.nan, found)

    def _weights(self) -> np.ndarray:
        """Return the integrand ``(n, m)`` of the trapezoidal rule, not normalised."""
        values = self.values[:, ~self.atoms]
        widths = np.full(self.values.shape, 2.0)  # twice the width of a value
        gaps = np.diff(values, axis=1, prepend=values[:, :1], append=values[:, -1:])
        # positive for a constant column, too
        widths[:, ~self.atoms] = gaps[:, :-1] + gaps[:, 1:] + np.finfo(float).tiny
        highest = self.scores.max(axis=1, keepdims=True)
        return widths * np.exp(self.scores - np.where(np.isinf(highest), 0.0, highest))

    def _between(self, n: int) -> Conditional:
        """Return the distribution with ``n`` values for every gap."""
        highest = self.scores.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # rows without a density become NaN
            # avoids a logarithm of 0 in the interpolation
            scores = np.maximum(self.scores - highest, LOWEST)
        parts = np.arange(n) / n

        def interpolated(a: np.ndarray) -> np.ndarray:
            alone, a = a[:, self.atoms], a[:, ~self.atoms]
            inner = a[:, :-1, None] + np.diff(a, axis=1)[:, :, None] * parts
            return np.hstack([inner.reshape(len(a), -1), a[:, -1:], alone])

        values = interpolated(self.values)
        return Conditional(values, interpolated(scores), _last(values, self.atoms.sum()))


def conditionals(
    score: Score,
    X: np.ndarray,
    tried: np.ndarray,
    categories: dict[int, np.ndarray] | None = None,
    spikes: dict[int, float] | None = None,
) -> list[Conditional]:
    """Return the ``Conditional`` of each column of rows ``X`` under the function ``score``.

    All columns are scored at once, in one call for each stage. ``tried``, ``categories`` and
    ``spikes`` are as in ``explain_rows``.
    """
    categories, spikes = categories or {}, spikes or {}
    columns = [_values_of(j, tried, categories, spikes) for j in range(X.shape[1])]
    n_values = sum(len(line) + 1 + len(alone) for line, alone in columns)
    parts = [
        _conditionals(score, X[rows], columns) for rows in blocks(len(X), n_values * X.shape[1])
    ]
    found = []
    for (_, alone), *of_parts in zip(columns, *parts):
        values, scores = (np.concatenate(arrays) for arrays in zip(*of_parts))
        found.append(Conditional(values, scores, _last(values, len(alone))))
    return found


def _values_of(
    j: int,
    tried: np.ndarray,
    categories: dict[int, np.ndarray],
    spikes: dict[int, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a column to try: with a density, and with a probability."""
    if j in categories:
        return tried[:0, j], np.arange(len(categories[j]), dtype=float)
    if j in spikes:
        return np.setdiff1d(tried[:, j], spikes[j]), np.array([spikes[j]])
    return tried[:, j], np.array([])


def _conditionals(
    score: Score, X: np.ndarray, columns: list[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, ...]]:
    """Return ascending values of each column, then atoms, with scores ``(n, m)``."""
    lines, atoms = {}, {}
    for j, (line, alone) in enumerate(columns):
        if len(line):
            beside = np.isnan(X[:, j]) | np.isin(X[:, j], alone)
            own = np.where(beside, line[0], X[:, j])
            lines[j] = np.sort(np.column_stack([np.tile(line, (len(X), 1)), own]), axis=1)
        atoms[j] = np.tile(alone, (len(X), 1))
    *scores, of_atoms = _scores_with(score, X, [lines, atoms])
    found = {j: (lines[j], scores[0][j]) for j in lines}
    for _ in range(N_ZOOMS if lines else 0):
        finer = {j: _around_best(*found[j]) for j in found}
        (scores,) = _scores_with(score, X, [finer])
        found = {j: _sorted_in(*found[j], finer[j], scores[j]) for j in found}
    nothing = np.empty((len(X), 0))
    return [
        tuple(map(np.hstack, zip(found.get(j, (nothing, nothing)), (atoms[j], of_atoms[j]))))
        for j in atoms
    ]


def _around_best(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return ``N_FINER`` values around the value with the highest score."""
    best = scores.argmax(axis=1, keepdims=True)
    low = np.take_along_axis(values, np.maximum(best - 1, 0), axis=1)
    high = np.take_along_axis(values, np.minimum(best + 1, values.shape[1] - 1), axis=1)
    return low + (high - low) * np.linspace(0, 1, N_FINER + 2)[1:-1]


def _sorted_in(
    values: np.ndarray, scores: np.ndarray, more_values: np.ndarray, more_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values, scores = np.hstack([values, more_values]), np.hstack([scores, more_scores])
    order = values.argsort(axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _scores_with(
    score: Score, X: np.ndarray, groups: list[dict[int, np.ndarray]]
) -> list[dict[int, np.ndarray]]:
    """Return scores of the rows with each column in turn set to values, in a single call.

    ``groups`` are dicts from a column to values ``(n, m)``; so are the results.
    """
    changed = []
    for group in groups:
        for j, values in group.items():
            rows = np.repeat(X, values.shape[1], axis=0)
            rows[:, j] = values.ravel()
            changed.append(rows)
    found = np.split(score(np.concatenate(changed)), np.cumsum([len(rows) for rows in changed]))
    found = iter(found)
    return [{j: next(found).reshape(of.shape) for j, of in group.items()} for group in groups]


def _last(values: np.ndarray, n: int) -> np.ndarray:
    """Return a mask of the last ``n`` columns of ``values``."""
    return np.arange(values.shape[1]) >= values.shape[1] - n


def explain_rows(
    score: Score,
    X: np.ndarray,
    tried: np.ndarray,
    coverage: float | None = None,
    categories: dict[int, np.ndarray] | None = None,
    spikes: dict[int, float] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the contribution of each column of each row, and its usual values.

    Parameters
    ----------
    score : callable
        Returns log-densities ``(n,)`` of rows.
    X : ndarray of shape (n, d)
    tried : ndarray of shape (m, d)
        The result of ``values_to_try``.
    coverage : float or None
        Coverage of the intervals; None for no intervals.
    categories : dict of int to ndarray
        Codes of the categorical columns.
    spikes : dict of int to float
        Values of columns that have a separate probability.

    Returns
    -------
    nats : ndarray of shape (n, d)
        Mean score over the conditional distribution of the column, minus the row's score; see
        ``Conditional.contribution`` for columns with atoms.
    usual : ndarray of shape (n, d, 2) or None
        Ends of the central interval of the distribution; for categories, codes as in
        ``Conditional.likeliest``.
    """
    own, nats, usual = score(X), [], []
    categories = categories or {}
    for j, found in enumerate(conditionals(score, X, tried, categories, spikes)):
        at_atom = np.isin(X[:, j], found.values[0, found.atoms])
        nats.append(found.contribution(own, at_atom))
        if coverage is not None and j in categories:
            usual.append(found.likeliest(coverage))
        elif coverage is not None:
            usual.append(found.quantiles([0.5 - coverage / 2, 0.5 + coverage / 2]))
    # a density of 0 for all values of the column: no contribution
    nats = np.nan_to_num(np.transpose(nats), nan=0.0, posinf=np.inf, neginf=-np.inf)
    nats = np.where(np.isnan(X), 0.0, nats)  # a missing cell is not a reason
    return nats, None if coverage is None else np.stack(usual, axis=1)
