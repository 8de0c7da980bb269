"""The broad components: exact densities, exact samples, weights by EM."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp

from skflow import CouplingFlowDensity
from skflow._tails import (
    NAMES,
    BroadComponents,
    estimate_weights,
    fixed_weights,
    floors,
    n_clusters,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    return np.vstack([rng.normal(-2, 0.5, (300, 2)), rng.normal(2, 1.0, (300, 2))])


def fitted(table, weights=(0.1, 0.15, 0.05, 0.25, 0.05)):
    broad = BroadComponents().fit(table, rng=np.random.RandomState(0))
    broad.weights = np.array(weights)
    return broad


def grid(width, n):
    axis = np.linspace(-width, width, n)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return points, (axis[1] - axis[0]) ** 2


def test_components_integrate_to_one(table):
    points, cell = grid(60, 1201)
    mass = np.exp(fitted(table).log_probs(points)).sum(axis=1) * cell
    assert mass == pytest.approx([1, 1, 1, 1, 1], abs=5e-3)


def test_the_gaussian_is_the_shrunk_one_of_scipy(table):
    broad = fitted(table)
    expected = stats.multivariate_normal(broad.location, broad.covariance).logpdf(table)
    assert broad.log_probs(table)[0] == pytest.approx(expected)


def test_the_mixture_follows_clusters_that_one_gaussian_cannot(table):
    log_probs = fitted(table).log_probs(table).mean(axis=1)
    for name in ("gaussian_mixture", "t_mixture"):
        assert log_probs[NAMES.index(name)] > log_probs[NAMES.index("gaussian")] + 0.3


def test_the_gaussian_mixture_is_the_sum_of_its_clusters(table):
    broad = fitted(table)
    clusters = zip(broad.mixture.weights_, broad.mixture.means_, broad.mixture.covariances_)
    terms = [stats.multivariate_normal(m, c).logpdf(table) + np.log(w) for w, m, c in clusters]
    found = broad.log_probs(table)[NAMES.index("gaussian_mixture")]
    assert found == pytest.approx(logsumexp(terms, axis=0))


def test_the_number_of_clusters_follows_rows_and_features():
    assert n_clusters(10_000, 2) == (10, 100)
    assert n_clusters(10_000, 10) == (10, 20)
    assert n_clusters(10_000, 50) == (10, 10)
    assert n_clusters(600, 2) == (10, 15)
    assert n_clusters(100, 10) == (2, 2)
    assert max(n_clusters(40, 10)) < 2


def test_gaps_between_clusters_are_kept_by_the_gaussian_mixture():
    rng = np.random.RandomState(0)
    centres = 10 * rng.normal(size=(6, 3))
    X = centres[rng.randint(6, size=1200)] + 0.3 * rng.normal(size=(1200, 3))
    flow = CouplingFlowDensity(n_layers=2, max_iter=3, random_state=0).fit(X)
    assert flow._density.tails.weights[NAMES.index("gaussian_mixture")] > 0.5
    assert (flow.score_samples(centres) > flow.score_samples(centres.mean(axis=0)[None]) + 2).all()


def test_few_rows_get_a_single_cluster():
    X = np.random.RandomState(0).normal(size=(50, 8))
    broad = BroadComponents().fit(X, rng=np.random.RandomState(0))
    assert len(broad.clusters) == 1
    assert broad.mixture is None
    assert np.isfinite(broad.log_probs(X)).all()


@pytest.mark.parametrize("component", range(5))
def test_samples_are_of_their_component(table, component):
    broad = fitted(table)
    drawn = broad.sample(component, 4000, np.random.RandomState(1))
    assert drawn.shape == (4000, 2)
    # the density at draws, ranked among draws of a quadrature of the same density
    points, cell = grid(60, 601)
    log_prob = broad.log_probs(points)[component]
    parts = np.exp(log_prob - logsumexp(log_prob))
    rng = np.random.RandomState(2)
    within = rng.uniform(-0.5, 0.5, (4000, 2)) * np.sqrt(cell)
    reference = points[rng.choice(len(points), 4000, p=parts)] + within
    for j in range(2):
        assert stats.ks_2samp(drawn[:, j], reference[:, j]).pvalue > 1e-4


def test_mix_is_the_log_of_the_weighted_sum(table):
    broad = fitted(table)
    flow = stats.multivariate_normal([0, 0]).logpdf(table)
    expected = np.log(0.4 * np.exp(flow) + broad.weights @ np.exp(broad.log_probs(table)))
    assert broad.mix(flow, table) == pytest.approx(expected)


def test_mix_where_the_flow_has_no_weight_or_no_density(table):
    broad = fitted(table, (0.5, 0.1, 0.2, 0.1, 0.1))
    assert np.isfinite(broad.mix(np.zeros(len(table)), table)).all()
    assert np.isfinite(fitted(table).mix(np.full(len(table), -np.inf), table)).all()


def test_weights_maximise_the_likelihood():
    rng = np.random.RandomState(0)
    rows = rng.normal(size=2000) * np.where(rng.rand(2000) < 0.3, 3, 1)
    scales = (1, 3, 0.3, 9, 0.1, 30)
    log_probs = np.stack([stats.norm.logpdf(rows, scale=scale) for scale in scales])
    found = estimate_weights(log_probs, floors(5))

    def loss(parts):
        return -logsumexp(log_probs.T, b=parts / parts.sum(), axis=1).mean()

    best = optimize.minimize(loss, np.full(6, 1 / 6), bounds=[(1e-6, 1)] * 6)
    assert loss(np.array([1 - found.sum(), *found])) <= best.fun + 2e-2  # the floors cost a little
    assert found[0] == pytest.approx(0.3, abs=0.05)


def test_weights_have_floors_and_count_rows_by_weight():
    least = floors(5)
    log_probs = np.stack([np.zeros(50), *np.full((5, 50), -50.0)])
    found = estimate_weights(log_probs, least)
    assert found == pytest.approx(least / (1 + least.sum()), rel=1e-6)
    assert (found[least == 0] == 0).all()  # so that they need not be evaluated
    log_probs[:2, :25] = [[-50.0], [0.0]]
    row_weight = np.repeat([1.0, 3.0], 25)
    assert estimate_weights(log_probs, least, row_weight)[0] == pytest.approx(0.25, abs=0.02)


def test_the_price_of_the_guards_does_not_depend_on_the_number_of_columns():
    assert [floors(d).sum() / d for d in (1, 2, 15)] == pytest.approx([0.006] * 3)
    assert floors(200).sum() == pytest.approx(0.09)
    assert floors(10)[NAMES.index("gaussian")] == 0
    assert fixed_weights(0.3).sum() == pytest.approx(0.3)


def test_drift_off_a_line_is_not_a_catastrophe():
    rng = np.random.RandomState(0)
    first = rng.normal(size=500)
    line = np.column_stack([first, first + 1e-3 * rng.normal(size=500)])
    drifted = line + np.array([0.0, 0.5])
    broad = fitted(line)
    log_probs = broad.log_probs(drifted).mean(axis=1)
    assert log_probs[NAMES.index("t_wide")] > -4
    assert log_probs[NAMES.index("t")] < log_probs[NAMES.index("t_wide")] - 0.5
    assert log_probs[NAMES.index("gaussian")] < log_probs[NAMES.index("t_wide")] - 3


def test_weighted_rows_act_as_repetitions(table):
    weight = np.random.RandomState(0).randint(1, 4, len(table)).astype(float)
    weighted = BroadComponents().fit(table, weight, np.random.RandomState(0))
    repeated = BroadComponents().fit(
        table.repeat(weight.astype(int), axis=0), rng=np.random.RandomState(0)
    )
    assert weighted.location == pytest.approx(repeated.location)
    assert weighted.covariance == pytest.approx(repeated.covariance, rel=0.02)


def test_far_rows_get_low_but_sane_scores(table):
    guarded = CouplingFlowDensity(max_iter=3, random_state=0).fit(table)
    scores = guarded.score_samples(np.array([[0.0, 0.0], [1e2, -1e2], [1e6, 1e6]]))
    assert (np.diff(scores) < 0).all()
    assert scores[1] > -40
    assert scores[2] > -100
