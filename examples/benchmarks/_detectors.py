"""The detectors of the outlier benchmark, behind one interface.

``METHODS[name](X, X_new, seed, budget)`` fits a detector to the rows ``X``, without labels, and
returns a score for each row of ``X`` and of ``X_new``; the higher, the more an outlier. Peers get
standardised rows, those that need it and the others.
"""

from functools import partial

import _peers
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.knn import KNN
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from skflow import FlowOutlierDetector


def _skflow(X, X_new, seed, budget):
    detector = FlowOutlierDetector(random_state=seed).fit(X)
    return -detector.score_samples(X), -detector.score_samples(X_new)


def _density(method, X, X_new, seed, budget):
    """A density of the likelihood benchmark, which standardises by itself."""
    model = _peers.make(method, seed=seed, budget=budget)
    model.fit(X, _peers.is_validation(len(X), seed))
    return -model.score_samples(X), -model.score_samples(X_new)


def _isolation_forest(Z, Z_new, seed):
    forest = IsolationForest(random_state=seed).fit(Z)
    return -forest.score_samples(Z), -forest.score_samples(Z_new)


def _local_outlier_factor(Z, Z_new, seed):
    detector = LocalOutlierFactor(novelty=True).fit(Z)
    return -detector.negative_outlier_factor_, -detector.score_samples(Z_new)


def _pyod(detector, Z, Z_new, seed):
    fitted = detector().fit(Z)
    return fitted.decision_scores_, fitted.decision_function(Z_new)


def _auto_encoder(Z, Z_new, seed):
    return _pyod(partial(AutoEncoder, random_state=seed, verbose=0), Z, Z_new, seed)


def _standardised(function, X, X_new, seed, budget):
    scaler = StandardScaler().fit(X)
    return function(scaler.transform(X), scaler.transform(X_new), seed)


METHODS = {
    "skflow": _skflow,
    "mixture": partial(_density, "mixture"),
    "kernel": partial(_density, "kernel"),
    "isolation-forest": partial(_standardised, _isolation_forest),
    "lof": partial(_standardised, _local_outlier_factor),
    "knn": partial(_standardised, partial(_pyod, KNN)),
    "ecod": partial(_standardised, partial(_pyod, ECOD)),
    "copod": partial(_standardised, partial(_pyod, COPOD)),
    "autoencoder": partial(_standardised, _auto_encoder),
}
LABELS = {
    "skflow": "skflow",
    "mixture": "Gaussian mixture",
    "kernel": "kernel density",
    "isolation-forest": "isolation forest",
    "lof": "LOF",
    "knn": "KNN",
    "ecod": "ECOD",
    "copod": "COPOD",
    "autoencoder": "auto-encoder",
}
