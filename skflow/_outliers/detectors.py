"""Detectors of scikit-learn and PyOD as scorers; PyOD's scores have the opposite sign.

Their scores are not log-densities, so an additional flow is fitted for the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_outlier_detector
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from .._core.checks import name_columns
from .._table.reading import inner_tables

if TYPE_CHECKING:
    from .._table.table import Table


def _core(estimator: Any) -> Any:
    """Return the final estimator inside frozen estimators and pipelines."""
    while isinstance(estimator, FrozenEstimator | Pipeline):
        frozen = isinstance(estimator, FrozenEstimator)
        estimator = estimator.estimator if frozen else estimator.steps[-1][1]
    return estimator


def _is_of_pyod(estimator: Any) -> bool:
    return any(kind.__module__.startswith("pyod.") for kind in type(estimator).__mro__)


def is_detector(estimator: Any) -> bool:
    """Return whether an estimator is a detector, with scores that are not log-densities."""
    core = _core(estimator)
    return _is_of_pyod(core) or (hasattr(core, "__sklearn_tags__") and is_outlier_detector(core))


def can_score(estimator: Any) -> bool:
    """Return whether an estimator can be a scorer."""
    if not hasattr(estimator, "fit"):
        return False
    detects = is_detector(estimator) and hasattr(estimator, "decision_function")
    return detects or hasattr(estimator, "score_samples")


def scores_of(estimator: Any, X: Any) -> np.ndarray:
    """Return scores ``(n,)`` of rows: the lower, the more unusual."""
    if hasattr(estimator, "score_samples"):
        return estimator.score_samples(X)
    decision = np.asarray(estimator.decision_function(X))
    return -decision if _is_of_pyod(_core(estimator)) else decision


def allows_nan(estimator: Any) -> bool:
    """Return whether an estimator's tags allow NaN; PyOD has no tags."""
    return not _is_of_pyod(_core(estimator)) and get_tags(estimator).input_tags.allow_nan


def fit_scorer(estimator: Any, X: Any) -> Any:
    """Return the estimator fitted to rows, unless it is frozen."""
    if isinstance(estimator, FrozenEstimator) and _is_of_pyod(_core(estimator)):
        return estimator  # its fit needs tags, which PyOD does not have
    return estimator.fit(X, None)


@contextmanager
def given_parts(estimator: Any, table: Table, X: np.ndarray) -> Iterator[None]:
    """Context in which an estimator gets part of a table that was read, codes ``(n, d)``.

    If an estimator that is not ours fails, the error says what else the rows have than numbers.
    """
    try:
        with inner_tables():
            yield
    except (TypeError, ValueError) as error:
        texts = np.isin(np.arange(X.shape[1]), list(table.categories))
        found = {"categories": texts, "missing cells": np.isnan(X).any(axis=0)}
        named = [
            f"{what} in column {name_columns(columns, table.names)}"
            for what, columns in found.items()
            if columns.any()
        ]
        ours = type(estimator).__module__.startswith("skflow.") or hasattr(
            estimator, "sample_given"
        )
        if ours or not named:
            raise
        said = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"density={estimator!r} cannot take these rows, which have {' and '.join(named)}: "
            f"{said}. Encode categories and fill in missing cells in front of it, by a pipeline as "
            "density, or use density=None, which takes both."
        ) from error
