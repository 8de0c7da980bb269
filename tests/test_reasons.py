"""Conditional distributions of columns, and the table of reasons made from them."""

import numpy as np
import pandas
import pytest
from scipy.stats import multivariate_normal, norm

from skflow._outliers.reasons import conditional, explain_rows, make_report, values_to_try

COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]])
SCORE = multivariate_normal([0, 0], COVARIANCE).logpdf


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).multivariate_normal([0, 0], COVARIANCE, 2000)


def test_quantiles_are_those_of_the_conditional_distribution(X):
    rows = X[:20]
    found = conditional(SCORE, rows, 0, values_to_try(X)[:, 0]).quantiles([0.05, 0.5, 0.95])
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


def test_a_report_names_columns_only_for_a_reason():
    X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    nats = np.array([[1.0, 12.0, 4.0], [2.9, 0.0, -0.3]])
    usual = np.stack([X - 1, X + 1], axis=-1)
    table = make_report(pandas.DataFrame(index=["p", "q"]), X, ["a", "b", "c"], nats, usual)
    p, q = table.loc["p"], table.loc["q"]
    assert (p.column_1, p.value_1, p.usual_from_1, p.usual_to_1, p.nats_1) == ("b", 2, 1, 3, 12)
    assert (p.column_2, p.column_3) == ("c", "")
    assert q.column_1 == "no single column"
    assert table.loc["q", ["value_1", "usual_from_1", "usual_to_1", "nats_1"]].isna().all()


def test_a_report_of_a_narrow_table():
    table = make_report(
        pandas.DataFrame(index=[0]), np.ones((1, 1)), ["a"], np.ones((1, 1)), np.ones((1, 1, 2))
    )
    assert list(table.column_1) == ["no single column"] and "column_2" not in table
