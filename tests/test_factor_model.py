"""Ellipses of very many columns: the same densities as with the dense shape."""

import time

import numpy as np
import pytest
from scipy import stats

from skflow._models import components as _components
from skflow._models import factor_model as _factor_model
from skflow._models.factor_model import (
    fit_factor_model,
    is_dense,
    log_det,
    low_rank_factor,
    unwhiten,
    whiten,
)


@pytest.fixture
def shape():
    rng = np.random.RandomState(0)
    return rng.normal(size=(6, 2)), rng.uniform(0.5, 2, 6)


def test_the_low_rank_factor_is_that_of_its_shape(shape):
    loadings, variances = shape
    rows = np.random.RandomState(1).normal(size=(20, 6))
    covariance = loadings @ loadings.T + np.diag(variances)
    factor = low_rank_factor(loadings, variances)
    square = (whiten(rows, factor) ** 2).sum(axis=1)
    found = log_det(factor) - 0.5 * (6 * np.log(2 * np.pi) + square)
    assert found == pytest.approx(stats.multivariate_normal(cov=covariance).logpdf(rows))
    assert unwhiten(whiten(rows, factor), factor) == pytest.approx(rows)
    drawn = unwhiten(np.eye(6), factor)
    assert drawn.T @ drawn == pytest.approx(covariance)


def test_where_ellipses_are_dense():
    assert is_dense(10, 300) and is_dense(1000, 1000) and is_dense(1e6, 1000)
    assert not is_dense(999, 1000) and not is_dense(1e6, 1001) and not is_dense(10, 301)


def test_factors_are_found_and_weights_count():
    rng = np.random.RandomState(0)
    W = rng.normal(size=(8, 1))
    X = rng.normal(size=(5000, 1)) @ W.T + 0.5 * rng.normal(size=(5000, 8))
    _, loadings, variances = fit_factor_model(X, np.full(5000, 1 / 5000), 5000, rng)
    assert loadings @ loadings.T + np.diag(variances) == pytest.approx(np.cov(X.T), abs=0.05)
    weight = np.where(X[:, 0] > 0, 1.0, 0.0)
    found = fit_factor_model(X, weight / weight.sum(), weight.sum(), rng)[0]
    assert found == pytest.approx(X[X[:, 0] > 0].mean(axis=0))


@pytest.mark.parametrize("name", _components.COMPONENTS)
def test_components_of_very_many_columns(monkeypatch, name):
    monkeypatch.setattr(_factor_model, "MAX_DENSE", 4)
    rng = np.random.RandomState(0)
    X = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 40)) + rng.normal(size=(600, 40))
    found = _components.fit_components(X, None, np.random.RandomState(0))
    if name not in found:
        assert "mixture" in name  # a single ellipse is all that there is
        return
    component = found[name]
    if name.startswith("kernel"):
        return  # it has no dense shapes in any case
    assert component.factors.shape[:2] == (1, 40) and component.factors.shape[2] < 40
    drawn = component.sample(4000, rng)
    spread = np.sqrt(component.dof / (component.dof - 2) if component.dof < np.inf else 1.0)
    widened = np.sqrt(X.var(axis=0) + 0.1 * (name == "t_wide"))
    np.testing.assert_allclose(np.median(drawn, axis=0), X.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(drawn.std(axis=0), spread * widened, rtol=0.3)


def test_more_columns_than_rows_take_seconds():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(500, 2000))
    start = time.process_time()
    for component in _components.fit_components(X, None, rng).values():
        assert np.isfinite(component.log_prob(X)).all()
    assert time.process_time() - start < 10
