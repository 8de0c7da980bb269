"""Detectors of others as scorers: scikit-learn's, and PyOD's, whose scores have the other sign.

They are no densities. What is unusual about a row is then said by a flow that is fitted beside.
"""

import numpy as np
from sklearn.base import is_outlier_detector
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags


def _core(estimator):
    """What a frozen estimator or a pipeline computes its scores with."""
    while isinstance(estimator, FrozenEstimator | Pipeline):
        frozen = isinstance(estimator, FrozenEstimator)
        estimator = estimator.estimator if frozen else estimator.steps[-1][1]
    return estimator


def _is_of_pyod(estimator):
    return any(kind.__module__.startswith("pyod.") for kind in type(estimator).__mro__)


def is_detector(estimator):
    """Whether an estimator is a detector, whose scores are no log-densities."""
    core = _core(estimator)
    return _is_of_pyod(core) or (hasattr(core, "__sklearn_tags__") and is_outlier_detector(core))


def can_score(estimator):
    """Whether an estimator can be a scorer."""
    if not hasattr(estimator, "fit"):
        return False
    detects = is_detector(estimator) and hasattr(estimator, "decision_function")
    return detects or hasattr(estimator, "score_samples")


def scores_of(estimator, X):
    """Scores ``(n,)`` of rows, the lower the more unusual."""
    if hasattr(estimator, "score_samples"):
        return estimator.score_samples(X)
    decision = np.asarray(estimator.decision_function(X))
    return -decision if _is_of_pyod(_core(estimator)) else decision


def allows_nan(estimator):
    """Whether an estimator says that it takes NaN; PyOD's say nothing."""
    return not _is_of_pyod(_core(estimator)) and get_tags(estimator).input_tags.allow_nan


def fit_scorer(estimator, X):
    """The estimator fitted to rows; a frozen one is fitted already."""
    if isinstance(estimator, FrozenEstimator) and _is_of_pyod(_core(estimator)):
        return estimator  # whose fit asks for tags that PyOD's do not have
    return estimator.fit(X, None)
