"""A fitted density of a table with a discrete part, in the data's units.

``p(row) = P(discrete part) p(real part | discrete part)``. The real part is that of flows with the
discrete part as context, mixed with components of groups of rows.

Where a real number is absent, at a spike, the flows see independent normal noise in its place, and
the context says so. The density of the numbers that are there is the marginal over the noise,

    p(there | discrete) = E[p(there, noise | discrete) / N(noise)],    noise ~ N(0, I),

whose integrand hardly varies, as the flows have learned that the noise is independent: the mean
over a few fixed quasi-random places is nearly exact.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import logsumexp, ndtri

from .._densities.columns import Columns
from .._densities.density import LOWEST, average, call_in_blocks
from .._flows.flow import FlowStack
from .._support.quasi_random import sobol
from .._support.saving import saved_as
from .chain import Chain
from .groups import Given
from .kinds import Kinds

#: Places of the noise where a number is absent, a power of 2.
N_PLACES = 32


@saved_as("mixed density")
@dataclass(eq=False)
class MixedDensity:
    """The density of a table with categories or spikes.

    Attributes
    ----------
    kinds : Kinds
    chain : Chain
        The discrete part.
    columns : Columns
        Of the real part: from the data's units to standardised ones.
    flow : FlowStack or None
        The members, in float64 on the CPU, with the discrete part as context; None only where
        their weight is 0.
    components : dict
        From names to components given the discrete part.
    weights : ndarray of shape (1 + len(components),)
        Parts in the mixture, that of the flows first.
    device : str
    """

    kinds: Kinds
    chain: Chain
    columns: Columns
    flow: FlowStack | None
    components: dict
    weights: np.ndarray
    device: str = "cpu"

    def log_prob(self, X):
        """Log-density ``(n,)`` in nats: log P(discrete part) + log p(real part), in its units."""
        discrete, real = self.kinds.split(X)
        return self.chain.log_prob(discrete) + self.real_log_prob(discrete, real)

    def real_log_prob(self, discrete, real):
        """Log-density ``(n,)`` of the numbers that are there given the discrete part."""
        U, log_det = self.columns.forward(real)
        return self.log_prob_given(U, given_of(self.kinds, discrete)) + log_det

    def log_prob_given(self, U, given):
        """The same in standardised units, whatever stands where a number is absent."""
        log_prob = np.empty(len(U))
        whole = ~given.absent.any(axis=1)
        for rows, evaluate in ((whole, self._log_prob), (~whole, self._marginal)):
            if rows.any():
                log_prob[rows] = evaluate(U[rows], given.at(rows))
        return log_prob

    def _marginal(self, U, given):
        places = normal_places(U.shape[1])
        terms = np.empty((len(places), len(U)))
        for k, place in enumerate(places):
            filled = np.where(given.absent, place, U)
            log_noise = -0.5 * (place**2 + math.log(2 * math.pi))
            terms[k] = self._log_prob(filled, given) - given.absent @ log_noise
        return logsumexp(terms, axis=0) - math.log(len(places))

    def _log_prob(self, U, given):
        """Log-density ``(n,)`` in standardised units."""
        terms = [np.full(len(U), LOWEST)]
        if self.weights[0] > 0:
            terms = [self.flow_log_prob(U, given) + np.log(self.weights[0])]
        for component, weight in zip(self.components.values(), self.weights[1:]):
            terms.append(component.log_prob(U, given) + np.log(weight))
        return logsumexp(terms, axis=0)

    def flow_log_prob(self, U, given):
        """Log-density ``(n,)`` of the flows alone, in standardised units."""
        return average(self.member_log_probs(U, given))

    def member_log_probs(self, U, given):
        """Log-densities ``(K, n)`` of the members alone, in standardised units."""
        return call_in_blocks(self.flow, "log_prob", U, self.device, given.context)

    def member(self, k):
        """The density of one member alone."""
        alone = {"flow": self.flow.take(k), "components": {}, "weights": np.ones(1)}
        return replace(self, **alone)

    def to_latent(self, X):
        """Latent points ``(K, n, r)`` of the real part given the discrete one; 0 where absent."""
        discrete, real = self.kinds.split(X)
        U, _ = self.columns.forward(real)
        context = self.kinds.context(discrete)
        Z = call_in_blocks(self.flow, "forward", np.nan_to_num(U), self.device, context)
        return np.nan_to_num(Z)

    def real_part(self, X):
        """The numbers ``(n, r)`` of rows ``(n, d)``, NaN where they are absent."""
        return self.kinds.split(X)[1]

    def with_real_part(self, X, change):
        """The rows with their numbers changed."""
        discrete, real = self.kinds.split(X)
        return self.kinds.join(discrete, change(real))

    def sample(self, n_samples, rng):
        """Draw rows ``(n_samples, d)`` in the data's units, with codes for categories."""
        discrete = self.chain.sample(n_samples, rng)
        U = self.sample_real(given_of(self.kinds, discrete), rng)
        return self.kinds.join(discrete, self.columns.draws(U))

    def sample_real(self, given, rng):
        """A draw ``(n, r)`` in standardised units for each of the rows."""
        n_rows, n_models = len(given.discrete), 0 if self.flow is None else self.flow.n_models
        members = np.full(n_models, self.weights[0] / max(1, n_models))
        parts = np.append(members, self.weights[1:])
        part = rng.choice(len(parts), n_rows, p=parts)
        U = rng.standard_normal((n_rows, len(self.columns.scale)))
        for k in np.unique(part):
            rows = part == k
            if k < n_models:
                member, context = self.flow.take(k), given.context[rows]
                U[rows] = call_in_blocks(member, "inverse", U[rows], self.device, context)[0]
            else:
                component = list(self.components.values())[k - n_models]
                U[rows] = component.sample(given.at(rows), rng)
        return U

    def flow_draws(self, n_draws, rng):
        """Draws ``(n, r)`` of the flows alone, in standardised units, and what they are given."""
        discrete = self.chain.sample(n_draws // self.flow.n_models, rng)
        given = given_of(self.kinds, discrete)
        Z = rng.standard_normal((len(discrete), self.flow.n_features))
        U = call_in_blocks(self.flow, "inverse", Z, self.device, given.context)
        places = np.tile(np.arange(len(discrete)), self.flow.n_models)
        return U.reshape(-1, U.shape[-1]), given.at(places)


def given_of(kinds, discrete):
    """What the real part is conditional on."""
    return Given(kinds.context(discrete), discrete, kinds.absent(discrete))


@lru_cache
def normal_places(n_columns):
    """Fixed quasi-random standard normal places ``(N_PLACES, n_columns)``."""
    return ndtri(sobol(N_PLACES, n_columns))
