"""Scores of predictive distributions, and a comparison of fitted densities on held-out rows.

Pass a score as ``scoring=`` wherever scikit-learn takes one. The scores are callables
``scorer(estimator, X, y)`` for a :class:`skflow.FlowRegressor`, or any estimator with the method
that they call. As for all scorers of scikit-learn higher is better, so losses are negative. All are
strictly proper (pinball: for its quantile): the true distribution has the best expected score
(Gneiting and Raftery 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import mean_pinball_loss

from ._core.typing import ArrayLike
from ._structure.confidence_set import StructureTest, compare_structures

__all__ = [
    "PinballScorer",
    "StructureTest",
    "compare_structures",
    "crps",
    "log_density",
    "neg_crps",
]
for _public in (StructureTest, compare_structures):
    _public.__module__ = __name__  # the name that saved files contain

_N_DRAWS = 200


def log_density(
    estimator: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Return the mean log-density of the targets given the features.

    Parameters
    ----------
    estimator : fitted estimator with ``score_samples(X, y)``
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    score : float
        In nats a row; it depends on the units of the targets.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from skflow import FlowRegressor, metrics
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0)
    >>> scores = cross_val_score(regressor, X, y, cv=2, scoring=metrics.log_density)
    >>> bool(scores.mean() > -6)
    True
    """
    return _mean(estimator.score_samples(X, y), sample_weight)


def crps(estimator: Any, X: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the continuous ranked probability score of each row; lower is better.

    The score is ``E|Y - y| - E|Y - Y'| / 2`` with independent draws ``Y, Y'``: the integral of the
    squared distance of the distribution function from the step at ``y``. For a point forecast it is
    the absolute error, for several targets the mean over them. It is computed without bias ("fair",
    Ferro 2014) from 200 fixed draws of ``sample_y``.

    Parameters
    ----------
    estimator : fitted estimator with ``sample_y(X, n_samples, random_state)``
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    scores : ndarray of shape (n_samples,)
        In the units of the targets.

    References
    ----------
    Gneiting, T., Raftery, A. E., "Strictly proper scoring rules, prediction, and estimation",
    Journal of the American Statistical Association 102 (477), 2007.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor, metrics
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0).fit(X, y)
    >>> metrics.crps(regressor, X, y).shape
    (442,)
    """
    draws = np.sort(estimator.sample_y(X, n_samples=_N_DRAWS, random_state=0), axis=-1)
    error = np.abs(draws - np.asarray(y, dtype=float)[..., None]).mean(axis=-1)
    # sum of |Y_i - Y_j| over all pairs, from the ranks
    rank = 2 * np.arange(_N_DRAWS) - _N_DRAWS + 1
    spread = (draws * rank).sum(axis=-1) / (_N_DRAWS * (_N_DRAWS - 1))
    scores = error - spread
    return scores.reshape(len(scores), -1).mean(axis=1)


def neg_crps(
    estimator: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Return the negative mean of :func:`crps`.

    Parameters
    ----------
    estimator : fitted estimator with ``sample_y(X, n_samples, random_state)``
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    score : float

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor, metrics
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0).fit(X, y)
    >>> metrics.neg_crps(regressor, X, y) < 0
    True
    """
    return -_mean(crps(estimator, X, y), sample_weight)


@dataclass(frozen=True)
class PinballScorer:
    """Negative mean pinball loss of a predicted quantile of a single target.

    Parameters
    ----------
    alpha : float, default=0.5
        Level of the quantile, in (0, 1).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from skflow import FlowRegressor, metrics
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0)
    >>> scores = cross_val_score(regressor, X, y, cv=2, scoring=metrics.PinballScorer(0.9))
    >>> bool(scores.mean() < 0)
    True
    """

    alpha: float = 0.5

    def __call__(
        self, estimator: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score a fitted estimator with ``predict_quantiles(X, alpha)``."""
        predicted = estimator.predict_quantiles(X, self.alpha)
        return -mean_pinball_loss(y, predicted, alpha=self.alpha, sample_weight=sample_weight)


def _mean(values: np.ndarray, sample_weight: Any) -> float:
    return float(np.average(values, weights=sample_weight))
