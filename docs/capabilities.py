"""What each estimator takes and answers, as a table: by trying it.

    python docs/capabilities.py          # writes docs/capabilities.md, which pages include
    python docs/capabilities.py --check  # fails where that file says something else

Every cell is tried with a fit of a second or less, so the table says what the code does.
``docs/test_capabilities.py``, which CI runs with the pages, does the check.
"""

import pickle
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import skflow

TABLE = Path(__file__).with_name("capabilities.md")
ESTIMATORS = [
    "CouplingFlowDensity",
    "StructureSearchFlow",
    "FlowOutlierDetector",
    "FlowRegressor",
    "FlowImputer",
]
ON_DENSITIES = ["FlowOutlierDetector", "FlowImputer"]


def estimator(name, **parameters):
    """One that is fitted in a moment."""
    quick = dict(n_layers=2, hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    quick |= parameters
    if name == "FlowRegressor":
        quick |= dict(n_estimators=1, mean_estimator=None)
    else:
        quick |= dict(component_weight=0)
    if name == "StructureSearchFlow":
        quick |= dict(n_search_iter=2, n_candidate_steps=2)
    density = skflow.CouplingFlowDensity(**quick) if name in ON_DENSITIES else None
    if name == "FlowImputer":
        return skflow.FlowImputer(density, n_draws=5, random_state=0)
    if name == "FlowOutlierDetector":
        return skflow.FlowOutlierDetector(density, random_state=0)
    return getattr(skflow, name)(**quick)


def rows(n=60):
    """Positive numbers of three columns that depend on each other, and a target."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.gamma(4.0, size=(n, 3)), columns=["a", "b", "c"])
    X["b"] += X["a"]
    return X, pd.Series(X.sum(axis=1) + rng.normal(size=n), name="y")


def with_missing(X):
    X = X.copy()
    X.iloc[::9, 1] = np.nan
    return X


def with_category(X):
    return X.assign(kind=np.where(np.arange(len(X)) % 3, "x", "y"))


def fitted(name, X, y, **fit):
    model = estimator(name)
    return model.fit(X, y, **fit) if name == "FlowRegressor" else model.fit(X, **fit)


@cache
def plain(name):
    """A fit to whole rows of numbers."""
    return fitted(name, *rows())


def answer(model, X):
    """What an estimator is for."""
    for method in ("predict_interval", "pvalue", "transform", "score_samples"):
        if hasattr(model, method):
            return getattr(model, method)(X)
    raise AssertionError("no answer")


def fit_with_bounds(name, X, y):
    model = estimator(name, bounds=(0, None))
    return model.fit(X, y) if name == "FlowRegressor" else model.fit(X)


def fit_several_targets(name, X, y):
    if name != "FlowRegressor":
        raise NotImplementedError("no targets")
    return fitted(name, X, pd.DataFrame({"y": y, "z": 2 * y + X["a"]}))


def sample(name, X, y):
    model = plain(name)
    return model.sample_y(X) if name == "FlowRegressor" else model.sample(3)


def sample_completions(name, X, y):
    model = plain(name)
    if name == "FlowImputer":
        return model.sample(with_missing(X), 2)
    return model.sample_given(with_missing(X), 2)


def column_of_categories(name, X, y):
    """The categories in a target for the regressor."""
    if name == "FlowRegressor":
        return estimator(name).fit(X, with_category(X)["kind"])
    raise NotImplementedError("no targets")


TRIALS = {
    "data frames": lambda name, X, y: answer(plain(name), X),
    "missing values in `fit`": lambda name, X, y: fitted(name, with_missing(X), y),
    "missing values in new rows": lambda name, X, y: answer(
        plain(name), with_missing(X)
    ),
    "categories": lambda name, X, y: answer(
        fitted(name, with_category(X), y), with_category(X)
    ),
    "categories and missing values": lambda name, X, y: answer(
        fitted(name, with_missing(with_category(X)), y), with_missing(with_category(X))
    ),
    "`sample_weight`": lambda name, X, y: fitted(
        name, X, y, sample_weight=np.arange(1.0, len(X) + 1)
    ),
    "bounds": fit_with_bounds,
    "several targets": fit_several_targets,
    "a category as the target": column_of_categories,
    "draws new rows or targets": sample,
    "draws unknown values given known ones": sample_completions,
    "probabilities of events": lambda name, X, y: plain(name).probability(
        {"a": (2.0, None)}
    ),
    "a latent space (`inverse_transform`)": lambda name, X, y: plain(
        name
    ).inverse_transform(np.zeros((2, X.shape[1]))),
    "saves and loads by pickle": lambda name, X, y: answer(
        pickle.loads(pickle.dumps(plain(name))), X
    ),
    "`summary()`": lambda name, X, y: plain(name).summary(),
}


def works(trial, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trial(name, *rows())
        except (ValueError, TypeError, AttributeError, NotImplementedError):
            return False
    return True


def table():
    """The table in Markdown."""
    head = ["", *(f"{{class}}`~skflow.{name}`" for name in ESTIMATORS)]
    lines = [head, ["---", *[":-:"] * len(ESTIMATORS)]]
    for what, trial in TRIALS.items():
        lines.append(
            [what, *("yes" if works(trial, name) else "–" for name in ESTIMATORS)]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    now = table()
    if "--check" not in sys.argv:
        TABLE.write_text(now, encoding="utf-8")
    elif TABLE.read_text(encoding="utf-8") != now:
        sys.exit(f"{TABLE} says something else than the code; run {__file__}:\n{now}")
