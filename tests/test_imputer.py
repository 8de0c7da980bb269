"""FlowImputer: what is filled in, how often, and what of scikit-learn's imputers it shares."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skflow import CouplingFlowDensity, FlowImputer

QUICK = FlowImputer(
    CouplingFlowDensity(2, hidden_layer_sizes=(16,), max_iter=20, tail_weight=0),
    n_draws=40,
    random_state=0,
)


@pytest.fixture(scope="module")
def whole():
    X = np.random.RandomState(0).standard_normal((400, 3))
    X[:, 1] = X[:, 0] ** 2 + 0.2 * X[:, 1]
    X[:, 2] = 10 - X[:, 0] + 0.2 * X[:, 2]
    return X


@pytest.fixture(scope="module")
def X(whole):
    return np.where(np.random.RandomState(1).uniform(size=whole.shape) < 0.2, np.nan, whole)


@pytest.fixture(scope="module")
def fitted(X):
    return clone(QUICK).fit(X)


def test_gaps_are_filled_and_nothing_else(fitted, whole, X):
    filled, gaps = fitted.transform(X), np.isnan(X)
    assert np.array_equal(filled[~gaps], X[~gaps])
    errors = [np.abs(f - whole)[gaps].mean() for f in (filled, np.where(gaps, whole.mean(0), X))]
    assert errors[0] < 0.7 * errors[1]
    assert np.array_equal(fitted.transform(X), filled)
    assert np.array_equal(fitted.transform(whole), whole)


def test_strategies_are_of_the_draws(fitted, X):
    drawn = fitted.sample(X, 40)
    assert drawn.shape == (400, 3, 40)
    assert fitted.transform(X) == pytest.approx(drawn.mean(axis=2))
    fitted = clone(fitted).set_params(strategy="median").fit(X)
    assert fitted.transform(X) == pytest.approx(np.median(drawn, axis=2))


def test_draws_have_the_spread_of_the_data_and_means_do_not(fitted, whole, X):
    gaps = np.isnan(X).any(axis=1)
    draw = fitted.sample(X, 1, random_state=1)[:, :, 0]
    mean = fitted.transform(X)
    assert draw[gaps].std(axis=0) == pytest.approx(whole[gaps].std(axis=0), rel=0.15)
    assert mean[gaps, 2].std() < draw[gaps, 2].std()


def test_what_is_known_is_scored(fitted, X):
    assert np.array_equal(fitted.score_samples(X), fitted.density_.score_samples(X))


def test_columns_of_which_nothing_is_known_are_dropped_or_zero(X):
    X = pd.DataFrame(X, columns=list("abc"))
    X.insert(1, "empty", np.nan)
    imputer = clone(QUICK).set_params(add_indicator=True).fit(X)
    names = ["a", "b", "c", *(f"missingindicator_{name}" for name in ["a", "empty", "b", "c"])]
    assert list(imputer.get_feature_names_out()) == names
    filled = imputer.set_output(transform="pandas").transform(X)
    assert list(filled.columns) == names
    assert np.array_equal(filled.to_numpy()[:, 3:], X.isna())
    kept = clone(QUICK).set_params(keep_empty_features=True).fit(X)
    assert (kept.transform(X)[:, 1] == 0).all()
    assert kept.sample(X, 2).shape == (400, 4, 2)


def test_grids_and_bounds_are_respected(X):
    X = X.copy()
    X[:, 1] = np.maximum(np.round(2 * X[:, 1]) / 2, 0)
    imputer = clone(QUICK).set_params(density__dequantize=True, density__bounds={1: (0, None)})
    filled = imputer.fit(X).transform(X)[:, 1]
    assert (filled >= 0).all()
    assert np.array_equal(2 * filled, np.round(2 * filled))


def test_rows_and_tables_that_are_new(fitted, whole):
    new = np.array([[np.nan, np.nan, np.nan], [0.0, np.nan, 10.0]])
    filled = fitted.transform(new)
    assert np.isfinite(filled).all()
    assert filled[0] == pytest.approx(whole.mean(axis=0), abs=0.3)
    never = clone(QUICK).fit(whole)  # gaps where none were in training
    assert np.isfinite(never.transform(new)).all()


@pytest.mark.slow
def test_in_front_of_a_model(X, whole):
    y = whole.sum(axis=1)
    model = make_pipeline(clone(QUICK), LinearRegression())
    assert cross_val_score(model, X, y, cv=3).mean() > 0.8


def test_what_cannot_be_filled_is_said(X):
    with pytest.raises(ValueError, match="X holds nothing but NaN in 5 rows"):
        clone(QUICK).fit(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        clone(QUICK).fit(np.where(X > 11, np.inf, X))
    with pytest.raises(ValueError, match="sample_weight"):
        clone(QUICK).fit(X, sample_weight=np.full(len(X), np.nan))
