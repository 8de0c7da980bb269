"""The broad components that guard a flow's tails (a defensive mixture).

A flow is trained where the data are; far from them its density is an accident of extrapolation,
often absurdly small. Mixed with a few per cent of broad distributions fitted to the data, the
density of such rows is low but sane, it stays exact, and where a table is small and nearly Gaussian
the mixture falls back on the shrunk Gaussian. (Defensive mixtures: Hesterberg 1995.)
"""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from sklearn.covariance import ledoit_wolf

#: Degrees of freedom: the shrunk Gaussian, and a Student-t with heavy tails.
DEGREES_OF_FREEDOM = (np.inf, 3.0)
#: The least part of each, where the weights are chosen from validation rows.
FLOORS = (0.0, 0.01)


class BroadComponents:
    """Multivariate Student-t distributions with the data's mean and shrunk covariance.

    The covariance is shrunk as Ledoit and Wolf (2004), so that it is regular for any table.

    Attributes
    ----------
    location : ndarray of shape (n_features,)
    covariance : ndarray of shape (n_features, n_features)
    weights : ndarray of shape (2,)
        Part of each in the mixture with the flow; the flow has the rest.
    """

    def fit(self, X, weight=None):
        """Fit location and covariance to rows; weighted rows count by their weights."""
        self.location = np.average(X, axis=0, weights=weight)
        centred = X - self.location
        if weight is not None:
            # the scatter of rows scaled so is the weighted scatter
            centred = centred * np.sqrt(weight / weight.mean())[:, None]
        self.covariance = ledoit_wolf(centred, assume_centered=True)[0]
        return self

    def log_probs(self, X):
        """Log-densities ``(2, n)`` in nats."""
        with np.errstate(over="ignore"):  # beyond 1e150 the density is 0
            return np.stack(
                [
                    np.atleast_1d(multivariate_t.logpdf(X, self.location, self.covariance, df=dof))
                    for dof in DEGREES_OF_FREEDOM
                ]
            )

    def mix(self, flow_log_prob, X):
        """Log-density of the mixture with a flow of log-density ``(n,)``."""
        kept = self.weights > 0
        terms = self.log_probs(X)[kept] + np.log(self.weights[kept])[:, None]
        flow_term = flow_log_prob + np.log1p(-self.weights.sum())
        return logsumexp(np.vstack([flow_term, terms]), axis=0)

    def sample(self, component, n_samples, rng):
        """Draw rows ``(n_samples, d)`` of one component."""
        return multivariate_t.rvs(
            self.location,
            self.covariance,
            df=DEGREES_OF_FREEDOM[component],
            size=n_samples,
            random_state=rng,
        ).reshape(n_samples, -1)


def fixed_weights(total):
    """Split a given weight: all of it to the heavy-tailed component."""
    return np.array([0.0, total])


def estimate_weights(log_probs, weight=None, n_iter=200):
    """Weights of the broad components by EM on rows that no component was fitted to.

    Parameters
    ----------
    log_probs : ndarray of shape (3, n)
        Log-densities of the rows: the flow first, then the broad components.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    n_iter : int

    Returns
    -------
    weights : ndarray of shape (2,)
        At least ``FLOORS``.
    """
    weights = np.full(len(log_probs), 1 / len(log_probs))
    for _ in range(n_iter):
        joint = log_probs + np.log(np.maximum(weights, 1e-300))[:, None]
        weights = np.average(np.exp(joint - logsumexp(joint, axis=0)), axis=1, weights=weight)
    broad = np.maximum(weights[1:], FLOORS)
    return broad / max(1.0, broad.sum() + 1e-12)
