"""Why a row is unusual: the conditional distribution of each of its columns, given all others.

A density is scored at the row with a column set to one value after another. Only ratios of these
count, so that it may be scaled in any way, and be any score that has the meaning of a log-density.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from .._nn.blocks import blocks
from .._table.table import UNKNOWN, UNKNOWN_LABEL

TINY = np.finfo(float).tiny

#: Tried are so many quantiles of a column, values beyond its range by these parts of it, the row's
#: own value, and then, so many times, so many more around the likeliest.
N_QUANTILES, BEYOND, N_ZOOMS, N_FINER = 25, (0.25, 1.0, 4.0), 3, 8
#: For quantiles, parts of a gap between two values; log-densities relative to the highest are cut
#: off here.
N_BETWEEN, LOWEST = 8, -700.0
#: A contribution of less is no reason: the value is less than 20 times as unlikely as usual ones.
LEAST_NATS = 3.0
#: A report names at most so many columns of a row.
N_REASONS = 3


def values_to_try(X):
    """Quantiles of the columns and values beyond, ascending ``(N_QUANTILES + 6, d)``."""
    quantiles = np.nanquantile(X, np.linspace(0, 1, N_QUANTILES), axis=0)
    beyond = np.outer(BEYOND, quantiles[-1] - quantiles[0])
    return np.vstack([quantiles[0] - beyond[::-1], quantiles, quantiles[-1] + beyond])


@dataclass
class Conditional:
    """The distribution of a column given all others, row by row.

    Attributes
    ----------
    values : ndarray of shape (n, m)
        Ascending.
    scores : ndarray of shape (n, m)
        Of the rows with the column set to these.
    atoms : ndarray of bool, shape (m,)
        Which of the values have a probability, not a density: categories, and values that many rows
        share.
    """

    values: np.ndarray
    scores: np.ndarray
    atoms: np.ndarray | None = None

    def __post_init__(self):
        if self.atoms is None:
            self.atoms = np.zeros(self.values.shape[1], dtype=bool)

    def mean_score(self):
        """Mean score ``(n,)`` over the distribution; NaN where the density is 0 everywhere."""
        weights = self._weights()
        likely = np.where(weights > 0, self.scores, 0.0)
        with np.errstate(invalid="ignore"):
            return (weights * likely).sum(axis=1) / weights.sum(axis=1)

    def contribution(self, own, at_atom):
        """How much less likely the rows ``(n,)`` are than usual, from their own scores ``(n,)``.

        Where there are atoms, what counts is first whether a value is one, and which, then, of one
        that is none, its density beside those of the others: so it does not depend on units.
        ``at_atom`` ``(n,)`` says which rows are at one.
        """
        if not self.atoms.any():
            return self.mean_score() - own
        weights = self._weights()
        total = weights.sum(axis=1)
        alone = weights[:, self.atoms] / total[:, None]
        rest = weights[:, ~self.atoms].sum(axis=1) / total
        usual = xlogy(alone, alone).sum(axis=1) + xlogy(rest, rest)
        log_total = np.log(total / 2) + self.scores.max(axis=1)
        if self.atoms.all():
            return usual - own + log_total
        density = Conditional(self.values[:, ~self.atoms], self.scores[:, ~self.atoms])
        beside = np.log(np.maximum(rest, TINY)) + own - density.mean_score()
        return usual - np.where(at_atom, own - log_total, beside)

    def likeliest(self, level):
        """The likeliest value, and the last one needed for a probability of ``level`` ``(n, 2)``.

        Of categories, from the likeliest down.
        """
        weights = self._weights()
        order = np.argsort(-weights, axis=1, kind="stable")
        ordered = np.take_along_axis(weights, order, axis=1)
        with np.errstate(invalid="ignore"):
            before = (np.cumsum(ordered, axis=1) - ordered) / ordered.sum(axis=1, keepdims=True)
        last = np.maximum((before < level).sum(axis=1) - 1, 0)
        ends = np.stack([order[:, 0], order[np.arange(len(order)), last]], axis=1)
        return np.take_along_axis(self.values, ends, axis=1)

    def quantiles(self, levels):
        """Quantiles ``(n, len(levels))``; NaN where the density is 0 everywhere.

        Between two values the log-density is taken as linear.
        """
        fine = self._between(N_BETWEEN)
        weights, values = fine._weights(), fine.values
        if self.atoms.any():
            order = values.argsort(axis=1, kind="stable")
            weights, values = (np.take_along_axis(a, order, axis=1) for a in (weights, values))
        with np.errstate(invalid="ignore"):
            part = np.cumsum(weights, axis=1) - 0.5 * weights
            part /= weights.sum(axis=1, keepdims=True)
        return np.array([np.interp(levels, p, v) for p, v in zip(part, values)])

    def _weights(self):
        """The integrand ``(n, m)`` of the trapezoidal rule, not normalised."""
        values = self.values[:, ~self.atoms]
        widths = np.full(self.values.shape, 2.0)  # twice what a value stands for
        gaps = np.diff(values, axis=1, prepend=values[:, :1], append=values[:, -1:])
        # of a constant column, too
        widths[:, ~self.atoms] = gaps[:, :-1] + gaps[:, 1:] + np.finfo(float).tiny
        highest = self.scores.max(axis=1, keepdims=True)
        return widths * np.exp(self.scores - np.where(np.isinf(highest), 0.0, highest))

    def _between(self, n):
        """The same with ``n`` values for every gap."""
        highest = self.scores.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # rows without a density become NaN
            # a density of 0 next to one that is not has no line between their logarithms
            scores = np.maximum(self.scores - highest, LOWEST)
        parts = np.arange(n) / n

        def interpolated(a):
            alone, a = a[:, self.atoms], a[:, ~self.atoms]
            inner = a[:, :-1, None] + np.diff(a, axis=1)[:, :, None] * parts
            return np.hstack([inner.reshape(len(a), -1), a[:, -1:], alone])

        values = interpolated(self.values)
        atoms = np.arange(values.shape[1]) >= values.shape[1] - self.atoms.sum()
        return Conditional(values, interpolated(scores), atoms)


def conditional(score, X, j, tried, alone=()):
    """The ``Conditional`` of column ``j`` of the rows ``X`` under ``score``, a function of rows.

    ``tried`` are values of the column, as of ``values_to_try``, none for categories; ``alone`` are
    those that have a probability of their own.
    """
    n_tried = len(tried) + len(alone)
    parts = [
        _conditional(score, X[part], j, tried, np.array(alone))
        for part in blocks(len(X), (n_tried + 1) * X.shape[1])
    ]
    values, scores = (np.concatenate(arrays) for arrays in zip(*parts))
    return Conditional(values, scores, np.arange(values.shape[1]) >= values.shape[1] - len(alone))


def _conditional(score, X, j, tried, alone):
    """Values and scores ``(n, m)``, those that are tried ascending, then those ``alone``."""
    values = scores = np.empty((len(X), 0))
    if len(tried):
        values, scores = _continuous(score, X, j, tried, alone)
    if len(alone):
        atoms = np.tile(alone, (len(X), 1))
        values = np.hstack([values, atoms])
        scores = np.hstack([scores, _scores_with(score, X, j, atoms)])
    return values, scores


def _continuous(score, X, j, tried, alone):
    beside = np.isnan(X[:, j]) | np.isin(X[:, j], alone)
    own = np.where(beside, tried[0], X[:, j])
    values = np.sort(np.column_stack([np.tile(tried, (len(X), 1)), own]), axis=1)
    scores = _scores_with(score, X, j, values)
    for _ in range(N_ZOOMS):
        best = scores.argmax(axis=1, keepdims=True)
        low = np.take_along_axis(values, np.maximum(best - 1, 0), axis=1)
        high = np.take_along_axis(values, np.minimum(best + 1, values.shape[1] - 1), axis=1)
        finer = low + (high - low) * np.linspace(0, 1, N_FINER + 2)[1:-1]
        values = np.hstack([values, finer])
        scores = np.hstack([scores, _scores_with(score, X, j, finer)])
        order = values.argsort(axis=1)
        values, scores = (np.take_along_axis(a, order, axis=1) for a in (values, scores))
    return values, scores


def _scores_with(score, X, j, values):
    """Scores ``(n, m)`` of the rows with column ``j`` set to each of ``values`` ``(n, m)``."""
    changed = np.repeat(X, values.shape[1], axis=0)
    changed[:, j] = values.ravel()
    return score(changed).reshape(values.shape)


def explain_rows(score, X, tried, coverage=None, categories=(), spikes=None):
    """What each column of each row costs, and what would have been usual.

    Parameters
    ----------
    score : callable
        Log-densities ``(n,)`` of rows.
    X : ndarray of shape (n, d)
    tried : ndarray of shape (m, d)
        Of ``values_to_try``.
    coverage : float or None
        Of the intervals; None for none.
    categories : dict of int to ndarray
        Columns that hold codes of categories.
    spikes : dict of int to float
        Values of columns that have a probability of their own.

    Returns
    -------
    nats : ndarray of shape (n, d)
        Mean score over the conditional distribution of the column, less the row's own score.
    usual : ndarray of shape (n, d, 2) or None
        Ends of the central interval of that distribution; of categories codes of the likeliest and
        of the last one needed, from there down.
    """
    own, spikes = score(X), spikes or {}
    nats, usual = [], []
    for j in range(X.shape[1]):
        if j in categories:
            alone, values = np.arange(len(categories[j]), dtype=float), tried[:0, j]
        else:
            alone = np.array([spikes[j]] if j in spikes else [])
            values = np.setdiff1d(tried[:, j], alone) if len(alone) else tried[:, j]
        found = conditional(score, X, j, values, alone)
        nats.append(found.contribution(own, np.isin(X[:, j], alone)))
        if coverage is not None and j in categories:
            usual.append(found.likeliest(coverage))
        elif coverage is not None:
            usual.append(found.quantiles([0.5 - coverage / 2, 0.5 + coverage / 2]))
    # no density whatever the column is: nothing is gained
    nats = np.nan_to_num(np.transpose(nats), nan=0.0, posinf=np.inf, neginf=-np.inf)
    nats = np.where(np.isnan(X), 0.0, nats)  # what is not known is no reason
    return nats, None if coverage is None else np.stack(usual, axis=1)


def make_report(table, X, names, nats, usual, categories=()):
    """Add the reasons to a table of selected rows: up to three columns of each, as a DataFrame.

    Parameters
    ----------
    table : DataFrame of n rows
    X : ndarray of shape (n, d)
    names : list of str
        Of the columns of X.
    nats, usual
        Of ``explain_rows``.
    categories : dict of int to ndarray
        Those of columns that hold codes.
    """

    def shown(values, columns, named):
        values = np.where(named, values, np.nan)
        if not categories:
            return values
        values = values.astype(object)
        for i in np.flatnonzero(named & np.isin(columns, list(categories))):
            code, labels = int(values[i]), categories[columns[i]]
            values[i] = UNKNOWN_LABEL if code == UNKNOWN else labels[code]
        return values

    order = np.argsort(-nats, axis=1, kind="stable")[:, :N_REASONS]
    rows = np.arange(len(X))
    for k, column in enumerate(order.T, start=1):
        named = nats[rows, column] >= LEAST_NATS
        other = "no single column" if k == 1 else ""
        table[f"column_{k}"] = [names[j] if n else other for j, n in zip(column, named)]
        table[f"value_{k}"] = shown(X[rows, column], column, named)
        table[f"usual_from_{k}"] = shown(usual[rows, column, 0], column, named)
        table[f"usual_to_{k}"] = shown(usual[rows, column, 1], column, named)
        table[f"nats_{k}"] = np.where(named, nats[rows, column], np.nan)
    return table
