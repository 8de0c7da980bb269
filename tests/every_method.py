"""Every public method of every estimator, on plain and mixed tables, for tests that hold for all.

``FITS`` fits each of them, ``ANSWERS`` calls each method that a fitted one has.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
)

SMALL = {
    "n_layers": 2,
    "hidden_layer_sizes": (8,),
    "max_iter": 2,
    "component_weight": 0.1,
    "random_state": 0,
}
REGRESSOR = {"n_layers": 1, "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
ALONE = {**SMALL, "component_weight": 0}
WEIGHED = {**SMALL, "component_weight": "auto"}  # with all components, which take longest
N_ROWS = 60


def plain(n_rows=N_ROWS):
    X = np.random.RandomState(0).standard_normal((n_rows, 3))
    X[:, 1] += X[:, 0] ** 2
    return pd.DataFrame(X, columns=["length", "width", "height"])


def mixed(n_rows=N_ROWS):
    X = plain(n_rows)
    X.insert(1, "kind", np.where(X["length"] > 0, "long", "short"))
    return X.assign(site=np.array(["n", "s", "w"])[np.arange(n_rows) % 3])


def with_missing(X):
    """The table with an eighth of some columns missing; the first is whole."""
    X = X.astype({name: object for name in X.columns if X[name].dtype.kind not in "fiu"})
    for j in range(1, X.shape[1]):
        X.iloc[j::8, j] = np.nan
    return X


TABLES = {"plain": plain(), "mixed": mixed()}
Y = 2 * TABLES["plain"]["length"].to_numpy() + np.random.RandomState(1).standard_normal(N_ROWS)
WEIGHT = np.linspace(0.5, 1.5, N_ROWS)
KERNEL = KernelDensity()
TREES = RandomForestRegressor(3, max_depth=3)

#: As in the default, which takes longer: the parts of a table in which they see a frame or not.
DENSITIES = [
    ("flow", CouplingFlowDensity(**ALONE)),
    (
        "latent",
        Pipeline([("flow", CouplingFlowDensity(**ALONE)), ("k", KERNEL)]),
    ),
    ("kernel", make_pipeline(make_column_transformer((StandardScaler(), [0])), KERNEL)),
]

FITS = {
    "density": lambda X: CouplingFlowDensity(**WEIGHED).fit(X, sample_weight=WEIGHT),
    "density, missing cells": lambda X: CouplingFlowDensity(**SMALL).fit(with_missing(X)),
    "search": lambda X: StructureSearchFlow(n_search_iter=2, n_candidate_steps=2, **SMALL).fit(X),
    "detector": lambda X: FlowOutlierDetector(DENSITIES, random_state=0).fit(X),
    "detector, one": lambda X: FlowOutlierDetector(
        CouplingFlowDensity(**SMALL), random_state=0
    ).fit(X),
    "regressor": lambda X: FlowRegressor(n_estimators=2, mean_estimator=TREES, **REGRESSOR).fit(
        X, Y, sample_weight=WEIGHT
    ),
    "imputer": lambda X: FlowImputer(
        CouplingFlowDensity(**SMALL), n_draws=3, add_indicator=True, random_state=0
    ).fit(with_missing(X)),
}
CASES = [(name, table) for name in FITS for table in TABLES]

_few, _seed = slice(0, 8), {"random_state": 0}
#: Estimators, and what they are asked.
_CALLS = [
    ("density detector imputer", "score_samples", lambda e, X: e.score_samples(X)),
    (
        "density detector imputer",
        "score_samples, missing cells",
        lambda e, X: e.score_samples(with_missing(X)),
    ),
    ("regressor", "score_samples, y", lambda e, X: e.score_samples(X, Y)),
    ("density", "score", lambda e, X: e.score(X)),
    ("regressor", "score, y", lambda e, X: e.score(X, Y)),
    ("density", "bits_per_dim", lambda e, X: e.bits_per_dim(X)),
    ("density", "sample", lambda e, X: e.sample(5, **_seed)),
    ("imputer", "sample, rows", lambda e, X: e.sample(with_missing(X)[_few], 2, **_seed)),
    ("density", "sample_given", lambda e, X: e.sample_given(with_missing(X)[_few], 2, **_seed)),
    (
        "density",
        "sample_given, range",
        lambda e, X: e.sample_given({_first(X): (0, None)}, 5, **_seed),
    ),
    ("density", "mode_given", lambda e, X: e.mode_given(with_missing(X)[_few])),
    ("density", "probability", lambda e, X: e.probability({_first(X): (0, None)})),
    ("density imputer", "transform", lambda e, X: e.transform(X)),
    ("density imputer", "transform, missing cells", lambda e, X: e.transform(with_missing(X))),
    ("density", "inverse_transform", lambda e, X: e.inverse_transform(np.zeros((3, 3)))),
    ("density detector imputer regressor", "summary", lambda e, X: e.summary()),
    ("density imputer", "get_feature_names_out", lambda e, X: e.get_feature_names_out()),
    ("detector", "decision_function", lambda e, X: e.decision_function(X)),
    ("detector", "pvalue", lambda e, X: e.pvalue(X)),
    ("detector", "select", lambda e, X: e.select(X, fdr=0.2)),
    ("detector", "explain", lambda e, X: e.explain(X[:2])),
    ("detector", "explain, missing cells", lambda e, X: e.explain(with_missing(X)[1:3])),
    ("detector", "report", lambda e, X: e.report(X, 2)),
    ("imputer", "report, missing cells", lambda e, X: e.report(with_missing(X))),
    (
        "detector",
        "report, all",
        lambda e, X: e.report(with_missing(X)[:9], None, coverage=0.5, details=True),
    ),
    ("detector", "report, fdr", lambda e, X: e.report(X[:3], fdr=0.9)),
    ("detector", "shift_evidence", lambda e, X: e.shift_evidence(X)),
    ("detector regressor", "predict", lambda e, X: e.predict(X)),
    ("regressor", "predict_quantiles", lambda e, X: e.predict_quantiles(X, [0.1, 0.5])),
    ("regressor", "predict_interval", lambda e, X: e.predict_interval(X, 0.8)),
    ("regressor", "cdf", lambda e, X: e.cdf(X, Y)),
    ("regressor", "sample_y", lambda e, X: e.sample_y(X, 2)),
]
ANSWERS = {call: ask for _, call, ask in _CALLS}


def _first(X):
    """The first column as a question names it."""
    return X.columns[0] if hasattr(X, "columns") else 0


def answers_of(name, table):
    """Names of ``ANSWERS`` that an estimator gives on a table."""
    estimator = name.split(",")[0].replace("search", "density")
    found = {call for estimators, call, _ in _CALLS if estimator in estimators.split()}
    return sorted(found - ({"inverse_transform"} if table == "mixed" else set()))
