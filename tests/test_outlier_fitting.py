"""Fits outside each fold, of equal size, and scores of any kind in a common unit."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline

from skflow import CouplingFlowDensity, Training
from skflow._outliers.fitting import N_FOLDS, fit_scorers, folds
from skflow._outliers.rarity import log_rarity, score_of_rarity
from skflow._outliers.scorers import default_scorers

QUICK = {"n_layers": 2, "hidden_layer_sizes": (8,), "max_iter": 4, "component_weight": 0}


def test_log_rarity_is_the_rank_where_rows_are_left_to_count():
    reference = np.arange(1.0, 100.0)
    scores = np.array([20.0, 50.0, 90.0])
    np.testing.assert_allclose(log_rarity(scores, reference), np.log(scores / 100))
    ties = np.repeat([-2.0, -1.0, 0.0], 100)
    assert log_rarity(np.array([-2.0]), ties)[0] == pytest.approx(np.log(100 / 301))
    assert np.isfinite(log_rarity(np.array([-1e300, 0.0]), ties)).all()


def test_log_rarity_goes_on_as_the_tail_does():
    """Of an exponential distribution it is the logarithm of the true probability."""
    reference = np.sort(-np.random.default_rng(0).exponential(2.0, 100_000))
    scores = np.array([-5.0, -10.0, -20.0, -50.0])
    np.testing.assert_allclose(log_rarity(scores, reference), scores / 2.0, rtol=0.03)
    reference[:1000] = -1e6  # outliers hardly move it
    assert log_rarity(scores[2:3], reference) == pytest.approx(-10, rel=0.25)


@pytest.mark.parametrize("n", [2, 6, 50, 1000])
def test_log_rarity_is_increasing_and_continuous(n):
    reference = np.sort(np.random.default_rng(n).standard_t(2, n))
    scores = np.linspace(reference[0] - 5, reference[-1] + 1, 20_001)
    found = log_rarity(scores, reference)
    assert (found <= 0).all() and (np.diff(found) >= 0).all()
    gap = np.log(2) + 0.01  # from one row of the reference to the next
    assert np.diff(found).max() <= gap


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_scores_of_a_rarity_are_those_that_have_it(step):
    reference = np.sort(np.random.default_rng(0).standard_normal(200))
    reference = np.round(reference / step) * step if step else reference
    scores = np.linspace(reference[0] - 10, reference[-1], 50)
    rarity = log_rarity(scores, reference)
    np.testing.assert_allclose(score_of_rarity(rarity, reference), scores)


@pytest.mark.parametrize("n_rows", [8, 11, 101])
def test_folds_cover_the_rows_in_equal_parts(n_rows):
    held_out, others = folds(n_rows, np.random.RandomState(0))
    assert len(held_out) == len(others) == N_FOLDS
    assert {len(rows) for rows in held_out} == {-(-n_rows // N_FOLDS)}
    assert set(np.concatenate(held_out)) == set(range(n_rows))
    for rows, rest in zip(held_out, others):
        assert set(rows) | set(rest) == set(range(n_rows)) and not set(rows) & set(rest)


FLOW = CouplingFlowDensity(random_state=0, **QUICK)
DENSITIES = {
    "mixture": GaussianMixture(random_state=0),
    "flow": FLOW,
    "unstopped": CouplingFlowDensity(early_stopping=False, random_state=0, **QUICK),
    "coarse": CouplingFlowDensity(training=Training(noise=0.5), random_state=0, **QUICK),
    "latent": make_pipeline(FLOW, KernelDensity()),
}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((60, 3)) * [1.0, 10.0, 0.1] + 5


@pytest.fixture(scope="module")
def fit(X):
    """The rows outside each fold, a function of rows that fits to these, and what it finds."""
    table = CouplingFlowDensity(1, max_iter=1).fit(X)._table
    _, others = folds(len(X), np.random.RandomState(0))

    def fit(X):
        return fit_scorers(list(DENSITIES.items()), X, X, table, others, default=False)

    return others, fit, fit(X)


def test_every_density_is_fitted_outside_each_fold(fit, X):
    others, again, (fitted, of_codes) = fit
    assert of_codes == ["flow", "unstopped", "coarse", "latent"]
    moved = X.copy()
    fold = np.setdiff1d(np.arange(60), others[0])
    moved[fold] = np.random.default_rng(0).permuted(moved[fold], axis=0)  # columns stay as they are
    for name, members in again(moved)[0].items():
        pairs = zip(members, fitted[name], strict=True)
        same = [np.allclose(a.score_samples(X), b.score_samples(X), atol=1e-3) for a, b in pairs]
        assert same == [True, False, False, False], name
    for f, pipeline in enumerate(fitted["latent"]):
        latent = np.sort(pipeline[0].transform(X[others[f]]), axis=0)
        np.testing.assert_allclose(np.sort(pipeline[-1].tree_.data, axis=0), latent)
    assert not hasattr(FLOW, "masks_")  # what was given is not fitted


@pytest.mark.parametrize("name", ["flow", "unstopped", "coarse"])
def test_flows_of_folds_are_estimators_like_any_other(fit, X, name):
    for member in fit[2][0][name]:
        assert type(member) is CouplingFlowDensity and repr(member) == repr(DENSITIES[name])
        assert member.masks_.shape == (2, 3)
        assert len(member.loss_curve_) == member.n_iter_
        assert (member.validation_scores_ is None) == (name == "unstopped")
        np.testing.assert_allclose(member.inverse_transform(member.transform(X)), X, rtol=1e-6)
    before, masks = member.score(X), member.masks_
    member.set_params(warm_start=True, max_iter=20).fit(X)
    assert (member.masks_ == masks).all() and member.score(X) > before


@pytest.mark.parametrize("n_rows", [8, 3000, 100_000])
def test_the_epochs_of_the_default_flow_are_bounded(n_rows):
    scorers, weights = default_scorers(n_rows, 5)
    assert 10 <= dict(scorers)["flow"].max_iter <= 60
    assert len(weights) == len(scorers)
