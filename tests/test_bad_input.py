"""Tables and parameters that cannot be used, or only with a word: sentences, never NaN."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_flows import flow

from skflow import CouplingFlowDensity


def with_value(value, dtype=np.float64):
    X = np.random.RandomState(0).standard_normal((30, 3)).astype(dtype)
    X[4, 1] = value
    return X


BAD_TABLES = {
    "infinity": (with_value(np.inf), ValueError, "X contains infinity"),
    "strings": (with_value("a", dtype=object), ValueError, "'a'"),
    "complex": (with_value(1j, dtype=complex), ValueError, "Complex"),
    "sparse": (scipy.sparse.csr_array(np.eye(9)), TypeError, "Sparse data was passed for X"),
    "no rows": (np.empty((0, 3)), ValueError, r"0 sample\(s\)"),
    "one row": (np.ones((1, 3)), ValueError, r"1 sample\(s\).*minimum of 2"),
    "no columns": (np.empty((9, 0)), ValueError, r"0 feature\(s\)"),
    "one dimension": (np.ones(9), ValueError, "Expected 2D array"),
    "too few rows": (np.eye(2), ValueError, r"validation_fraction=0\.[12].*n_samples=2"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_table(estimator, name):
    X, error, message = BAD_TABLES[name]
    if name == "too few rows":
        estimator.set_params(early_stopping=True)
    with pytest.raises(error, match=message):
        estimator.fit(X)
    assert vars(estimator).keys() == estimator.get_params(deep=False).keys()


def bad(name, *values):
    return [pytest.param(name, value, id=f"{name}={value!r}") for value in values]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *bad("n_layers", 0, 1.5),
        *bad("coupling", "additive"),
        *bad("n_bins", 1, 501),
        *bad("hidden_layer_sizes", (0,), (2.5,), "64", -1),
        *bad("training__activation", "step"),
        *bad("training__standardize", "yes"),
        *bad("component_weight", 1, -0.1, "none"),
        *bad("training", "adam", CouplingFlowDensity),
        *bad("training__noise", -1, np.inf, "much"),
        *bad("training__context_noise", -1),
        *bad("training__n_init", 0),
        *bad("n_estimators", 0),
        *bad("training__solver", "newton"),
        *bad("training__learning_rate", "warm"),
        *bad("training__learning_rate_init", 0, np.inf, np.nan),
        *bad("training__alpha", -1),
        *bad("training__batch_size", 0),
        *bad("max_iter", 0, np.nan),
        *bad("training__validation_fraction", 0, 1, 0.999),
        *bad("training__n_iter_no_change", 0),
        *bad("training__tol", -1),
        *bad("device", "abacus", "cuda:99", "meta", ""),
        *bad("random_state", -1, "seed"),
    ],
)
def test_bad_parameter(X, name, value):
    with pytest.raises(ValueError, match=name.replace("__", r"\.")) as caught:
        flow(**{name: value}).fit(X)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(300), "[Ss]ample.weight"),
        (np.full(300, -1.0), "sample_weight"),
        (np.ones(299), "sample_weight"),
        (np.ones((300, 2)), "[Ss]ample.weight"),
        (np.full(300, np.nan), "sample_weight"),
        (np.eye(300)[7], "sample_weight is positive in 1 of 300 rows"),
        (["heavy"] * 300, "heavy"),
    ],
)
def test_bad_weights(X, weight, message):
    with pytest.raises(ValueError, match=message):
        flow().fit(X, sample_weight=weight)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3", None])
def test_bad_n_samples(X, n_samples):
    with pytest.raises(ValueError, match=f"n_samples={n_samples!r}"):
        flow().fit(X).sample(n_samples)


def test_bad_rows_after_fit(X):
    model = flow().fit(X)
    for method in (model.score_samples, model.score, model.transform, model.inverse_transform):
        with pytest.raises(ValueError, match="features"):
            method(X[:, :2])
        with pytest.raises(ValueError, match="infinity"):
            method(np.full((2, 3), np.inf))
    with pytest.raises(ValueError, match="NaN"):
        model.inverse_transform(np.full((2, 3), np.nan))


@pytest.mark.parametrize("value", [0.0, 5.0, 1e30])
def test_constant_column(X, value):
    others = flow(max_iter=30).fit(X[:, [0, 2]]).score(X[:, [0, 2]])
    X[:, 1] = value
    with pytest.warns(UserWarning, match="Column 1 is constant"):
        model = flow(max_iter=30).fit(X)
    # as announced: a normal distribution of variance 1 around the value
    surplus = model.score(X) - others
    assert surplus == pytest.approx(-0.5 * math.log(2 * math.pi), abs=0.2)
    assert model.sample(500, random_state=0)[:, 1].mean() == pytest.approx(value, abs=0.3)


def test_constant_column_without_standardize():
    X = np.random.RandomState(0).standard_normal((300, 2))
    X[:, 1] = 5
    with pytest.warns(UserWarning, match="Column 1 is constant"):
        model = flow(
            training__standardize=False, max_iter=100, training__learning_rate_init=0.05
        ).fit(X)
    assert model.sample(500, random_state=0)[:, 1].mean() == pytest.approx(5, abs=0.5)


def test_constant_and_copied_columns_are_named(X):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["b"] = 1.0
    frame["d"] = frame["a"]
    with pytest.warns(UserWarning) as caught:
        flow().fit(frame)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert messages[0].startswith("Column 'b' is constant")
    assert messages[1].startswith("Column 'd' is a copy")


def test_nearly_discrete_columns_are_named_and_nothing_else_is_said():
    X = np.random.RandomState(0).randint(2, size=(300, 3)).astype(float)
    with pytest.warns(UserWarning) as caught:
        model = flow(component_weight="auto").fit(X)
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith("Each of the columns 0, 1, 2 is nearly discrete")
    assert np.isfinite(model.score(X))
    assert np.isfinite(flow(dequantize=True).fit(X).score(X))  # as the warning advises


def test_warnings_point_at_the_line_of_the_user(X):
    X[:, 1] = 0
    pipe = make_pipeline(StandardScaler(), flow())
    grid = GridSearchCV(flow(), {"n_layers": [1, 2]}, cv=2)
    for model in (flow(), pipe, grid):
        with pytest.warns(UserWarning, match="constant") as caught:
            model.fit(X)
        assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(ConvergenceWarning) as caught:
        flow(training__learning_rate_init=1e3, max_iter=40).fit(X[:, [0, 2]])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("factor", [-1, 1, 2.54])
def test_copied_column_in_any_unit(X, factor):
    X[:, 2] = factor * X[:, 0] + (factor != 1)
    with pytest.warns(UserWarning, match="Column 2 is a copy"):
        flow().fit(X)


def test_numbers_of_rows_are_named():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=400), 7000 + rng.permutation(500)[:400]])
    with pytest.warns(UserWarning, match="Column 1 is a whole number that is different"):
        flow().fit(X)
    measured = np.round(rng.normal(0, 1e4, 400))  # as far apart as values that differ by chance
    X[:, 1] = np.unique(np.append(measured, rng.permutation(10**5)[:200]))[:400]
    flow().fit(X)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_tiny_and_huge_values(X, size):
    expected = flow().fit(X).score(X)
    found = flow().fit(X * size).score(X * size)
    assert found + 3 * math.log(size) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("value", [1e30, -1e300])
def test_a_single_huge_value_spoils_no_number(X, value):
    X[3, 1] = value
    model = flow().fit(X)
    assert np.isfinite(model.score_samples(X)).all()


def test_huge_values_without_standardize(X):
    with pytest.raises(ValueError, match="standardize=True"):
        flow(training__standardize=False).fit(X * 1e30)


@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_few_rows(estimator, X, n_rows):
    if n_rows == 2:
        estimator.set_params(early_stopping=False)
        if hasattr(estimator, "candidate_score"):
            estimator.set_params(candidate_score="train_batch")
    estimator.fit(X[:n_rows])
    assert np.isfinite(estimator.score_samples(X)).all()


def test_one_feature(estimator, X):
    estimator.fit(X[:, :1])
    assert np.isfinite(estimator.score(X[:, :1]))
    assert estimator.sample(7).shape == (7, 1)
    assert estimator.masks_.all()


def test_input_that_is_not_an_array_of_floats(X):
    rounded = np.round(X * 100)
    expected = flow().fit(rounded).score_samples(rounded)
    for table in (rounded.tolist(), rounded.astype(int), rounded.astype(np.float32)):
        np.testing.assert_allclose(flow().fit(table).score_samples(table), expected)
    frame = pd.DataFrame(rounded, columns=["a", "b", "c"])
    model = flow().fit(frame)
    np.testing.assert_allclose(model.score_samples(frame), expected)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(frame[["b", "a", "c"]])
