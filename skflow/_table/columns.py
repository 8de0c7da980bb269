"""What a column is: location, scale, bounds, grid, constant, name.

``Columns`` is the way from rows ``X`` in the data's units to rows ``U`` in standardised units, with
its log-determinant, and back. A bounded column first goes through a map onto the line.
"""

from dataclasses import dataclass, replace

import numpy as np

from .._core.checks import warn_of
from .._core.saving import saved_as
from .bounds import Bounds

#: Standardised values are clipped to this size: farther away, squares and their sums would leave
#: the range of numbers, and a row is as unusual as can be told.
FARTHEST = 1e100
#: Part of the rows from which values on a bound are worth a warning.
MANY_ON_BOUND = 0.02
#: What is said of columns that have no density, or one that means little.
FEW_VALUES = (
    "nearly discrete: at most one distinct value in 20 rows. A density can grow without bound at "
    "values that repeat, so likelihoods compare only between models of the same columns at the "
    "same resolution. Set dequantize=True to spread each value evenly over its cell of the grid, "
    "or leave such columns out."
)
CONSTANT = (
    "constant and has no density. It is modelled as a normal distribution of variance 1 around "
    "its value; leave it out to avoid this."
)
COPY = (
    "a copy of another column, perhaps in another unit: the density is unbounded there and the "
    "likelihood means little. Leave the copies out."
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
        Of the standardisation: mean and standard deviation (of what the map of its bounds makes of
        a column), the value and 1 of a constant column, 0 and 1 without standardisation.
    step, origin : ndarray of shape (d,)
        Grid to which samples are rounded; step 0 for columns without one.
    values : tuple of d ndarrays
        The values of a column on a grid, ascending; empty for the others. Multiples of a step are
        these up to rounding, and samples are these to the last bit.
    constant : ndarray of bool, shape (d,)
    least, most : ndarray of shape (d,)
        Of the values that ``spanning`` was told of.
    dequantized : bool
        Whether grids were looked for.
    bounds : Bounds
    names : ndarray of shape (d,) or None
    """

    location: np.ndarray
    scale: np.ndarray
    step: np.ndarray
    origin: np.ndarray
    values: tuple
    constant: np.ndarray
    least: np.ndarray
    most: np.ndarray
    dequantized: bool
    bounds: Bounds
    names: np.ndarray | None = None

    def take(self, columns):
        """Some of the columns, which a mask ``(d,)`` or indices select."""
        taken = {k: v[columns] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        values = tuple(self.values[j] for j in np.arange(len(self.step))[columns])
        return replace(self, **taken, values=values, bounds=self.bounds.take(columns))

    @property
    def kinds(self):
        """What each column is ``(d,)``, in a word."""
        bounded = np.isfinite(self.bounds.lower) | np.isfinite(self.bounds.upper)
        chosen = [self.constant, self.step > 0, bounded]
        return np.select(chosen, ["constant", "on a grid", "bounded"], "real").astype(object)

    def spanning(self, X):
        """The columns, told of the values of rows, too; NaN is none."""
        least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
        return replace(self, least=np.fmin(self.least, least), most=np.fmax(self.most, most))

    @property
    def range(self):
        """Ends ``(2, d)`` of what is like the values that were seen.

        These widened by a tenth on each side, but not beyond 0 where none of them is.
        """
        margin = self.most / 10 - self.least / 10
        low, high = self.least - margin, self.most + margin
        low = np.where(self.least >= 0, np.maximum(low, 0), low)
        return low, np.where(self.most <= 0, np.minimum(high, 0), high)

    def in_range(self, X):
        """Which rows ``(n,)`` have all their values within the range; what is NaN counts as so."""
        low, high = self.range
        return ~((low > X) | (high < X)).any(axis=1)

    def to_range(self, X):
        """The rows with values beyond the range at the next value that was seen."""
        low, high = self.range
        return np.where(low > X, self.least, np.where(high < X, self.most, X))

    def forward(self, X, place=0.5):
        """Standardised rows ``(n, d)`` and log-determinants ``(n,)``.

        A row beyond a bound is taken to lie on it, with a log-determinant of minus infinity. What
        is NaN stays so, and the log-determinant is that of the other columns. ``place`` is as in
        ``Bounds.forward``.
        """
        V, log_det = self.bounds.forward(np.clip(X, self.bounds.lower, self.bounds.upper), place)
        log_det[self.bounds.outside(X).any(axis=1)] = -np.inf
        return self._standardised(V), log_det - self._log_scale(X)

    def _log_scale(self, X):
        """Sum of the logarithms of the scales of the columns that a row has."""
        log_scale = np.log(self.scale)
        absent = np.isnan(X)
        return log_scale.sum() - absent @ log_scale if absent.any() else log_scale.sum()

    def _standardised(self, V):
        with np.errstate(over="ignore"):
            U = (V - self.location) / self.scale
        return np.clip(U, -FARTHEST, FARTHEST)

    def inverse(self, U):
        """Rows ``(n, d)`` in the data's units, always finite, within bounds and not yet rounded."""
        return np.clip(self.places(U), self.bounds.lower, self.bounds.upper)

    def places(self, U):
        """As ``inverse``, but values on a grid may be anywhere in their cell, beyond a bound, too.

        So their mean is that of the values on the grid.
        """
        with np.errstate(over="ignore"):
            V = np.nan_to_num(np.nan_to_num(U) * self.scale + self.location)
        return self.bounds.inverse(V)

    def draws(self, U):
        """Rows ``(n, d)`` in the data's units: where a place stands for a value, that value."""
        return self.to_grid(self.inverse(U))

    def ends_of_cells(self, X):
        """Standardised places ``(n, d)``: what is drawn up to there is at most ``X``."""
        step = self.step
        ends = np.where(step > 0, self.to_grid(X - step / 2 + 1e-9 * step) + step / 2, X)
        return self.forward(self.bounds.nearest_atoms(ends), place=1.0)[0]

    def to_grid(self, X):
        """Rows with values on a grid where their column has one, and with its value if constant."""
        step = np.where(self.step > 0, self.step, 1.0)
        with np.errstate(over="ignore"):  # so far away values are multiples of a step as they are
            rounded = self.origin + step * np.round((X - self.origin) / step)
        rounded += step * (rounded < self.bounds.lower - step / 2)
        rounded -= step * (rounded > self.bounds.upper + step / 2)
        for j in np.flatnonzero(self.step):
            rounded[:, j] = nearby(self.values[j], rounded[:, j], self.step[j] / 100)
        on_grid = np.where((self.step > 0) & np.isfinite(rounded), rounded, X)
        return np.where(self.constant, self.origin, on_grid)

    def training_rows(self, X, streams):
        """What a flow is trained on: standardised rows and log-determinants, as ``spread``.

        Constant columns get standard normal noise.
        """
        U, log_det = self.spread(X, streams("grid"))
        constant = self.constant | constant_columns(X)
        U[:, constant] += streams("constant columns").standard_normal((len(U), constant.sum()))
        return U, log_det

    def spread(self, X, rng):
        """As ``forward``, with a value on a grid or on a bound somewhere in its cell."""
        place = rng.uniform(-0.5, 0.5, X.shape)
        V, log_det = self.bounds.forward(X + place * self.step, 0.5 + place)
        return self._standardised(V), log_det - self._log_scale(X)

    def warn(self, X, U):
        """Warn of columns that have no density, or one that means little.

        ``X`` are the rows of a fit, and ``U`` what the flow is trained on.
        """
        constant = constant_columns(X)
        share = self.bounds.on_bound(X).mean(axis=0)
        many = (share > MANY_ON_BOUND) & ~constant & (self.step == 0)
        found = (
            (few_valued_columns(X) & ~constant & (not self.dequantized), FEW_VALUES),
            (constant, CONSTANT),
            (copied_columns(U), COPY),
            (many, ON_BOUND.format(share.max(initial=0, where=many))),
        )
        warn_of(found, self.names)


def fit_columns(
    X, weight=None, *, standardize=True, dequantize=False, bounds=None, names=None, spikes=None
):
    """The ``Columns`` of rows ``(n, d)`` with weights ``(n,)`` or None.

    ``bounds`` are as ``check_bounds`` returns them; None leaves all columns open. Rows beyond them
    are an error. ``spikes`` ``(d,)`` are values that no row has, as they are counted apart; NaN for
    columns without one.
    """
    infinite = np.full(X.shape[1], np.inf)
    step = grid_steps(X) if dequantize else np.zeros(X.shape[1])
    fitted = Bounds(*((-infinite, infinite) if bounds is None else bounds))
    fitted.check(X, names)
    fitted.fit(X, step, holes_of(X, step, spikes))
    constant = constant_columns(X)
    location, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if standardize:
        V, _ = fitted.forward(X)
        location, scale = location_and_scale(V, weight, constant)
    values = tuple(np.unique(x) if size > 0 else x[:0] for x, size in zip(X.T, step))
    origin = X.min(axis=0)
    told = (constant, infinite, -infinite, dequantize, fitted, names)
    return Columns(location, scale, step, origin, values, *told)


def location_and_scale(V, weight, constant):
    """Mean and standard deviation of the columns; of those that are constant, the value and 1."""
    # in units of the largest value, so that squares neither overflow nor vanish
    size = np.abs(V).max(axis=0)
    size[size == 0] = 1
    unit = V / size
    location = np.average(unit, axis=0, weights=weight)
    scale = np.sqrt(np.average((unit - location) ** 2, axis=0, weights=weight))
    # a spread that is too small to divide by counts as the smallest that is not
    location, scale = location * size, np.maximum(scale * size, np.finfo(np.float64).tiny)
    location[constant], scale[constant] = V[0, constant], 1
    return location, scale


def constant_columns(X):
    rounding = 10 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    half_range = X.max(axis=0) / 2 - X.min(axis=0) / 2  # the whole may overflow
    return half_range <= rounding / 2


def filled(X):
    """Rows ``(n, d)`` in which a column's other values, in turn, stand where it is NaN."""
    X = X.copy()
    for column in X.T:
        absent = np.isnan(column)
        column[absent] = np.resize(column[~absent], absent.sum())
    return X


def few_valued_columns(X):
    """Which columns have at most one distinct value in 20 rows."""
    return np.array([len(np.unique(column)) for column in X.T]) <= len(X) / 20


def grid_steps(X):
    """The step of columns whose values lie on a grid with repetitions, 0 for the others.

    Such columns are counts, codes or rounded measurements: at most half as many values as rows,
    all of them whole multiples of the smallest gap apart.
    """
    steps = np.zeros(X.shape[1])
    for j, column in enumerate(X.T):
        values = np.unique(column)
        if 1 < len(values) <= len(column) / 2:
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is on no grid
                step = np.diff(values).min()
                multiples = (values - values[0]) / step
                apart = np.abs(multiples - np.round(multiples)).max()
            if apart < 1e-3:
                steps[j] = step
    return steps


def holes_of(X, step, spikes):
    """The spikes ``(d,)`` that lie on the grid of their column, NaN for the others.

    There the grid has a hole: its cells beside the spike adjoin each other.
    """
    if spikes is None:
        return np.full(X.shape[1], np.nan)
    multiples = (spikes - X.min(axis=0)) / np.where(step > 0, step, np.nan)
    return np.where(np.abs(multiples - np.round(multiples)) < 1e-3, spikes, np.nan)


def nearby(values, numbers, reach):
    """The numbers ``(n,)``, and in place of those within ``reach`` of one of the values, that."""
    place = np.searchsorted(values, numbers - reach).clip(max=len(values) - 1)
    return np.where(np.abs(values[place] - numbers) <= reach, values[place], numbers)


def copied_columns(table):
    """Which columns are an earlier one up to shift, scale and rounding."""
    if len(table) < 3:  # two rows always lie on a line
        return np.zeros(table.shape[1], dtype=bool)
    with np.errstate(all="ignore"):  # of what overflows, nothing is said
        correlation = np.atleast_2d(np.corrcoef(table, rowvar=False))
    return (np.triu(np.abs(correlation), 1) > 1 - 1e-12).any(axis=0)
