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
ANSWERS = {
    "score_samples": lambda e, X: e.score_samples(X),
    "score_samples, missing cells": lambda e, X: e.score_samples(with_missing(X)),
    "score_samples, y": lambda e, X: e.score_samples(X, Y),
    "score": lambda e, X: e.score(X),
    "score, y": lambda e, X: e.score(X, Y),
    "bits_per_dim": lambda e, X: e.bits_per_dim(X),
    "sample": lambda e, X: e.sample(5, **_seed),
    "sample, rows": lambda e, X: e.sample(with_missing(X)[_few], 2, **_seed),
    "sample_given": lambda e, X: e.sample_given(with_missing(X)[_few], 2, **_seed),
    "sample_given, range": lambda e, X: e.sample_given({_first(X): (0, None)}, 5, **_seed),
    "probability": lambda e, X: e.probability({_first(X): (0, None)}),
    "transform": lambda e, X: e.transform(X),
    "transform, missing cells": lambda e, X: e.transform(with_missing(X)),
    "inverse_transform": lambda e, X: e.inverse_transform(np.zeros((3, 3))),
    "summary": lambda e, X: e.summary(),
    "get_feature_names_out": lambda e, X: e.get_feature_names_out(),
    "decision_function": lambda e, X: e.decision_function(X),
    "pvalue": lambda e, X: e.pvalue(X),
    "select": lambda e, X: e.select(X, fdr=0.2),
    "explain": lambda e, X: e.explain(X[:2]),
    "explain, missing cells": lambda e, X: e.explain(with_missing(X)[1:3]),
    "report": lambda e, X: e.report(X, 2),
    "report, missing cells": lambda e, X: e.report(with_missing(X)),
    "report, all": lambda e, X: e.report(with_missing(X)[:9], None, coverage=0.5, details=True),
    "report, fdr": lambda e, X: e.report(X[:3], fdr=0.9),
    "shift_evidence": lambda e, X: e.shift_evidence(X),
    "predict": lambda e, X: e.predict(X),
    "predict_quantiles": lambda e, X: e.predict_quantiles(X, [0.1, 0.5]),
    "predict_interval": lambda e, X: e.predict_interval(X, 0.8),
    "cdf": lambda e, X: e.cdf(X, Y),
    "sample_y": lambda e, X: e.sample_y(X, 2),
}


def _first(X):
    """The first column as a question names it."""
    return X.columns[0] if hasattr(X, "columns") else 0


#: Calls that an estimator has no use for: of targets but a regressor, and so on.
_OF_TARGETS = {"score_samples, y", "score, y"}
_OF_ROWS = {"score_samples", "score_samples, missing cells", "score"}


def answers_of(name, table):
    """Names of ``ANSWERS`` that an estimator gives on a table."""
    estimator = name.split(",")[0]
    own = {
        "density": {
            "transform",
            "transform, missing cells",
            "inverse_transform",
            "sample",
            "sample_given",
        },
        "regressor": {"predict", "predict_quantiles", "predict_interval", "cdf", "sample_y"},
        "detector": {"decision_function", "pvalue", "select", "predict", "shift_evidence"},
        "imputer": {
            "transform",
            "transform, missing cells",
            "sample, rows",
            "get_feature_names_out",
        },
    }
    own["density"] |= {"bits_per_dim", "get_feature_names_out", *_OF_ROWS}
    own["density"] |= {"sample_given, range", "probability"}
    own["search"] = own["density"]
    own["regressor"] |= _OF_TARGETS
    own["detector"] |= {"explain", "explain, missing cells", "report", "report, all", "report, fdr"}
    own["detector"] |= {"score_samples", "score_samples, missing cells"}
    own["imputer"] |= {"score_samples", "score_samples, missing cells", "report, missing cells"}
    found = own[estimator] | {"summary"}
    return sorted(found - ({"inverse_transform"} if table == "mixed" else set()))
