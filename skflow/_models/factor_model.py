"""Ellipses for very many columns: a few common factors and a residual variance of each column.

A dense covariance of d columns costs d**2 products for each scored row, eventually more than a
flow. With fewer rows than columns it also fits far worse than a few factors
(``examples/benchmarks/many_columns.py``). The shape is ``W W' + diag(variances)``.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.utils.extmath import randomized_svd

#: Ellipses are dense up to the first number of columns, and up to the second if there are at least
#: as many rows. Otherwise there is a single ellipse, with a factor model.
ALWAYS_DENSE, MAX_DENSE = 300, 1000
#: Most factors, and least rows for each.
N_FACTORS, ROWS_A_FACTOR = 30, 15
_LEAST_VARIANCE = 1e-3


def is_dense(n_rows: float, n_features: int) -> bool:
    """Return whether a table of so many (effective) rows and columns gets dense ellipses."""
    return n_features <= min(MAX_DENSE, max(ALWAYS_DENSE, n_rows))


def fit_factor_model(
    U: np.ndarray, weight: np.ndarray, n_effective: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centre ``(d,)``, loadings ``(d, r)`` and residual variances ``(d,)``.

    ``weight`` adds up to 1. The loadings are probabilistic principal components (Tipping and Bishop
    1999). Then each column gets the variance that they leave unexplained.
    """
    n_features = U.shape[1]
    centre = weight @ U
    scaled = np.sqrt(weight)[:, None] * (U - centre)
    most = min(N_FACTORS, int(n_effective // ROWS_A_FACTOR), min(U.shape) - 1)
    n_factors = max(1, most)
    _, lengths, directions = randomized_svd(scaled, n_factors, random_state=rng)
    variances = (scaled**2).sum(axis=0)
    noise = max(0.0, variances.sum() - (lengths**2).sum()) / max(1, n_features - n_factors)
    loadings = directions.T * np.sqrt(np.maximum(lengths**2 - noise, 0.0))
    own = np.maximum(variances - (loadings**2).sum(axis=1), _LEAST_VARIANCE)
    return centre, loadings, own


def low_rank_factor(loadings: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the inverse root ``diag(1 / s) (I - B B')`` of a shape, as columns ``[1 / s, B]``."""
    size = np.sqrt(variances)
    directions, lengths, _ = np.linalg.svd(loadings / size[:, None], full_matrices=False)
    return np.column_stack([1 / size, directions * np.sqrt(1 - 1 / np.hypot(1, lengths))])


def whiten(centred: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return rows ``(n, d)`` times the inverse square root of a shape, by matrix products."""
    scaled = centred * factor[:, 0]
    return scaled - (scaled @ factor[:, 1:]) @ factor[:, 1:].T


def unwhiten(normal: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Invert ``whiten`` for rows ``(n, d)``."""
    if _is_square(factor):
        return solve_triangular(factor, normal.T, trans="T").T
    common = factor[:, 1:]
    remaining = 1 - (common**2).sum(axis=0)
    return (normal + (normal @ common) / remaining @ common.T) / factor[:, 0]


def square_factor(factor: np.ndarray) -> np.ndarray:
    """Return the factor as a single matrix ``(d, d)``."""
    return factor if _is_square(factor) else whiten(np.eye(len(factor)), factor)


def log_det(factor: np.ndarray) -> float:
    """Return the log-determinant of ``whiten``."""
    return np.log(factor[:, 0]).sum() + np.log(1 - (factor[:, 1:] ** 2).sum(axis=0)).sum()


def _is_square(factor: np.ndarray) -> bool:
    return factor.shape[0] == factor.shape[1]
