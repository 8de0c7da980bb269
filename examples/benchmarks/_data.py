"""Data sets of the likelihood benchmark: real tables, and distributions whose density is known.

``load(name, seed, data_home)`` returns a :class:`Table`. The rows of the paper's four tables are
fixed; those bundled with scikit-learn are split anew for each seed, and the synthetic ones drawn
anew, so that the standard error over seeds covers the choice of rows as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import sklearn.datasets
from scipy import stats
from scipy.special import logsumexp

N_SYNTHETIC = 20_000
BUNDLED_TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Table:
    """Training rows, one or more sets of test rows, and the true log-density where it is known."""

    name: str
    X_train: np.ndarray
    tests: dict[str, np.ndarray]
    true_log_prob: Callable[[np.ndarray], np.ndarray] | None = None


# ------------------------------------------------------------------------------------------------
# Real tables


def _paper(name, data_home, *, rows="train_indices", tests=("test",)):
    """One of the paper's tables; `rows` and `tests` name index arrays of the loader's result."""
    from skflow import datasets

    bunch = getattr(datasets, f"fetch_{name}")(data_home=data_home)
    X = np.asarray(bunch.data, dtype=float)
    return X[bunch[rows]], {test: X[bunch[f"{test}_indices"]] for test in tests}


def _jittered_yeast(data_home):
    """Yeast, with each value spread evenly over its cell of the grid of 0.01.

    On the grid itself a likelihood has no bound: two columns are nearly constant, and a component
    of a mixture may shrink onto a value as far as its regularisation lets it.
    """
    X_train, tests = _paper("yeast", data_home)
    rng = np.random.default_rng(0)
    jittered = {k: X + rng.uniform(-0.005, 0.005, X.shape) for k, X in tests.items()}
    return X_train + rng.uniform(-0.005, 0.005, X_train.shape), jittered


_turbine = partial(_paper, "turbine")
PAPER = {
    "magic": partial(_paper, "magic"),
    "yeast": partial(_paper, "yeast"),
    "yeast-jittered": _jittered_yeast,
    "sonar": partial(_paper, "sonar"),
    # One fit, tested on held-out rows of the training years and on the two years that follow them.
    "turbine": partial(_turbine, rows="fit_indices", tests=("heldout", "test")),
    # The later years again, after a fit of all rows of the training years.
    "turbine-years": _turbine,
}


def _without_sex():
    """scikit-learn's diabetes without its two-valued column, which has no density."""
    bunch = sklearn.datasets.load_diabetes(scaled=False)
    return np.delete(bunch.data, bunch.feature_names.index("sex"), axis=1)


def _digits():
    """The pixels that take more than one value in every tenth of the rows."""
    X = sklearn.datasets.load_digits().data
    return X[:, np.ptp(np.percentile(X, (5, 95), axis=0), axis=0) > 0]


BUNDLED = {
    "iris": lambda: sklearn.datasets.load_iris().data,
    "wine": lambda: sklearn.datasets.load_wine().data,
    "breast-cancer": lambda: sklearn.datasets.load_breast_cancer().data,
    "diabetes": _without_sex,
    "digits": _digits,
}


def _split(X, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    n_test = round(BUNDLED_TEST_FRACTION * len(X))
    return X[order[n_test:]], {"test": X[order[:n_test]]}


JITTER = 0.1  # of the standard deviation of a column's training rows


def _jittered(table):
    """The table with normal noise on every value, so that no value repeats."""
    rng = np.random.default_rng(0)
    size = JITTER * table.X_train.std(axis=0)

    def spread(X):
        return X + size * rng.standard_normal(X.shape)

    tests = {test: spread(X) for test, X in table.tests.items()}
    return Table(f"{table.name}-jittered", spread(table.X_train), tests)


# ------------------------------------------------------------------------------------------------
# Distributions with a known density: each has ``sample(n, rng)`` and ``log_prob(X)``


def _random_covariance(d, rng):
    """A covariance with unit variances and eigenvalues spread over more than a decade."""
    A = rng.standard_normal((d, d))
    covariance = A @ A.T / d + 0.1 * np.eye(d)
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


class GaussianMixture:
    """Five correlated Gaussians of unequal weight, partly overlapping."""

    def __init__(self, d, n_components=5):
        rng = np.random.default_rng(d)
        self.weights = rng.dirichlet(np.full(n_components, 5.0))
        self.components = [
            stats.multivariate_normal(2.0 * rng.standard_normal(d), _random_covariance(d, rng))
            for _ in range(n_components)
        ]

    def sample(self, n, rng):
        counts = rng.multinomial(n, self.weights)
        parts = [c.rvs(k, random_state=rng) for c, k in zip(self.components, counts)]
        return rng.permutation(np.concatenate([np.atleast_2d(part) for part in parts]))

    def log_prob(self, X):
        logs = [c.logpdf(X) + np.log(w) for c, w in zip(self.components, self.weights)]
        return logsumexp(logs, axis=0)


class TwoMoons:
    """Isotropic Gaussian noise around two interleaved half circles, uniform along the arc.

    The density is the integral of the noise along the arcs. Gauss-Legendre nodes lie closer
    together than a quarter of the noise's standard deviation: the quadrature is exact to rounding.
    """

    def __init__(self, noise=0.1, n_nodes=200):
        self.noise = noise
        nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
        angles = np.pi * (nodes + 1) / 2
        self.centres = np.concatenate([self._arc(angles, upper) for upper in (True, False)])
        self.log_weights = np.log(np.tile(weights, 2) / 4)

    @staticmethod
    def _arc(angles, upper):
        """Points of the unit half circle, or of the one turned over and moved, as in make_moons."""
        arc = np.column_stack([np.cos(angles), np.sin(angles)])
        return np.where(np.reshape(upper, (-1, 1)), arc, [1.0, 0.5] - arc)

    def sample(self, n, rng):
        arc = self._arc(rng.uniform(0, np.pi, n), rng.random(n) < 0.5)
        return arc + self.noise * rng.standard_normal((n, 2))

    def log_prob(self, X):
        blocks = np.array_split(X, max(1, len(X) // 2000))
        return np.concatenate([self._log_prob(block) for block in blocks])

    def _log_prob(self, X):
        squares = ((X[:, None] - self.centres) ** 2).sum(axis=2)
        logs = self.log_weights - squares / (2 * self.noise**2)
        return logsumexp(logs, axis=1) - np.log(2 * np.pi * self.noise**2)


class Rings:
    """Three rings: a uniform angle, and a radius from a mixture of three narrow Gaussians."""

    def __init__(self, radii=(1.0, 2.0, 3.0), noise=0.1):
        self.radii, self.noise = np.asarray(radii), noise

    def sample(self, n, rng):
        # A radius is negative with a probability of 1e-23: log_prob need not fold it over.
        radius = rng.choice(self.radii, n) + self.noise * rng.standard_normal(n)
        angle = rng.uniform(0, 2 * np.pi, n)
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    def log_prob(self, X):
        radius = np.hypot(X[:, 0], X[:, 1])
        logs = stats.norm.logpdf(radius[:, None], self.radii, self.noise) - np.log(len(self.radii))
        return logsumexp(logs, axis=1) - np.log(2 * np.pi * radius)


class StudentT:
    """A correlated multivariate Student-t with three degrees of freedom."""

    def __init__(self, d, df=3.0):
        shape = _random_covariance(d, np.random.default_rng(d))
        self.distribution = stats.multivariate_t(np.zeros(d), shape, df)
        self.log_prob = self.distribution.logpdf

    def sample(self, n, rng):
        return self.distribution.rvs(n, random_state=rng)


class CopulaT:
    """Student-t marginals of 2.5 to 10 degrees of freedom, joined by a Gaussian copula."""

    def __init__(self, d):
        self.df = np.linspace(2.5, 10.0, d)
        covariance = _random_covariance(d, np.random.default_rng(d))
        self.normal = stats.multivariate_normal(np.zeros(d), covariance)

    def sample(self, n, rng):
        Z = self.normal.rvs(n, random_state=rng)
        # Upper tails on both sides: the lower one would lose its digits near one.
        return np.sign(Z) * stats.t.isf(stats.norm.sf(np.abs(Z)), self.df)

    def log_prob(self, X):
        Z = np.sign(X) * stats.norm.isf(stats.t.sf(np.abs(X), self.df))
        log_ratio = stats.t.logpdf(X, self.df) - stats.norm.logpdf(Z)
        return self.normal.logpdf(Z) + log_ratio.sum(axis=1)


class Funnel:
    """Neal's funnel: the first column is the log-variance of all the others."""

    def __init__(self, d, scale=3.0):
        self.d, self.scale = d, scale

    def sample(self, n, rng):
        v = self.scale * rng.standard_normal((n, 1))
        return np.hstack([v, np.exp(v / 2) * rng.standard_normal((n, self.d - 1))])

    def log_prob(self, X):
        v, rest = X[:, 0], X[:, 1:]
        log_rest = stats.norm.logpdf(rest, 0.0, np.exp(v / 2)[:, None]).sum(axis=1)
        return stats.norm.logpdf(v, 0.0, self.scale) + log_rest


SYNTHETIC = {
    "gaussian-mixture-2": partial(GaussianMixture, 2),
    "gaussian-mixture-10": partial(GaussianMixture, 10),
    "gaussian-mixture-50": partial(GaussianMixture, 50),
    "two-moons": TwoMoons,
    "rings": Rings,
    "student-t-2": partial(StudentT, 2),
    "student-t-10": partial(StudentT, 10),
    "student-t-50": partial(StudentT, 50),
    "copula-t-10": partial(CopulaT, 10),
    "funnel-2": partial(Funnel, 2),
    "funnel-10": partial(Funnel, 10),
}


def _draw(name, seed):
    distribution = SYNTHETIC[name]()
    rng = np.random.default_rng([seed, *name.encode()])
    X = distribution.sample(2 * N_SYNTHETIC, rng)
    return X[:N_SYNTHETIC], {"test": X[N_SYNTHETIC:]}, distribution.log_prob


# ------------------------------------------------------------------------------------------------

# In yeast-jittered each value is spread over its cell instead.
JITTERED = {
    f"{name}-jittered": name
    for name in (*PAPER, *BUNDLED)
    if not name.startswith("yeast") and name != "turbine-years"
}
TABLES = {"paper": PAPER, "bundled": BUNDLED, "jittered": JITTERED, "synthetic": SYNTHETIC}
NAMES = [name for tables in TABLES.values() for name in tables]
# The later years of the turbine are among the test rows of "turbine" already.
GROUPS = {
    group: [name for name in tables if name != "turbine-years"] for group, tables in TABLES.items()
}


def load(name, seed, data_home=None):
    """The table of this name; the seed decides on the rows of all but the paper's tables."""
    if name in JITTERED:
        return _jittered(load(JITTERED[name], seed, data_home))
    if name in PAPER:
        return Table(name, *PAPER[name](data_home))
    if name in BUNDLED:
        return Table(name, *_split(BUNDLED[name](), seed))
    return Table(name, *_draw(name, seed))


# ------------------------------------------------------------------------------------------------


def integral(log_prob, centre, half_width, n):
    """Midpoint rule for a density of two columns, with n nodes a side."""
    nodes = (2 * np.arange(n) + 1) / n - 1
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    return np.exp(log_prob(centre + half_width * grid)).sum() * np.prod(2 * half_width / n)


def self_check():
    """True if the densities with bounded support, in practice, integrate to one."""
    right = True
    for name in ("two-moons", "rings", "gaussian-mixture-2"):
        total = integral(SYNTHETIC[name]().log_prob, np.zeros(2), np.full(2, 12.0), n=700)
        print(f"{name}: integral {total:.8f}", flush=True)
        right &= abs(total - 1) < 1e-6
    return right
