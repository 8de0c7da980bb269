"""From scores to a common unit, folds of equal size, fits outside each fold."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline

from skflow import CouplingFlowDensity
from skflow._outliers.rarity import log_rarity, score_of_rarity
from skflow._outliers.resolutions import N_FOLDS, default_densities, fit_scorers, folds

QUICK = {"n_layers": 2, "hidden_layer_sizes": (8,), "max_iter": 2, "component_weight": 0}


def test_log_rarity_is_the_rank_where_rows_are_left_to_count():
    reference = np.arange(1.0, 100.0)
    scores = np.array([20.0, 50.0, 90.0])
    np.testing.assert_allclose(log_rarity(scores, reference), np.log(scores / 100))


def test_log_rarity_goes_on_as_the_tail_does():
    """Of an exponential distribution it is the logarithm of the true probability."""
    n = 100_000
    reference = np.sort(-np.random.default_rng(0).exponential(2.0, n))
    scores = np.array([-5.0, -10.0, -20.0, -50.0])
    np.testing.assert_allclose(log_rarity(scores, reference), scores / 2.0, rtol=0.03)


@pytest.mark.parametrize("n", [2, 6, 50, 1000])
def test_log_rarity_is_increasing_and_continuous(n):
    reference = np.sort(np.random.default_rng(n).standard_t(2, n))
    scores = np.linspace(reference[0] - 5, reference[-1] + 1, 20_001)
    found = log_rarity(scores, reference)
    assert (found <= 0).all() and (np.diff(found) >= 0).all()
    gap = np.log(2) + 0.01  # from one row of the reference to the next
    assert np.diff(found).max() <= gap


def test_log_rarity_with_ties_and_outliers_in_the_reference():
    ties = np.repeat([-2.0, -1.0, 0.0], 100)
    assert log_rarity(np.array([-2.0]), ties)[0] == pytest.approx(np.log(100 / 301))
    assert np.isfinite(log_rarity(np.array([-1e300, 0.0]), ties)).all()
    clean = np.sort(-np.random.default_rng(0).exponential(1.0, 1000))
    spoiled = clean.copy()
    spoiled[:10] = -1e6
    scores = np.array([-12.0])
    assert log_rarity(scores, spoiled) == pytest.approx(log_rarity(scores, clean), rel=0.25)


@pytest.mark.parametrize("n_rows", [8, 11, 100, 101])
def test_folds_cover_the_rows_in_equal_parts(n_rows):
    held_out, others = folds(n_rows, np.random.RandomState(0))
    assert len(held_out) == len(others) == N_FOLDS
    assert {len(rows) for rows in held_out} == {-(-n_rows // N_FOLDS)}
    assert set(np.concatenate(held_out)) == set(range(n_rows))
    for rows, rest in zip(held_out, others):
        assert set(rows) | set(rest) == set(range(n_rows)) and not set(rows) & set(rest)


def test_every_density_is_fitted_outside_each_fold():
    X = np.random.default_rng(0).standard_normal((40, 2))
    held_out, others = folds(40, np.random.RandomState(0))
    flow = CouplingFlowDensity(random_state=0, **QUICK)
    densities = [
        ("mixture", GaussianMixture(random_state=0)),
        ("flow", flow),
        ("latent", make_pipeline(flow, KernelDensity())),
    ]
    table = CouplingFlowDensity(1, max_iter=1).fit(X)._table
    fitted, of_codes = fit_scorers(densities, X, X, table, held_out, others, default=False)
    assert of_codes == ["flow", "latent"]
    for mixture, rows in zip(fitted["mixture"], others):
        np.testing.assert_allclose(mixture.means_[0], X[rows].mean(axis=0))
    for f, pipeline in enumerate(fitted["latent"]):
        flow, kernel = pipeline[0], pipeline[-1]
        latent = np.sort(flow.transform(X[others[f]]), axis=0)
        np.testing.assert_allclose(np.sort(kernel.tree_.data, axis=0), latent)
        assert type(fitted["flow"][f]) is CouplingFlowDensity


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_scores_of_a_rarity_are_those_that_have_it(step):
    reference = np.sort(np.random.default_rng(0).standard_normal(200))
    reference = np.round(reference / step) * step if step else reference
    scores = np.linspace(reference[0] - 10, reference[-1], 50)
    rarity = log_rarity(scores, reference)
    np.testing.assert_allclose(score_of_rarity(rarity, reference), scores)


@pytest.mark.parametrize("n_rows", [8, 100, 3000, 100_000])
def test_the_epochs_of_the_default_flow_are_bounded(n_rows):
    scorers, weights = default_densities(n_rows, 5)
    assert 10 <= dict(scorers)["flow"].max_iter <= 60
    assert len(weights) == len(scorers)
