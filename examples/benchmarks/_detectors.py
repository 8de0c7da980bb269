"""The detectors of the outlier benchmark, behind one interface.

``METHODS[name](X, X_new, seed, budget)`` fits a detector to the rows ``X``, without labels, and
returns a score for each row of ``X`` and of ``X_new``; the higher, the more an outlier. Peers get
standardised rows, those that need it and the others.
"""

import random
from functools import partial
from importlib import import_module

import _peers
import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import MinCovDet
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skflow import CouplingFlowDensity, FlowOutlierDetector


def _skflow(X, X_new, seed, budget):
    detector = FlowOutlierDetector(random_state=seed).fit(X)
    return -detector.score_samples(X), -detector.score_samples(X_new)


def _single_flow(X, X_new, seed, budget):
    flow = CouplingFlowDensity(random_state=seed).fit(X)
    return -flow.score_samples(X), -flow.score_samples(X_new)


def _density(method, X, X_new, seed, budget):
    """A density of the likelihood benchmark, which standardises by itself."""
    model = _peers.make(method, seed=seed, budget=budget)
    model.fit(X, _peers.is_validation(len(X), seed))
    return -model.score_samples(X), -model.score_samples(X_new)


def _isolation_forest(Z, Z_new, seed):
    forest = IsolationForest(random_state=seed).fit(Z)
    return -forest.score_samples(Z), -forest.score_samples(Z_new)


def _extended_forest(Z, Z_new, seed):
    """200 trees with splits in any direction, by the code of Hariri, Kind and Brunner (2021)."""
    from eif import c_factor, iForest

    def depths(node, rows):  # as its compute_paths, all rows at once
        if node.ntype == "exNode":
            return np.full(len(rows), node.e + (c_factor(node.size) if node.size > 1 else 0.0))
        left, found = (rows - node.p) @ node.n < 0, np.empty(len(rows))
        found[left], found[~left] = depths(node.left, rows[left]), depths(node.right, rows[~left])
        return found

    random.seed(seed)  # it has no random state of its own
    np.random.seed(seed)
    forest = iForest(Z, 200, min(256, len(Z)), ExtensionLevel=Z.shape[1] - 1)
    return tuple(-sum(depths(tree.root, rows) for tree in forest.Trees) for rows in (Z, Z_new))


def _robust_covariance(Z, Z_new, seed):
    covariance = MinCovDet(random_state=seed).fit(Z)
    return covariance.mahalanobis(Z), covariance.mahalanobis(Z_new)


def _local_outlier_factor(Z, Z_new, seed):
    detector = LocalOutlierFactor(novelty=True).fit(Z)
    return -detector.negative_outlier_factor_, -detector.score_samples(Z_new)


def _neighbours(reduce, Z, Z_new, seed):
    """Distances to the five nearest rows, a row itself not among its own, reduced to a number."""
    nearest = NearestNeighbors(n_neighbors=min(5, len(Z) - 1)).fit(Z)
    return reduce(nearest.kneighbors()[0]), reduce(nearest.kneighbors(Z_new)[0])


def _farthest(distances):
    return distances[:, -1]


def _mean(distances):
    """DTE-NP: the mean distance (Livernoche et al. 2024)."""
    return distances.mean(axis=1)


def _mixtures(Z, Z_new, seed):
    """EGMM: the average density of Gaussian mixtures of many sizes."""
    sizes = [k for k in (1, 2, 4, 8, 16, 32) if len(Z) >= k * max(10, Z.shape[1])] or [1]
    mixtures = [
        GaussianMixture(k, reg_covar=reg, random_state=seed).fit(Z)
        for k in sizes
        for reg in (1e-2, 1e-1)
    ]
    return tuple(
        -logsumexp([mixture.score_samples(rows) for mixture in mixtures], axis=0)
        for rows in (Z, Z_new)
    )


def _pyod(module, name, Z, Z_new, seed, **params):
    detector = getattr(import_module(f"pyod.models.{module}"), name)
    fitted = detector(**params).fit(Z)
    return fitted.decision_scores_, fitted.decision_function(Z_new)


def _seeded_pyod(module, name, Z, Z_new, seed, **params):
    return _pyod(module, name, Z, Z_new, seed, random_state=seed, **params)


def _standardised(function, X, X_new, seed, budget):
    scaler = StandardScaler().fit(X)
    return function(scaler.transform(X), scaler.transform(X_new), seed)


METHODS = {
    "skflow": _skflow,
    "flow": _single_flow,
    "mixture": partial(_density, "mixture"),
    "kernel": partial(_density, "kernel"),
    "egmm": partial(_standardised, _mixtures),
    "knn": partial(_standardised, partial(_neighbours, _farthest)),
    "dte-np": partial(_standardised, partial(_neighbours, _mean)),
    "isolation-forest": partial(_standardised, _isolation_forest),
    "extended-forest": partial(_standardised, _extended_forest),
    "lof": partial(_standardised, _local_outlier_factor),
    "ecod": partial(_standardised, partial(_pyod, "ecod", "ECOD")),
    "copod": partial(_standardised, partial(_pyod, "copod", "COPOD")),
    "inne": partial(_standardised, partial(_seeded_pyod, "inne", "INNE")),
    "robust-covariance": partial(_standardised, _robust_covariance),
    "cblof": partial(_standardised, partial(_seeded_pyod, "cblof", "CBLOF")),
    "autoencoder": partial(
        _standardised, partial(_seeded_pyod, "auto_encoder", "AutoEncoder", verbose=0)
    ),
}
LABELS = {
    "skflow": "skflow",
    "flow": "one flow",
    "mixture": "Gaussian mixture",
    "kernel": "kernel density",
    "egmm": "EGMM",
    "knn": "KNN",
    "dte-np": "DTE-NP",
    "isolation-forest": "isolation forest",
    "extended-forest": "extended forest",
    "lof": "LOF",
    "ecod": "ECOD",
    "copod": "COPOD",
    "inne": "INNE",
    "robust-covariance": "robust covariance",
    "cblof": "CBLOF",
    "autoencoder": "auto-encoder",
}
