"""The columns of a table: location, scale, bounds, grid, constant, name.

``Columns`` maps rows ``X`` in the data's units to rows ``U`` in standardised units, with the
log-determinant, and back. A bounded column is first mapped onto the line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.checks import warn_of
from .._core.saving import saved_as
from .bounds import Bounds

if TYPE_CHECKING:
    from .._core.random import RandomStreams

#: Standardised values are clipped to this size, so that sums of their squares do not overflow.
FARTHEST = 1e100
#: Fraction of the rows on a bound from which on there is a warning.
MANY_ON_BOUND = 0.02
# Warnings about columns without a density, or with one that means little.
FEW_VALUES = (
    "nearly discrete: at most one distinct value in 20 rows. A density can grow without bound at "
    "values that repeat, so likelihoods compare only between models of the same columns at the "
    "same resolution. {}, or leave such columns out."
)
SPREAD = "Set dequantize=True to spread each value evenly over its cell of the grid"
NO_GRID = (
    "These values lie on no grid over which dequantize=True could spread them: name features of "
    "this kind in categorical_features"
)
CONSTANT = (
    "constant and has no density. It is modelled as a normal distribution of variance 1 around "
    "its value; leave it out to avoid this."
)
COPY = (
    "a copy of another column, perhaps in another unit: the density is unbounded there and the "
    "likelihood means little. Leave the copies out."
)
NUMBERED = (
    "a whole number that is different in each row, as numbers of rows and customers are. Leave "
    "such columns out, unless they are measurements."
)
ON_BOUND = (
    "exactly on a bound in up to {:.0%} of the rows. Such a value stands for a narrow cell that "
    "ends half way to the next value, and samples in there are put on the bound, so that their "
    "number is right; but the density on the bound depends on the width of that cell."
)


@saved_as("columns")
@dataclass
class Columns:
    """The columns of a table, as found by ``fit_columns``.

    Attributes
    ----------
    location, scale : ndarray of shape (d,)
        Mean and standard deviation on the line; the value and 1 of a constant column; 0 and 1
        without standardisation.
    step, origin : ndarray of shape (d,)
        Grid to which samples are rounded; step 0 for columns without one.
    values : tuple of d ndarrays
        The sorted values of a column on a grid, empty for the others. Samples are rounded to these,
        so that they are equal to the last bit.
    constant : ndarray of bool, shape (d,)
    least, most : ndarray of shape (d,)
        Range of the values that ``spanning`` got.
    dequantized : bool
        Whether ``fit_columns`` looked for grids.
    bounds : Bounds
    names : ndarray of shape (d,) or None
    """

    location: np.ndarray
    scale: np.ndarray
    step: np.ndarray
    origin: np.ndarray
    values: tuple[np.ndarray, ...]
    constant: np.ndarray
    least: np.ndarray
    most: np.ndarray
    dequantized: bool
    bounds: Bounds
    names: np.ndarray | None = None

    def take(self, columns: np.ndarray) -> Columns:
        """Return the columns that a mask ``(d,)`` or indices select."""
        taken = {k: v[columns] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        values = tuple(self.values[j] for j in np.arange(len(self.step))[columns])
        return replace(self, **taken, values=values, bounds=self.bounds.take(columns))

    @property
    def kinds(self) -> np.ndarray:
        """The kind of each column in a word ``(d,)``."""
        bounded = np.isfinite(self.bounds.lower) | np.isfinite(self.bounds.upper)
        chosen = [self.constant, self.step > 0, bounded]
        return np.select(chosen, ["constant", "on a grid", "bounded"], "real").astype(object)

    def spanning(self, X: np.ndarray) -> Columns:
        """Return the columns with their range widened to the rows; NaN is ignored."""
        least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
        return replace(self, least=np.fmin(self.least, least), most=np.fmax(self.most, most))

    @property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Range of plausible values ``(2, d)``.

        That of the seen values, widened by a tenth on each side, but not across 0.
        """
        margin = self.most / 10 - self.least / 10
        low, high = self.least - margin, self.most + margin
        low = np.where(self.least >= 0, np.maximum(low, 0), low)
        return low, np.where(self.most <= 0, np.minimum(high, 0), high)

    def in_range(self, X: np.ndarray) -> np.ndarray:
        """Return which rows ``(n,)`` have all values within the range; NaN counts as within."""
        low, high = self.range
        return ~np.any((low > X) | (high < X), axis=1)

    def to_range(self, X: np.ndarray) -> np.ndarray:
        """Return the rows with values beyond the range moved to the nearest seen value."""
        low, high = self.range
        return np.where(low > X, self.least, np.where(high < X, self.most, X))

    def forward(
        self, X: np.ndarray, place: float | np.ndarray = 0.5
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return standardised rows ``(n, d)`` and log-determinants ``(n,)``.

        A row beyond a bound is moved onto it, with a log-determinant of minus infinity. NaN stays
        NaN and does not enter the log-determinant. ``place`` is as in ``Bounds.forward``.
        """
        V, log_det = self.bounds.forward(np.clip(X, self.bounds.lower, self.bounds.upper), place)
        log_det[self.bounds.outside(X).any(axis=1)] = -np.inf
        return self._standardised(V), log_det - self._log_scale(X)

    def _log_scale(self, X: np.ndarray) -> np.ndarray | float:
        """Return the sum of the log-scales of the known columns, row by row."""
        log_scale = np.log(self.scale)
        absent = np.isnan(X)
        return log_scale.sum() - absent @ log_scale if absent.any() else log_scale.sum()

    def _standardised(self, V: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            U = (V - self.location) / self.scale
        return np.clip(U, -FARTHEST, FARTHEST)

    def inverse(self, U: np.ndarray) -> np.ndarray:
        """Return rows ``(n, d)`` in the data's units: finite, within bounds, not yet rounded."""
        return np.clip(self.places(U), self.bounds.lower, self.bounds.upper)

    def places(self, U: np.ndarray) -> np.ndarray:
        """As ``inverse``, but values on a grid may be anywhere in their cell, even beyond a bound.

        So the mean of the places is the mean of the values.
        """
        with np.errstate(over="ignore"):
            V = np.nan_to_num(np.nan_to_num(U) * self.scale + self.location)
        return self.bounds.inverse(V)

    def draws(self, U: np.ndarray) -> np.ndarray:
        """Return rows ``(n, d)`` in the data's units, rounded to grids."""
        return self.to_grid(self.inverse(U))

    def ends_of_cells(self, X: np.ndarray) -> np.ndarray:
        """Return standardised places ``(n, d)`` up to which draws are at most ``X``."""
        step = self.step
        ends = np.where(step > 0, self.to_grid(X - step / 2 + 1e-9 * step) + step / 2, X)
        return self.forward(self.bounds.nearest_atoms(ends), place=1.0)[0]

    def to_grid(self, X: np.ndarray) -> np.ndarray:
        """Round rows to the grids of their columns, and set constant columns."""
        step = np.where(self.step > 0, self.step, 1.0)
        with np.errstate(over="ignore"):  # so far away values are multiples of a step as they are
            rounded = self.origin + step * np.round((X - self.origin) / step)
        rounded += step * (rounded < self.bounds.lower - step / 2)
        rounded -= step * (rounded > self.bounds.upper + step / 2)
        for j in np.flatnonzero(self.step):
            rounded[:, j] = nearby(self.values[j], rounded[:, j], self.step[j] / 100)
        on_grid = np.where((self.step > 0) & np.isfinite(rounded), rounded, X)
        return np.where(self.constant, self.origin, on_grid)

    def training_rows(self, X: np.ndarray, streams: RandomStreams) -> tuple[np.ndarray, np.ndarray]:
        """Return what a flow is trained on: as ``spread``, with noise in constant columns.

        Rows beyond the bounds raise, and values beyond single precision.
        """
        self.bounds.check(X, self.names)
        U, log_det = self.spread(X, streams("grid"))
        constant = self.constant | constant_columns(X)
        if constant.any():
            noise = streams("constant columns").standard_normal((len(U), constant.sum()))
            U[:, constant] += noise
        largest = np.fmax.reduce(np.abs(U), axis=None)  # NaN is for absent numbers
        if largest > np.finfo(np.float32).max:
            raise ValueError(
                f"X has values of {largest:.3g}, and a flow is trained in single "
                "precision, up to 3e38. Set training.standardize=True, or give the rows in other "
                "units."
            )
        return U, log_det

    def spread(self, X: np.ndarray, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """As ``forward``, with values on a grid or a bound at random places in their cells."""
        place = rng.uniform(-0.5, 0.5, X.shape)
        V, log_det = self.bounds.forward(X + place * self.step, 0.5 + place)
        return self._standardised(V), log_det - self._log_scale(X)

    def warn(self, X: np.ndarray, U: np.ndarray) -> None:
        """Warn of columns without a density, or with one that means little.

        ``X`` are the rows of a fit, and ``U`` what the flow is trained on.
        """
        constant, n_values = constant_columns(X), count_values(X)
        share = self.bounds.on_bound(X).mean(axis=0)
        many = (share > MANY_ON_BOUND) & ~constant & (self.step == 0)
        found = (
            (
                few_valued(n_values, len(X)) & ~constant & (self.step == 0),
                FEW_VALUES.format(NO_GRID if self.dequantized else SPREAD),
            ),
            (constant, CONSTANT),
            (copied_columns(U), COPY),
            (numbering_columns(X, n_values), NUMBERED),
            (many, ON_BOUND.format(share.max(initial=0, where=many))),
        )
        warn_of(found, self.names)


def fit_columns(
    X: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    standardize: bool = True,
    dequantize: bool = False,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    names: np.ndarray | None = None,
    spikes: np.ndarray | None = None,
) -> Columns:
    """Return the ``Columns`` of rows ``(n, d)`` with weights ``(n,)`` or None.

    ``bounds`` are as ``check_bounds`` returns them, None for open columns; rows beyond them raise.
    ``spikes`` ``(d,)`` are values that no row has because they are modelled apart, or NaN.
    """
    infinite = np.full(X.shape[1], np.inf)
    values = [np.unique(column) if dequantize else column[:0] for column in X.T]
    step = np.array([grid_step(found, len(X)) for found in values])
    fitted = Bounds(*((-infinite, infinite) if bounds is None else bounds))
    fitted.check(X, names)
    fitted.fit(X, step, holes_of(X, step, spikes))
    constant = constant_columns(X)
    location, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if standardize:
        V, _ = fitted.forward(X)
        location, scale = location_and_scale(V, weight, constant)
    values = tuple(found[: len(found) * (size > 0)] for found, size in zip(values, step))
    origin = X.min(axis=0)
    told = (constant, infinite, -infinite, dequantize, fitted, names)
    return Columns(location, scale, step, origin, values, *told)


def location_and_scale(
    V: np.ndarray, weight: np.ndarray | None, constant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the columns, value and 1 of constant ones."""
    # in units of the largest value, so that squares neither overflow nor underflow
    size = np.abs(V).max(axis=0)
    size[size == 0] = 1
    unit = V / size
    location = np.average(unit, axis=0, weights=weight)
    scale = np.sqrt(np.average((unit - location) ** 2, axis=0, weights=weight))
    # do not divide by a spread of 0
    location, scale = location * size, np.maximum(scale * size, np.finfo(np.float64).tiny)
    location[constant], scale[constant] = V[0, constant], 1
    return location, scale


def constant_columns(X: np.ndarray) -> np.ndarray:
    rounding = 10 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    half_range = X.max(axis=0) / 2 - X.min(axis=0) / 2  # the whole may overflow
    return half_range <= rounding / 2


def filled(X: np.ndarray) -> np.ndarray:
    """Return rows ``(n, d)`` with the known values of each column, in turn, in place of NaN."""
    X = X.copy()
    for column in X.T:
        absent = np.isnan(column)
        column[absent] = np.resize(column[~absent], absent.sum())
    return X


def count_values(X: np.ndarray) -> np.ndarray:
    """Return the number of distinct values of each column."""
    return np.array([len(np.unique(column)) for column in X.T])


def few_valued(n_values: np.ndarray, n_rows: int) -> np.ndarray:
    """Return which columns have at most one distinct value in 20 rows."""
    return n_values <= n_rows / 20


def numbering_columns(X: np.ndarray, n_values: np.ndarray) -> np.ndarray:
    """Return which columns have as many whole values as rows, within few times as many."""
    n = len(X)
    with np.errstate(over="ignore"):
        close = (np.round(X) == X).all(axis=0) & (np.ptp(X, axis=0) < 4 * n) & (n >= 100)
    return close & (n_values == n)


def grid_step(values: np.ndarray, n_rows: int) -> float:
    """Return the grid step of a column with these distinct values, 0 without a grid.

    Counts, codes and rounded measurements are on a grid: at most half as many values as rows, all
    of them multiples of the smallest gap apart.
    """
    if not 1 < len(values) <= n_rows / 2:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # overflow: no grid
        step = np.diff(values).min()
        multiples = (values - values[0]) / step
        apart = np.abs(multiples - np.round(multiples)).max()
    return step if apart < 1e-3 else 0.0


def holes_of(X: np.ndarray, step: np.ndarray, spikes: np.ndarray | None) -> np.ndarray:
    """Return the spikes ``(d,)`` that lie on the grid of their column, NaN for the others.

    The grid has a hole there: the cells on both sides of the spike adjoin each other.
    """
    if spikes is None:
        return np.full(X.shape[1], np.nan)
    multiples = (spikes - X.min(axis=0)) / np.where(step > 0, step, np.nan)
    return np.where(np.abs(multiples - np.round(multiples)) < 1e-3, spikes, np.nan)


def nearby(values: np.ndarray, numbers: np.ndarray, reach: float) -> np.ndarray:
    """Move numbers ``(n,)`` within ``reach`` of one of the sorted values to that value."""
    place = np.searchsorted(values, numbers - reach).clip(max=len(values) - 1)
    return np.where(np.abs(values[place] - numbers) <= reach, values[place], numbers)


def copied_columns(table: np.ndarray) -> np.ndarray:
    """Return which columns equal an earlier one up to shift, scale and rounding."""
    if len(table) < 3:  # two rows always lie on a line
        return np.zeros(table.shape[1], dtype=bool)
    with np.errstate(all="ignore"):  # overflow is not a copy
        correlation = np.atleast_2d(np.corrcoef(table, rowvar=False))
    return (np.triu(np.abs(correlation), 1) > 1 - 1e-12).any(axis=0)
