"""Structures derived from the data without training: pairs of complementary masks.

The score of a pair is the code length, in nats a row, of a flow of two layers that least squares
fits in closed form. The first layer predicts each feature of part A linearly from part B, and the
log-size of its residual as well; the second layer predicts part B in the same way from the
standardised residuals of A. A coupling with a single-layer conditioner learns much the same. The
next pair is scored on the residuals of the previous ones. There A does not depend on B any more, so
that the next pair divides the features differently.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .._nn.mask_arrays import IDLE, tidy

if TYPE_CHECKING:
    from .structures import Rng

#: Most rows, and most numbers in them, that a score uses.
MAX_ROWS, MAX_NUMBERS = 2000, 200_000
#: All masks are scored if there are at most this many: up to eight features.
MAX_SCORED = 70
#: Otherwise: number of starts for the optimisation of the linear part of the code, and of random
#: swaps after it. 97 swaps shortened codes by at most 0.01 nats a feature, in three times as long.
N_STARTS, N_SWAPS = 3, 27
#: With more features than this, only the starts are scored. There are few rows for each feature,
#: and derived masks were behind parity on the one such table (musk) that was tried.
MAX_FEATURES = 100
#: Variance of the logarithm of a squared standard normal, the noise of the regression of log-sizes.
LOG_SQUARE_VARIANCE = math.pi**2 / 2


def code_length(X: np.ndarray, mask: np.ndarray, n_layers: int = 2) -> float:
    """Return the code length of standardised rows under `linear_flow`, in nats a row.

    It lacks a constant, which is the same for all masks.
    """
    return linear_flow(X, mask, n_layers)[0]


def linear_flow(X: np.ndarray, mask: np.ndarray, n_layers: int = 2) -> tuple[float, np.ndarray]:
    """Fit a flow of one or two linear layers to standardised rows ``(n, d)``.

    The first layer transforms the features in the mask, the second the others. Return the code
    length as `code_length` does, and the transformed rows, standardised ``(n, d)``.
    """
    residuals = X.copy()
    length, residuals[:, mask] = linear_coupling(X[:, mask], X[:, ~mask])
    if n_layers > 1:
        second, residuals[:, ~mask] = linear_coupling(X[:, ~mask], residuals[:, mask])
        length += second
    return length, residuals


def linear_coupling(A: np.ndarray, B: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the code length of A given B in nats a row, and the standardised residuals."""
    n, m = B.shape
    fitted = _ridge_regression(B)
    # ridges: the noise variance relative to slopes with a prior variance of 1 / m
    residuals = A - fitted(A, m / n)
    square, log_square = _squares(residuals)
    # bounded, as in a conditioner
    log_scale = np.tanh(0.5 * fitted(log_square, LOG_SQUARE_VARIANCE * m / n))
    log_scale -= log_scale.mean(axis=0)
    scaled = residuals * np.exp(-log_scale)
    with_scale, without = (scaled**2).mean(axis=0), square.mean(axis=0)
    scaled = np.where(with_scale < without, scaled, residuals)  # without a scale that costs
    length = 0.5 * np.log(np.minimum(with_scale, without) + 1e-12).sum()
    scaled -= scaled.mean(axis=0)
    return length, scaled / (scaled.std(axis=0) + 1e-6)


def _squares(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares, and their centred logarithms."""
    square = residuals**2
    # without a floor, an exact prediction would have an infinitely short code
    log_square = np.log(square + 1e-4 * square.mean(axis=0) + np.finfo(float).tiny)
    return square, log_square - log_square.mean(axis=0)


def importances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return by how many nats a row each column of B ``(n, m)`` shortens the code of A.

    The gain of the shift follows from the increase of the squares without the column, the gain of
    the scale from the fraction of the variance of the log-sizes that the column explains.
    """
    n, m = B.shape
    gram, gains = B.T @ B / n, np.zeros(m)
    for ridge, is_scale in ((m / n, False), (LOG_SQUARE_VARIANCE * m / n, True)):
        inverse = np.linalg.inv(gram + ridge * np.eye(m))
        slopes = inverse @ (B.T @ A / n)
        increase = slopes**2 / np.diag(inverse)[:, None]
        square, log_square = _squares(A - B @ slopes)
        if is_scale:
            gains += increase.sum(axis=1) / 4
        else:
            gains += 0.5 * np.log1p(increase / (square.mean(axis=0) + 1e-12)).sum(axis=1)
            A = log_square
    return gains


def _ridge_regression(B: np.ndarray) -> Callable[[np.ndarray, float], np.ndarray]:
    """Return a function of targets and a ridge that predicts the targets from ``B`` ``(n, m)``.

    It solves the smaller form of the normal equations, ``(m, m)`` or ``(n, n)``.
    """
    n, m = B.shape
    gram = B.T @ B / n if m <= n else B @ B.T / n

    def fitted(targets: np.ndarray, ridge: float) -> np.ndarray:
        inner = gram + ridge * np.eye(len(gram))
        if m <= n:
            return B @ np.linalg.solve(inner, B.T @ targets / n)
        return gram @ np.linalg.solve(inner, targets)

    return fitted


def linear_optimum(precision: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Improve a mask by swaps until none shortens the linear part of the code.

    This part is the sum over A of half the log-variances given B. The second layer adds nothing, as
    the residuals of A are uncorrelated with B. All swaps of a feature of A with one of B are
    compared, by rank-one updates of the conditional covariance.
    """
    given_b = np.linalg.inv(precision[np.ix_(mask, mask)])  # covariance of A given B
    a, b = np.flatnonzero(mask), np.flatnonzero(~mask)
    now = np.log(np.diag(given_b)).sum()
    while True:
        swaps = [(*_best_leaving(given_b, precision, a, j), k) for k, j in enumerate(b)]
        best, leaving, k = min(swaps)
        if best >= now - 1e-9:
            return np.isin(np.arange(len(mask)), a)
        now = best
        given_b = _without(_with(given_b, precision, a, b[k]), leaving)
        a, b[k] = np.append(np.delete(a, leaving), b[k]), a[leaving]


def _best_leaving(
    given_b: np.ndarray, precision: np.ndarray, a: np.ndarray, entering: np.intp
) -> tuple[float, np.intp]:
    """Return the best sum of log-variances if a feature enters A, and which one leaves."""
    joint = _with(given_b, precision, a, entering)
    # each feature of A in turn joins B: column i holds the variances given feature i
    diagonal = np.diag(joint)
    remaining = diagonal[:, None] - joint[:, :-1] ** 2 / diagonal[:-1]
    remaining[np.arange(len(a)), np.arange(len(a))] = 1.0  # it has left A
    totals = np.log(remaining).sum(axis=0)
    return totals.min(), totals.argmin()


def _with(
    given_b: np.ndarray, precision: np.ndarray, a: np.ndarray, entering: np.intp
) -> np.ndarray:
    """Return the covariance of A and, last, an entering feature, given the rest of B."""
    u = given_b @ precision[a, entering]
    variance = 1 / (precision[entering, entering] - precision[a, entering] @ u)
    joint = np.empty((len(a) + 1, len(a) + 1))
    joint[:-1, :-1] = given_b + variance * np.outer(u, u)
    joint[:-1, -1] = joint[-1, :-1] = -variance * u
    joint[-1, -1] = variance
    return joint


def _without(covariance: np.ndarray, i: np.intp) -> np.ndarray:
    """Return the covariance of the other features given feature i."""
    rest = np.delete(np.arange(len(covariance)), i)
    column = covariance[rest, i]
    return covariance[np.ix_(rest, rest)] - np.outer(column, column / covariance[i, i])


def looked_at(X: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the rows that structures are derived from: a subset, standardised."""
    n, d = X.shape
    X = X[rng.permutation(n)[: min(MAX_ROWS, MAX_NUMBERS // d)]].astype(np.float64)
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def derive(
    X: np.ndarray, n_conditioning: int, n_layers: int, rng: Rng, share: float = 1.0
) -> np.ndarray:
    """Choose masks ``(n_layers, d)``; each even layer is the complement of the one before.

    `n_conditioning` features condition the odd layers. Only the most important fraction `share` of
    the conditioning features is kept; the others are idle.
    """
    X = looked_at(X, rng)
    masks = []
    for first in range(0, n_layers, 2):
        depth = min(n_layers - first, 2)
        mask = _shortest(X, n_conditioning, depth, rng)
        residuals = linear_flow(X, mask, depth)[1]
        # the second layer predicts from the residuals of the first
        between = np.where(mask, residuals, X)
        masks.append(_thinned(mask, X, share))
        masks.append(_thinned(~mask, between, share))
        X = residuals
    return tidy(masks[:n_layers])


def _thinned(mask: np.ndarray, X: np.ndarray, share: float) -> np.ndarray:
    """Return the mask as roles, with the least important conditioning features idle."""
    roles = mask.astype(np.int8)
    conditioning = np.flatnonzero(~mask)
    n_idle = len(conditioning) - max(1, round(share * len(conditioning)))
    if n_idle > 0:
        order = importances(X[:, mask], X[:, conditioning]).argsort(kind="stable")
        roles[conditioning[order[:n_idle]]] = IDLE
    return roles


def _shortest(X: np.ndarray, n_conditioning: int, n_layers: int, rng: Rng) -> np.ndarray:
    """Return the mask with the shortest code.

    Few masks are all scored. Otherwise the linear part of the code is optimised, and random swaps
    are kept if they shorten the code. With very many features, the best start is returned.
    """
    d = X.shape[1]
    if math.comb(d, n_conditioning) <= MAX_SCORED:
        parts = itertools.combinations(range(d), d - n_conditioning)
        masks = [np.isin(np.arange(d), part) for part in parts]
        return min(masks, key=lambda mask: code_length(X, mask, n_layers))
    found = _starts(d, n_conditioning, rng)
    if d <= MAX_FEATURES:
        from sklearn.covariance import ledoit_wolf  # slow to import

        precision = np.linalg.inv(ledoit_wolf(X, assume_centered=True)[0] + 1e-3 * np.eye(d))
        found = [linear_optimum(precision, start) for start in found]
    lengths = [code_length(X, mask, n_layers) for mask in found]
    best, shortest = found[np.argmin(lengths)], min(lengths)
    for _ in range(N_SWAPS if d <= MAX_FEATURES else 0):
        mask = best.copy()
        mask[[rng.choice(np.flatnonzero(best)), rng.choice(np.flatnonzero(~best))]] = False, True
        length = code_length(X, mask, n_layers)
        if length < shortest:
            best, shortest = mask, length
    return best


def _starts(d: int, n_conditioning: int, rng: Rng) -> np.ndarray:
    """Return masks to start from; the first is parity, as neighbouring columns are often alike."""
    starts = rng.random((N_STARTS, d)).argsort(axis=1) >= n_conditioning
    starts[0] = np.diff(np.arange(d + 1) * (d - n_conditioning) // d) > 0
    return starts
