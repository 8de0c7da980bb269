"""The components: exact densities, exact samples, weights by EM."""

import pickle

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp
from sklearn import mixture
from sklearn.covariance import ledoit_wolf

from skflow import CouplingFlowDensity
from skflow._components import (
    COMPONENTS,
    Statistics,
    estimate_weights,
    fit_components,
    fit_gaussian_mixture,
    fixed_weights,
    floors,
    least_weights,
    n_clusters,
    precision_factor,
    shrunk_covariance,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    return np.vstack([rng.normal(-2, 0.5, (300, 2)), rng.normal(2, 1.0, (300, 2))])


def fitted(table, weight=None):
    return fit_components(table, weight, np.random.RandomState(0))


def grid(width, n):
    axis = np.linspace(-width, width, n)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return points, (axis[1] - axis[0]) ** 2


# ---- every component


@pytest.mark.parametrize("name", COMPONENTS)
def test_they_integrate_to_one(table, name):
    points, cell = grid(40, 401)
    mass = np.exp(fitted(table)[name].log_prob(points)).sum() * cell
    assert mass == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", COMPONENTS)
def test_they_are_proper_in_any_units(name):
    """As with standardize=False: also the narrow direction has a density that integrates to 1."""
    unit = np.array([1e6, 1.0])
    X = np.random.RandomState(0).standard_normal((600, 2)) * unit
    first, width = np.linspace(-12 * unit[0], 12 * unit[0], 401, retstep=True)
    u, step = np.linspace(-14, 14, 201, retstep=True)
    component = fitted(X)[name]
    points = np.stack(np.meshgrid(first, np.sinh(u), indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(component.log_prob(points)).reshape(401, 201) @ np.cosh(u) * step * width
    assert mass.sum() == pytest.approx(1, abs=0.01)
    near, far = component.log_prob(np.array([[0.0, 0.0], [0.0, 1e9]]))
    assert near > far + 10


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPONENTS)
def test_samples_are_of_their_component(table, name):
    component = fitted(table)[name]
    drawn = component.sample(4000, np.random.RandomState(1))
    assert drawn.shape == (4000, 2)
    # the density at draws, ranked among draws of a quadrature of the same density
    points, cell = grid(40, 401)
    log_prob = component.log_prob(points)
    parts = np.exp(log_prob - logsumexp(log_prob))
    rng = np.random.RandomState(2)
    within = rng.uniform(-0.5, 0.5, (4000, 2)) * np.sqrt(cell)
    reference = points[rng.choice(len(points), 4000, p=parts)] + within
    for j in range(2):
        assert stats.ks_2samp(drawn[:, j], reference[:, j]).pvalue > 1e-4


@pytest.mark.parametrize("name", COMPONENTS)
def test_their_state_is_arrays(table, name):
    component = fitted(table)[name]
    assert all(isinstance(value, np.ndarray) for value in vars(component).values())
    copied = pickle.loads(pickle.dumps(component))
    np.testing.assert_array_equal(copied.log_prob(table), component.log_prob(table))


@pytest.mark.parametrize("name", COMPONENTS)
def test_weighted_rows_act_as_repetitions(table, name):
    counts = np.random.RandomState(0).randint(1, 4, len(table))
    weighted = fitted(table, counts.astype(float))[name].log_prob(table)
    repeated = fitted(table.repeat(counts, axis=0))[name].log_prob(table)
    assert weighted.mean() == pytest.approx(repeated.mean(), abs=0.2)


@pytest.mark.parametrize("name", COMPONENTS)
def test_only_ratios_of_weights_count(table, name):
    weight = np.random.RandomState(0).uniform(1, 2, len(table))
    expected = fitted(table, weight)[name].log_prob(table)
    np.testing.assert_array_equal(fitted(table, 2 * weight)[name].log_prob(table), expected)
    ones, none = (fitted(table, w)[name].log_prob(table) for w in (np.ones(len(table)), None))
    np.testing.assert_array_equal(ones, none)


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize("n_rows", [2, 3, 50])
def test_few_rows_and_many_columns(name, n_rows):
    X = np.random.RandomState(0).normal(size=(n_rows, 8))
    component = fitted(X)[name]
    assert len(component.weights) == 1
    assert np.isfinite(component.log_prob(X)).all()
    assert component.sample(3, np.random.RandomState(0)).shape == (3, 8)


@pytest.mark.parametrize("name", COMPONENTS)
def test_collinear_and_repeated_rows(name):
    first = np.random.RandomState(0).normal(size=(200, 1))
    X = np.hstack([first, 2 * first, np.repeat([[0.0]], 200, axis=0), np.round(first)])
    assert np.isfinite(fitted(X)[name].log_prob(X)).all()


# ---- against independent truths


def test_the_gaussian_is_the_shrunk_one_of_scikit_learn(table):
    covariance = ledoit_wolf(table)[0]
    expected = stats.multivariate_normal(table.mean(axis=0), covariance).logpdf(table)
    assert fitted(table)["gaussian"].log_prob(table) == pytest.approx(expected)


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


def test_t_distributions_are_those_of_scipy(table):
    component = fitted(table)["t"]
    covariance = ledoit_wolf(table)[0]
    expected = stats.multivariate_t(table.mean(axis=0), covariance, df=3).logpdf(table)
    assert component.log_prob(table) == pytest.approx(expected)


def test_a_precision_factor_is_triangular_and_inverts():
    A = np.random.RandomState(0).normal(size=(5, 5))
    shape = A @ A.T
    factor = precision_factor(shape)
    assert factor @ factor.T == pytest.approx(np.linalg.inv(shape))
    assert (np.tril(factor, -1) == 0).all()


def test_the_gaussian_mixture_is_that_of_scikit_learn(table):
    expected = mixture.GaussianMixture(3, reg_covar=1e-3, random_state=0).fit(table)
    weight = np.full(len(table), 1 / len(table))
    found = fit_gaussian_mixture(3, table, weight, np.random.RandomState(0))
    for array, name in zip(found, ("weights_", "means_", "covariances_")):
        np.testing.assert_allclose(array, getattr(expected, name), rtol=1e-6, atol=1e-9)
    component = fitted(table)["gaussian_mixture"]
    assert len(component.weights) == 15


def test_em_takes_weights_for_repetitions(table):
    counts = np.random.RandomState(0).randint(1, 4, len(table))
    rows = table.repeat(counts, axis=0)
    equal = np.full(len(rows), 1 / len(rows))
    weighted = fit_gaussian_mixture(2, table, counts / counts.sum(), np.random.RandomState(0))
    repeated = fit_gaussian_mixture(2, rows, equal, np.random.RandomState(0))
    for left, right in zip(weighted, repeated):
        order = [np.argsort(fitted[0]) for fitted in (weighted, repeated)]
        np.testing.assert_allclose(left[order[0]], right[order[1]], atol=0.01)


def test_the_mixtures_follow_clusters_that_one_gaussian_cannot(table):
    score = {name: component.log_prob(table).mean() for name, component in fitted(table).items()}
    for name in ("gaussian_mixture", "t_mixture"):
        assert score[name] > score["gaussian"] + 0.3


def test_the_number_of_clusters_follows_rows_and_features():
    assert n_clusters(10_000, 2) == (10, 100)
    assert n_clusters(10_000, 10) == (10, 20)
    assert n_clusters(10_000, 50) == (10, 10)
    assert n_clusters(600, 2) == (10, 15)
    assert n_clusters(100, 10) == (2, 2)
    assert max(n_clusters(40, 10)) < 2
    weight = np.repeat([1.0, 1e-9], [100, 900])
    assert Statistics(np.zeros((1000, 10)), weight).n_clusters() == (2, 2)


def test_a_long_table_is_looked_at_in_part():
    X = np.random.RandomState(0).normal(size=(12_000, 1))
    weight = np.where(X[:, 0] > 0, 3.0, 1.0)
    found = fitted(X, weight)["gaussian_mixture"].sample(20_000, np.random.RandomState(0))
    assert (found > 0).mean() == pytest.approx(0.75, abs=0.02)


def test_gaps_between_clusters_are_kept_by_the_gaussian_mixture():
    rng = np.random.RandomState(0)
    centres = 10 * rng.normal(size=(6, 3))
    X = centres[rng.randint(6, size=1200)] + 0.3 * rng.normal(size=(1200, 3))
    flow = CouplingFlowDensity(n_layers=2, max_iter=3, random_state=0).fit(X)
    density = flow._density
    assert dict(zip(density.components, density.weights[1:]))["gaussian_mixture"] > 0.5
    assert (flow.score_samples(centres) > flow.score_samples(centres.mean(axis=0)[None]) + 2).all()


def test_drift_off_a_line_is_not_a_catastrophe():
    rng = np.random.RandomState(0)
    first = rng.normal(size=500)
    line = np.column_stack([first, first + 1e-3 * rng.normal(size=500)])
    drifted = line + np.array([0.0, 0.5])
    log_probs = {name: c.log_prob(drifted).mean() for name, c in fitted(line).items()}
    assert log_probs["t_wide"] > -4
    assert log_probs["t"] < log_probs["t_wide"] - 0.5
    assert log_probs["gaussian"] < log_probs["t_wide"] - 3


# ---- weights


def test_weights_maximise_the_likelihood():
    rng = np.random.RandomState(0)
    rows = rng.normal(size=2000) * np.where(rng.rand(2000) < 0.3, 3, 1)
    scales = (1, 3, 0.3, 9, 0.1, 30)
    log_probs = np.stack([stats.norm.logpdf(rows, scale=scale) for scale in scales])
    found = estimate_weights(log_probs, floors(5))

    def loss(parts):
        return -logsumexp(log_probs.T, b=parts / parts.sum(), axis=1).mean()

    best = optimize.minimize(loss, np.full(6, 1 / 6), bounds=[(1e-6, 1)] * 6)
    assert loss(found) <= best.fun + 2e-2  # the floors cost a little
    assert found[1] == pytest.approx(0.3, abs=0.05)


def test_weights_have_floors_and_count_rows_by_weight():
    least = floors(5)
    log_probs = np.stack([np.zeros(50), *np.full((5, 50), -50.0)])
    found = estimate_weights(log_probs, least)
    assert found[1:] == pytest.approx(least[1:] / (1 + least.sum()), rel=1e-6)
    assert (found[1:][least[1:] == 0] == 0).all()  # so that they need not be evaluated
    log_probs[:2, :25] = [[-50.0], [0.0]]
    row_weight = np.repeat([1.0, 3.0], 25)
    assert estimate_weights(log_probs, least, row_weight)[1] == pytest.approx(0.25, abs=0.02)


def test_the_price_of_the_guards_does_not_depend_on_the_number_of_columns():
    assert [floors(d).sum() / d for d in (1, 2, 15)] == pytest.approx([0.006] * 3)
    assert floors(200).sum() == pytest.approx(0.09)
    guards = [0.0, *(make().is_guard for make in COMPONENTS.values())]
    assert (floors(10) > 0).tolist() == [bool(guard) for guard in guards]


@pytest.mark.parametrize("weights", [fixed_weights(0.3), least_weights(7)])
def test_given_weights_leave_the_rest_to_the_flow(weights):
    assert weights.sum() == pytest.approx(1)
    assert (weights[1:] == weights[1:].max())[floors(1)[1:] > 0].all()
    assert fixed_weights(0.3)[0] == pytest.approx(0.7)


def test_far_rows_get_low_but_sane_scores(table):
    guarded = CouplingFlowDensity(max_iter=3, random_state=0).fit(table)
    scores = guarded.score_samples(np.array([[0.0, 0.0], [1e2, -1e2], [1e6, 1e6]]))
    assert (np.diff(scores) < 0).all()
    assert scores[1] > -40
    assert scores[2] > -100
