"""Where weighted draws come from: a mixture of ellipses that follows the flow.

It has closed-form conditionals, whichever columns are known. It is fitted to draws of the flow
itself, of which there are as many as one likes, and its tails are heavier than theirs, so that
weights are bounded.
"""

import numpy as np

from .._densities.components import EllipticalMixture
from .._densities.density import call_in_blocks
from .._densities.ellipses import cluster_labels, fit_gaussian_mixture, precision_factors

#: Draws that the mixture is fitted to; clusters, fewer where there are many columns.
N_DRAWS, N_CLUSTERS, CLUSTERS_TIMES_COLUMNS = 5000, 16, 400
_RIDGE = 1e-5  # added to the variances of clusters, so that none collapses


class Proposal(EllipticalMixture):
    """Student-t distributions with the centres and shapes of a Gaussian mixture's clusters."""

    dof = 8.0

    def fit(self, density):
        """Fit to draws of the flows of a ``Density``, always the same ones."""
        rng = np.random.RandomState(0)
        n_models, n_features = density.flow.n_models, density.flow.n_features
        Z = rng.standard_normal((N_DRAWS // n_models, n_features))
        U = call_in_blocks(density.flow, "inverse", Z, density.device).reshape(-1, n_features)
        U = U[np.isfinite(U).all(axis=1)]
        weight = np.full(len(U), 1 / len(U))
        n_clusters = max(1, min(N_CLUSTERS, CLUSTERS_TIMES_COLUMNS // n_features))
        labels = cluster_labels(n_clusters, U, weight, rng)
        self.weights, self.centres, shapes = fit_gaussian_mixture(labels, U, weight, _RIDGE)
        self.factors = precision_factors(shapes)
        return self


def proposal_of(density):
    """The ``Proposal`` of a ``Density``, which keeps it."""
    if density.proposal is None:
        density.proposal = Proposal().fit(density)
    return density.proposal
