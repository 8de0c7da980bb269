"""Bounded columns: a smooth increasing map of each onto the line.

With one bound ``a`` the map is ``v = a + c log(exp((x - a) / c) - 1)``, the inverse of softplus: a
logarithm near the bound and ``x`` itself far from it, so that a density with heavy tails on the
line has finite moments in ``x``. With two it is a logit, with slope 1 in the middle.

Rows exactly on a bound would be mapped to minus infinity. As a value on a grid does, they stand for
a cell: the line begins half a cell beyond the bound, and what is drawn there is put on the bound.
"""

import numpy as np
from scipy.special import expit

from .._support.checks import name_columns
from .._support.saving import saved_as

TINY = np.finfo(float).tiny


def check_bounds(bounds, n_features, names=None):
    """Lower and upper bounds ``(d,)``, infinite for open ends, from what a user passes.

    Parameters
    ----------
    bounds : None, pair, list of pairs or dict
        As in ``CouplingFlowDensity``.
    n_features : int
    names : ndarray of shape (d,) or None
        Names of the columns.
    """
    if not (bounds is None or isinstance(bounds, (dict, list, tuple, np.ndarray))):
        raise ValueError(
            f"bounds={bounds!r} is not possible. Give None, a pair, a list of pairs or a dict."
        )
    pairs = [None] * n_features
    if isinstance(bounds, dict):
        places = range(n_features) if names is None else list(names)
        for name, pair in bounds.items():
            if name not in places:
                raise ValueError(
                    f"bounds={bounds!r} names {name!r}, which is no column. The columns are "
                    f"{list(places)[:10]}."
                )
            pairs[list(places).index(name)] = pair
    elif bounds is not None and len(bounds) == 2 and all(map(_is_end, bounds)):
        pairs = [bounds] * n_features
    elif bounds is not None:
        pairs = list(bounds)
    if len(pairs) != n_features:
        raise ValueError(
            f"bounds has {len(pairs)} pairs, but X has {n_features} columns. Give a pair for each "
            "(None for an open column), one pair for all, or a dict from names to pairs."
        )
    ends = [(None, None) if pair is None else pair for pair in pairs]
    for pair in ends:
        if np.ndim(pair) != 1 or len(pair) != 2 or not all(map(_is_end, pair)):
            raise ValueError(
                f"bounds={bounds!r} is not possible: {pair!r} is no pair of numbers (None for an "
                "open end)."
            )
    lower = np.array([-np.inf if low is None else low for low, _ in ends], dtype=float)
    upper = np.array([np.inf if high is None else high for _, high in ends], dtype=float)
    if not (lower < upper).all():
        j = np.flatnonzero(~(lower < upper))[0]
        raise ValueError(
            f"bounds={bounds!r} is not possible: {ends[j]!r} is empty. Give the lower bound first."
        )
    return lower, upper


def _is_end(value):
    return value is None or (np.isscalar(value) and not isinstance(value, (str, bytes)))


@saved_as("bounds")
class Bounds:
    """Bounds of the columns, and the map between their inside and the line.

    Attributes
    ----------
    lower, upper : ndarray of shape (d,)
        Infinite where a column is open.
    cells : ndarray of shape (2, d)
        How far the cells of values on the lower and on the upper bound reach beyond it; 0 where
        there are none.
    start, stop : ndarray of shape (d,)
        Ends of what is mapped, those of the cells.
    nearest : ndarray of shape (2, d)
        Values closer to ``start`` or ``stop`` count as so far away: the slope of the map would only
        tell the rounding there.
    width : ndarray of shape (d,)
        The ``c`` of a column with one bound.
    """

    def __init__(self, lower, upper):
        self.lower, self.upper = lower, upper

    def fit(self, X, step):
        """Fit the map to rows; ``step`` ``(d,)`` are those of grids, 0 for columns without one."""
        self.cells = np.zeros((2, X.shape[1]))
        self.width = np.ones(X.shape[1])
        self.nearest = np.full((2, X.shape[1]), TINY)
        for j in np.flatnonzero(np.isfinite(self.lower) | np.isfinite(self.upper)):
            for side, distance in enumerate((X[:, j] - self.lower[j], self.upper[j] - X[:, j])):
                if np.isfinite(distance[0]):
                    self._fit_end(j, side, distance, step[j])
        self.start, self.stop = self.lower - self.cells[0], self.upper + self.cells[1]
        return self

    def take(self, columns):
        """The bounds of some of the columns."""
        taken = Bounds(self.lower[columns], self.upper[columns])
        taken.cells, taken.nearest = self.cells[:, columns], self.nearest[:, columns]
        taken.width = self.width[columns]
        taken.start, taken.stop = self.start[columns], self.stop[columns]
        return taken

    def _fit_end(self, j, side, distance, step):
        """What follows from the distances of rows to one end of column j."""
        inside = distance[distance > 0]
        if not len(inside):
            inside = np.ones(1)
        self.width[j] = inside.mean()
        if step > 0:  # the last whole cell within the bound
            rest = np.fmod(distance.min(), step)
            rest -= step * (rest > (1 - 1e-6) * step)
            self.cells[side, j] = step / 2 - rest
            self.nearest[side, j] = 1e-6 * step
        elif (distance == 0).any():
            self.cells[side, j] = np.quantile(inside, 0.01) / 2
        else:
            self.nearest[side, j] = max(inside.min() / 10, TINY)

    def outside(self, X):
        """Which values ``(n, d)`` lie beyond a bound."""
        return (self.lower > X) | (self.upper < X)

    def check(self, X, names=None):
        """Raise for rows beyond the bounds, with the columns and how many."""
        outside = self.outside(X)
        if not outside.any():
            return
        raise ValueError(
            f"{outside.any(axis=1).sum()} rows of X lie beyond the bounds, in column "
            f"{name_columns(outside.any(axis=0), names)}. Correct or remove them, or widen bounds."
        )

    def on_bound(self, X):
        """Which values ``(n, d)`` lie exactly on a bound."""
        return (self.lower == X) | (self.upper == X)

    def cell_widths(self, X):
        """Widths ``(n, d)`` of the cells of values on a bound, 0 for the others."""
        return 2 * ((self.lower == X) * self.cells[0] + (self.upper == X) * self.cells[1])

    def _ends(self):
        """The columns with both ends, and those with one: +1 for a lower, -1 for an upper."""
        low, high = np.isfinite(self.start), np.isfinite(self.stop)
        return low & high, np.where(low == high, 0, np.where(low, 1, -1))

    def forward(self, X):
        """Points of the line ``(n, d)`` and, row by row, the log of the map's slope ``(n,)``.

        Where a value is NaN its point is, too, and nothing is added for it.
        """
        both, sign = self._ends()
        V, log_slope = X.copy(), np.zeros(len(X))
        low = np.maximum(X - self.start, self.nearest[0])
        high = np.maximum(self.stop - X, self.nearest[1])
        half = sign != 0
        if half.any():
            c, end = self.width[half], np.where(sign > 0, self.start, self.stop)[half]
            distance = np.maximum(np.where(sign > 0, low, high)[:, half] / c, TINY)
            log_share = np.log(-np.expm1(-distance))
            V[:, half] = end + sign[half] * c * (distance + log_share)
            log_slope -= np.nansum(log_share, axis=1)
        if both.any():
            low, high, length = low[:, both], high[:, both], (self.stop - self.start)[both]
            middle = self.start[both] + length / 2
            V[:, both] = middle + length / 4 * (np.log(low) - np.log(high))
            slopes = 2 * np.log(length) - np.log(low) - np.log(high) - np.log(4)
            log_slope += np.nansum(slopes, axis=1)
        return V, log_slope

    def inverse(self, V):
        """Rows within the bounds ``(n, d)`` of points of the line."""
        both, sign = self._ends()
        X = V.copy()
        half = sign != 0
        if half.any():
            c, end = self.width[half], np.where(sign > 0, self.start, self.stop)[half]
            with np.errstate(over="ignore"):
                softplus = np.logaddexp(0, sign[half] * (V[:, half] - end) / c)
                X[:, half] = end + sign[half] * c * softplus
        if both.any():
            length = (self.stop - self.start)[both]
            middle = self.start[both] + length / 2
            with np.errstate(over="ignore"):
                part = expit((V[:, both] - middle) * (4 / length))
            X[:, both] = self.start[both] + length * part
        return np.clip(np.nan_to_num(X), self.lower, self.upper)
