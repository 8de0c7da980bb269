"""Ellipses against scikit-learn and scipy."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import mixture
from sklearn.covariance import ledoit_wolf

from skflow._models.ellipses import (
    cluster_labels,
    fit_gaussian_mixture,
    likeliest_covariance,
    log_ellipses,
    precision_factors,
    shrunk_covariance,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    return np.vstack([rng.normal(-2, 0.5, (300, 2)), rng.normal(2, 1.0, (300, 2))])


def mixture_of(n_clusters, rows, weight):
    labels = cluster_labels(n_clusters, rows, weight, np.random.RandomState(0))
    return fit_gaussian_mixture(labels, rows, weight, ridge=0.0)


@pytest.mark.parametrize("dof", [math.inf, 3.0])
def test_densities_are_those_of_scipy(table, dof):
    centres, shapes = table[:2], np.array([[[2.0, 0.5], [0.5, 1.0]], np.eye(2)])
    found = log_ellipses(table, centres, precision_factors(shapes), dof)
    for centre, shape, log_prob in zip(centres, shapes, found):
        if dof < math.inf:
            truth = stats.multivariate_t(centre, shape, df=dof)
        else:
            truth = stats.multivariate_normal(centre, shape)
        assert log_prob == pytest.approx(truth.logpdf(table))


@pytest.mark.parametrize("shape", [(30, 50), (300, 3), (5, 1)])
def test_shrinkage_is_that_of_ledoit_and_wolf(shape):
    X = np.random.RandomState(0).normal(3, 2, shape)
    centre, covariance = shrunk_covariance(X, np.full(len(X), 1 / len(X)))
    assert centre == pytest.approx(X.mean(axis=0))
    assert covariance == pytest.approx(ledoit_wolf(X)[0])


def test_shrinkage_counts_effective_rows():
    """Rows without weight do not make an estimate more certain."""
    X = np.random.RandomState(0).normal(size=(100, 5))
    weight = np.repeat([0.1, 0.0], [10, 90])
    few, all_rows = shrunk_covariance(X[:10], np.full(10, 0.1)), shrunk_covariance(X, weight)
    assert all_rows[1] == pytest.approx(few[1])


@pytest.mark.parametrize("n_rows, width", [(3, 1.0), (5, 1.0), (12, 1.0), (40, 1.0), (200, 1e-3)])
def test_a_covariance_is_shrunk_as_rows_that_are_left_out_ask_for(n_rows, width):
    rng = np.random.RandomState(n_rows)
    X = rng.standard_normal((n_rows, 4)) @ rng.standard_normal((4, 4))
    X[:, 3] = X[:, :3].sum(axis=1) + width * X[:, 3]
    weight = np.full(n_rows, 1 / n_rows)

    def left_out(shrinkage):
        scores = []
        for i in range(n_rows):
            rest = np.delete(X, i, axis=0)
            cov = np.cov(rest, rowvar=False, ddof=0)
            cov = (1 - shrinkage) * cov + shrinkage * np.diag(np.diag(cov))
            scores.append(stats.multivariate_normal(rest.mean(axis=0), cov).logpdf(X[i]))
        return np.mean(scores)

    centre, covariance, found = likeliest_covariance(X, weight)
    off_diagonal = np.cov(X, rowvar=False, ddof=0)[0, 1]
    assert covariance[0, 1] == pytest.approx((1 - found) * off_diagonal)
    assert centre == pytest.approx(X.mean(axis=0))
    best = max(left_out(shrinkage) for shrinkage in (1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4))
    assert left_out(found) > best - 0.05


def test_a_mixture_does_not_depend_on_units_or_on_how_columns_are_combined(table):
    weight, mix = np.full(len(table), 1 / len(table)), np.array([[100.0, 1.0], [100.0, 1.01]])
    labels = cluster_labels(3, table, weight, np.random.RandomState(0))
    given = {"ridge": 1e-2, "pooling": 5.0}
    plain = fit_gaussian_mixture(labels, table, weight, **given)
    mixed = fit_gaussian_mixture(labels, table @ mix.T, weight, **given)
    assert mixed[0] == pytest.approx(plain[0], rel=1e-6)
    expected = mix @ plain[2] @ mix.T
    np.testing.assert_allclose(mixed[2], expected, rtol=1e-5)


def test_precision_factors_are_triangular_and_invert():
    A = np.random.RandomState(0).normal(size=(3, 5, 5))
    shapes = A @ A.transpose(0, 2, 1)
    for factor, expected in zip(precision_factors(shapes), np.linalg.inv(shapes)):
        assert factor @ factor.T == pytest.approx(expected)
        assert (np.tril(factor, -1) == 0).all()


def test_a_collinear_shape_gets_a_ridge_and_leaves_the_others_alone():
    regular = np.array([[2.0, 0.5], [0.5, 1.0]])
    collinear = np.array([[1e-20, 1.0], [1.0, 1e20]])
    factors = precision_factors(np.stack([regular, collinear, np.zeros((2, 2))]))
    assert np.isfinite(factors).all()
    np.testing.assert_array_equal(factors[0], precision_factors(regular[None])[0])


def test_the_gaussian_mixture_is_that_of_scikit_learn(table):
    expected = mixture.GaussianMixture(3, tol=2e-3, reg_covar=0.0, random_state=0).fit(table)
    weight = np.full(len(table), 1 / len(table))
    found = mixture_of(3, table, weight)
    for array, name in zip(found, ("weights_", "means_", "covariances_")):
        np.testing.assert_allclose(array, getattr(expected, name), rtol=1e-6, atol=1e-9)


def test_em_takes_weights_for_repetitions(table):
    counts = np.random.RandomState(0).randint(1, 4, len(table))
    rows = table.repeat(counts, axis=0)
    equal = np.full(len(rows), 1 / len(rows))
    weighted = mixture_of(2, table, counts / counts.sum())
    repeated = mixture_of(2, rows, equal)
    for left, right in zip(weighted, repeated):
        order = [np.argsort(fitted[0]) for fitted in (weighted, repeated)]
        np.testing.assert_allclose(left[order[0]], right[order[1]], atol=0.01)
