"""The broad components that guard a flow's tails (a defensive mixture).

A flow is trained where the data are; far from them its density is an accident of extrapolation,
often absurdly small. Mixed with a few per cent of broad distributions fitted to the data, the
density of such rows is low but sane, it stays exact, and where a table is small and nearly Gaussian
the mixture falls back on the shrunk Gaussian. (Defensive mixtures: Hesterberg 1995.)
"""

import warnings

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

#: The broad components: the shrunk Gaussian; a Gaussian mixture; a mixture of Student-t
#: distributions that follows the shape of the data; the same, widened in every direction; and one
#: Student-t for all the data.
NAMES = ("gaussian", "gaussian_mixture", "t_mixture", "t_wide", "t")
_GUARDS = np.array([0.0, 0.0, 1.0, 1.0, 1.0])

_MAX_ROWS = 10_000  # for the mixtures; so few clusters need no more
_CLUSTER_DOF, _BROAD_DOF = 5.0, 3.0
_LEAST_WEIGHT = 1e-3  # of a component that is no guard
_WIDENING = 0.1  # added to the variances, which are about 1 in standardised units


def floors(n_features):
    """The least weight of each component where weights are chosen from validation rows.

    Each guard gets 0.002 d, at most 0.03: a price in nats a dimension that does not depend on d.
    """
    return _GUARDS * min(0.03, 0.002 * n_features)


class BroadComponents:
    """Five broad distributions fitted to a table in standardised units.

    The Gaussian and the Student-t with 3 degrees of freedom have the table's mean and shrunk
    covariance (Ledoit and Wolf 2004), so they are regular for any table. The Gaussian mixture is
    for clusters with gaps between them, over which a flow leaves bridges; in few dimensions it has
    many clusters. Those of the mixture of Student-t distributions are ten of a Gaussian mixture,
    with 5 degrees of freedom instead; a table with fewer than 5 d rows a cluster gets fewer of
    them. Nearly collinear columns make all of these narrow in some direction, and a drift may lead
    just there: the widened mixture is at least 0.3 standard deviations wide in every direction.

    Attributes
    ----------
    location : ndarray of shape (d,)
    covariance : ndarray of shape (d, d)
    mixture : GaussianMixture or None
        None where rows are so few that it would be the one Gaussian.
    clusters : list of (float, ndarray of shape (d,), ndarray of shape (d, d))
        Weight, location and shape of the Student-t distributions of the mixture.
    weights : ndarray of shape (5,)
        Part of each component in the mixture with the flow; the flow has the rest.
    """

    def fit(self, X, weight=None, rng=None):
        """Fit to rows; weighted rows count by their weights.

        ``rng`` draws the rows of the mixture and its start.
        """
        self.location = np.average(X, axis=0, weights=weight)
        centred = X - self.location
        if weight is not None:
            # the scatter of rows scaled so is the weighted scatter
            centred = centred * np.sqrt(weight / weight.mean())[:, None]
        self.covariance = ledoit_wolf(centred, assume_centered=True)[0]
        few, many = n_clusters(min(len(X), _MAX_ROWS), X.shape[1])
        coarse = _fit_mixture(few, X, weight, rng)
        self.mixture = coarse if few == many else _fit_mixture(many, X, weight, rng)
        self.clusters = [(1.0, self.location, self.covariance)]
        if coarse is not None:
            self.clusters = list(zip(coarse.weights_, coarse.means_, coarse.covariances_))
        return self

    def log_probs(self, X):
        """Log-densities ``(5, n)`` in nats."""
        return np.stack([self._log_prob(name, X) for name in NAMES])

    def _log_prob(self, name, X):
        if name == "gaussian_mixture" and self.mixture is not None:
            return _log_mixture(X, self.mixture)
        return logsumexp([_log_t(X, *t) + np.log(w) for w, *t in self._parts(name)], axis=0)

    def _parts(self, name):
        """Weight, location, shape and degrees of freedom of each part of a component."""
        if name in ("t_mixture", "t_wide"):
            wider = _WIDENING * (name == "t_wide") * np.eye(len(self.location))
            return [(w, centre, shape + wider, _CLUSTER_DOF) for w, centre, shape in self.clusters]
        if name == "gaussian_mixture" and self.mixture is not None:
            fitted = zip(self.mixture.weights_, self.mixture.means_, self.mixture.covariances_)
            return [(*cluster, np.inf) for cluster in fitted]
        return [(1.0, self.location, self.covariance, _BROAD_DOF if name == "t" else np.inf)]

    def mix(self, flow_log_prob, X):
        """Log-density of the mixture with a flow of log-density ``(n,)``."""
        with np.errstate(divide="ignore"):  # the flow's weight may be 0
            terms = [flow_log_prob + np.log(max(0.0, 1 - self.weights.sum()))]
        for name, weight in zip(NAMES, self.weights):
            if weight > 0:
                terms.append(self._log_prob(name, X) + np.log(weight))
        return logsumexp(terms, axis=0)

    def sample(self, component, n_samples, rng):
        """Draw rows ``(n_samples, d)`` of one component."""
        parts = self._parts(NAMES[component])
        weights = np.array([w for w, *_ in parts])
        counts = rng.multinomial(n_samples, weights / weights.sum())
        drawn = [_draw_t(*t, count, rng) for (_, *t), count in zip(parts, counts) if count]
        return np.concatenate(drawn)


def n_clusters(n_rows, n_features):
    """Clusters of the mixture of Student-t distributions, and of the Gaussian mixture.

    The latter has up to 200 / d where each gets 20 d rows: the fewer the features, the more an
    ellipse has to be cut up, and the less it costs.
    """
    few = min(10, n_rows // (5 * n_features))
    return few, max(few, min(200 // n_features, n_rows // (20 * n_features)))


def _fit_mixture(n_components, X, weight, rng):
    if n_components < 2:
        return None
    # GaussianMixture takes no weights, but draws do
    if weight is not None or len(X) > _MAX_ROWS:
        parts = None if weight is None else weight / weight.sum()
        X = X[rng.choice(len(X), min(len(X), _MAX_ROWS), p=parts, replace=weight is not None)]
    with warnings.catch_warnings():
        # that it did not converge, or that a table has few distinct rows, spoils no bound
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(n_components, reg_covar=1e-3, random_state=rng).fit(X)


def _log_mixture(X, mixture):
    with np.errstate(over="ignore", invalid="ignore"):  # beyond 1e150 the density is 0
        return np.nan_to_num(mixture.score_samples(X), nan=-np.inf, neginf=-np.inf)


def _log_t(X, location, shape, dof):
    with np.errstate(over="ignore"):  # beyond 1e150 the density is 0
        return np.atleast_1d(multivariate_t.logpdf(X, location, shape, df=dof))


def _draw_t(location, shape, dof, n_samples, rng):
    drawn = multivariate_t.rvs(location, shape, df=dof, size=n_samples, random_state=rng)
    return drawn.reshape(n_samples, -1)


def fixed_weights(total):
    """Split a given weight evenly over the three components with heavy tails."""
    return _GUARDS * (total / _GUARDS.sum())


def estimate_weights(log_probs, least, weight=None, n_iter=200):
    """Weights of the broad components by EM on rows that nothing was fitted to.

    Parameters
    ----------
    log_probs : ndarray of shape (1 + 5, n)
        Log-densities of the rows: the flow first, then the broad components.
    least : ndarray of shape (5,)
        The least weight of each.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    n_iter : int

    Returns
    -------
    weights : ndarray of shape (5,)
    """
    parts = np.full(len(log_probs), 1 / len(log_probs))
    for _ in range(n_iter):
        joint = log_probs + np.log(np.maximum(parts, 1e-300))[:, None]
        parts = np.average(np.exp(joint - logsumexp(joint, axis=0)), axis=1, weights=weight)
    # what hardly counts need not be evaluated with every row
    parts[1:][parts[1:] < _LEAST_WEIGHT] = 0.0
    parts = np.maximum(parts, np.concatenate([[0.0], least]))
    return parts[1:] / parts.sum()
