"""A fitted density in the data's units: standardisation, flows, components and their weights."""

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from scipy.special import logsumexp

from ._blocks import blocks
from ._flow import FlowStack
from ._preparation import is_available
from ._runtime import map_blocks

#: Standardised values are clipped to this size, where a row is as unusual as can be told.
FARTHEST = 1e100
#: The log-density of a finite row is at least about this.
LOWEST = -1e300


@dataclass
class Density:
    """The average of the flows of a stack, mixed with components.

    Attributes
    ----------
    location, scale : ndarray of shape (d,)
        The first, fixed affine layer: the flows see ``(X - location) / scale``.
    flow : FlowStack
        The members, in float64 on the CPU.
    components : dict
        From names to components, in standardised units.
    weights : ndarray of shape (1 + len(components),)
        Parts in the mixture, that of the flows first.
    device : str
        Where to compute; the CPU where it is not available.
    origin, step : ndarray of shape (d,)
        Grids of the dequantised columns, to which samples are rounded; step 0 for the others.
    """

    location: np.ndarray
    scale: np.ndarray
    flow: FlowStack
    components: dict = field(default_factory=dict)
    weights: np.ndarray = field(default_factory=lambda: np.ones(1))
    device: str = "cpu"
    origin: np.ndarray | float = 0.0
    step: np.ndarray | float = 0.0

    def _in_blocks(self, function, rows):
        """List what ``function(flow, block)`` gives, the flow on the device that computes."""
        device = self.device if is_available(self.device) else "cpu"
        flow = self.flow if device == "cpu" else self.flow.to(device=device)
        chosen = blocks(len(rows), flow.numbers_per_row)
        return map_blocks(partial(function, flow), [rows[block] for block in chosen])

    def _standardized(self, X):
        with np.errstate(over="ignore"):
            U = (X - self.location) / self.scale
        # farther away, squares and their sums would leave the range of numbers
        return np.clip(U, -FARTHEST, FARTHEST)

    def log_prob(self, X):
        """Log-density ``(n,)`` in nats, in the data's units."""
        parts = self._in_blocks(self._block_log_prob, X)
        return np.concatenate(parts) - np.log(self.scale).sum()

    def _block_log_prob(self, flow, X):
        Z = self._standardized(X)
        # members are averaged as densities: the log of a mean, never the mean of logs
        log_prob = logsumexp(_call("log_prob", flow, Z), axis=0) - math.log(flow.n_models)
        # far away a member's log-density may exceed the range of numbers: the lowest there is
        log_prob = np.nan_to_num(log_prob, nan=LOWEST, neginf=LOWEST)
        return self.mix(log_prob, Z)

    def mix(self, flow_log_prob, Z):
        """Log-density of the mixture with the components, from that of the flows ``(n,)``."""
        with np.errstate(divide="ignore"):  # the flow's weight may be 0
            terms = [flow_log_prob + np.log(self.weights[0])]
        for component, weight in zip(self.components.values(), self.weights[1:]):
            if weight > 0:  # the others need not be evaluated
                terms.append(component.log_prob(Z) + np.log(weight))
        return logsumexp(terms, axis=0)

    def member_log_probs(self, Z):
        """Log-densities ``(K, n)`` of the members alone, in standardised units."""
        return np.hstack(self._in_blocks(partial(_call, "log_prob"), Z))

    def component_log_probs(self, Z):
        """Log-densities ``(J, n)`` of the components, in standardised units."""

        def log_probs(flow, block):
            return np.stack([component.log_prob(block) for component in self.components.values()])

        return np.hstack(self._in_blocks(log_probs, Z))

    def to_latent(self, X):
        """Latent points ``(K, n, d)`` of rows, member by member."""

        def forward(flow, block):
            return _call("forward", flow, self._standardized(block))

        parts = self._in_blocks(forward, X)
        return _finite(np.concatenate(parts, axis=1))

    def from_latent(self, Z):
        """Rows ``(K, n, d)`` of latent points, member by member."""
        Z = np.clip(Z, -FARTHEST, FARTHEST)
        parts = self._in_blocks(partial(_call, "inverse"), Z)
        with np.errstate(over="ignore"):
            return _finite(_finite(np.concatenate(parts, axis=1)) * self.scale + self.location)

    def sample(self, n_samples, rng):
        """Draw rows ``(n_samples, d)`` in the data's units."""
        n_models, n_features = self.flow.n_models, self.flow.n_features
        members = np.full(n_models, self.weights[0] / n_models)
        counts = rng.multinomial(n_samples, np.concatenate([members, self.weights[1:]]))
        parts = []
        for k, count in enumerate(counts[:n_models]):
            if count > 0:
                Z = rng.standard_normal((count, n_features))
                member = Density(self.location, self.scale, self.flow.take(k), device=self.device)
                parts.append(member.from_latent(Z)[0])
        for component, count in zip(self.components.values(), counts[n_models:]):
            if count > 0:
                parts.append(component.sample(count, rng) * self.scale + self.location)
        return self._to_grid(rng.permutation(np.concatenate(parts)))

    def _to_grid(self, X):
        step = np.where(self.step > 0, self.step, 1.0)
        rounded = self.origin + step * np.round((X - self.origin) / step)
        return np.where(self.step > 0, rounded, X)


def _finite(values):
    """The values, the largest number there is instead of infinity and 0 instead of NaN."""
    return np.nan_to_num(values)


def _call(method, flow, rows):
    """What a method of the flow says of an array of rows, as an array; no log-determinant."""
    result = getattr(flow, method)(torch.as_tensor(rows, device=flow.device))
    return (result[0] if isinstance(result, tuple) else result).cpu().numpy()
