"""What targets are conditional on: features as numbers, and the prediction of another regressor."""

import math
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from .._core.deadline import clock, share_of_time
from .._core.random import seeded
from .._core.saving import saved_as
from .._table.columns import constant_columns, filled, location_and_scale

#: So many standard deviations may a context leave the range of the training rows; farther away it
#: is taken to lie there.
_MARGIN = 1.0
#: Every row gets the prediction of a regressor that has not seen its fold.
N_FOLDS = 5
#: Beyond so many rows trees split at the edges of bins, as long as columns are not too many.
FEW_ROWS, MANY_COLUMNS = 1000, 100
#: Part of the time that is left which the trees may take, and the least part of them.
PART_OF_MEAN, LEAST_PART = 0.25, 0.03
#: Rows and columns of an exact tree at most, for the time.
MOST_ROWS, MOST_COLUMNS = 2000, 32


@saved_as("features")
@dataclass
class Features:
    """What targets are conditional on: standardised, kept near the range of the training rows.

    A missing number becomes the mean of its column. Categories become columns of 0 and 1, all 0
    where one is missing or unknown. For each column with missing cells in ``fit`` another one says
    where they are.

    Attributes
    ----------
    missing : ndarray of int
        Columns of the table that had missing cells in ``fit``.
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units: networks are not trusted far beyond.
    """

    missing: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def forward(self, X, table):
        """Numbers ``(n, c)`` of codes ``(n, d)`` of a ``Table``."""
        X = _numbers(X, table, self.missing)
        with np.errstate(over="ignore"):
            C = np.clip((X - self.location) / self.scale, self.lower, self.upper)
        return np.where(np.isnan(C), 0.0, C)


def fit_features(X, table, weight=None):
    """The ``Features`` of codes ``(n, d)``; a constant column says nothing and becomes 0."""
    missing = np.flatnonzero(np.isnan(X).any(axis=0))
    X = filled(_numbers(X, table, missing))
    constant = constant_columns(X)
    location, scale = location_and_scale(X, weight, constant)
    U = (X - location) / scale
    margin = np.where(constant, 0, _MARGIN)
    return Features(missing, location, scale, U.min(axis=0) - margin, U.max(axis=0) + margin)


def _numbers(X, table, missing):
    return np.hstack([table.indicators(X), np.isnan(X[:, missing])])


def boosted_trees(n_rows, n_columns, n_targets, part=1.0):
    """What "auto" is: gradient boosting, on histograms where rows are many.

    Of the regressors tried on the training parts of yacht and energy, which are small, 300 exact
    trees of depth 4 had the smallest error. From concrete (1030 rows) on histograms are as good and
    faster, and on kin8nm (8192) better by a fifth. Where time is short it is a part of the trees,
    in larger steps.
    """
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if n_rows > FEW_ROWS and n_columns <= MANY_COLUMNS:
        boosting = HistGradientBoostingRegressor(
            max_iter=math.ceil(part * 200),
            learning_rate=min(0.3, 0.08 / part),
            early_stopping=False,
        )
    else:
        boosting = GradientBoostingRegressor(
            n_estimators=math.ceil(part * 300),
            learning_rate=min(0.3, 0.1 / part),
            max_depth=4,
            subsample=min(0.7, MOST_ROWS / n_rows),
            max_features=min(1.0, MOST_COLUMNS / n_columns),
        )
    return boosting if n_targets == 1 else MultiOutputRegressor(boosting)


def _trees_in_time(C, u, shape, rng):
    """As many boosted trees as there is time for, judged by a few of them."""
    seconds = share_of_time(PART_OF_MEAN)
    if seconds is None:
        return boosted_trees(*shape)
    started = clock()
    seeded(boosted_trees(*shape, part=LEAST_PART), rng).fit(C, u)
    whole = (N_FOLDS + 1) * (clock() - started) / LEAST_PART
    return boosted_trees(*shape, part=min(1.0, max(LEAST_PART, seconds / whole)))


def fit_out_of_fold(estimator, C, U, weight, rng, rows):
    """A regressor fitted to some of the rows, and its predictions ``(n, d)`` of all.

    The predictions of the rows that it is fitted to, an index array, are those of regressors that
    have not seen them. Features ``C`` and targets ``U`` are standardised.
    """
    from sklearn.model_selection import KFold, cross_val_predict  # take a while

    u = U[:, 0] if U.shape[1] == 1 else U
    if isinstance(estimator, str):
        shape = len(rows), C.shape[1], U.shape[1]
        estimator = _trees_in_time(C[rows], u[rows], shape, rng)
    estimator = seeded(clone(estimator), rng)
    weighted = weight is not None and has_fit_parameter(estimator, "sample_weight")
    given = {"sample_weight": weight[rows]} if weighted else {}
    folds = KFold(min(N_FOLDS, len(rows)), shuffle=True, random_state=rng)
    unseen = cross_val_predict(estimator, C[rows], u[rows], cv=folds, params=given)
    predicted = np.reshape(estimator.fit(C[rows], u[rows], **given).predict(C), U.shape)
    predicted[rows] = np.reshape(unseen, (len(rows), -1))
    return estimator, predicted
