"""The default's scorers, which see different things.

A row can be unusual because its values do not go together, because no other row is near, or because
its values lie far out, and no single scorer is right for all three. So there is a flow, and beside
it the nearest rows and the tails of the columns.

These two take codes of categories and rows with missing cells, which they judge by the known
columns, and they judge a row of their own fit as any other row: not by its own place. Rows with
missing cells are among those that they are fitted to.
"""

from functools import partialmethod

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .._core.rows import patterns
from .._core.runtime import map_blocks
from .._core.saving import saved_as
from .._nn.blocks import blocks
from .._nn.recipe import batch_size
from .._table.columns import FARTHEST, constant_columns, location_and_scale
from ..density import CouplingFlowDensity
from .rarity import harmonic_mean, log_rarity

#: A neighbour counts by the inverse of a power of its distance, at least the eighth: this is the
#: distance of the nearest ones, smoothed. So there is no bandwidth: detail is seen where rows are
#: dense, and far rows have an order, too. The power grows with the columns, as all distances become
#: alike. Rows nearer than the resolution, in standard deviations, are as good as equal.
LEAST_POWER, RESOLUTION = 8, 0.01
#: The scale of a column that is constant, relative to its value.
CONSTANT = 1e-6
#: Neighbours are looked for among at most so many rows, drawn at random.
MOST_ROWS = 5000
#: The distance to this part of the rows says how far a row is from most. So many rows, drawn at
#: random, stand for all in that.
NEAREST_PART, SOME_ROWS = 0.1, 1000
#: Beyond this squared length the products of rows lose the digits of small distances.
FAR = 1e8
#: Optimizer steps of a flow, within bounds on epochs. Detection does not need the last hundredth of
#: a nat, which takes 5000.
N_STEPS, MIN_EPOCHS, MAX_EPOCHS = 640, 10, 60
#: What the flow, the nearest rows and the tails weigh. The more columns there are than so many, the
#: more of a row's tails is chance: with twice as many they weigh a quarter.
WEIGHTS, FEW_COLUMNS = (1.0, 2.0, 2.0), 6


@saved_as("neighbours")
class Neighbours(BaseEstimator):
    """Logarithm of the sum over other rows of the inverse of a power of their distance.

    Columns are standardised; a category that differs counts like a distance of ``sqrt(2)``. Of the
    rows of the fit that are equal to a row, one does not count: so a row is not its own neighbour.
    Where a row of the fit has a missing cell, its squared distance there is the mean over the
    values of the column.

    Outliers that lie together hide each other, as each is near to others, unless a fit leaves them
    out.

    Parameters
    ----------
    categories : sequence of int
        Columns that hold codes.
    random_state : int or None
        Draws the rows that are looked at.
    """

    def __init__(self, categories=(), random_state=None):
        self.categories = categories
        self.random_state = random_state

    def fit(self, X, y=None):
        if len(X) > MOST_ROWS:
            rng = check_random_state(self.random_state)
            X = X[rng.choice(len(X), MOST_ROWS, replace=False)]
        known = ~np.isnan(X)
        self.real_ = np.setdiff1d(np.arange(X.shape[1]), self.categories)
        weight = None if known.all() else known[:, self.real_].astype(float)
        real = np.where(known, X, np.nanmedian(X, axis=0))[:, self.real_]
        constant = constant_columns(real)
        self.location_, self.scale_ = location_and_scale(real, weight, constant)
        # there any value but the one is far, up to rounding
        self.scale_[constant] = CONSTANT * np.maximum(1, np.abs(self.location_[constant]))
        self.codes_ = [np.unique(X[known[:, j], j]) for j in self.categories]
        rows, known = np.ma.array(self._encoded(X)), self._of_codes(known)
        rows[~known] = np.ma.masked
        self.rows_ = rows.filled(rows.mean(axis=0))
        # of a mean over values, what a squared distance to their mean leaves out
        self.left_out_ = np.where(known, 0.0, rows.var(axis=0).filled(0.0))
        return self

    def _of_codes(self, columns):
        """What is said of columns ``(..., d)``, of each column of the encoded rows."""
        sizes = [len(codes) for codes in self.codes_]
        of_codes = np.repeat(columns[..., list(self.categories)], sizes, axis=-1)
        return np.concatenate([columns[..., self.real_], of_codes], axis=-1)

    def _encoded(self, X):
        """Standardised columns, and a column for each category."""
        with np.errstate(over="ignore"):
            real = (X[:, self.real_] - self.location_) / self.scale_
        parts = [np.clip(real, -FARTHEST, FARTHEST)]
        for j, codes in zip(self.categories, self.codes_):
            parts.append((X[:, [j]] == codes).astype(float))
        return np.hstack(parts)

    def score_samples(self, X):
        scores, rows = np.zeros(len(X)), self._encoded(X)
        for known, members in patterns(~np.isnan(X)):
            columns = self._of_codes(known)
            if columns.any():
                ours = np.ascontiguousarray(self.rows_[:, columns])
                left_out = self.left_out_[:, columns].sum(axis=1)
                power = _power(known.sum())
                scores[members] = _nearness(rows[np.ix_(members, columns)], ours, left_out, power)
        return scores

    score_own_rows = score_samples  # which does not count a row of the fit itself


def _power(n_columns):
    """The least power of two that is at least half the number of columns."""
    return max(LEAST_POWER, 2 ** int(np.ceil(np.log2(n_columns / 2))))


def _nearness(X, rows, left_out, power):
    squares = (rows**2).sum(axis=1) + left_out

    def call(block):
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

    return np.concatenate(map_blocks(call, blocks(len(X), len(rows))))


def _log_sum_of_powers(squares, half):
    """Logarithm of the sum of ``squares ** -half`` over each row; half is a power of two."""
    least = squares.min(axis=1)
    least[np.isinf(least)] = 1.0  # no row but the own one
    np.divide(least[:, None], squares, out=squares)
    for _ in range(half.bit_length() - 1):
        np.multiply(squares, squares, out=squares)
    return np.log(squares.sum(axis=1) + np.finfo(float).tiny) - half * np.log(least)


@saved_as("tails")
class Tails(BaseEstimator):
    """Sum over the columns of the logarithm of the part of rows that are at least as far out.

    On the side of a value where fewer rows are; of a category, the part of rows whose categories
    are as rare. Rows count where their cell is known.

    Parameters
    ----------
    categories : sequence of int
        Columns that hold codes.
    """

    def __init__(self, categories=()):
        self.categories = categories

    def fit(self, X, y=None):
        self.columns_ = [np.sort(column[~np.isnan(column)]) for column in X.T]
        self.codes_, self.parts_ = [], []
        for j in self.categories:
            codes, counts = np.unique(self.columns_[j], return_counts=True)
            rarer = [counts[counts <= count].sum() for count in counts]
            self.codes_.append(codes)
            self.parts_.append(np.array(rarer))
        return self

    def score_samples(self, X, own=False):
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
            # a row counts itself, one of the fit only once, also where the fit left it out
            part = np.maximum(n_beyond + 1 - own, 1) / (n_rows + 1 - own)
            scores += np.log(np.where(np.isnan(column), 1.0, part))
        return scores

    score_own_rows = partialmethod(score_samples, own=True)


# ---- the default


def default_flow(n_rows):
    """The flow of the default for a table of so many rows, which gives the reasons."""
    n_epochs = np.clip(N_STEPS * batch_size(n_rows) // n_rows, MIN_EPOCHS, MAX_EPOCHS)
    return CouplingFlowDensity(4, dequantize=True, component_weight=0, max_iter=int(n_epochs))


def default_scorers(n_rows, n_columns, categories=()):
    """The default's scorers for a table of such a shape, and their weights.

    The flow's likelihood, which sees values that do not go together; the nearest rows, which see
    what lies by itself; the tails of the columns, which see values far out.
    """
    flow = default_flow(n_rows)
    coded = tuple(categories)
    scorers = [("flow", flow), ("neighbours", Neighbours(coded)), ("tails", Tails(coded))]
    return scorers, np.array(WEIGHTS) * [1, 1, min(1, FEW_COLUMNS / n_columns) ** 2]


def without_farthest(X, part, categories=()):
    """Places ``(m,)`` of the rows less that part of them which is likeliest to be outliers.

    Those are far from most rows, or far out in their columns. Where a few rows in a hundred are
    outliers, that moves little, even if they lie together.
    """
    n_left_out, codes = int(part * len(X)), tuple(categories)
    if n_left_out == 0:
        return np.arange(len(X))
    # a missing cell counts as the mean of its column
    rows = np.nan_to_num(Neighbours(codes, random_state=0).fit(X)._encoded(X))
    drawn = np.random.default_rng(0).choice(len(X), min(SOME_ROWS, len(X)), replace=False)
    place = int(NEAREST_PART * len(drawn))

    def distances(block):
        return np.partition(cdist(rows[block], rows[drawn]), place, axis=1)[:, place]

    distance = np.concatenate(map_blocks(distances, blocks(len(rows), len(drawn))))
    scores = -np.log(distance + RESOLUTION), Tails(codes).fit(X).score_own_rows(X)
    rarities = np.array([log_rarity(own, np.sort(own)) for own in scores])
    order = np.argsort(harmonic_mean(rarities, np.ones(2)), kind="stable")
    return np.sort(order[n_left_out:])
