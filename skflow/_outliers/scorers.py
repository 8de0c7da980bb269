"""The default's scorers, which detect different kinds of outliers.

A row can be unusual because its values are inconsistent, because no other row is near, or because
its values lie far out. No single scorer is right for all three. So there are a flow, the nearest
rows, and the tails of the columns.

The last two take codes of categories. They score rows with missing cells by the known columns, and
can be fitted to such rows. They score rows of their own fit like any other row, as a row does not
count for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partialmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .._core.rows import patterns
from .._core.saving import saved_as
from .._nn.blocks import over_rows
from .._nn.recipe import batch_size
from .._table.columns import FARTHEST, constant_columns, location_and_scale
from ..density import CouplingFlowDensity
from .rarity import harmonic_mean, log_rarity

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._core.typing import RandomState

#: A neighbour counts by the inverse of a power of its distance, at least the eighth: a smoothed
#: distance of the nearest rows. It needs no bandwidth: detail is resolved where rows are dense, and
#: far rows have an order, too. The power grows with the columns, as distances become alike. Rows
#: nearer than the resolution, in standard deviations, are almost equal.
LEAST_POWER, RESOLUTION = 8, 0.01
#: The scale of a constant column, relative to its value.
CONSTANT = 1e-6
#: Neighbours are searched among at most so many rows, drawn at random.
MOST_ROWS = 5000
#: A row's distance from most rows is the distance to this fraction of the rows, or of a random
#: sample of so many.
NEAREST_PART, SOME_ROWS = 0.1, 1000
#: Beyond this squared length, products of rows lose the digits of small distances.
FAR = 1e8
#: Optimizer steps of a flow, within bounds on epochs. Detection does not need the last hundredth of
#: a nat, for which it takes 5000 steps.
N_STEPS, MIN_EPOCHS, MAX_EPOCHS = 640, 10, 60
#: Weights of the flow, the nearest rows and the tails. With more columns than this, a row's tails
#: are more due to chance: with twice as many columns their weight is a quarter.
WEIGHTS, FEW_COLUMNS = (1.0, 2.0, 2.0), 6


@saved_as("neighbours")
class Neighbours(BaseEstimator):
    """Logarithm of the sum over other rows of the inverse of a power of their distance.

    Columns are standardised; a different category counts like a distance of ``sqrt(2)``. One row of
    fit that is equal to the scored row does not count, so a row is not its own neighbour. For a
    missing cell of a row of fit, the squared distance is the mean over the values of the column.

    Outliers that lie together hide each other, as each is near to others, unless they are left out
    of the fit.

    Parameters
    ----------
    categories : sequence of int
        Indices of columns with codes.
    trim : float
        Fraction of the rows to leave out, as ``without_farthest``.
    random_state : int or None
        Random state of the draw of rows among which neighbours are searched.
    """

    def __init__(
        self,
        categories: Sequence[int] = (),
        trim: float = 0.0,
        random_state: RandomState = None,
    ) -> None:
        self.categories = categories
        self.trim = trim
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        X = X[without_farthest(X, self.trim, self.categories)]
        if len(X) > MOST_ROWS:
            rng = check_random_state(self.random_state)
            X = X[rng.choice(len(X), MOST_ROWS, replace=False)]
        known = ~np.isnan(X)
        self.real_ = np.setdiff1d(np.arange(X.shape[1]), self.categories)
        weight = None if known.all() else known[:, self.real_].astype(float)
        real = np.where(known, X, np.nanmedian(X, axis=0))[:, self.real_]
        constant = constant_columns(real)
        self.location_, self.scale_ = location_and_scale(real, weight, constant)
        # any other value is far, up to rounding
        self.scale_[constant] = CONSTANT * np.maximum(1, np.abs(self.location_[constant]))
        self.codes_ = [np.unique(X[known[:, j], j]) for j in self.categories]
        rows, known = np.ma.array(self._encoded(X)), self._of_codes(known)
        rows[~known] = np.ma.masked
        self.rows_ = rows.filled(rows.mean(axis=0))
        # mean squared distance to the values, minus the squared distance to their mean
        self.left_out_ = np.where(known, 0.0, rows.var(axis=0).filled(0.0))
        return self

    def _of_codes(self, columns: np.ndarray) -> np.ndarray:
        """Return an array by column ``(..., d)`` for the columns of encoded rows."""
        sizes = [len(codes) for codes in self.codes_]
        of_codes = np.repeat(columns[..., list(self.categories)], sizes, axis=-1)
        return np.concatenate([columns[..., self.real_], of_codes], axis=-1)

    def _encoded(self, X: np.ndarray) -> np.ndarray:
        """Return standardised columns, and a column for each category."""
        with np.errstate(over="ignore"):
            real = (X[:, self.real_] - self.location_) / self.scale_
        parts = [np.clip(real, -FARTHEST, FARTHEST)]
        for j, codes in zip(self.categories, self.codes_):
            parts.append((X[:, [j]] == codes).astype(float))
        return np.hstack(parts)

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        scores, rows = np.zeros(len(X)), self._encoded(X)
        for known, members in patterns(~np.isnan(X)):
            columns = self._of_codes(known)
            if columns.any():
                ours = np.ascontiguousarray(self.rows_[:, columns])
                left_out = self.left_out_[:, columns].sum(axis=1)
                power = _power(known.sum())
                scores[members] = _nearness(rows[np.ix_(members, columns)], ours, left_out, power)
        return scores

    score_own_rows = score_samples  # a row of fit does not count for itself


def _power(n_columns: int) -> int:
    """Return the least power of two that is at least half the number of columns."""
    return max(LEAST_POWER, 2 ** int(np.ceil(np.log2(n_columns / 2))))


def _nearness(X: np.ndarray, rows: np.ndarray, left_out: np.ndarray, power: int) -> np.ndarray:
    squares = (rows**2).sum(axis=1) + left_out

    def call(block: slice) -> np.ndarray:
        x = X[block]
        square = (x**2).sum(axis=1)
        distance = x @ rows.T
        distance *= -2
        distance += squares
        distance += square[:, None]
        for i in np.flatnonzero(square > FAR):
            distance[i] = ((rows - x[i]) ** 2).sum(axis=1) + left_out
        nearest = distance.argmin(axis=1)
        each = np.arange(len(x))
        exact = ((x - rows[nearest]) ** 2).sum(axis=1) + left_out[nearest]
        distance[each, nearest] = np.where(exact <= 1e-20 * (1 + square), np.inf, exact)
        np.maximum(distance, 0, out=distance)
        distance += RESOLUTION**2
        return _log_sum_of_powers(distance, power // 2)

    return over_rows(call, len(X), len(rows))


def _log_sum_of_powers(squares: np.ndarray, half: int) -> np.ndarray:
    """Return the log of the sum of ``squares ** -half`` over each row; half is a power of two."""
    least = squares.min(axis=1)
    least[np.isinf(least)] = 1.0  # no other row
    np.divide(least[:, None], squares, out=squares)
    for _ in range(half.bit_length() - 1):
        np.multiply(squares, squares, out=squares)
    return np.log(squares.sum(axis=1) + np.finfo(float).tiny) - half * np.log(least)


@saved_as("tails")
class Tails(BaseEstimator):
    """Sum over columns of the logarithm of the fraction of rows that are at least as far out.

    Rows count on the side of a value with fewer rows; for a category, rows with categories that are
    as rare. For a number that no other row has, the rows with such numbers count if they are fewer:
    a value between two codes is unusual, one between two measurements is not. Rows with a missing
    cell do not count in its column.

    Parameters
    ----------
    categories : sequence of int
        Indices of columns with codes.
    """

    def __init__(self, categories: Sequence[int] = ()) -> None:
        self.categories = categories

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        self.columns_ = [np.sort(column[~np.isnan(column)]) for column in X.T]
        self.codes_, self.parts_ = [], []
        # how many rows have a number that no other row has
        self.n_alone_ = [np.sum(np.unique(c, return_counts=True)[1] == 1) for c in self.columns_]
        for j in self.categories:
            codes, counts = np.unique(self.columns_[j], return_counts=True)
            rarer = [counts[counts <= count].sum() for count in counts]
            self.codes_.append(codes)
            self.parts_.append(np.array(rarer))
        return self

    def score_samples(self, X: np.ndarray, own: bool = False) -> np.ndarray:
        scores = np.zeros(len(X))
        places = {j: k for k, j in enumerate(self.categories)}
        for j, (column, values) in enumerate(zip(X.T, self.columns_)):
            n_rows = len(values)
            if j in places:
                codes, parts = self.codes_[places[j]], self.parts_[places[j]]
                place = np.searchsorted(codes, column).clip(max=len(codes) - 1)
                n_beyond = np.where(codes[place] == column, parts[place], 0)
            else:
                rounding = 10 * np.finfo(float).eps * np.abs(column)
                n_below = np.searchsorted(values, column + rounding, side="right")
                n_above = n_rows - np.searchsorted(values, column - rounding, side="left")
                n_beyond = np.minimum(n_below, n_above)
                alone = n_below + n_above - n_rows <= own  # a row of fit is equal to itself
                n_alone = np.minimum(n_beyond, self.n_alone_[j])
                n_beyond = np.where(alone, n_alone, n_beyond)
            # a row counts itself, a row of fit only once, also where the fit left it out
            part = np.maximum(n_beyond + 1 - own, 1) / (n_rows + 1 - own)
            scores += np.log(np.where(np.isnan(column), 1.0, part))
        return scores

    score_own_rows = partialmethod(score_samples, own=True)


# ---- the default


def default_flow(n_rows: int) -> CouplingFlowDensity:
    """Return the flow of the default for so many rows, which also yields the reasons."""
    n_epochs = np.clip(N_STEPS * batch_size(n_rows) // n_rows, MIN_EPOCHS, MAX_EPOCHS)
    return CouplingFlowDensity(4, dequantize=True, component_weight=0, max_iter=int(n_epochs))


def default_scorers(
    n_rows: int, n_columns: int, categories: Iterable[int] = (), trim: float = 0.0
) -> tuple[list[tuple[str, Any]], np.ndarray]:
    """Return the default's scorers for a table of such a shape, and their weights.

    The flow's likelihood detects inconsistent values, the nearest rows detect isolated rows, and
    the tails of the columns detect values far out.
    """
    flow = default_flow(n_rows)
    coded = tuple(categories)
    scorers = [("flow", flow), ("neighbours", Neighbours(coded, trim)), ("tails", Tails(coded))]
    return scorers, np.array(WEIGHTS) * [1, 1, min(1, FEW_COLUMNS / n_columns) ** 2]


def without_farthest(X: np.ndarray, part: float, categories: Iterable[int] = ()) -> np.ndarray:
    """Return the indices ``(m,)`` of the rows without the fraction ``part`` of likely outliers.

    These are far from most rows, or far out in their columns. A few outliers in a hundred rows
    change it little, even if they lie together.
    """
    n_left_out, codes = int(part * len(X)), tuple(categories)
    if n_left_out == 0:
        return np.arange(len(X))
    # a missing cell counts as the mean of its column
    rows = np.nan_to_num(Neighbours(codes, random_state=0).fit(X)._encoded(X))
    drawn = np.random.default_rng(0).choice(len(X), min(SOME_ROWS, len(X)), replace=False)
    place = int(NEAREST_PART * len(drawn))

    def distances(block: slice) -> np.ndarray:
        return np.partition(cdist(rows[block], rows[drawn]), place, axis=1)[:, place]

    distance = over_rows(distances, len(rows), len(drawn))
    scores = -np.log(distance + RESOLUTION), Tails(codes).fit(X).score_own_rows(X)
    rarities = np.array([log_rarity(own, np.sort(own)) for own in scores])
    order = np.argsort(harmonic_mean(rarities, np.ones(2)), kind="stable")
    return np.sort(order[n_left_out:])
