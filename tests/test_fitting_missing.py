"""Fits to rows with missing cells: draw and refit."""

import numpy as np
import pytest
from sklearn.base import clone
from small_flows import ESTIMATORS

from skflow import CouplingFlowDensity
from skflow._core.runtime import shelter
from skflow._missing.fitting import fill_with_mixtures
from skflow._table.bounds import check_bounds
from skflow._table.schema import fit_schema

OPTIONS = {
    "standardize": True,
    "dequantize": False,
    "bounds": check_bounds(None, 3, None),
    "names": None,
}


def with_missing(X, part, seed=0):
    missing = np.random.RandomState(seed).uniform(size=X.shape) < part
    return np.where(missing, np.nan, X)


def dependent_rows(n_rows):
    X = np.random.RandomState(0).standard_normal((n_rows, 3))
    X[:, 1] = X[:, 0] ** 2 + 0.3 * X[:, 1]
    X[:, 2] = 10 - X[:, 0] + 0.3 * X[:, 2]
    return X


@pytest.mark.parametrize("most_rows", [2000, 700])
def test_mixtures_fill_in_what_depends_on_each_other(most_rows, monkeypatch):
    monkeypatch.setattr("skflow._missing.fitting.MOST_ROWS", most_rows)
    X = dependent_rows(2000)
    incomplete = with_missing(X, 0.3)
    with shelter():
        schema = fit_schema(incomplete, {}, False)
        rng = np.random.RandomState(0)
        filled, _ = fill_with_mixtures(incomplete, schema, None, rng, OPTIONS)
    known = ~np.isnan(incomplete)
    assert np.array_equal(filled[known], X[known])
    residual = filled[:, 2] + filled[:, 0] - 10
    assert residual[~known[:, 2]].std() == pytest.approx(0.3, rel=0.3)
    residual = filled[:, 1] - filled[:, 0] ** 2
    assert residual[~known[:, 1]].std() < 0.8


@pytest.mark.parametrize("category", [False, True])
def test_draws_of_few_rows_do_not_weaken_dependence_round_by_round(category):
    """Half of the cells are drawn from shrunk covariances, and fitted again."""
    rng = np.random.RandomState(0)
    X = np.sqrt(0.7) * rng.standard_normal((100, 1)) + np.sqrt(0.3) * rng.standard_normal((100, 6))
    known, categories = ~np.isnan(with_missing(X, 0.5)), {}
    incomplete = np.where(known, X, np.nan)
    if category:
        categories = {6: np.array(["a", "b"])}
        incomplete = np.column_stack([incomplete, rng.randint(2, size=100)])
    options = OPTIONS | {"bounds": check_bounds(None, incomplete.shape[1], None)}
    schema = fit_schema(incomplete, categories, False)
    with shelter():
        _, density = fill_with_mixtures(incomplete, schema, None, rng, options)
    gaussian = density.mixture.models["gaussian"]
    factor = getattr(gaussian, "members", [gaussian])[0].factors[0]
    shape = np.linalg.inv(factor @ factor.T)
    size = np.sqrt(np.diag(shape))
    found = (shape / size / size[:, None])[np.triu_indices(6, 1)].mean()
    assert found == pytest.approx(np.corrcoef(X.T)[np.triu_indices(6, 1)].mean(), abs=0.1)


@pytest.mark.slow
def test_a_fit_to_rows_with_missing_is_nearly_as_good_as_to_whole_rows():
    X, held_out = np.split(dependent_rows(2400), [800])
    incomplete = with_missing(X, 0.3)
    flow = CouplingFlowDensity(
        3, hidden_layer_sizes=(16,), max_iter=30, component_weight=0, random_state=0
    )
    whole = clone(flow).fit(X).score(held_out)
    dropped = clone(flow).fit(X[~np.isnan(incomplete).any(axis=1)]).score(held_out)
    filled = flow.fit(incomplete).score(held_out)
    assert filled > whole - 0.2
    assert filled > dropped - 0.02


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_fitted_to_rows_with_missing(name):
    X = with_missing(dependent_rows(80), 0.2)
    X[3] = np.nan  # nothing is known
    weight = np.random.RandomState(1).uniform(size=80)
    flow = clone(ESTIMATORS[name]).fit(X, sample_weight=weight)
    scores = flow.score_samples(X)
    assert np.isfinite(scores).all()
    known = np.arange(80) != 3
    again = clone(flow).fit(X[known], sample_weight=weight[known])
    assert np.array_equal(again.score_samples(X), scores)


def test_a_warm_start_draws_missing_from_its_density():
    X = dependent_rows(80)
    flow = clone(ESTIMATORS["spline"]).set_params(warm_start=True).fit(X)
    before = flow.location_
    flow.fit(with_missing(X, 0.2))
    assert np.array_equal(flow.location_, before)
    assert np.isfinite(flow.score(X))


def test_filled_cells_are_on_grids_within_bounds_and_constant_where_columns_are():
    X = dependent_rows(300)
    X[:, 1] = np.maximum(np.round(2 * X[:, 1]) / 2, 0)
    X[:, 2] = 7
    flow = clone(ESTIMATORS["spline"]).set_params(dequantize=True, bounds={1: (0, None)})
    with pytest.warns(UserWarning, match="Column 2 is constant"):
        flow.fit(with_missing(X, 0.3))
    assert flow.grid_steps_[1] == 0.5
    assert flow.location_[2] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, 1].fill(np.nan), "All values of column 1 of X are NaN"),
        (lambda X: X[1:].fill(np.nan), "1 of 30 rows of X"),
        (lambda X: X[0].fill(np.inf), "Input X contains infinity in 1 of 30 rows"),
        (lambda X: X[:5, 0].fill(-50), "5 rows lie beyond the bounds, in column 0"),
    ],
)
def test_what_cannot_be_fitted_is_said(change, message):
    X = with_missing(dependent_rows(30), 0.2)
    change(X)
    with pytest.raises(ValueError, match=message):
        clone(ESTIMATORS["spline"]).set_params(bounds={0: (-10, None)}).fit(X)
