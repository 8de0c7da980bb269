"""A fitted density in the data's units: columns, flows, components and their weights."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import logsumexp

from .._flows.blocks import blocks
from .._flows.flow import FlowStack
from .._support.device import is_available
from .._support.runtime import map_blocks
from .._support.saving import saved_as
from .columns import FARTHEST, Columns

#: The log-density of a finite row (within its bounds) is at least about this.
LOWEST = -1e300


@saved_as("density")
@dataclass(eq=False)
class Density:
    """The average of the flows of a stack, mixed with components.

    Attributes
    ----------
    columns : Columns
        The first, fixed layer: from the data's units to standardised ones.
    flow : FlowStack
        The members, in float64 on the CPU.
    components : dict
        From names to components, in standardised units.
    weights : ndarray of shape (1 + len(components),)
        Parts in the mixture, that of the flows first.
    device : str
        Where to compute; the CPU where it is not available.
    """

    columns: Columns
    flow: FlowStack
    components: dict = field(default_factory=dict)
    weights: np.ndarray = field(default_factory=lambda: np.ones(1))
    device: str = "cpu"

    def log_prob(self, X):
        """Log-density ``(n,)`` in nats, in the data's units; minus infinity beyond bounds."""
        U, log_det = self.columns.forward(X)
        log_prob = self.flow_log_prob(U) if self.weights[0] > 0 else np.full(len(U), LOWEST)
        chosen = blocks(len(U), self.flow.numbers_per_row)
        mixed = map_blocks(lambda block: self.mix(log_prob[block], U[block]), chosen)
        return np.concatenate(mixed) + log_det

    def flow_log_prob(self, U):
        """Log-density ``(n,)`` of the flows alone, in standardised units."""
        return average(self.member_log_probs(U))

    def mix(self, flow_log_prob, U):
        """Log-density of the mixture with the components, from that of the flows ``(n,)``."""
        with np.errstate(divide="ignore"):  # the flow's weight may be 0
            terms = [flow_log_prob + np.log(self.weights[0])]
        for component, weight in zip(self.components.values(), self.weights[1:]):
            if weight > 0:  # the others need not be evaluated
                terms.append(component.log_prob(U) + np.log(weight))
        return logsumexp(terms, axis=0)

    def member(self, k):
        """The density of one member alone."""
        return Density(self.columns, self.flow.take(k), device=self.device)

    def member_log_probs(self, U):
        """Log-densities ``(K, n)`` of the members alone, in standardised units."""
        return call_in_blocks(self.flow, "log_prob", U, self.device)

    def to_latent(self, X):
        """Latent points ``(K, n, d)`` of rows, member by member."""
        U, _ = self.columns.forward(X)
        return np.nan_to_num(call_in_blocks(self.flow, "forward", U, self.device))

    def from_latent(self, Z):
        """Rows ``(K, n, d)`` of latent points, member by member."""
        Z = np.clip(Z, -FARTHEST, FARTHEST)
        U = call_in_blocks(self.flow, "inverse", Z, self.device)
        return self.columns.inverse(U.reshape(-1, U.shape[-1])).reshape(U.shape)

    def flow_draws(self, n_draws, rng):
        """Draws ``(n, d)`` of the flows alone, in standardised units; they are given nothing."""
        Z = rng.standard_normal((n_draws // self.flow.n_models, self.flow.n_features))
        U = call_in_blocks(self.flow, "inverse", Z, self.device)
        return (U.reshape(-1, U.shape[-1]),)

    @staticmethod
    def real_part(X):
        """The numbers of rows ``(n, d)``: all."""
        return X

    @staticmethod
    def with_real_part(X, change):
        """The rows with their numbers changed."""
        return change(X)

    def sample(self, n_samples, rng):
        """Draw rows ``(n_samples, d)`` in the data's units."""
        n_models, n_features = self.flow.n_models, self.flow.n_features
        members = np.full(n_models, self.weights[0] / n_models)
        counts = rng.multinomial(n_samples, np.concatenate([members, self.weights[1:]]))
        parts = []
        for k, count in enumerate(counts[:n_models]):
            if count > 0:
                Z = rng.standard_normal((count, n_features))
                parts.append(self.member(k).from_latent(Z)[0])
        for component, count in zip(self.components.values(), counts[n_models:]):
            if count > 0:
                parts.append(self.columns.inverse(component.sample(count, rng)))
        return self.columns.to_grid(rng.permutation(np.concatenate(parts)))


def average(log_probs):
    """Log-density ``(..., n)`` of members that are averaged, from their own ``(K, ..., n)``."""
    # the log of a mean of densities, never the mean of logs
    log_prob = logsumexp(log_probs, axis=0) - math.log(len(log_probs))
    # far away a member's log-density may exceed the range of numbers: the lowest there is
    return np.nan_to_num(log_prob, nan=LOWEST, neginf=LOWEST)


def call_in_blocks(flow, method, rows, device="cpu", context=None):
    """What a method of the flow says of an array of rows, as an array; no log-determinant.

    A context ``(n, c)`` belongs to the rows.
    """
    device = device if is_available(device) else "cpu"
    flow = flow if device == "cpu" else flow.to(device=device)

    def call(block):
        arrays = [rows] if context is None else [rows, context]
        tensors = [torch.as_tensor(array[block], device=flow.device) for array in arrays]
        result = getattr(flow, method)(*tensors)
        return (result[0] if isinstance(result, tuple) else result).cpu().numpy()

    chosen = blocks(len(rows), flow.numbers_per_row)
    return np.concatenate(map_blocks(call, chosen), axis=1)
