"""The context of the targets: features as numbers, and the prediction of another regressor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from .._core.deadline import clock, share_of_time
from .._core.random import seeded
from .._core.saving import saved_as
from .._models.ellipses import effective_rows, shrunk_covariance
from .._table.columns import constant_columns, filled, location_and_scale
from .._table.table import Table

#: Contexts are clipped to the range of the training rows, widened by so many standard deviations.
_MARGIN = 1.0
#: Rounds of completing missing cells and recomputing the covariance, sweeps over columns in each
#: completion, and the variance that is added to each column.
N_ROUNDS, N_SWEEPS, LEAST_VARIANCE = 5, 10, 1e-3
#: Standard errors from which a partial correlation is not by chance.
CLEARLY = 3.0
#: Each row gets the prediction of a regressor that was not fitted to its fold.
N_FOLDS = 5
#: Trees use histograms with more rows than this, but not with more columns.
FEW_ROWS, MANY_COLUMNS = 1000, 100
#: Most rows and columns of an exact tree, to limit time.
MOST_ROWS, MOST_COLUMNS = 2000, 32
#: Fraction of the remaining time for the trees, and the least fraction of the trees.
PART_OF_MEAN, LEAST_PART = 0.25, 0.03


@saved_as("features")
@dataclass
class Features:
    """Standardised features, clipped to the range of the training rows and somewhat beyond.

    A missing number becomes its mean given the known cells of the row, as if all were normal.
    Categories are one-hot encoded, with all 0 for a missing or unknown category. Further columns
    indicate missing cells, if they are informative about the targets.

    Attributes
    ----------
    missing : ndarray of int
        Indices of the columns that have an indicator of missing cells.
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units, as networks are not trusted far outside.
    precision : ndarray of shape (c, c)
        The inverse covariance in standardised units, without the indicators.
    """

    missing: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    precision: np.ndarray

    def forward(self, X: np.ndarray, table: Table) -> np.ndarray:
        """Return numbers ``(n, c)`` from codes ``(n, d)`` of a ``Table``."""
        X = _numbers(X, table, self.missing)
        with np.errstate(over="ignore"):
            C = np.clip((X - self.location) / self.scale, self.lower, self.upper)
        n_own = len(self.precision)
        C[:, :n_own] = completed(C[:, :n_own], self.precision)
        return np.clip(C, self.lower, self.upper)


def fit_features(
    X: np.ndarray, targets: np.ndarray, table: Table, weight: np.ndarray | None = None
) -> Features:
    """Return the ``Features`` of codes ``(n, d)``; constant columns become 0."""
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
    location, scale, lower, upper = (part[tells] for part in (location, scale, lower, upper))
    return Features(missing[tells[n_own:]], location, scale, lower, upper, precision)


def _numbers(X: np.ndarray, table: Table, missing: np.ndarray) -> np.ndarray:
    return np.hstack([table.indicators(X), np.isnan(X[:, missing])])


def _precision(U: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the inverse covariance of rows with missing cells, by approximate maximum likelihood.

    Alternately complete the rows and recompute the covariance, with the conditional variances of
    missing cells added (EM without their covariances).
    """
    absent = weight @ np.isnan(U)
    precision = np.eye(U.shape[1])
    for _ in range(N_ROUNDS if absent.any() else 1):
        _, covariance = shrunk_covariance(completed(U, precision), weight)
        varying = absent / np.diagonal(precision)
        precision = np.linalg.inv(covariance + np.diag(varying + LEAST_VARIANCE))
    return precision


def _tells(U: np.ndarray, targets: np.ndarray, weight: np.ndarray, n_own: int) -> np.ndarray:
    """Return which columns from ``n_own`` on are informative about a target given the others.

    If cells are missing at random, indicators of them cost much on few rows: 0.4 nats on energy
    with a fifth missing.
    """
    precision = _precision(np.hstack([U, targets]), weight)
    size = np.sqrt(np.diagonal(precision))
    partial = np.abs(precision / size / size[:, None])[n_own : U.shape[1], U.shape[1] :]
    return partial.max(axis=1) * np.sqrt(effective_rows(weight)) > CLEARLY


def completed(U: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return rows ``(n, c)`` with missing cells replaced by their mean given the known cells.

    This takes sweeps over the columns (Gauss and Seidel), as any cells of a row may be missing.
    """
    absent = np.isnan(U)
    U = np.where(absent, 0.0, U)
    cells = [(j, np.flatnonzero(absent[:, j])) for j in np.flatnonzero(absent.any(axis=0))]
    for _ in range(N_SWEEPS):
        for j, rows in cells:
            U[rows, j] -= U[rows] @ precision[j] / precision[j, j]
    return U


def boosted_trees(n_rows: int, n_columns: int, n_targets: int, part: float = 1.0) -> Any:
    """Return the regressor for "auto": gradient boosting, on histograms with many rows.

    On few rows 300 exact trees had the smallest error (yacht, energy, concrete: a tenth smaller
    than the best on histograms). From wine on, 1300 rows, histograms are as good and much faster.
    ``part`` below 1, for short times, means fewer trees and larger steps.
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


def _trees_in_time(
    C: np.ndarray, u: np.ndarray, shape: tuple[int, int, int], rng: np.random.RandomState
) -> Any:
    """Return as many boosted trees as time allows, judging by the time of a few."""
    seconds = share_of_time(PART_OF_MEAN)
    if seconds is None:
        return boosted_trees(*shape)
    started = clock()
    seeded(boosted_trees(*shape, part=LEAST_PART), rng).fit(C, u)
    whole = (N_FOLDS + 1) * (clock() - started) / LEAST_PART
    return boosted_trees(*shape, part=min(1.0, max(LEAST_PART, seconds / whole)))


def fit_out_of_fold(
    estimator: Any,
    C: np.ndarray,
    U: np.ndarray,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    rows: np.ndarray,
) -> tuple[Any, np.ndarray]:
    """Return a regressor fitted to some rows, and predictions ``(n, d)`` for all rows.

    Predictions for the rows of the fit, an index array, are out of fold: by regressors that were
    not fitted to them. Features ``C`` and targets ``U`` are standardised.
    """
    from sklearn.model_selection import KFold, cross_val_predict  # slow import

    # without the last digits, by which trees would choose among equal splits, and which depend on
    # the units of the targets
    u = U.astype(np.float32).astype(np.float64)
    u = u[:, 0] if U.shape[1] == 1 else u
    if isinstance(estimator, str):
        shape = len(rows), C.shape[1], U.shape[1]
        estimator = _trees_in_time(C[rows], u[rows], shape, rng)
    estimator = seeded(clone(estimator), rng)
    given = {}
    if weight is not None and has_fit_parameter(estimator, "sample_weight"):
        given = {"sample_weight": weight[rows]}
    folds = KFold(min(N_FOLDS, len(rows)), shuffle=True, random_state=rng)
    unseen = cross_val_predict(estimator, C[rows], u[rows], cv=folds, params=given)
    predicted = np.reshape(estimator.fit(C[rows], u[rows], **given).predict(C), U.shape)
    predicted[rows] = np.reshape(unseen, (len(rows), -1))
    return estimator, predicted
