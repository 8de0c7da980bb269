"""A fitted density: averages of members, samples of the mixture, blocks."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from skflow import CouplingFlowDensity
from skflow._models.components import fit_components
from skflow._models.mixture import Mixture
from skflow._nn import blocks as _blocks


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    first = rng.normal(size=600)
    return np.column_stack([5 + first, 100 * (first**2 + 0.3 * rng.normal(size=600))])


@pytest.fixture(scope="module")
def ensemble(X):
    given = {"n_layers": 3, "n_estimators": 3, "mask_layout": "random", "max_iter": 15}
    return CouplingFlowDensity(**given, random_state=0).fit(X)


def test_members_are_averaged_as_densities_and_mixed_with_components(ensemble, X):
    density = ensemble._density
    Z = (X - ensemble.location_) / ensemble.scale_
    members = density.flow.log_probs(Z)
    assert members.shape == (6, 600)  # two folds of each
    average = np.log(np.exp(members).mean(axis=0))
    components = list(density.mixture.models.values())[1:]
    terms = [average, *(component.log_prob(Z) for component in components)]
    expected = logsumexp(terms, b=density.mixture.weights[:, None], axis=0)
    expected -= np.log(ensemble.scale_).sum()
    assert ensemble.score_samples(X) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_members_differ_in_masks_and_parameters(ensemble):
    assert ensemble.masks_.shape == (3, 3, 2)
    theta = ensemble._density.flow.stack.theta.numpy()
    for one, other in combinations(theta, 2):
        assert (np.abs(one - other) > 1e-3).mean() > 0.9


def test_samples_are_of_the_whole_mixture(ensemble):
    drawn = ensemble.sample(4000, random_state=0, tails=True)
    again = ensemble.sample(4000, random_state=1, tails=True)
    for j in range(2):
        assert stats.ks_2samp(drawn[:, j], again[:, j]).pvalue > 1e-4
    # -E[log p] under the model's own draws, against importance sampling from a broader Student-t
    entropy = -ensemble.score_samples(drawn).mean()
    centre, spread = np.median(drawn, axis=0), 1.5 * stats.iqr(drawn, axis=0)
    steps = np.random.RandomState(2).standard_t(2, size=(200_000, 2))
    log_q = (stats.t.logpdf(steps, 2) - np.log(spread)).sum(axis=1)
    log_p = ensemble.score_samples(centre + spread * steps)
    weight = np.exp(log_p - log_q)
    assert weight.mean() == pytest.approx(1, abs=0.03)
    assert -(weight * log_p).mean() == pytest.approx(entropy, abs=0.15)


@pytest.mark.parametrize("n_rows", [1, 7, 600])
def test_blocks_do_not_matter(ensemble, X, monkeypatch, n_rows):
    expected = ensemble.score_samples(X)
    numbers_per_row = ensemble._density.mixture.numbers_per_row
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", n_rows * numbers_per_row)
    assert ensemble.score_samples(X) == pytest.approx(expected, rel=1e-10)


class Normal:
    """A model that is no flow."""

    heavy_tailed = False

    def log_prob(self, U, context=None):
        return stats.multivariate_normal([0, 0]).logpdf(U)

    def sample(self, n_samples, rng, context=None):
        return rng.standard_normal((n_samples, 2))


def test_a_mixture_is_the_log_of_the_weighted_sum_of_any_models(X):
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    components = fit_components(Z, rng=np.random.RandomState(0))
    models = {"normal": Normal(), **components}
    some = np.random.RandomState(0).dirichlet(np.ones(len(models)))
    log_probs = [model.log_prob(Z) for model in models.values()]
    for weights in (some, np.eye(len(models))[1]):
        mixture = Mixture(models, weights)
        assert mixture.log_prob(Z) == pytest.approx(np.log(weights @ np.exp(log_probs)))
        drawn = mixture.sample(4000, np.random.RandomState(1))
        entropy = -mixture.log_prob(drawn)
        assert entropy.std() < 5 and drawn.shape == (4000, 2)


def test_models_without_weight_are_not_asked(X):
    mixture = Mixture({"flow": None, "normal": Normal()}, np.array([0.0, 1.0]))
    assert mixture.log_prob(X) == pytest.approx(Normal().log_prob(X))


@pytest.mark.parametrize("seed", range(3))
def test_fits_of_few_rows_can_be_sampled(seed):
    """Their weights may have added up to 1.0000000000000002."""
    X = np.random.default_rng(seed).standard_normal((40, 5))
    flow = CouplingFlowDensity(1, max_iter=1, random_state=0).fit(X)
    assert flow.sample(2, random_state=0).shape == (2, 5)
    assert (flow.weights_ >= 0).all()
