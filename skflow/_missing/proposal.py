"""The proposal of weighted draws: the mixture with ellipses in place of the flow.

Its conditionals have closed forms for any known columns. The ellipses are fitted to draws of the
flow, and their tails are heavier than the flow's, so that weights are bounded. The other components
are those of the density and exact. With a discrete part there are ellipses for each group of rows.

The ellipses are fitted with the first question about missing cells, and kept beside the density, so
that a question does not change the model.
"""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import logsumexp

from .._core.saving import saved_as
from .._models.components import EllipticalMixture, KernelDensity
from .._models.ellipses import cluster_labels, fit_gaussian_mixture, precision_factors
from .._models.groups import GroupedComponent, fit_groups
from .._models.mixture import at

if TYPE_CHECKING:
    from .._models.density import Density
    from .._models.mixture import Context

#: Draws to fit the ellipses to; most ellipses, fewer with many columns or few draws.
N_DRAWS, N_CLUSTERS, CLUSTERS_TIMES_COLUMNS, DRAWS_A_CLUSTER_AND_COLUMN = 2000, 16, 400, 10
N_ITER = 10  # of EM; more cost more time than they save
_RIDGE = 1e-5  # added to the variances of clusters

_fitted: WeakKeyDictionary = WeakKeyDictionary()  # by density, while it is alive
_lock = threading.Lock()  # guards the dictionary


@saved_as("proposal")
class Ellipses(EllipticalMixture):
    """Student-t distributions with the centres and shapes of a Gaussian mixture's clusters."""

    dof = 8.0

    def fit(self, U: np.ndarray, rng: np.random.RandomState) -> Ellipses:
        """Fit to draws ``(n, d)``."""
        n_draws, n_features = U.shape
        weight = np.full(n_draws, 1 / n_draws)
        most = min(CLUSTERS_TIMES_COLUMNS, n_draws // DRAWS_A_CLUSTER_AND_COLUMN) // n_features
        labels = cluster_labels(max(1, min(N_CLUSTERS, most)), U, weight, rng)
        self.weights, self.centres, shapes = fit_gaussian_mixture(
            labels, U, weight, _RIDGE, n_iter=N_ITER
        )
        self.factors = precision_factors(shapes)
        return self


class Proposal:
    """Models with closed-form conditionals, and the logarithms of their weights.

    The first replaces the flow and has its weight, ``log_weights[0]``; it is left out if the flow
    has no weight.
    """

    def __init__(self, density: Density) -> None:
        self.log_weights = np.log(density.mixture.weights[density.mixture.weights > 0])
        self.has_flow = density.mixture.weights[0] > 0
        self.models = list(density.mixture.models.values())[1:]
        if self.has_flow:
            self.models = [_stand_in(density), *self.models]
        self._single = [_single_precision(model) for model in self.models]

    @property
    def numbers_per_row(self) -> int:
        """Numbers per row in the widest array."""
        members = [part for model in self.models for part in getattr(model, "members", [model])]
        d = members[0].centres.shape[1]
        roots = max(len(part.centres) for part in members if not isinstance(part, KernelDensity))
        return d * max(2 * d * roots, max(len(part.centres) for part in members))

    def log_probs(self, U: np.ndarray, context: Context | None) -> np.ndarray:
        """Log of weight times density ``(n_models, n)``, for weights of draws, which are many."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.stack([model.log_prob(U, context) for model in self._single])
        far = ~np.isfinite(found).all(axis=0)  # squares are beyond single precision
        if far.any():
            found[:, far] = [model.log_prob(U[far], at(context, far)) for model in self.models]
        return found + self.log_weights[:, None]

    def conditionals(
        self, U: np.ndarray, known: np.ndarray, context: Context | None
    ) -> _Conditionals:
        """Return the conditional distributions of the unknown columns given the known ones."""
        return _Conditionals(
            self.log_weights, [model.conditionals(U, known, context) for model in self.models]
        )


class _Conditionals:
    """As ``Conditionals``, for several models with weights.

    ``first_share`` ``(n,)`` is the probability of the first model given the known cells.
    """

    def __init__(self, log_weights: np.ndarray, parts: list[Any]) -> None:
        joint = np.stack([log + part.log_prob for log, part in zip(log_weights, parts)])
        self.parts, self.log_prob = parts, logsumexp(joint, axis=0)
        self.first_share = np.exp(joint[0] - self.log_prob)
        self._reached = np.exp(joint - self.log_prob).cumsum(axis=0).T

    def place(
        self, rows: np.ndarray, choice: np.ndarray, normal: np.ndarray, radius: np.ndarray
    ) -> np.ndarray:
        reached = self._reached[rows]
        part = (choice[:, None] >= reached[:, :-1]).sum(axis=1)
        drawn, low = np.empty(normal.shape), 0.0
        for j, model in enumerate(self.parts):
            own = part == j
            if own.any():
                low = reached[own, j - 1] if j else 0.0
                # the remainder of the choice is uniform again
                left = (choice[own] - low) / (reached[own, j] - low)
                drawn[own] = model.place(rows[own], left, normal[own], radius[own])
        return drawn


def _single_precision(model: Any) -> Any:
    """A copy of a mixture of ellipses, or of those of groups, that takes half of the time."""
    single = copy(model)
    for name, value in vars(model).items():
        if name == "members":
            single.members = [_single_precision(member) for member in value]
        elif isinstance(value, np.ndarray):
            setattr(single, name, value.astype(np.float32))
    return single


def proposal_of(density: Density) -> Proposal:
    """Return the proposal of a density, which is fitted once, always to the same draws."""
    with _lock:
        proposal = _fitted.get(density)
    if proposal is not None:
        return proposal
    proposal = Proposal(density)
    with _lock:  # another thread may have been faster
        return _fitted.setdefault(density, proposal)


def _stand_in(density: Density) -> Ellipses | GroupedComponent:
    """Return ellipses that replace the flow."""
    rng = np.random.RandomState(0)
    context = density.context(density.discrete.sample(N_DRAWS, rng))
    U = density.flow.sample(N_DRAWS, rng, context)
    diverged = ~np.isfinite(U).all(axis=1)  # a broken flow may draw such rows only
    U[diverged] = rng.standard_normal((diverged.sum(), U.shape[1]))
    if context is None:
        return Ellipses().fit(U, rng)
    groups = fit_groups(U, context)
    residuals, group = U - groups.location(context), groups.group(context)
    members: list[EllipticalMixture] = [
        Ellipses().fit(residuals[group == k], rng) for k in range(group.max() + 1)
    ]
    return GroupedComponent(groups, members)
