"""A fitted density of targets given a context: what it says of rows, in the targets' units.

``p(y | x) = (sum_k w_k flow_k(u | c) + w_guard guard(u | c)) |du/dy|`` with targets ``u`` and
context ``c`` in standardised units. With one target every flow is a monotonic function of ``u``, so
that distribution functions and quantiles are exact, and means are integrals over a fixed grid. With
several, means and marginal distributions are those of fixed quasi-random draws.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chdtri, logsumexp, ndtr, ndtri, stdtr, stdtrit
from scipy.stats import qmc

from .._densities.columns import Columns, constant_columns, location_and_scale
from .._densities.density import LOWEST, call_in_blocks
from .._densities.ellipses import log_ellipses, precision_factors, shrunk_covariance
from .._flows.blocks import blocks
from .._flows.flow import FlowStack
from .._support.runtime import map_blocks

#: Latent places of the integrals over one target: the trapezoidal rule, which is exact to many
#: digits for smooth functions times the normal density.
_GRID = np.linspace(-8, 8, 41)
#: Quasi-random draws of each member for several targets, a power of 2.
_N_DRAWS = 256
#: So many standard deviations may a context leave the range of the training rows; farther away it
#: is taken to lie there.
_MARGIN = 1.0


@dataclass
class Context:
    """What a density is conditional on: standardised, and kept near the range of the training rows.

    Attributes
    ----------
    location, scale : ndarray of shape (c,)
    lower, upper : ndarray of shape (c,)
        Ends of the range in standardised units: networks are not trusted far beyond.
    """

    location: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def forward(self, X):
        with np.errstate(over="ignore"):
            return np.clip((X - self.location) / self.scale, self.lower, self.upper)


def fit_context(X, weight=None):
    """The ``Context`` of rows ``(n, c)``; a constant column says nothing and becomes 0."""
    constant = constant_columns(X)
    location, scale = location_and_scale(X, weight, constant)
    U = (X - location) / scale
    margin = np.where(constant, 0, _MARGIN)
    return Context(location, scale, U.min(axis=0) - margin, U.max(axis=0) + margin)


class LinearGuard:
    """A Student-t with 5 degrees of freedom around a ridge regression on the context.

    Its location is bounded as the context is, its mean and variance are finite.
    """

    dof = 5.0

    def fit(self, U, C, weight=None):
        """Fit to targets ``(n, d)`` and context ``(n, c)``, in standardised units."""
        weight = np.ones(len(U)) if weight is None else weight
        weight = weight / weight.sum()
        design = self._design(C)
        gram = (design * weight[:, None]).T @ design
        ridge = np.diag(np.append(np.full(C.shape[1], 1 / len(U)), 0.0))
        # of collinear columns, too
        self.coefficients = np.linalg.lstsq(
            gram + ridge, (design * weight[:, None]).T @ U, rcond=None
        )[0]
        residuals = U - design @ self.coefficients
        self.offset, shape = shrunk_covariance(residuals, weight)
        least = np.eye(U.shape[1]) * 1e-6  # where y is linear in x
        self.factor = precision_factors(((1 - 2 / self.dof) * shape + least)[None])[0]
        return self

    @staticmethod
    def _design(C):
        return np.column_stack([C, np.ones(len(C))])

    def location(self, C):
        return self._design(C) @ self.coefficients + self.offset

    def log_prob(self, U, C):
        zero = np.zeros((1, U.shape[1]))
        return log_ellipses(U - self.location(C), zero, self.factor[None], self.dof)[0]

    def cdf(self, U, C):
        """Of one target, ``(n,)``."""
        return stdtr(self.dof, ((U - self.location(C)) * self.factor[0, 0])[:, 0])

    def quantile(self, levels, C):
        """Of one target: levels ``(n,)`` to values ``(n,)``."""
        return self.location(C)[:, 0] + stdtrit(self.dof, levels) / self.factor[0, 0]

    def from_normal(self, Z, radius):
        """Deviations from the location ``(m, d)``, of standard normal ``Z`` and chi-square."""
        scaled = Z * np.sqrt(self.dof / radius)[:, None]
        return solve_triangular(self.factor, scaled.T, trans="T").T


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
        return logsumexp(terms, axis=0, b=self.weights[:, None]) + log_det

    # ---- one target

    def cdf(self, C, Y):
        """Distribution function ``(n,)`` at ``Y`` ``(n, 1)``: P(target <= y); grids in steps."""
        step, bounds = self.columns.step, self.columns.bounds
        edge = np.where(step > 0, self.columns.to_grid(Y - step / 2 + 1e-9 * step) + step / 2, Y)
        cdf = np.where((bounds.upper <= Y)[:, 0], 1.0, self.spread_cdf(C, edge))
        return np.where((bounds.lower > Y)[:, 0], 0.0, cdf)

    def spread_cdf(self, C, Y):
        """The same, where values on a grid are places within their cells."""
        return self._cdf(self.columns.forward(Y)[0], C)

    def _cdf(self, U, C):
        flows = ndtr(self._call("forward", U, C)[..., 0])
        return self.weights @ np.vstack([flows, self.guard.cdf(U, C)])

    def quantiles(self, C, levels):
        """Values ``(n, m)`` of one target at levels ``(n, m)``."""
        n_rows, n_levels = levels.shape
        chosen = blocks(n_rows, n_levels * self.flow.numbers_per_row)
        parts = [self._quantiles(C[block], levels[block]) for block in chosen]
        return np.concatenate(parts)

    def _quantiles(self, C, levels):
        shape = levels.shape
        C, levels = np.repeat(C, shape[1], axis=0), levels.ravel()
        own = self._call("inverse", ndtri(levels)[:, None], C)[..., 0]
        own = np.vstack([own, self.guard.quantile(levels, C)])
        # the mixture's quantile lies between those of its parts
        U = find_root(
            lambda u, rows: self._cdf(u[:, None], C[rows]) - levels[rows],
            own.min(axis=0),
            own.max(axis=0),
        )
        return self.columns.to_grid(self.columns.inverse(U[:, None])).reshape(shape)

    # ---- any number of targets

    def nodes(self, C):
        """Values ``(n, m, d)`` of the targets that stand for their distribution, and weights."""
        Z, radius, weight = latent_nodes(self.n_targets, self.guard.dof)
        n_rows, n_nodes = len(C), len(Z)
        U = self._call("inverse", np.tile(Z, (n_rows, 1)), np.repeat(C, n_nodes, axis=0))
        U = U.reshape(self.flow.n_models, n_rows, n_nodes, -1).swapaxes(0, 1)
        guard = self.guard.location(C)[:, None] + self.guard.from_normal(Z, radius)
        U = np.concatenate([U.reshape(n_rows, -1, self.n_targets), guard], axis=1)
        Y = self.columns.inverse(U.reshape(-1, self.n_targets)).reshape(U.shape)
        return Y, np.outer(self.weights, weight).ravel()

    def over_nodes(self, function, *rows):
        """What a function of nodes, weights and rows says of all rows, block by block.

        ``rows`` are the context and what else there is for each row.
        """
        n_nodes = len(latent_nodes(self.n_targets, self.guard.dof)[0])
        chosen = blocks(len(rows[0]), n_nodes * self.flow.numbers_per_row)

        def call(block):
            C, *others = (part[block] for part in rows)
            return function(*self.nodes(C), *others)

        return np.concatenate(map_blocks(call, chosen))

    def moments(self, C):
        """Means and standard deviations ``(n, 2, d)`` of the targets."""
        return self.over_nodes(_moments, C)

    def marginal_cdf(self, C, Y):
        """Distribution function ``(n, d)`` of each target alone, at ``Y`` ``(n, d)``."""
        if self.n_targets == 1:
            return self.spread_cdf(C, Y)[:, None]
        return self.over_nodes(_marginal_cdf, C, Y)

    def marginal_quantiles(self, C, levels):
        """Values ``(n, d, m)`` of each target alone at levels ``(d, m)``."""
        if self.n_targets == 1:
            return self.quantiles(C, np.repeat(levels, len(C), axis=0))[:, None]
        values = self.over_nodes(lambda Y, w: _marginal_quantiles(Y, w, levels), C)
        return self.columns.to_grid(values.swapaxes(1, 2)).swapaxes(1, 2)

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
        Y = self.columns.to_grid(self.columns.inverse(U))
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
    points = qmc.Sobol(n_targets + 1, scramble=True, seed=0).random(_N_DRAWS // 2)
    Z, radius = ndtri(points[:, :-1]), chdtri(dof, points[:, -1])
    # with their mirror images, so that what is linear is exact
    return np.vstack([Z, -Z]), np.tile(radius, 2), np.full(_N_DRAWS, 1 / _N_DRAWS)


def _moments(Y, weight):
    mean = np.einsum("nmd,m->nd", Y, weight)
    variance = np.einsum("nmd,m->nd", (Y - mean[:, None]) ** 2, weight)
    return np.stack([mean, np.sqrt(variance)], axis=1)


def _marginal_cdf(nodes, weight, Y):
    return np.einsum("nmd,m->nd", nodes <= Y[:, None], weight)


def _marginal_quantiles(nodes, weight, levels):
    order = nodes.argsort(axis=1)
    reached = np.cumsum(weight[order], axis=1)
    place = (reached[..., None] < levels).sum(axis=1).clip(max=len(weight) - 1)
    ordered = np.take_along_axis(nodes, order, axis=1)
    return np.take_along_axis(ordered.swapaxes(1, 2), place, axis=2)


def find_root(function, low, high, n_iter=100, tol=1e-9):
    """Where an increasing function is 0, for many at once, between ``low`` and ``high`` ``(n,)``.

    The Illinois method: secants between ends of different signs, with half of the value at an end
    that stays, and the middle where that does not help. ``function(u, rows)`` is given the rows
    that are still open.
    """
    low, high = low.copy(), high.copy()
    rows = np.arange(len(low))
    f_low, f_high = function(low, rows), function(high, rows)
    root = np.where(np.abs(f_low) < np.abs(f_high), low, high)
    last = np.zeros(len(low))  # the side that moved last
    for i in range(n_iter):
        size = tol * (1 + np.abs(low[rows]))
        rows = rows[(high[rows] - low[rows] > size) & (f_low[rows] < 0) & (f_high[rows] > 0)]
        if not len(rows):
            break
        a, b, fa, fb = low[rows], high[rows], f_low[rows], f_high[rows]
        u = (a + b) / 2 if i % 4 == 3 else b - fb * (b - a) / (fb - fa)
        value = function(u, rows)
        root[rows] = u
        below = value < 0
        moved = np.where(below, -1, 1)
        again = moved == last[rows]
        low[rows], f_low[rows] = np.where(below, u, a), np.where(below, value, fa / (1 + again))
        high[rows], f_high[rows] = np.where(below, b, u), np.where(below, fb / (1 + again), value)
        last[rows] = moved
        exact = value == 0
        low[rows[exact]] = high[rows[exact]] = u[exact]
    return root
