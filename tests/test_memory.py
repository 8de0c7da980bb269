"""Memory beside what goes in and what comes out does not grow with the rows, nor do answers change.

``tracemalloc`` sees NumPy's arrays, all that could grow; ``examples/benchmarks/large.py`` measures
whole processes.
"""

import tracemalloc

import numpy as np
import pandas
import pytest
import torch
from every_method import ANSWERS, FITS, TABLES, answers_of
from sklearn.linear_model import LinearRegression

from skflow import CouplingFlowDensity, FlowImputer, FlowOutlierDetector, FlowRegressor, Training
from skflow._nn import blocks

SMALL = {"hidden_layer_sizes": (2,), "max_iter": 1, "random_state": 0}
FEW, MANY = 4000, 12_000


def table(n_rows):
    return np.random.RandomState(0).standard_normal((n_rows, 5)).astype(np.float32)


def density():
    return CouplingFlowDensity(
        1, component_weight=0, training=Training(validation_fraction=0.2), **SMALL
    )


X = table(100).astype(np.float64)
MODELS = {
    "density": density().fit(X),
    "detector": FlowOutlierDetector(density(), random_state=0).fit(X),
    "regressor": FlowRegressor(
        n_estimators=1, mean_estimator=LinearRegression(), coupling="affine", **SMALL
    ).fit(X[:, 1:], X[:, 0]),
    "imputer": FlowImputer(density(), strategy="draw", random_state=0).fit(X),
}


def with_missing(rows):
    rows[:: FEW // 20, 1] = np.nan
    return rows


CALLS = {
    "score_samples": ("density", lambda e, X: e.score_samples(X)),
    "score": ("density", lambda e, X: e.score(X)),
    "transform": ("density", lambda e, X: e.transform(X)),
    "inverse_transform": ("density", lambda e, X: e.inverse_transform(X)),
    "sample": ("density", lambda e, X: e.sample(len(X), random_state=0)),
    "detector": ("detector", lambda e, X: e.score_samples(X)),
    "regressor, scores": ("regressor", lambda e, X: e.score_samples(X[:, 1:], X[:, 0])),
    "regressor, mean": ("regressor", lambda e, X: e.predict(X[:, 1:])),
    "regressor, intervals": ("regressor", lambda e, X: e.predict_interval(X[:, 1:], 0.5)),
    "regressor, draws": ("regressor", lambda e, X: e.sample_y(X[:, 1:], 3)),
    "imputer": ("imputer", lambda e, X: e.transform(X)),
    "imputer, scores": ("imputer", lambda e, X: e.score_samples(X)),
    "imputer, draws": ("imputer", lambda e, X: e.sample(X, 2)),
}


@pytest.fixture
def one_thread():
    """With several, the peak depends on which blocks happen to be computed at once."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def beside(call, n_rows):
    """Peak of bytes that are neither input nor output."""
    name, answer = CALLS[call]
    rows = table(n_rows)
    rows = with_missing(rows) if name == "imputer" else rows
    tracemalloc.start()
    found = answer(MODELS[name], rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - np.asarray(found).nbytes


@pytest.mark.filterwarnings("ignore:The unknown cells")
@pytest.mark.parametrize("call", CALLS)
def test_memory_does_not_grow_with_the_rows(monkeypatch, one_thread, call):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 2**12)
    monkeypatch.setattr(blocks, "PART_SIZE", 2**11)
    monkeypatch.setattr("skflow._missing.questions.MOST_NUMBERS", 2**12)
    monkeypatch.setattr("skflow.imputer.MOST_NUMBERS", 2**12)
    beside(call, 100)  # what is kept from a first call on
    few, many = beside(call, FEW), beside(call, MANY)
    # bits of what is checked, and numbers of rows
    assert many - few < 0.5 * (MANY - FEW) * X[0].nbytes


RANDOM = {"sample", "sample, rows", "sample_y", "transform, missing cells", "sample_given"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["density", "detector, one", "regressor", "imputer"])
def test_answers_do_not_depend_on_parts(monkeypatch, name):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 1)
    fitted = FITS[name](TABLES["plain"])
    calls = sorted(set(answers_of(name, "plain")) - RANDOM - {"summary", "get_feature_names_out"})
    whole = {call: ANSWERS[call](fitted, TABLES["plain"]) for call in calls}
    monkeypatch.setattr(blocks, "PART_SIZE", 1)
    for call, expected in whole.items():
        found = ANSWERS[call](fitted, TABLES["plain"])
        if call.startswith("report"):
            pandas.testing.assert_frame_equal(found, expected, rtol=1e-9)
        elif "missing" in call:  # groups of rows with the same missing cells are cut as well
            np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=call)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=call)
