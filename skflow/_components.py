"""The components: simple densities that stand beside the flow (a defensive mixture).

A flow is trained where the data are; far from them its density is an accident of extrapolation,
often absurdly small. Mixed with a few per cent of simple distributions fitted to the data, the
density of such rows is low but sane, it stays exact, and where a table is small and nearly Gaussian
the mixture falls back on the shrunk Gaussian. (Defensive mixtures: Hesterberg 1995.)

A component is an object with

``is_guard``
    Whether it has heavy tails, so that it always keeps some weight.
``fit(statistics)``
    Fits it, once, to ``Statistics``: rows in standardised units, their weights, and what several
    components need of them, computed when first asked for. Whatever has to be decomposed is
    decomposed here. Returns the component.
``log_prob(U)``
    Log-densities ``(n,)`` in nats of rows ``(n, d)``, by matrix products only.
``sample(n_samples, rng)``
    Exact draws ``(n_samples, d)``.

What ``fit`` sets is arrays and numbers, so ``vars(component)`` is its whole state. To add one,
write a class and enter it in ``COMPONENTS``; one with parameters is entered as often as there are
values of them, by ``functools.partial``. New ones go to the end, as mixtures share a random stream.

All of today's are mixtures of ellipses, ``sum_k weights[k] f(|(u - centres[k]) factors[k]|)`` with
a normal or a Student-t ``f``: marginals and conditionals of any columns are of the same form.
"""

import math
import warnings

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from ._weights import effective_rows

_MAX_ROWS = 10_000  # for the mixtures; so few clusters need no more
_LEAST_WEIGHT = 1e-3  # of a component that is no guard
_WIDENING = 0.1  # added to the variances, which are about 1 in standardised units
_RIDGE = 1e-3  # added to the variances of clusters, so that none collapses


class EllipticalMixture:
    """Mixture of ellipses: normal distributions or, with finite ``dof``, Student-t distributions.

    A subclass says in ``_ellipses`` which of the statistics it takes.

    Attributes
    ----------
    weights : ndarray of shape (k,)
    centres : ndarray of shape (k, d)
    factors : ndarray of shape (k, d, d)
        Upper triangular ``P`` with ``P P' = inverse(shape)``.
    """

    dof = math.inf
    is_guard = False

    def _ellipses(self, statistics):
        raise NotImplementedError

    def fit(self, statistics):
        self.weights, self.centres, self.factors = self._ellipses(statistics)
        return self

    def log_prob(self, U):
        return logsumexp(self._joint(U), axis=0)

    def _joint(self, U):
        """Log of weight times density ``(k, n)`` of each ellipse."""
        return np.log(self.weights)[:, None] + log_ellipses(U, self.centres, self.factors, self.dof)

    def sample(self, n_samples, rng):
        counts = rng.multinomial(n_samples, self.weights)
        parts = []
        for count, centre, factor in zip(counts, self.centres, self.factors):
            normal = rng.standard_normal((count, len(centre)))
            if self.dof < math.inf:
                normal *= np.sqrt(self.dof / rng.chisquare(self.dof, (count, 1)))
            parts.append(centre + solve_triangular(factor, normal.T, trans="T").T)
        return np.concatenate(parts)


class Gaussian(EllipticalMixture):
    """The normal distribution with the shrunk covariance (Ledoit and Wolf 2004).

    It is regular for any table.
    """

    def _ellipses(self, statistics):
        return statistics.ellipses(1)


class StudentT(Gaussian):
    """The Student-t with 3 degrees of freedom, with the same mean and shape."""

    dof = 3.0
    is_guard = True


class TMixture(EllipticalMixture):
    """Up to ten Student-t distributions that follow the shape of the data.

    They are the clusters of a Gaussian mixture with 5 degrees of freedom instead; a table with
    fewer than 5 d rows a cluster gets fewer of them.
    """

    dof = 5.0
    is_guard = True

    def _ellipses(self, statistics):
        return statistics.ellipses(statistics.n_clusters()[0])


class WideTMixture(TMixture):
    """The same, at least 0.3 standard deviations wide in every direction.

    Nearly collinear columns make all others narrow in some direction, and a drift may lead there.
    """

    def _ellipses(self, statistics):
        return statistics.ellipses(statistics.n_clusters()[0], _WIDENING)


class GaussianMixture(EllipticalMixture):
    """For clusters with gaps between them, over which a flow leaves bridges.

    In few dimensions it has many clusters: the fewer the columns, the more an ellipse has to be cut
    up, and the less it costs.
    """

    def _ellipses(self, statistics):
        return statistics.ellipses(statistics.n_clusters()[1])


#: What makes each component; the names stand beside the weights.
COMPONENTS = {
    "gaussian": Gaussian,
    "t_mixture": TMixture,
    "t_wide": WideTMixture,
    "gaussian_mixture": GaussianMixture,
    "t": StudentT,
}


def fit_components(U, weight=None, rng=None):
    """All components, fitted to rows ``(n, d)``, as a dict from their names.

    ``weight`` are weights of the rows, of which only ratios matter. ``rng`` draws the rows of the
    mixtures and their start.
    """
    statistics = Statistics(U, weight, rng)
    return {name: make().fit(statistics) for name, make in COMPONENTS.items()}


class Statistics:
    """Rows that components are fitted to, and what several of them need, computed once.

    Parameters
    ----------
    U : ndarray of shape (n, d)
        Rows in standardised units.
    weight : ndarray of shape (n,) or None
    rng : RandomState

    Attributes
    ----------
    weight : ndarray of shape (n,)
        Adds up to 1.
    n_effective : float
        Number of rows that say as much if all count the same: ``1 / sum(weight**2)``.
    """

    def __init__(self, U, weight=None, rng=None):
        weight = np.ones(len(U)) if weight is None else weight
        self.U, self.rng = U, rng
        self.weight = weight / weight.sum()
        self.n_effective = effective_rows(weight)
        self._clusters, self._ellipses = {}, {}

    def ellipses(self, n_clusters, widening=0.0):
        """Weights, centres and factors of that many ellipses; ``widening`` adds to variances."""
        key = n_clusters, widening
        if key not in self._ellipses:
            weights, centres, shapes = self.clusters(n_clusters)
            wider = widening * np.eye(self.U.shape[1])
            factors = np.stack([precision_factor(shape + wider) for shape in shapes])
            self._ellipses[key] = weights, centres, factors
        return self._ellipses[key]

    def clusters(self, n_clusters):
        """Weights, centres and shapes: mean and shrunk covariance, or a Gaussian mixture's."""
        if n_clusters not in self._clusters:
            if n_clusters < 2:
                centre, shape = shrunk_covariance(self.U, self.weight)
                found = np.ones(1), centre[None], shape[None]
            else:
                found = fit_gaussian_mixture(n_clusters, *self._few_rows(), self.rng)
            self._clusters[n_clusters] = found
        return self._clusters[n_clusters]

    def n_clusters(self):
        """As ``n_clusters`` of the module says."""
        return n_clusters(self.n_effective, self.U.shape[1])

    def _few_rows(self):
        if len(self.U) <= _MAX_ROWS:
            return self.U, self.weight
        rows = self.rng.choice(len(self.U), _MAX_ROWS, replace=False)
        return self.U[rows], self.weight[rows] / self.weight[rows].sum()


def n_clusters(n_rows, n_features):
    """Clusters of the mixtures of Student-t distributions, and of the Gaussian mixture.

    The latter has up to 200 / d where each gets 20 d rows.
    """
    n_rows = min(n_rows, _MAX_ROWS)
    few = int(min(10, n_rows // (5 * n_features)))
    return few, int(max(few, min(200 // n_features, n_rows // (20 * n_features))))


# ---- what is decomposed, once


def precision_factor(shape):
    """Upper triangular ``P`` with ``P P' = inverse(shape)``.

    It does not depend on the units of the columns, and where columns are collinear to rounding a
    ridge keeps the density proper.
    """
    size = np.sqrt(np.diag(shape))
    size = np.where(size > 0, size, 1.0)
    correlation = shape / size / size[:, None]
    identity = np.eye(len(size))
    for ridge in (0.0, 1e-12, 1e-9, 1e-6):
        try:
            root = np.linalg.cholesky(correlation + ridge * identity)
        except np.linalg.LinAlgError:
            continue
        break
    return solve_triangular(root, identity, lower=True).T / size[:, None]


def shrunk_covariance(U, weight):
    """Weighted mean, and covariance shrunk as by Ledoit and Wolf (2004).

    For equal weights that is ``sklearn.covariance.ledoit_wolf``. ``weight`` adds up to 1.
    """
    centre = weight @ U
    centred = U - centre
    n_features = U.shape[1]
    scatter = (centred * weight[:, None]).T @ centred
    size = np.trace(scatter) / n_features
    square = (scatter**2).sum()
    distance = square / n_features - size**2  # from the multiple of the identity
    # expected square of the error of the scatter, a sum of independent terms
    lengths = (centred**2).sum(axis=1)
    error = (weight**2 @ lengths**2 - (weight**2).sum() * square) / n_features
    shrinkage = min(error, distance) / distance if error > 0 and distance > 0 else 0.0
    return centre, (1 - shrinkage) * scatter + shrinkage * size * np.eye(n_features)


def fit_gaussian_mixture(n_clusters, U, weight, rng, n_iter=100, tol=1e-3):
    """Weights, centres and covariances of a Gaussian mixture, by EM from clusters of k-means.

    As ``sklearn.mixture.GaussianMixture``, which takes no weights. ``weight`` adds up to 1.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        kmeans = KMeans(n_clusters, n_init=1, random_state=rng)
        labels = kmeans.fit(U, sample_weight=weight * len(U)).labels_
    weights, centres, shapes = _maximisation(U, np.eye(n_clusters)[labels] * weight[:, None])
    previous = -np.inf
    for _ in range(n_iter):
        factors = [precision_factor(shape) for shape in shapes]
        joint = np.log(weights)[:, None] + log_ellipses(U, centres, factors, math.inf)
        log_prob = logsumexp(joint, axis=0)
        parts = np.exp(joint - log_prob).T
        weights, centres, shapes = _maximisation(U, parts * weight[:, None])
        score = weight @ log_prob
        if abs(score - previous) < tol:
            break
        previous = score
    return weights, centres, shapes


def _maximisation(U, parts):
    mass = parts.sum(axis=0) + 10 * np.finfo(float).eps / len(U)
    centres = parts.T @ U / mass[:, None]
    shapes = []
    for part, centre, total in zip(parts.T, centres, mass):
        centred = U - centre
        shapes.append((part[:, None] * centred).T @ centred / total + _RIDGE * np.eye(U.shape[1]))
    return mass / mass.sum(), centres, np.stack(shapes)


# ---- what is evaluated


def log_ellipses(U, centres, factors, dof):
    """Log-densities ``(k, n)`` of normal or Student-t distributions, by matrix products."""
    n_features = U.shape[1]
    terms = []
    for centre, factor in zip(centres, factors):
        square = (((U - centre) @ factor) ** 2).sum(axis=1)
        terms.append(np.log(np.diag(factor)).sum() + _log_radial(square, n_features, dof))
    return np.stack(terms)


def _log_radial(square, n_features, dof):
    """Log-density of the standard distribution at squared distances from its centre."""
    if dof == math.inf:
        return -0.5 * (n_features * math.log(2 * math.pi) + square)
    half = (dof + n_features) / 2
    constant = gammaln(half) - gammaln(dof / 2) - n_features / 2 * math.log(dof * math.pi)
    return constant - half * np.log1p(square / dof)


# ---- weights: the flow's first, then those of the components


def floors(n_features):
    """The least weights where weights are chosen from validation rows.

    Each guard gets 0.002 d, at most 0.03: a price in nats a dimension that does not depend on d.
    """
    return _guards() * min(0.03, 0.002 * n_features)


def fixed_weights(total):
    """A given weight, split evenly over the guards; the flow has the rest."""
    guards = _guards()
    return _with_rest(guards * (total / guards.sum()))


def least_weights(n_features):
    """The floors of the components; the flow has the rest."""
    return _with_rest(floors(n_features))


def _guards():
    return np.array([0.0, *(float(make().is_guard) for make in COMPONENTS.values())])


def _with_rest(weights):
    weights[0] = max(0.0, 1 - weights[1:].sum())
    return weights


def estimate_weights(log_probs, least, weight=None, n_iter=200):
    """Weights by EM on rows that nothing was fitted to.

    Parameters
    ----------
    log_probs : ndarray of shape (1 + J, n)
        Log-densities of the rows: the flow first, then the components.
    least : ndarray of shape (1 + J,)
        The least weight of each.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    n_iter : int

    Returns
    -------
    weights : ndarray of shape (1 + J,)
        At least 0; they add up to 1.
    """
    parts = np.full(len(log_probs), 1 / len(log_probs))
    for _ in range(n_iter):
        joint = log_probs + np.log(np.maximum(parts, 1e-300))[:, None]
        parts = np.average(np.exp(joint - logsumexp(joint, axis=0)), axis=1, weights=weight)
    # what hardly counts need not be evaluated with every row
    parts[1:][parts[1:] < _LEAST_WEIGHT] = 0.0
    parts = np.maximum(parts, least)
    return parts / parts.sum()
