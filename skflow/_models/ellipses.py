"""Ellipses: normal and Student-t distributions, and mixtures of them by EM, on arrays.

An ellipse has a centre ``(d,)`` and a shape ``(d, d)``, the covariance of a normal distribution.
What evaluates it takes a *factor* ``P`` with ``P P' = inverse(shape)`` instead, found once.
Weights of rows add up to 1.
"""

import math
import warnings

import numpy as np
from scipy.special import gammaln, logsumexp
from sklearn.exceptions import ConvergenceWarning

from .factor_model import log_det, whiten

# ---- what is decomposed, once


def precision_factors(shapes):
    """Upper triangular ``P`` ``(k, d, d)`` with ``P P' = inverse(shape)``, of each shape.

    They do not depend on the units of the columns, and where columns are collinear to rounding a
    ridge keeps the density proper.
    """
    size = np.sqrt(np.diagonal(shapes, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1.0)
    roots = _cholesky(shapes / size[:, None, :] / size[:, :, None])
    return np.triu(np.linalg.inv(roots).transpose(0, 2, 1)) / size[:, :, None]


def reordered(factors, order):
    """The factors ``(k, d, d)`` of the same shapes with their columns in another order."""
    # P = J R' J of the QR decomposition of (J P)' is upper triangular, where J turns rows round
    turned = factors[:, order][:, ::-1].transpose(0, 2, 1)
    upper = np.linalg.qr(turned, mode="r").transpose(0, 2, 1)[:, ::-1, ::-1]
    return upper * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None]


def _cholesky(correlations):
    """Roots of all, with a ridge for those that need one."""
    try:
        return np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:
        return np.stack([_ridged_cholesky(correlation) for correlation in correlations])


def _ridged_cholesky(correlation):
    for ridge in (0.0, 1e-12, 1e-9):
        try:
            return np.linalg.cholesky(correlation + ridge * np.eye(len(correlation)))
        except np.linalg.LinAlgError:
            continue
    return np.linalg.cholesky(correlation + 1e-6 * np.eye(len(correlation)))


def shrunk_covariance(U, weight):
    """Weighted mean, and covariance shrunk as by Ledoit and Wolf (2004).

    For equal weights that is ``sklearn.covariance.ledoit_wolf``. ``weight`` adds up to 1.
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


def cluster_labels(n_clusters, U, weight, rng):
    """Labels ``(n,)`` of k-means, where EM starts."""
    from sklearn.cluster import KMeans  # takes a while

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        kmeans = KMeans(n_clusters, n_init=1, random_state=rng)
        return kmeans.fit(U, sample_weight=weight * len(U)).labels_


def fit_gaussian_mixture(labels, U, weight, ridge, n_iter=100, tol=1e-3):
    """Weights, centres and covariances of a Gaussian mixture, by EM from labels of the rows.

    As ``sklearn.mixture.GaussianMixture``, which takes no weights. ``ridge`` is added to all
    variances, so that no cluster collapses.
    """
    parts = np.eye(labels.max() + 1)[labels]
    weights, centres, shapes = _maximisation(U, parts * weight[:, None], ridge)
    previous = -np.inf
    for _ in range(n_iter):
        joint = np.log(weights)[:, None]
        joint = joint + log_ellipses(U, centres, precision_factors(shapes), math.inf)
        log_prob = logsumexp(joint, axis=0)
        parts = np.exp(joint - log_prob).T
        weights, centres, shapes = _maximisation(U, parts * weight[:, None], ridge)
        score = weight @ log_prob
        if abs(score - previous) < tol:
            break
        previous = score
    return weights, centres, shapes


def _maximisation(U, parts, ridge):
    mass = parts.sum(axis=0) + 10 * np.finfo(float).eps / len(U)
    centres = parts.T @ U / mass[:, None]
    shapes = []
    for part, centre, total in zip(parts.T, centres, mass):
        centred = U - centre
        shapes.append((part[:, None] * centred).T @ centred / total)
    return mass / mass.sum(), centres, np.stack(shapes) + ridge * np.eye(U.shape[1])


# ---- what is evaluated


def log_ellipses(U, centres, factors, dof):
    """Log-densities ``(k, n)`` of normal or Student-t distributions, by matrix products."""
    n_features = U.shape[1]
    terms = []
    for centre, factor in zip(centres, factors):
        square = (whiten(U - centre, factor) ** 2).sum(axis=1)
        terms.append(log_det(factor) + log_radial(square, n_features, dof))
    return np.stack(terms)


def log_radial(square, n_features, dof):
    """Log-density of the standard distribution at squared distances from its centre."""
    if np.all(dof == math.inf):
        return -0.5 * (n_features * math.log(2 * math.pi) + square)
    half = (dof + n_features) / 2
    constant = gammaln(half) - gammaln(dof / 2) - n_features / 2 * np.log(dof * math.pi)
    return constant - half * np.log1p(square / dof)
