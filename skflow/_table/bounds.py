"""Bounded columns: a smooth increasing map of each onto the line.

With one bound ``a`` the map is ``v = a + c log(exp((x - a) / c) - 1)``, the inverse of softplus: a
logarithm near the bound and ``x`` itself far from it, so that a density with heavy tails on the
line has finite moments in ``x``. With two it is a logit, with slope 1 in the middle.

A value exactly on a bound would be mapped to infinity. Like a value on a grid, it stands for a
cell, from the bound halfway to the nearest other value of the column. However narrow the cell is,
it gets one end of the line for itself: a place in the cell, as a fraction of its width, is mapped
to a quantile of a normal distribution there. So the flow sees a smooth hump, the slope of the map
makes the density integrate to 1 within the bounds, and draws from the hump are put on the bound.
The cell of a value on a grid is a step wide and reaches half a step beyond the bound.
"""

from __future__ import annotations

from copy import copy
from reprlib import repr as short
from typing import Any

import numpy as np
from scipy.special import expit, ndtr, ndtri

from .._core.checks import name_columns, what_there_is
from .._core.saving import saved_as

TINY = np.finfo(float).tiny
#: Standard deviation of the hump of values on a bound, in units of the map near the bound.
HUMP_SCALE = 0.5
#: Distance of the middle of the hump from the other values, in standard deviations.
HUMP_DISTANCE = 3.0


def check_bounds(
    bounds: Any, n_features: int, names: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds ``(d,)``, infinite for open ends.

    ``bounds`` are as in ``CouplingFlowDensity``; ``names`` are the names of the columns, or None.
    """
    if not (bounds is None or isinstance(bounds, (dict, list, tuple, np.ndarray))):
        raise ValueError(
            f"bounds={short(bounds)} is not possible. Give None, a pair, a list of pairs or a dict."
        )
    pairs = [None] * n_features
    if isinstance(bounds, dict):
        places = range(n_features) if names is None else list(names)
        for name, pair in bounds.items():
            if name not in places:
                raise ValueError(
                    f"bounds={short(bounds)} names {name!r}, which is not a column. "
                    f"{what_there_is(places, name)}"
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
                f"bounds={short(bounds)} is not possible: {pair!r} is not a pair of numbers "
                "(None for an open end)."
            )
    lower = np.array([-np.inf if low is None else low for low, _ in ends], dtype=float)
    upper = np.array([np.inf if high is None else high for _, high in ends], dtype=float)
    if not (lower < upper).all():
        j = np.flatnonzero(~(lower < upper))[0]
        raise ValueError(
            f"bounds={short(bounds)} is not possible: {ends[j]!r} is empty. "
            "Give the lower bound first."
        )
    return lower, upper


def take_bounds(
    bounds: Any, kept: np.ndarray, names: np.ndarray | None = None
) -> list[tuple[float, float]]:
    """Return the bounds of the columns that a mask ``(d,)`` selects, as a list of pairs."""
    lower, upper = check_bounds(bounds, len(kept), names)
    return list(zip(lower[kept].tolist(), upper[kept].tolist()))


def _is_end(value: Any) -> bool:
    return value is None or (np.isscalar(value) and not isinstance(value, (str, bytes)))


@saved_as("bounds")
class Bounds:
    """Bounds of the columns, and the map from their inside onto the line.

    Attributes
    ----------
    lower, upper : ndarray of shape (d,)
        Infinite where a column is open.
    cells : ndarray of shape (2, d)
        Widths of the cells of values on the lower and on the upper bound; 0 without such values and
        on a grid, whose cells are a step wide.
    start, stop : ndarray of shape (d,)
        Ends of the smooth map. On a grid they lie half a step beyond its last values; with values
        on a bound they lie so far away that the other values keep a distance.
    nearest : ndarray of shape (2, d)
        Values closer to ``start`` or ``stop`` are moved this far away: there the slope of the map
        would only show rounding.
    width : ndarray of shape (d,)
        The ``c`` of a column with one bound.
    holes, steps : ndarray of shape (d,)
        A value of a grid that the column does not have, NaN for none, and the step. Values above
        the hole are moved down by a step before they are mapped.
    """

    def __init__(self, lower: np.ndarray, upper: np.ndarray) -> None:
        self.lower, self.upper = lower, upper

    def fit(self, X: np.ndarray, step: np.ndarray, holes: np.ndarray | None = None) -> Bounds:
        """Fit the map to rows; ``step`` ``(d,)`` is 0 for columns without a grid."""
        self.holes = np.full(X.shape[1], np.nan) if holes is None else holes
        self.steps = np.where(np.isnan(self.holes), 0.0, step)
        X, top = self._closed(X), self.upper - self.steps * (self.upper >= self.holes)
        self.cells = np.zeros((2, X.shape[1]))
        self.width = np.ones(X.shape[1])
        self.nearest = np.full((2, X.shape[1]), TINY)
        beyond = np.zeros((2, X.shape[1]))
        for j in np.flatnonzero(np.isfinite(self.lower) | np.isfinite(self.upper)):
            for side, distance in enumerate((X[:, j] - self.lower[j], top[j] - X[:, j])):
                if np.isfinite(distance[0]):
                    beyond[side, j] = self._fit_end(j, side, distance, step[j])
        self.start, self.stop = self.lower - beyond[0], top + beyond[1]
        return self

    def take(self, columns: np.ndarray) -> Bounds:
        """Return the bounds of some of the columns."""
        taken = copy(self)
        vars(taken).update({name: value[..., columns] for name, value in vars(self).items()})
        return taken

    def _fit_end(self, j: np.intp, side: int, distance: np.ndarray, step: float) -> float:
        """Return how far beyond an end of column j the map starts, given the distances to it."""
        inside = distance[distance > 0]
        if not len(inside):
            inside = np.ones(1)
        self.width[j] = inside.mean()
        if step > 0:  # the last whole cell within the bound
            rest = np.fmod(distance.min(), step)
            rest -= step * (rest > (1 - 1e-6) * step)
            self.nearest[side, j] = 1e-6 * step
            return step / 2 - rest
        if (distance > 0).all():
            self.nearest[side, j] = max(inside.min() / 10, TINY)
            return 0.0
        self.cells[side, j] = max(inside.min() / 2, TINY)  # those of two ends never overlap
        return np.quantile(inside, 0.01) - self.cells[side, j]

    def outside(self, X: np.ndarray) -> np.ndarray:
        """Return which values ``(n, d)`` lie beyond a bound."""
        return (self.lower > X) | (self.upper < X)

    def check(self, X: np.ndarray, names: np.ndarray | None = None) -> None:
        """Raise if rows lie beyond the bounds."""
        outside = self.outside(X)
        if not outside.any():
            return
        raise ValueError(
            f"{outside.any(axis=1).sum()} rows lie beyond the bounds, in column "
            f"{name_columns(outside.any(axis=0), names)}. Correct or remove them, or widen bounds."
        )

    def on_bound(self, X: np.ndarray) -> np.ndarray:
        """Return which values ``(n, d)`` lie exactly on a bound."""
        return (self.lower == X) | (self.upper == X)

    def nearest_atoms(self, X: np.ndarray) -> np.ndarray:
        """Return the rows ``(n, d)`` with values in the cell of a bound put on it."""
        X = np.where(X - self.lower < self.cells[0], self.lower, X)
        return np.where(self.upper - X < self.cells[1], self.upper, X)

    def forward(
        self, X: np.ndarray, place: float | np.ndarray = 0.5
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return points on the line ``(n, d)`` and the log of the map's slope, summed ``(n,)``.

        ``place``, a number or ``(n, d)``, is where a value on a bound is in its cell: the distance
        from the bound as a fraction of the width. NaN stays NaN and adds nothing to the sum.
        """
        V, slopes = self._smooth(self._closed(X))
        for side in (0, 1):
            self._enter_cells(side, X, place, V, slopes)
        both, sign = self._ends()
        return V, np.nansum(slopes[:, sign != 0], axis=1) + np.nansum(slopes[:, both], axis=1)

    def inverse(self, V: np.ndarray) -> np.ndarray:
        """Return rows ``(n, d)`` within the bounds and the cells of a grid."""
        X = np.nan_to_num(self._smooth_inverse(V))
        X += self.steps * (self.holes - self.steps / 2 < X)
        X = np.clip(X, np.fmin(self.lower, self.start), np.fmax(self.upper, self.stop))
        if self.cells.any():
            edges = self._edges()
            X = np.where((self.cells[0] > 0) & (edges[0] > V), self.lower, X)
            X = np.where((self.cells[1] > 0) & (edges[1] < V), self.upper, X)
        return X

    def _closed(self, X: np.ndarray) -> np.ndarray:
        """Return the rows with values above a hole moved down by a step."""
        return X - self.steps * (self.holes < X)

    def _enter_cells(
        self, side: int, X: np.ndarray, place: float | np.ndarray, V: np.ndarray, slopes: np.ndarray
    ) -> None:
        """Map the values in the cells of one end to their humps."""
        columns = np.flatnonzero(self.cells[side])
        bound, cell = (self.lower, self.upper)[side][columns], self.cells[side, columns]
        part = np.abs(X[:, columns] - bound) / cell
        rows, found = np.nonzero(part < 1)
        if not len(rows):
            return
        part, own = part[rows, found], columns[found]
        part = np.where(part == 0, np.broadcast_to(place, X.shape)[rows, own], part)
        z = ndtri(np.maximum(part, TINY) * ndtr(HUMP_DISTANCE))
        scale, inward = self._hump_scales()[own], (1, -1)[side]
        V[rows, own] = self._edges()[side, own] + inward * scale * (z - HUMP_DISTANCE)
        log_normal = -0.5 * (z**2 + np.log(2 * np.pi))
        slopes[rows, own] = np.log(scale * ndtr(HUMP_DISTANCE)) - np.log(cell[found]) - log_normal

    def _hump_scales(self) -> np.ndarray:
        """Return the standard deviations ``(d,)`` of the humps on the line."""
        both, _ = self._ends()
        return HUMP_SCALE * np.where(both, (self.stop - self.start) / 4, self.width)

    def _edges(self) -> np.ndarray:
        """Return where the cells of the lower and upper bounds end on the line ``(2, d)``."""
        inside = np.clip(0.0, self.lower, self.upper)
        ends = [self.lower + self.cells[0], self.upper - self.cells[1]]
        return self._smooth(np.where(self.cells > 0, ends, inside))[0]

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which columns have two ends, and +1 or -1 for a lower or upper one alone."""
        low, high = np.isfinite(self.start), np.isfinite(self.stop)
        return low & high, np.where(low == high, 0, np.where(low, 1, -1))

    def _smooth(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points on the line and log-slopes ``(n, d)`` of the map outside the cells."""
        both, sign = self._ends()
        V, slopes = X.copy(), np.zeros(X.shape)
        low = np.maximum(X - self.start, self.nearest[0])
        high = np.maximum(self.stop - X, self.nearest[1])
        half = sign != 0
        if half.any():
            c, end = self.width[half], np.where(sign > 0, self.start, self.stop)[half]
            distance = np.maximum(np.where(sign > 0, low, high)[:, half] / c, TINY)
            log_share = np.log(-np.expm1(-distance))
            V[:, half] = end + sign[half] * c * (distance + log_share)
            slopes[:, half] = -log_share
        if both.any():
            low, high, length = low[:, both], high[:, both], (self.stop - self.start)[both]
            middle = self.start[both] + length / 2
            V[:, both] = middle + length / 4 * (np.log(low) - np.log(high))
            slopes[:, both] = 2 * np.log(length) - np.log(low) - np.log(high) - np.log(4)
        return V, slopes

    def _smooth_inverse(self, V: np.ndarray) -> np.ndarray:
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
        return X
