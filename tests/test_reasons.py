"""Conditional distributions of columns, and what is unusual and usual by them."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._outliers.reasons import conditionals, explain_rows, values_to_try

COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]])
SCORE = multivariate_normal([0, 0], COVARIANCE).logpdf


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).multivariate_normal([0, 0], COVARIANCE, 2000)


def test_quantiles_are_those_of_the_conditional_distribution(X):
    rows = X[:20]
    found = conditionals(SCORE, rows, values_to_try(X))[0].quantiles([0.05, 0.5, 0.95])
    truth = norm(0.8 * rows[:, [1]], 0.6).ppf([0.05, 0.5, 0.95])
    np.testing.assert_allclose(found, truth, atol=0.15)  # where values are rare


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_their_coverage(X, coverage):
    rows = np.random.default_rng(1).multivariate_normal([0, 0], COVARIANCE, 1000)
    _, usual = explain_rows(SCORE, rows, values_to_try(X), coverage)
    inside = (usual[..., 0] <= rows) & (rows <= usual[..., 1])
    np.testing.assert_allclose(inside.mean(axis=0), coverage, atol=0.04)


def test_where_the_density_is_zero_nothing_is_usual():
    score = lambda rows: np.full(len(rows), -np.inf)  # noqa: E731
    X = np.arange(10.0)[:, None]
    nats, usual = explain_rows(score, X, values_to_try(X), 0.9)
    assert (nats == 0).all() and np.isnan(usual).all()


def test_usual_values_have_the_sign_of_the_column():
    X = np.random.RandomState(0).exponential(size=(500, 2)) * [1, -1]
    wide = lambda rows: -0.5 * (rows[:, 0] ** 2 + rows[:, 1] ** 2) / 100  # noqa: E731
    _, usual = explain_rows(wide, X[:20], values_to_try(X), 0.9)
    assert (usual[:, 0] >= 0).all() and (usual[:, 1] <= 0).all()
    assert (usual[:, 0, 1] > X[:, 0].max()).all()  # beyond the rows, on the other side


def test_all_columns_are_scored_in_a_few_calls(X):
    calls = []
    score = lambda rows: calls.append(len(rows)) or SCORE(rows)  # noqa: E731
    rows = X[:30]
    expected = [explain_rows(SCORE, row[None], values_to_try(X), 0.9) for row in rows]
    nats, usual = explain_rows(score, rows, values_to_try(X), 0.9)
    assert len(calls) == 5
    np.testing.assert_allclose(nats, np.concatenate([nats for nats, _ in expected]))
    np.testing.assert_allclose(usual, np.concatenate([usual for _, usual in expected]))


@pytest.mark.filterwarnings("ignore:Column 1 is exactly on a bound")
def test_rows_beyond_a_bound_have_reasons_beside_spikes():
    rng = np.random.default_rng(0)
    spike = np.where(rng.random(80) < 0.4, 0, rng.normal(size=80))
    X = np.column_stack([rng.normal(size=80), rng.exponential(size=80), spike])
    flow = CouplingFlowDensity(
        1, hidden_layer_sizes=(8,), max_iter=2, bounds=[(None, None), (0, None), (None, None)]
    )
    detector = FlowOutlierDetector(flow, random_state=0).fit(X)
    X[:3, 1] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (detector.explain(X[:3]) == [0, np.inf, 0]).all()
