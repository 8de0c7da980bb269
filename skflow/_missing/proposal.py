"""Where weighted draws come from: a mixture of ellipses that follows the flow.

It has closed-form conditionals, whichever columns are known. It is fitted to draws of the flow
itself, of which there are as many as one likes, and its tails are heavier than theirs, so that
weights are bounded. Given a discrete part there is one for each group of rows.

It is fitted when a density is first asked about gaps, and kept beside the density, not in it: a
question changes no model.
"""

import threading
from weakref import WeakKeyDictionary

import numpy as np

from .._core.saving import saved_as
from .._core.weights import at
from .._models.components import EllipticalMixture
from .._models.ellipses import cluster_labels, fit_gaussian_mixture, precision_factors
from .._models.groups import GroupedComponent, fit_groups

#: Draws that the mixture is fitted to; clusters, fewer where there are many columns or few draws.
N_DRAWS, N_CLUSTERS, CLUSTERS_TIMES_COLUMNS, DRAWS_A_CLUSTER_AND_COLUMN = 5000, 16, 400, 10
_RIDGE = 1e-5  # added to the variances of clusters, so that none collapses

_fitted: WeakKeyDictionary = WeakKeyDictionary()  # of densities that were asked, while they live
_lock = threading.Lock()  # of the dictionary


@saved_as("proposal")
class Proposal(EllipticalMixture):
    """Student-t distributions with the centres and shapes of a Gaussian mixture's clusters."""

    dof = 8.0

    def fit(self, U, rng):
        """Fit to draws ``(n, d)``."""
        n_draws, n_features = U.shape
        weight = np.full(n_draws, 1 / n_draws)
        most = min(CLUSTERS_TIMES_COLUMNS, n_draws // DRAWS_A_CLUSTER_AND_COLUMN) // n_features
        labels = cluster_labels(max(1, min(N_CLUSTERS, most)), U, weight, rng)
        self.weights, self.centres, shapes = fit_gaussian_mixture(labels, U, weight, _RIDGE)
        self.factors = precision_factors(shapes)
        return self


def proposal_of(density):
    """What a density draws from, fitted once, to always the same draws."""
    with _lock:
        proposal = _fitted.get(density)
    if proposal is not None:
        return proposal
    rng = np.random.RandomState(0)
    context = density.context(density.discrete.sample(N_DRAWS, rng))
    U = density.flow.sample(N_DRAWS, rng, context)
    finite = np.isfinite(U).all(axis=1)
    proposal = _fit(U[finite], at(context, finite), rng)
    with _lock:  # another thread may have fitted the same in the meantime
        return _fitted.setdefault(density, proposal)


def _fit(U, context, rng):
    if context is None:
        return Proposal().fit(U, rng)
    groups = fit_groups(U, context)
    residuals, group = U - groups.location(context), groups.group(context)
    members = [Proposal().fit(residuals[group == k], rng) for k in range(group.max() + 1)]
    return GroupedComponent(groups, members)
