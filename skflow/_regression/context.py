"""What targets are conditional on: features as numbers, and the prediction of another regressor."""

import math
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from .._core.deadline import clock, share_of_time
from .._core.random import seeded
from .._core.rows import effective_rows
from .._core.saving import saved_as
from .._models.ellipses import shrunk_covariance
from .._table.columns import constant_columns, filled, location_and_scale

#: So many standard deviations may a context leave the range of the training rows; farther away it
#: is taken to lie there.
_MARGIN = 1.0
#: How often missing cells are completed and their covariance is computed anew, how often a column
#: is completed by the others, and what a column varies by itself at least.
N_ROUNDS, N_SWEEPS, LEAST_VARIANCE = 5, 10, 1e-3
#: Standard errors of a partial correlation that is no chance.
CLEARLY = 3.0
#: Every row gets the prediction of a regressor that has not seen its fold.
N_FOLDS = 5
#: Beyond so many rows trees split at the edges of bins, as long as columns are not too many.
FEW_ROWS, MANY_COLUMNS = 1000, 100
#: Rows and columns of an exact tree at most, for the time.
MOST_ROWS, MOST_COLUMNS = 2000, 32
#: Part of the time that is left which the trees may take, and the least part of them.
PART_OF_MEAN, LEAST_PART = 0.25, 0.03


@saved_as("features")
@dataclass
class Features:
    """What targets are conditional on: standardised, kept near the range of the training rows.

    A missing number becomes its mean given the known cells of the row, as if all were normal.
    Categories become columns of 0 and 1, all 0 where one is missing or unknown. Further columns say
    where cells are missing, if that says something of the targets.

    Attributes
    ----------
    missing : ndarray of int
        Columns of the table of which another one says where their cells are missing.
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units: networks are not trusted far beyond.
    precision : ndarray of shape (c, c)
        The inverse covariance in standardised units, of all but these further columns.
    """

    missing: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    precision: np.ndarray

    def forward(self, X, table):
        """Numbers ``(n, c)`` of codes ``(n, d)`` of a ``Table``."""
        X = _numbers(X, table, self.missing)
        with np.errstate(over="ignore"):
            C = np.clip((X - self.location) / self.scale, self.lower, self.upper)
        n_own = len(self.precision)
        C[:, :n_own] = completed(C[:, :n_own], self.precision)
        return np.clip(C, self.lower, self.upper)


def fit_features(X, targets, table, weight=None):
    """The ``Features`` of codes ``(n, d)``; a constant column says nothing and becomes 0."""
    missing = np.flatnonzero(np.isnan(X).any(axis=0))
    X = _numbers(X, table, missing)
    whole, n_own = filled(X), X.shape[1] - len(missing)
    constant = constant_columns(whole)
    location, scale = location_and_scale(whole, weight, constant)
    U = (whole - location) / scale
    margin = np.where(constant, 0, _MARGIN)
    lower, upper = U.min(axis=0) - margin, U.max(axis=0) + margin
    U[np.isnan(X)] = np.nan
    weight = np.full(len(U), 1 / len(U)) if weight is None else weight / weight.sum()
    precision = _precision(U[:, :n_own], weight)
    U[:, :n_own] = completed(U[:, :n_own], precision)
    tells = np.append(np.ones(n_own, dtype=bool), _tells(U, targets, weight, n_own))
    parts = (part[tells] for part in (location, scale, lower, upper))
    return Features(missing[tells[n_own:]], *parts, precision)


def _numbers(X, table, missing):
    return np.hstack([table.indicators(X), np.isnan(X[:, missing])])


def _precision(U, weight):
    """The inverse covariance of rows with missing cells, nearly the likeliest.

    Rows are completed by it, and it is computed anew, with what the missing cells vary by (EM, but
    for what they vary together).
    """
    absent = weight @ np.isnan(U)
    precision = np.eye(U.shape[1])
    for _ in range(N_ROUNDS if absent.any() else 1):
        _, covariance = shrunk_covariance(completed(U, precision), weight)
        varying = absent / np.diagonal(precision)
        precision = np.linalg.inv(covariance + np.diag(varying + LEAST_VARIANCE))
    return precision


def _tells(U, targets, weight, n_own):
    """Which columns from ``n_own`` on say something of a target that the others do not.

    Where cells are missing by chance, columns that say so cost much where rows are few: on energy
    (a fifth missing) 0.4 nats.
    """
    precision = _precision(np.hstack([U, targets]), weight)
    size = np.sqrt(np.diagonal(precision))
    partial = np.abs(precision / size / size[:, None])[n_own : U.shape[1], U.shape[1] :]
    return partial.max(axis=1) * np.sqrt(effective_rows(weight)) > CLEARLY


def completed(U, precision):
    """Rows ``(n, c)`` with the mean given the known cells in place of each missing one.

    Column by column, again and again (Gauss and Seidel), as any cells of a row may be missing.
    """
    absent = np.isnan(U)
    U = np.where(absent, 0.0, U)
    cells = [(j, np.flatnonzero(absent[:, j])) for j in np.flatnonzero(absent.any(axis=0))]
    for _ in range(N_SWEEPS):
        for j, rows in cells:
            U[rows, j] -= U[rows] @ precision[j] / precision[j, j]
    return U


def boosted_trees(n_rows, n_columns, n_targets, part=1.0):
    """What "auto" is: gradient boosting, on histograms where rows are many.

    Of few rows 300 exact trees had the smallest error (yacht, energy, concrete: a tenth smaller
    than the best on histograms); from wine on, 1300 rows, the others are as good and much faster.
    Where time is short it is a part of the trees, in larger steps.
    """
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if n_rows > FEW_ROWS and n_columns <= MANY_COLUMNS:
        boosting = HistGradientBoostingRegressor(
            max_iter=math.ceil(part * 100),
            learning_rate=min(0.3, 0.15 / part),
            min_samples_leaf=10,
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
