"""Ellipses: normal and Student-t distributions, and mixtures of them by EM, on arrays.

An ellipse has a centre ``(d,)`` and a shape ``(d, d)``, the covariance of a normal distribution.
Functions that evaluate an ellipse take a *factor* ``P`` with ``P P' = inverse(shape)``, computed
once. Weights of rows add up to 1.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln
from sklearn.exceptions import ConvergenceWarning

from .factor_model import log_det, whiten

#: Shrinkages of a covariance towards its diagonal, chosen by leave-one-out likelihood.
SHRINKAGES = np.array([1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 1.0])
#: Most rows for this choice.
_ROWS_TO_CHOOSE_BY = 2000
#: The least variance of a column within a cluster, as a fraction of its variance in all rows.
LEAST_VARIANCE = 1e-4
#: EM ends when it gains less, in nats a dimension. With a third of this it takes 1.5 times as long,
#: and is no better on held-out rows.
_GAIN = 1e-3
_NOTHING = 1e-18  # the mass of a cluster without rows
BLOCK = 2**17  # numbers

# ---- decompositions, computed once


def precision_factors(shapes: np.ndarray) -> np.ndarray:
    """Return the upper triangular ``P`` ``(k, d, d)`` with ``P P' = inverse(shape)`` of each shape.

    The units of the columns do not matter. If columns are collinear up to rounding, a ridge keeps
    the density proper.
    """
    # the variance of a constant column may be below 0 by rounding
    size = np.sqrt(np.maximum(np.diagonal(shapes, axis1=1, axis2=2), 0.0))
    size = np.where(size > 0, size, 1.0)
    roots = _cholesky(shapes / size[:, None, :] / size[:, :, None])
    return np.triu(np.linalg.inv(roots).transpose(0, 2, 1)) / size[:, :, None]


def reordered(factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the factors ``(k, d, d)`` of the same shapes with reordered columns."""
    # P = J R' J of the QR decomposition of (J P)' is upper triangular, where J reverses rows
    turned = factors[:, order][:, ::-1].transpose(0, 2, 1)
    upper = np.transpose(np.linalg.qr(turned, mode="r"), (0, 2, 1))[:, ::-1, ::-1]
    return upper * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None]


def _cholesky(correlations: np.ndarray) -> np.ndarray:
    """Return the roots of all matrices, with a ridge if necessary."""
    try:
        return np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:
        return np.stack([_ridged_cholesky(correlation) for correlation in correlations])


def _ridged_cholesky(correlation: np.ndarray) -> np.ndarray:
    for ridge in (0.0, 1e-12, 1e-9):
        try:
            return np.linalg.cholesky(correlation + ridge * np.eye(len(correlation)))
        except np.linalg.LinAlgError:
            continue
    # rounding may have left variances below 0
    lengths, directions = np.linalg.eigh(correlation)
    lengths = np.maximum(lengths, 1e-6 * max(1.0, lengths[-1]))
    return np.linalg.cholesky(directions * lengths @ directions.T)


def shrunk_covariance(U: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean, and the covariance shrunk as by Ledoit and Wolf (2004).

    For equal weights this is ``sklearn.covariance.ledoit_wolf``. ``weight`` adds up to 1.
    """
    centre = weight @ U
    centred = U - centre
    n_features = U.shape[1]
    scatter = (centred * weight[:, None]).T @ centred
    size = np.trace(scatter) / n_features
    square = (scatter**2).sum()
    distance = square / n_features - size**2  # from the multiple of the identity
    # expected square of the error of the scatter, a sum of independent terms
    lengths = (centred**2).sum(axis=1)
    error = (weight**2 @ lengths**2 - (weight**2).sum() * square) / n_features
    shrinkage = min(error, distance) / distance if error > 0 and distance > 0 else 0.0
    return centre, (1 - shrinkage) * scatter + shrinkage * size * np.eye(n_features)


class Drawn(NamedTuple):
    """What a shrinkage has to know of rows with drawn cells.

    Cells that were drawn from shrunk covariances and are fitted again would be shrunk again, round
    by round. With a shrinkage of ``s m / (1 - s + s m)``, where ``m`` is the fraction of pairs of
    cells that are known, the correlations end at ``1 - s`` of those of the known pairs.

    Attributes
    ----------
    n_copies : int
        Copies of each row, with other draws; they are left out together.
    known_pairs : float
    most : float
        The largest shrinkage, as the likeliest one of draws may be too large.
    """

    n_copies: int = 1
    known_pairs: float = 1.0
    most: float = 1.0

    def shrinkage(self, likeliest: float) -> float:
        shrinkage, known = min(likeliest, self.most), self.known_pairs
        return shrinkage * known / (1 - shrinkage + shrinkage * known)


#: Rows without drawn cells.
COMPLETE = Drawn()


def drawn_of(X: np.ndarray, n_copies: int) -> Drawn:
    """Return the ``Drawn`` for copies of rows ``(n, d)``, with NaN for the cells to be drawn.

    The most shrinkage is that of Schäfer and Strimmer (2005) of the known pairs: the variances of
    the correlations as a fraction of their squares.
    """
    known = (~np.isnan(X)).astype(float)
    with np.errstate(all="ignore"):
        size = np.nanstd(X, axis=0)
        Z = np.nan_to_num((X - np.nanmean(X, axis=0)) / np.where(size > 0, size, 1.0))
    counts = known.T @ known
    pairs = np.triu(counts, 1) > 2
    if not pairs.any():
        return Drawn(n_copies)
    squares = np.clip(Z.T @ Z / np.maximum(counts, 1), -1, 1)[pairs] ** 2
    errors = (1 - squares) ** 2 / (counts[pairs] - 1)
    most = errors.sum() / max(squares.sum(), np.finfo(float).tiny)
    return Drawn(n_copies, counts[pairs].mean() / len(X), min(most, 1.0))


def likeliest_covariance(
    U: np.ndarray, weight: np.ndarray, drawn: Drawn = COMPLETE
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the weighted mean, the covariance shrunk towards its diagonal, and the shrinkage.

    The shrinkage maximises the leave-one-out likelihood (Hoffbeck and Landgrebe 1996). Unlike
    shrinkage by squared errors, it does not widen a direction in which the rows are narrow, unless
    the rows are too few to show it. ``weight`` adds up to 1.
    """
    centre = weight @ U
    centred = U - centre
    scatter = (centred * weight[:, None]).T @ centred
    size = np.sqrt(np.diag(scatter))
    size = np.where(size > 0, size, 1.0)
    lengths, directions = np.linalg.eigh(scatter / size / size[:, None])
    some = slice(None, None, -(-len(U) // _ROWS_TO_CHOOSE_BY))
    squares = (centred[some] / size @ directions) ** 2
    kept = 1 - SHRINKAGES
    variances = kept * np.maximum(lengths, 0.0)[:, None] + SHRINKAGES  # (d, m)
    own = weight[some, None] * drawn.n_copies
    distances = squares @ (1 / variances)  # (n, m)
    others = (1 - own).clip(1e-3)  # the weight of all other rows, which have their own mean
    # what removing a row leaves of the variance along it, by the rank-one formula
    left = np.maximum(1 - kept * own / others * distances, np.finfo(float).eps)
    cost = np.log(left) + distances / left / others
    costs = np.log(variances).sum(axis=0) + own[:, 0] @ cost / own.sum()
    shrinkage = drawn.shrinkage(SHRINKAGES[np.argmin(costs)])
    return centre, shrunk(scatter, shrinkage), shrinkage


def effective_rows(weight: np.ndarray | None, n_rows: int = 0) -> float:
    """Return the effective number of rows (Kish 1965), ``n_rows`` without weights."""
    if weight is None:
        return n_rows
    weight = weight / weight.max()
    return weight.sum() ** 2 / (weight**2).sum()


def variances(U: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the variances of the columns ``(d,)``."""
    return weight @ (U - weight @ U) ** 2


def at_least(least: np.ndarray | float, shapes: np.ndarray) -> np.ndarray:
    """Raise the variances of shapes ``(..., d, d)`` to at least ``least`` ``(d,)``, in place."""
    on_diagonal = np.einsum("...dd->...d", shapes)  # a view
    on_diagonal[:] = np.maximum(on_diagonal, least)
    return shapes


def shrunk(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return a covariance with its correlations reduced by a fraction."""
    return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))


def cluster_labels(
    n_clusters: int, U: np.ndarray, weight: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Return labels ``(n,)`` of k-means, from which EM starts."""
    from sklearn.cluster import KMeans  # slow import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        kmeans = KMeans(n_clusters, n_init=1, random_state=rng)
        return kmeans.fit(U, sample_weight=weight * len(U)).labels_


def fit_gaussian_mixture(
    labels: np.ndarray,
    U: np.ndarray,
    weight: np.ndarray,
    ridge: float,
    pooling: float = 0.0,
    shrinkage: float = 0.0,
    n_iter: int = 40,
    least: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, centres and covariances of a Gaussian mixture, by EM from labels of rows.

    Without regularisation it is ``sklearn.mixture.GaussianMixture``, which takes no weights.
    Clusters with fewer rows are regularised more, and relative to the pooled covariance within
    clusters, so that neither the units of the columns nor their collinearity matters.

    ``ridge`` times the pooled covariance is added to each shape. A shape is pulled towards the
    pooled shape of the same size as if by ``pooling`` rows. ``shrinkage`` shrinks the pooled
    covariance towards its diagonal. ``least`` ``(d,)`` are the least variances.
    """
    least = np.maximum(least, LEAST_VARIANCE * variances(U, weight))
    n_effective = 1 / (weight @ weight)

    def regularised(weights: np.ndarray, scatters: np.ndarray) -> np.ndarray:
        pooled = shrunk(np.tensordot(weights, scatters, 1), shrinkage)
        inverse = precision_factors(pooled[None])[0]
        sizes = ((inverse @ inverse.T) * scatters).sum(axis=(1, 2)) / len(pooled)
        n_rows = weights * n_effective
        part = (pooling / (n_rows + pooling + np.finfo(float).tiny))[:, None, None]
        shapes = (1 - part) * scatters + (part * sizes[:, None, None] + ridge) * pooled
        return at_least(least, shapes)

    weights, centres, scatters = _start(labels, U, weight)
    previous = -np.inf
    for _ in range(n_iter):
        shapes = regularised(weights, scatters)
        score, weights, centres, scatters = _em_step(U, weight, weights, centres, shapes)
        if abs(score - previous) < _GAIN * U.shape[1]:
            break
        previous = score
    return weights, centres, regularised(weights, scatters)


def _start(
    labels: np.ndarray, U: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, centres and scatters of labelled rows."""
    parts = np.eye(labels.max() + 1)[labels] * weight[:, None]
    mass = parts.sum(axis=0) + _NOTHING
    centres = parts.T @ U / mass[:, None]
    scatters = np.stack(
        [(part[:, None] * (U - centre)).T @ (U - centre) for part, centre in zip(parts.T, centres)]
    )
    return mass / mass.sum(), centres, scatters / mass[:, None, None]


def _em_step(
    U: np.ndarray, weight: np.ndarray, weights: np.ndarray, centres: np.ndarray, shapes: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean log-density, then weights, centres and scatters after a step of EM.

    Compute all clusters at once, in blocks of rows that fit into the processor's caches.
    """
    n_clusters, n_features = centres.shape
    factors = precision_factors(shapes)
    log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constants = np.log(weights) + log_dets - 0.5 * n_features * math.log(2 * math.pi)
    score, mass = 0.0, np.full(n_clusters, _NOTHING)
    shifts, scatters = np.zeros(centres.shape), np.zeros(shapes.shape)
    size = max(16, BLOCK // centres.size)
    for start in range(0, len(U), size):
        rows = slice(start, start + size)
        centred = U[rows] - centres[:, None]  # (k, n, d)
        white = centred @ factors
        joint = constants[:, None] - 0.5 * np.einsum("knd,knd->kn", white, white)
        peak = joint.max(axis=0)
        parts = np.exp(joint - peak)
        total = parts.sum(axis=0)
        score += weight[rows] @ (np.log(total) + peak)
        parts *= weight[rows] / total
        mass += parts.sum(axis=1)
        weighted = parts[:, :, None] * centred
        shifts += weighted.sum(axis=1)
        scatters += weighted.transpose(0, 2, 1) @ centred
    shifts /= mass[:, None]
    scatters = scatters / mass[:, None, None] - shifts[:, :, None] * shifts[:, None]
    return score, mass / mass.sum(), centres + shifts, scatters


# ---- evaluation


def log_ellipses(U: np.ndarray, centres: np.ndarray, factors: np.ndarray, dof: float) -> np.ndarray:
    """Return log-densities ``(k, n)`` of normal or Student-t distributions, by matrix products."""
    n_ellipses, n_features = centres.shape
    if factors.shape[1] != factors.shape[2]:  # very many columns
        white = [whiten(U - centre, factor).T for centre, factor in zip(centres, factors)]
        white = np.stack(white)
        log_dets = np.array([log_det(factor) for factor in factors])
    else:
        turned = factors.transpose(0, 2, 1)
        white = (turned.reshape(-1, n_features) @ U.T).reshape(n_ellipses, n_features, -1)
        white -= turned @ centres[:, :, None]
        log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    white *= white
    return log_dets[:, None] + log_radial(white.sum(axis=1), n_features, dof)


def log_radial(
    square: np.ndarray, n_features: np.ndarray | int, dof: np.ndarray | float
) -> np.ndarray:
    """Return log-densities of the standard distribution at squared distances from its centre."""
    if np.all(dof == math.inf):
        return -0.5 * (n_features * math.log(2 * math.pi) + square)
    half = (dof + n_features) / 2
    constant = gammaln(half) - gammaln(dof / 2) - n_features / 2 * np.log(dof * math.pi)
    constant = np.asarray(constant, square.dtype)
    return constant - half * np.log(1 + square / dof)  # several times as fast as log1p
