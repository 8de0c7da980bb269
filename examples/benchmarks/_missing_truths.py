"""Tables with known marginals and conditionals, by formulas or by quadrature."""

import copy

import numpy as np
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture


class Mixture:
    """Normal distributions; of a single one the marginals and conditionals are normal."""

    def __init__(self, n_clusters, d=10):
        rng, self.d = np.random.default_rng(0), d
        roots = rng.standard_normal((n_clusters, d, d)) / np.sqrt(d) + 0.3 * np.eye(d)
        self.shapes = roots @ roots.transpose(0, 2, 1)
        self.centres = 2 * rng.standard_normal((n_clusters, d))

    def sample(self, n, rng):
        labels = rng.integers(len(self.centres), size=n)
        roots = np.linalg.cholesky(self.shapes)
        steps = np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((n, self.d)))
        return self.centres[labels] + steps

    def question(self, rng):
        """A mask of known columns, and an unknown one that is asked for."""
        order = rng.permutation(self.d)
        return np.isin(np.arange(self.d), order[: rng.integers(1, self.d)]), order[-1]

    def _joint(self, x, known):
        pairs = zip(self.centres, self.shapes)
        terms = [
            stats.multivariate_normal(centre[known], shape[np.ix_(known, known)]).logpdf(x[known])
            for centre, shape in pairs
        ]
        return np.array(terms) - np.log(len(self.centres))

    def log_prob(self, x, known):
        return logsumexp(self._joint(x, known))

    def cdf(self, x, known, j):
        joint, parts = self._joint(x, known), []
        for centre, shape in zip(self.centres, self.shapes):
            gain = np.linalg.solve(shape[np.ix_(known, known)], shape[known, j])
            mean = centre[j] + gain @ (x - centre)[known]
            parts.append(stats.norm(mean, np.sqrt(shape[j, j] - gain @ shape[known, j])))
        weights = np.exp(joint - logsumexp(joint))
        return lambda values: sum(w * part.cdf(values) for w, part in zip(weights, parts))

    def within(self, ranges):
        """The probability that columns lie in their ranges, a dict from columns to ends."""
        own, (low, high) = list(ranges), np.transpose(list(ranges.values()))
        rng, total = np.random.default_rng(0), 0.0
        for centre, shape in zip(self.centres[:, own], self.shapes[:, own][:, :, own]):
            normal = stats.multivariate_normal(centre, shape, abseps=1e-8, maxpts=200_000, seed=rng)
            total += normal.cdf(high, lower_limit=low) / len(self.centres)
        return total

    def likeliest(self, X):
        """The same distribution with the centres and shapes of the highest likelihood of rows."""
        found, n = copy.copy(self), len(self.centres)
        mixture = GaussianMixture(n, means_init=self.centres, reg_covar=0).fit(X)
        found.centres, found.shapes = mixture.means_, mixture.covariances_
        return found


class Funnel:
    """The first column is the log-variance of all the others, with standard deviation ``scale``."""

    def __init__(self, scale, d=10):
        self.scale, self.d = scale, d
        self.grid = np.linspace(-8 * scale, 8 * scale, 4001)

    def sample(self, n, rng):
        v = self.scale * rng.standard_normal((n, 1))
        return np.hstack([v, np.exp(v / 2) * rng.standard_normal((n, self.d - 1))])

    question = Mixture.question

    def _joint(self, x, known):
        """Log-density of the known columns and of every value of the first."""
        others = x[1:][known[1:]]
        rest = stats.norm.logpdf(others[:, None], 0, np.exp(self.grid / 2)).sum(axis=0)
        return stats.norm.logpdf(self.grid, 0, self.scale) + rest

    def log_prob(self, x, known):
        if known[0]:
            others = stats.norm.logpdf(x[1:][known[1:]], 0, np.exp(x[0] / 2)).sum()
            return stats.norm.logpdf(x[0], 0, self.scale) + others
        joint = self._joint(x, known)
        return joint.max() + np.log(trapezoid(np.exp(joint - joint.max()), self.grid))

    def cdf(self, x, known, j):
        if known[0]:
            return stats.norm(0, np.exp(x[0] / 2)).cdf
        joint = self._joint(x, known)
        parts = np.exp(joint - logsumexp(joint))
        if j == 0:
            return lambda values: np.interp(values, self.grid, parts.cumsum())
        sizes = np.exp(self.grid / 2)
        return lambda values: np.array([parts @ stats.norm.cdf(v / sizes) for v in values])

    def within(self, ranges):
        low, high = ranges.get(0, (-np.inf, np.inf))
        inside = (low <= self.grid) & (self.grid <= high)
        parts = stats.norm.pdf(self.grid, 0, self.scale) * inside
        for ends in (ends for column, ends in ranges.items() if column > 0):
            low, high = (stats.norm.cdf(end / np.exp(self.grid / 2)) for end in ends)
            parts *= high - low
        return parts.sum() * (self.grid[1] - self.grid[0])


class Bent:
    """x_{j+1} = x_j**2 / 4 + noise, without the rare rows that run away; prefixes are known."""

    def __init__(self, noise=0.5, d=10):
        self.noise, self.d = noise, d

    def sample(self, n, rng):
        X = rng.standard_normal((2 * n, self.d))
        for j in range(1, self.d):
            X[:, j] = X[:, j - 1] ** 2 / 4 + self.noise * X[:, j]
        return X[(np.abs(X) < 3.8).all(axis=1)][:n]

    def question(self, rng):
        n_known = rng.integers(1, self.d)
        return np.arange(self.d) < n_known, n_known

    def log_prob(self, x, known):
        x = x[known]
        steps = stats.norm.logpdf(x[1:], x[:-1] ** 2 / 4, self.noise).sum()
        return stats.norm.logpdf(x[0]) + steps

    def cdf(self, x, known, j):
        return stats.norm(x[j - 1] ** 2 / 4, self.noise).cdf

    def within(self, ranges):
        edges = np.linspace(-3.8, 3.8, 761)  # the chain on a grid
        grid, step = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
        steps = stats.norm.pdf(grid, grid[:, None] ** 2 / 4, self.noise) * step
        parts, whole = (stats.norm.pdf(grid) for _ in range(2))
        for column in range(self.d):
            if column > 0:
                parts, whole = parts @ steps, whole @ steps
            low, high = ranges.get(column, (-np.inf, np.inf))
            parts *= np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
            parts /= step
        return parts.sum() / whole.sum()


TRUTHS = {
    "gaussian": Mixture(1),
    "mixture": Mixture(5),
    "funnel": Funnel(1.0),
    "wide funnel": Funnel(3.0),
    "bent": Bent(),
}
