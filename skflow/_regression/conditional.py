"""A fitted density of targets given a context: what it says of rows, in the targets' units.

``p(y | x) = (sum_k w_k flow_k(u | c) + w_guard guard(u | c)) |du/dy|`` with targets ``u`` and
context ``c`` in standardised units. With one target every flow is a monotonic function of ``u``, so
that distribution functions and quantiles are exact, and means are integrals over a fixed grid. With
several, means and marginal distributions are those of fixed quasi-random draws.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import chdtri, logsumexp, ndtr, ndtri, stdtrit

from .._densities.columns import Columns
from .._densities.density import LOWEST, call_in_blocks
from .._flows.blocks import blocks
from .._flows.flow import FlowStack
from .._flows.row_maps import NUMBERS_PER_VALUE, RowMaps
from .._support.quasi_random import sobol
from .._support.runtime import map_blocks
from .._support.saving import saved_as
from .linear_guard import LinearGuard
from .one_target import OneTarget

#: Latent places of the integrals over one target: the trapezoidal rule, which is exact to many
#: digits for smooth functions times the normal density.
_GRID = np.linspace(-8, 8, 41)
#: Means of farther targets are not told from it.
_LARGEST = np.finfo(float).max / 4
#: Quasi-random draws of each member for several targets, a power of 2.
_N_DRAWS = 256


@saved_as("conditional density")
@dataclass
class ConditionalDensity:
    """A mixture of the flows of a stack and a guard, given a context.

    Attributes
    ----------
    columns : Columns
        Of the targets.
    flow : FlowStack
        The members, in float64 on the CPU.
    guard : LinearGuard
    weights : ndarray of shape (K + 1,)
        Parts in the mixture, that of the guard last.
    device : str
    """

    columns: Columns
    flow: FlowStack
    guard: LinearGuard
    weights: np.ndarray
    device: str = "cpu"

    @property
    def n_targets(self):
        return self.flow.n_features

    def _call(self, method, U, C, flow=None):
        """What the members say of targets ``(n, d)`` given their context."""
        return call_in_blocks(flow or self.flow, method, U, self.device, context=C)

    def log_prob(self, C, Y):
        """Log-density ``(n,)`` in nats, in the targets' units; minus infinity beyond bounds."""
        U, log_det = self.columns.forward(Y)
        # far away a flow's log-density may exceed the range of numbers: the lowest there is
        flows = np.nan_to_num(self._call("log_prob", U, C), nan=LOWEST, neginf=LOWEST)
        terms = np.vstack([flows, self.guard.log_prob(U, C)])
        with np.errstate(divide="ignore"):  # a weight may be 0
            terms += np.log(self.weights)[:, None]
        return logsumexp(terms, axis=0) + log_det

    # ---- one target

    def cdf(self, C, Y):
        """Distribution function ``(n,)`` at ``Y`` ``(n, 1)``: P(target <= y), that of draws."""
        bounds = self.columns.bounds
        cdf = self.marginal_cdf(C, self.columns.ends_of_cells(Y))
        cdf = np.where(bounds.upper <= Y, 1.0, cdf)
        return np.where(bounds.lower > Y, 0.0, cdf)[:, 0]

    def quantiles(self, C, levels):
        """Values ``(n, m)`` of one target at levels ``(n, m)``."""
        U = self._of_one_target(C, lambda block, one: one.quantiles(levels[block]), levels.shape[1])
        return self._values(U, self.columns.draws)

    def _of_one_target(self, C, function, n_values=1):
        """What ``function(block, one_target)`` says of all rows, with ``n_values`` of each."""

        def call(block):
            one = OneTarget(self.flow, self.guard, self.weights, C[block], self.device)
            return function(block, one)

        return np.concatenate(map_blocks(call, self._blocks(len(C), n_values)))

    def _blocks(self, n_rows, n_values):
        """Blocks of rows, with ``n_values`` of each."""
        return blocks(n_rows, self.numbers_per_row(n_values))

    def numbers_per_row(self, n_values):
        """Numbers that a row needs at once, with so many values: the size of blocks.

        Conditioners of one target are asked once.
        """
        flow = self.flow
        if self.n_targets > 1:
            return n_values * flow.numbers_per_row
        return flow.numbers_per_row + n_values * flow.n_models * NUMBERS_PER_VALUE

    @property
    def n_nodes(self):
        """How many values stand for the distribution of the targets."""
        return len(latent_nodes(self.n_targets, self.guard.dof)[0])

    # ---- any number of targets

    def nodes(self, C):
        """Places ``(n, m, d)`` of the targets that stand for their distribution, and weights.

        In standardised units.
        """
        Z, radius, weight = latent_nodes(self.n_targets, self.guard.dof)
        n_rows, n_nodes = len(C), len(Z)
        if self.n_targets == 1:
            U = RowMaps(self.flow, C, self.device).inverse(np.tile(Z.T, (n_rows, 1)))
        else:
            U = self._call("inverse", np.tile(Z, (n_rows, 1)), np.repeat(C, n_nodes, axis=0))
        U = U.reshape(self.flow.n_models, n_rows, n_nodes, -1).swapaxes(0, 1)
        guard = self.guard.location(C)[:, None] + self.guard.from_normal(Z, radius)
        U = np.concatenate([U.reshape(n_rows, -1, self.n_targets), guard], axis=1)
        return U, np.outer(self.weights, weight).ravel()

    def over_nodes(self, function, *rows):
        """What a function of nodes, weights and rows says of all rows, block by block.

        ``rows`` are the context and what else there is for each row.
        """

        def call(block):
            C, *others = (part[block] for part in rows)
            return function(*self.nodes(C), *others)

        return np.concatenate(map_blocks(call, self._blocks(len(rows[0]), self.n_nodes)))

    def moments(self, C):
        """Means and standard deviations ``(n, 2, d)`` of the targets."""
        return self.over_nodes(lambda U, w: _moments(self._values(U, self.columns.places), w), C)

    def _values(self, U, back):
        """What a way back makes of places ``(..., d)``."""
        return back(U.reshape(-1, self.n_targets)).reshape(U.shape)

    def marginal_cdf(self, C, U):
        """Distribution function ``(n, d)`` of each target alone, at places ``U`` ``(n, d)``.

        They are in standardised units: in a cell that stands for a value there are many.
        """
        if self.n_targets == 1:
            return self._of_one_target(C, lambda block, one: one.cdf(U[block]))
        return self.over_nodes(_marginal_cdf, C, U)

    def marginal_quantiles(self, C, levels):
        """Values ``(n, d, m)`` of each target alone at levels ``(d, m)``."""
        if self.n_targets == 1:
            return self.quantiles(C, np.repeat(levels, len(C), axis=0))[:, None]
        U = self.over_nodes(lambda U, w: _marginal_quantiles(U, w, levels), C)
        return self._values(U.swapaxes(1, 2), self.columns.draws).swapaxes(1, 2)

    def sample(self, C, n_samples, rng):
        """Draws ``(n, d, n_samples)``."""
        n_rows, n_models = len(C), self.flow.n_models
        part = rng.choice(n_models + 1, n_rows * n_samples, p=self.weights)
        Z = rng.standard_normal((n_rows * n_samples, self.n_targets))
        radius = rng.chisquare(self.guard.dof, n_rows * n_samples)
        C = np.repeat(C, n_samples, axis=0)
        U = self.guard.location(C) + self.guard.from_normal(Z, radius)
        for k in range(n_models):
            rows = np.flatnonzero(part == k)
            if len(rows):
                U[rows] = self._call("inverse", Z[rows], C[rows], self.flow.take(k))[0]
        Y = self.columns.draws(U)
        return Y.reshape(n_rows, n_samples, -1).swapaxes(1, 2)


@lru_cache
def latent_nodes(n_targets, dof):
    """Standard normal places ``(m, d)``, chi-square radii ``(m,)`` and weights ``(m,)``.

    Radii make normal places those of a Student-t. On the grid of one target they are such that
    quantiles go to quantiles.
    """
    if n_targets == 1:
        weight = np.exp(-(_GRID**2) / 2)
        tails = -stdtrit(dof, ndtr(-np.abs(_GRID)))  # of the t, at the same levels
        middle = np.sqrt(dof) / 2.6  # any: the place is 0
        ratio = np.divide(tails, np.abs(_GRID), out=np.full(len(_GRID), middle), where=_GRID != 0)
        return _GRID[:, None], dof / ratio**2, weight / weight.sum()
    points = sobol(_N_DRAWS // 2, n_targets + 1)
    Z, radius = ndtri(points[:, :-1]), chdtri(dof, points[:, -1])
    # with their mirror images, so that what is linear is exact
    return np.vstack([Z, -Z]), np.tile(radius, 2), np.full(_N_DRAWS, 1 / _N_DRAWS)


def _moments(Y, weight):
    Y = np.clip(Y, -_LARGEST, _LARGEST)
    mean = np.einsum("nmd,m->nd", Y, weight)
    distance = np.abs(Y - mean[:, None])
    most = np.maximum(distance.max(axis=1), np.finfo(float).tiny)  # so that no square overflows
    variance = np.einsum("nmd,m->nd", (distance / most[:, None]) ** 2, weight)
    return np.stack([mean, most * np.sqrt(variance)], axis=1)


def _marginal_cdf(nodes, weight, U):
    return np.einsum("nmd,m->nd", nodes <= U[:, None], weight)


def _marginal_quantiles(nodes, weight, levels):
    order = nodes.argsort(axis=1)
    reached = np.cumsum(weight[order], axis=1)
    place = (reached[..., None] < levels).sum(axis=1).clip(max=len(weight) - 1)
    ordered = np.take_along_axis(nodes, order, axis=1)
    return np.take_along_axis(ordered.swapaxes(1, 2), place, axis=2)
