"""The components: exact densities and exact samples."""

import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from skflow._models.components import COMPONENTS, FEW_ROWS, HEAVY_TAILED, fit_components
from skflow._models.ellipses import likeliest_covariance

#: One of each class and, of clusters, of each kind.
KINDS = "gaussian t_mixture t_wide t mixture_8 smooth_mixture_8 fine_mixture kernel_0.2".split()


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    return np.vstack([rng.normal(-2, 0.5, (300, 2)), rng.normal(2, 1.0, (300, 2))])


def fitted(name, table, weight=None, noise=0.0):
    return fit_components(table, weight, np.random.RandomState(0), noise, [name])[name]


def all_of(table):
    return fit_components(table, rng=np.random.RandomState(0))


def grid(width, n):
    axis = np.linspace(-width, width, n)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return points, (axis[1] - axis[0]) ** 2


# ---- every component


@pytest.mark.parametrize("name", KINDS)
def test_they_integrate_to_one(table, name):
    points, cell = grid(40, 301)
    mass = np.exp(fitted(name, table).log_prob(points)).sum() * cell
    assert mass == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", KINDS)
def test_they_are_proper_in_any_units(name):
    """As with standardize=False: also the narrow direction has a density that integrates to 1."""
    unit = np.array([1e6, 1.0])
    X = np.random.RandomState(0).standard_normal((600, 2)) * unit
    first, width = np.linspace(-12 * unit[0], 12 * unit[0], 401, retstep=True)
    u, step = np.linspace(-14, 14, 201, retstep=True)
    component = fitted(name, X)
    points = np.stack(np.meshgrid(first, np.sinh(u), indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(component.log_prob(points)).reshape(401, 201) @ np.cosh(u) * step * width
    assert mass.sum() == pytest.approx(1, abs=0.02)  # the grid is coarse for narrow clusters
    near, far = component.log_prob(np.array([[0.0, 0.0], [0.0, 1e9]]))
    assert near > far + 10


@pytest.mark.parametrize("name", KINDS)
def test_samples_are_of_their_component(table, name):
    component = fitted(name, table)
    drawn = component.sample(2000, np.random.RandomState(1))
    assert drawn.shape == (2000, 2)
    # the density at draws, ranked among draws of a quadrature of the same density
    points, cell = grid(40, 301)
    log_prob = component.log_prob(points)
    parts = np.exp(log_prob - logsumexp(log_prob))
    rng = np.random.RandomState(2)
    within = rng.uniform(-0.5, 0.5, (2000, 2)) * np.sqrt(cell)
    reference = points[rng.choice(len(points), 2000, p=parts)] + within
    for j in range(2):
        assert stats.ks_2samp(drawn[:, j], reference[:, j]).pvalue > 1e-4


@pytest.mark.parametrize("name", KINDS)
def test_their_state_is_arrays(table, name):
    component = fitted(name, table)
    kinds = (np.ndarray, float, int)
    assert all(isinstance(value, kinds) for value in vars(component).values())
    copied = pickle.loads(pickle.dumps(component))
    # NumPy 1.26 rounds by where an array lies in memory
    np.testing.assert_allclose(copied.log_prob(table), component.log_prob(table), rtol=1e-14)


@pytest.mark.parametrize("name", KINDS)
def test_weighted_rows_act_as_repetitions(table, name):
    counts = np.random.RandomState(0).randint(1, 4, len(table))
    weighted = fitted(name, table, counts.astype(float)).log_prob(table)
    repeated = fitted(name, table.repeat(counts, axis=0)).log_prob(table)
    assert weighted.mean() == pytest.approx(repeated.mean(), abs=0.15)


@pytest.mark.parametrize("name", KINDS)
def test_only_ratios_of_weights_count(table, name):
    weight = np.random.RandomState(0).uniform(1, 2, len(table))
    expected = fitted(name, table, weight).log_prob(table)
    np.testing.assert_array_equal(fitted(name, table, 2 * weight).log_prob(table), expected)
    ones, none = (fitted(name, table, w).log_prob(table) for w in (np.ones(len(table)), None))
    np.testing.assert_array_equal(ones, none)


@pytest.mark.parametrize("n_rows", [2, 3, 50])
def test_few_rows_and_many_columns(n_rows):
    X = np.random.RandomState(0).normal(size=(n_rows, 8))
    for component in fit_components(X, rng=np.random.RandomState(0)).values():
        assert np.isfinite(component.log_prob(X)).all()
        assert component.sample(3, np.random.RandomState(0)).shape == (3, 8)


@pytest.mark.parametrize("name", KINDS)
def test_noise_is_added_to_their_variances(table, name):
    """The density is that of draws with noise."""
    noisy, component = fitted(name, table, noise=0.7), fitted(name, table)
    points = table[::30]
    shifts = 0.7 * np.random.RandomState(0).standard_normal((3000, 2))
    smoothed = [np.exp(component.log_prob(point - shifts)).mean() for point in points]
    if not component.heavy_tailed:  # the noise of a Student-t is one of its shape
        assert noisy.log_prob(points) == pytest.approx(np.log(smoothed), abs=0.15)
    assert (noisy.log_prob(points) > component.log_prob(points) - 3).all()


def test_which_components_suit_which_tables():
    def names(n_rows, n_features):
        return {name for name, make in COMPONENTS.items() if make().suits(n_rows, n_features)}

    guards = {"gaussian", "t", "t_mixture", "t_wide"}
    assert names(7, 3) == guards | {"kernel_0.2", "kernel_0.4"}
    assert names(300, 2) == set(COMPONENTS) - {"fine_mixture"}
    assert not {"kernel_0.2", "kernel_0.4"} & names(1100, 2)
    assert names(FEW_ROWS + 1, 2) == guards | {"mixture_2", "mixture_8", "fine_mixture"}
    assert names(FEW_ROWS + 1, 30) == guards | {"mixture_2", "mixture_8"}


def test_the_heavy_tailed_ones_are_named():
    assert tuple(name for name, make in COMPONENTS.items() if make().heavy_tailed) == HEAVY_TAILED


def test_rows_count_by_their_weights():
    weight = np.repeat([1.0, 1e-9], [7, 40])
    X = np.random.RandomState(0).normal(size=(47, 3))
    few = fit_components(X, weight, np.random.RandomState(0))
    assert list(few) == list(fit_components(X[:7], rng=np.random.RandomState(0)))


@pytest.mark.parametrize("name", KINDS)
def test_collinear_and_repeated_rows(name):
    first = np.random.RandomState(0).normal(size=(200, 1))
    X = np.hstack([first, 2 * first, np.repeat([[0.0]], 200, axis=0), np.round(first)])
    assert np.isfinite(fitted(name, X).log_prob(X)).all()


# ---- against independent truths


def test_the_gaussian_of_many_rows_is_the_plain_one(table):
    expected = stats.multivariate_normal(table.mean(axis=0), np.cov(table, rowvar=False, ddof=0))
    found = fitted("gaussian", table).log_prob(table)
    assert found.mean() == pytest.approx(expected.logpdf(table).mean(), abs=0.005)


@pytest.mark.parametrize("noise", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("n_parts", [3, 10])
def test_a_total_and_its_parts_have_a_density_as_narrow_as_they_are(n_parts, noise):
    rng = np.random.RandomState(0)
    parts = rng.standard_normal((3000, n_parts))
    rest = noise * rng.standard_normal(3000)
    X = np.column_stack([parts, parts.sum(axis=1) + rest])
    truth = stats.norm.logpdf(parts).sum(axis=1) + stats.norm.logpdf(rest, scale=noise)
    size = X.std(axis=0)  # components see standardised columns
    components = fit_components(X[:1000] / size, rng=np.random.RandomState(0), names=["gaussian"])
    found = components["gaussian"].log_prob(X[1000:] / size) - np.log(size).sum()
    assert found.mean() > truth[1000:].mean() - 0.05 * (1 if n_parts == 3 else 2)


def test_a_copy_in_another_unit_gets_a_finite_density():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 2))
    X = np.column_stack([X, np.round(2.54 * X[:, 0], 3), X[:, 1], -1e6 * X[:, 1]])
    U = X / X.std(axis=0)
    for name, component in all_of(U).items():
        assert np.isfinite(component.log_prob(U)).all(), name
        drawn = component.sample(200, np.random.RandomState(0))
        assert np.isfinite(component.log_prob(drawn)).all(), name


def test_t_distributions_are_those_of_scipy(table):
    component = fitted("t", table)
    weight = np.full(len(table), 1 / len(table))
    covariance = likeliest_covariance(table, weight)[1]
    expected = stats.multivariate_t(table.mean(axis=0), covariance, df=3).logpdf(table)
    assert component.log_prob(table) == pytest.approx(expected)


def test_the_kernel_density_is_that_of_scikit_learn(table):
    spread = table.std(axis=0)
    expected = KernelDensity(bandwidth=0.2).fit(table / spread).score_samples(table / spread)
    found = fitted("kernel_0.2", table).log_prob(table)
    assert found == pytest.approx(expected - np.log(spread).sum())


def test_the_mixtures_follow_clusters_that_one_gaussian_cannot(table):
    score = {name: component.log_prob(table).mean() for name, component in all_of(table).items()}
    for name in ("mixture_2", "mixture_8", "smooth_mixture_8", "t_mixture", "kernel_0.2"):
        assert score[name] > score["gaussian"] + 0.3


def test_a_long_table_is_looked_at_in_part():
    X = np.random.RandomState(0).normal(size=(12_000, 1))
    weight = np.where(X[:, 0] > 0, 3.0, 1.0)
    found = fitted("mixture_8", X, weight).sample(20_000, np.random.RandomState(0))
    assert (found > 0).mean() == pytest.approx(0.75, abs=0.02)


def test_long_tables_with_few_columns_get_many_clusters():
    X = np.random.RandomState(0).normal(size=(FEW_ROWS + 1, 2))
    assert len(fitted("fine_mixture", X).weights) == FEW_ROWS // 40


def test_drift_off_a_line_is_not_a_catastrophe():
    rng = np.random.RandomState(0)
    first = rng.normal(size=500)
    line = np.column_stack([first, first + 1e-3 * rng.normal(size=500)])
    drifted = line + np.array([0.0, 0.5])
    log_probs = {name: c.log_prob(drifted).mean() for name, c in all_of(line).items()}
    assert log_probs["t_wide"] > -4
    assert log_probs["t"] < log_probs["t_wide"] - 0.5
    assert log_probs["gaussian"] < log_probs["t_wide"] - 3
