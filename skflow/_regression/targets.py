"""A fitted density of targets given features: distribution functions, quantiles, means, draws.

It is a ``Density`` with features as the context: flows and a heavy-tailed component. A flow is a
monotonic function of a single target. So distribution functions and quantiles are exact, and means
are integrals over a fixed grid. For several targets, means and marginal distributions come from
fixed quasi-random draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import chdtri, ndtr, ndtri, stdtr, stdtrit

from .._core.random import sobol
from .._core.saving import saved_as
from .._models.components import EllipticalMixture
from .._models.density import Density
from .._models.ellipses import precision_factors, shrunk_covariance
from .._models.flow import FlowModel
from .._models.groups import GroupedComponent, one_group
from .._models.mixture import Context, at
from .._nn.blocks import over_rows
from .._nn.row_maps import NUMBERS_PER_VALUE

if TYPE_CHECKING:
    from typing_extensions import Self

#: Latent grid for integrals over one target by the trapezoidal rule, which is exact to many digits
#: for smooth functions times the normal density.
_GRID = np.linspace(-8, 8, 41)
#: Targets are clipped to this, so that means do not overflow.
_LARGEST = np.finfo(float).max / 4
#: Quasi-random draws of each member for several targets, a power of 2.
_N_DRAWS = 256
#: Approximate number of draws of all members for the distribution of densities.
_N_HEIGHTS = 64


@saved_as("residual t")
class ResidualT(EllipticalMixture):
    """A Student-t with 5 degrees of freedom: its mean and variance are finite."""

    dof = 5.0
    heavy_tailed = True

    def fit(self, U: np.ndarray, weight: np.ndarray) -> Self:
        """Fit to residuals ``(n, d)`` with weights that add up to 1."""
        centre, shape = shrunk_covariance(U, weight)
        least = 1e-6 * np.eye(U.shape[1])  # for y linear in x
        factor = precision_factors(((1 - 2 / self.dof) * shape + least)[None])
        self.weights, self.centres, self.factors = np.ones(1), centre[None], factor
        return self


@saved_as("regressed t")
class RegressedT(GroupedComponent):
    """A Student-t around a ridge regression on the features, which are clipped."""

    dof = ResidualT.dof

    def location(self, context: Context) -> np.ndarray:
        return self.groups.location(context) + self.members[0].centres[0]

    @property
    def _factor(self) -> np.ndarray:
        return self.members[0].factors[0]

    def cdf(self, U: np.ndarray, context: Context) -> np.ndarray:
        """Return the distribution function of one target at values ``(n, m)``."""
        return stdtr(self.dof, (U - self.location(context)) * self._factor[0, 0])

    def quantile(self, levels: np.ndarray, context: Context) -> np.ndarray:
        """Return the quantiles ``(n, m)`` of one target at levels ``(n, m)``."""
        return self.location(context) + stdtrit(self.dof, levels) / self._factor[0, 0]

    def place(self, Z: np.ndarray, radius: np.ndarray, context: Context) -> np.ndarray:
        """Return points ``(n, m, d)`` from normal places ``(m, d)``, chi-square radii ``(m,)``."""
        scaled = Z * np.sqrt(self.dof / radius)[:, None]
        steps = solve_triangular(self._factor, scaled.T, trans="T").T
        return self.location(context)[:, None] + steps


def fit_regressed_t(
    U: np.ndarray, context: Context, weight: np.ndarray | None = None
) -> RegressedT:
    """Return the ``RegressedT`` of standardised targets ``(n, d)`` given their context."""
    weight = np.ones(len(U)) if weight is None else weight / weight.mean()
    groups = one_group(U, context, weight)
    residuals = U - groups.location(context)
    return RegressedT(groups, [ResidualT().fit(residuals, weight / weight.sum())])


@saved_as("target density")
@dataclass(eq=False)
class TargetDensity(Density):
    """A mixture of flows and, as the last model, a heavy-tailed component, given a context."""

    @property
    def n_targets(self) -> int:
        return len(self.columns.scale)

    def flows(self) -> list[tuple[FlowModel, float]]:
        """Return pairs of a flow and the weight of each of its members."""
        models = list(self.mixture.models.values())[:-1]
        return [(flow, w / flow.n_members) for flow, w in zip(models, self.mixture.weights)]

    @property
    def heavy_tailed(self) -> RegressedT:
        return next(reversed(self.mixture.models.values()))

    @property
    def n_members(self) -> int:
        return sum(flow.n_members for flow, _ in self.flows())

    # ---- one target

    def cdf(self, Y: np.ndarray, context: Context) -> np.ndarray:
        """Return the distribution function ``(n,)`` of draws at ``Y`` ``(n, 1)``, P(draw <= y)."""
        bounds = self.columns.bounds
        cdf = self.marginal_cdf(self.columns.ends_of_cells(Y), context)
        cdf = np.where(bounds.upper <= Y, 1.0, cdf)
        return np.where(bounds.lower > Y, 0.0, cdf)[:, 0]

    def numbers_per_row(self, n_values: int = 1) -> int:
        """Return how many numbers a row with so many values needs, for the size of blocks.

        The conditioners of a single target are evaluated once.
        """
        numbers = self.mixture.numbers_per_row
        if self.n_targets > 1:
            return n_values * numbers
        return numbers + n_values * self.n_members * NUMBERS_PER_VALUE

    @property
    def n_nodes(self) -> int:
        """Number of values that represent the distribution of the targets."""
        return len(latent_nodes(self.n_targets, RegressedT.dof)[0])

    # ---- any number of targets

    def nodes(self, context: Context, n_draws: int = _N_DRAWS) -> tuple[np.ndarray, np.ndarray]:
        """Return values ``(n, m, d)`` that represent the distribution of targets, and weights.

        They are in standardised units. For several targets, they are ``n_draws`` of each member.
        """
        Z, radius, weight = latent_nodes(self.n_targets, RegressedT.dof, n_draws)
        n_rows, n_nodes, parts, weights = len(context), len(Z), [], []
        for flow, member_weight in self.flows():
            if self.n_targets == 1:
                U = flow.row_maps(context).inverse(np.tile(Z.T, (n_rows, 1)))
            else:
                each = context[np.repeat(np.arange(n_rows), n_nodes)]
                U = flow.from_latent(np.tile(Z, (n_rows, 1)), each)
            U = U.reshape(flow.n_members, n_rows, n_nodes, -1).swapaxes(0, 1)
            parts.append(U.reshape(n_rows, -1, self.n_targets))
            weights += [member_weight] * flow.n_members
        parts.append(self.heavy_tailed.place(Z, radius, context))
        U = np.concatenate(parts, axis=1)
        return U, np.outer([*weights, self.mixture.weights[-1]], weight).ravel()

    def moments(self, context: Context) -> np.ndarray:
        """Return means and standard deviations ``(n, 2, d)`` of the targets."""

        def call(block: slice) -> np.ndarray:
            U, weight = self.nodes(context[block])
            return _moments(self._values(U, self.columns.places), weight)

        return over_rows(call, len(context), self.numbers_per_row(self.n_nodes))

    def _values(self, U: np.ndarray, back: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return values ``(..., d)`` converted to the data's units by ``back``."""
        return back(U.reshape(-1, self.n_targets)).reshape(U.shape)

    def marginal_cdf(self, U: np.ndarray, context: Context) -> np.ndarray:
        """Return the distribution function ``(n, d)`` of each target alone, at ``U`` ``(n, d)``.

        ``U`` is in standardised units, as a value on a grid has a whole cell of places.
        """

        def call(block: slice) -> np.ndarray:
            if self.n_targets == 1:
                return _OneTarget(self, context[block]).cdf(U[block])
            nodes, weight = self.nodes(context[block])
            return np.einsum("nmd,m->nd", nodes <= U[block][:, None], weight)

        n_values = 1 if self.n_targets == 1 else self.n_nodes
        return over_rows(call, len(context), self.numbers_per_row(n_values))

    def marginal_quantiles(self, levels: np.ndarray, context: Context) -> np.ndarray:
        """Return quantiles ``(n, d, m)`` of each target alone at levels ``(d, m)``."""

        def call(block: slice) -> np.ndarray:
            if self.n_targets == 1:
                wanted = np.repeat(levels, len(context[block]), axis=0)
                return _OneTarget(self, context[block]).quantiles(wanted)[:, :, None]
            nodes, weight = self.nodes(context[block])
            return _marginal_quantiles(nodes, weight, levels).swapaxes(1, 2)

        n_values = levels.shape[1] if self.n_targets == 1 else self.n_nodes
        U = over_rows(call, len(context), self.numbers_per_row(n_values))
        return self._values(U, self.columns.draws).swapaxes(1, 2)

    def scores(self, Y: np.ndarray, U: np.ndarray, context: Context) -> np.ndarray:
        """Return the conformity scores, as in ``Calibration``, of targets given in both units."""
        scores = np.abs(self.marginal_cdf(U, context) - 0.5)
        return scores if self.n_targets == 1 else np.c_[scores, self.levels(Y, context)]

    # ---- several targets together

    def _heights(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """Return descending log-densities ``(n, m)`` of draws of several targets, and weights."""
        n_draws = 2 ** math.ceil(math.log2(max(4, _N_HEIGHTS / (self.n_members + 1))))
        U, weight = self.nodes(context, n_draws)
        each = context[np.repeat(np.arange(len(context)), len(weight))]
        Y = self._values(U, self.columns.draws).reshape(-1, self.n_targets)
        log_prob = self.log_prob(Y, each).reshape(len(context), -1)
        order = np.argsort(-log_prob, axis=1)
        return np.take_along_axis(log_prob, order, axis=1), weight[order]

    def levels(self, Y: np.ndarray, context: Context) -> np.ndarray:
        """Return the probability ``(n,)`` of a higher density than at targets ``Y`` ``(n, d)``.

        Below the density of all draws it is 1 plus the nats to the lowest draw, so that such
        targets have an order, too.
        """
        heights, weight = self._heights(context)
        log_prob = self.log_prob(Y, context)
        inside = weight.sum(axis=1, where=heights > log_prob[:, None])
        return np.where(log_prob < heights[:, -1], 1 + heights[:, -1] - log_prob, inside)

    def thresholds(self, level: float, context: Context) -> np.ndarray:
        """Return the log-density ``(n,)`` above which ``levels`` are at most ``level``."""
        heights, weight = self._heights(context)
        place = (weight.cumsum(axis=1) <= level + 1e-12).sum(axis=1, keepdims=True)
        last = heights.shape[1] - 1
        threshold = np.take_along_axis(heights, place.clip(max=last), axis=1)[:, 0]
        return threshold - max(level - 1, 0)

    def draws(self, n_samples: int, rng: np.random.RandomState, context: Context) -> np.ndarray:
        """Return draws ``(n, d, n_samples)``, several for each row of a context."""
        n_rows = len(context)
        each = context[np.repeat(np.arange(n_rows), n_samples)]
        return self.sample(len(each), rng, each).reshape(n_rows, n_samples, -1).swapaxes(1, 2)


class _OneTarget:
    """The distribution of a single target given rows, for many values at little cost."""

    def __init__(self, density: TargetDensity, context: Context) -> None:
        self.flows = [(flow.row_maps(context), weight) for flow, weight in density.flows()]
        self.rest, self.rest_weight = density.heavy_tailed, density.mixture.weights[-1]
        self.context = context

    def cdf(self, U: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return it at values ``(n, m)``, or at ``(r, m)`` for some rows, an index array."""
        context = self.context if rows is None else at(self.context, rows)
        cdf = self.rest_weight * self.rest.cdf(U, context)
        for maps, weight in self.flows:
            cdf += weight * ndtr(maps.forward(U, rows)).sum(axis=0)
        return cdf

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Return quantiles ``(n, m)`` at levels ``(n, m)``."""
        wanted = ndtri(levels)
        own = [maps.inverse(wanted) for maps, _ in self.flows]
        own = np.concatenate([*own, self.rest.quantile(levels, self.context)[None]])

        # in normal scores, in which a distribution function is nearly a line
        def miss(U: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return ndtri(self.cdf(U, rows).clip(1e-300, 1 - 1e-16)) - wanted[rows]

        # the mixture's quantile lies between the models' quantiles
        return find_root(miss, own.min(axis=0), own.max(axis=0))


@lru_cache
def latent_nodes(
    n_targets: int, dof: float, n_draws: int = _N_DRAWS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard normal places ``(m, d)``, chi-square radii ``(m,)`` and weights ``(m,)``.

    Radii turn normal places into places of a Student-t. On the grid of one target, they map
    quantiles to quantiles.
    """
    if n_targets == 1:
        weight = np.exp(-(_GRID**2) / 2)
        tails = -stdtrit(dof, ndtr(-np.abs(_GRID)))  # of the t at the same levels
        middle = np.sqrt(dof) / 2.6  # arbitrary, as the place is 0
        ratio = np.divide(tails, np.abs(_GRID), out=np.full(len(_GRID), middle), where=_GRID != 0)
        return _GRID[:, None], dof / ratio**2, weight / weight.sum()
    points = sobol(n_draws // 2, n_targets + 1)
    Z, radius = ndtri(points[:, :-1]), chdtri(dof, points[:, -1])
    # with mirror images, so that linear functions are exact
    return np.vstack([Z, -Z]), np.tile(radius, 2), np.full(n_draws, 1 / n_draws)


def _moments(Y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    Y = np.clip(Y, -_LARGEST, _LARGEST)
    mean = np.einsum("nmd,m->nd", Y, weight)
    distance = np.abs(Y - mean[:, None])
    most = np.maximum(distance.max(axis=1), np.finfo(float).tiny)  # so that squares do not overflow
    variance = np.einsum("nmd,m->nd", (distance / most[:, None]) ** 2, weight)
    return np.stack([mean, most * np.sqrt(variance)], axis=1)


def _marginal_quantiles(nodes: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> np.ndarray:
    order = nodes.argsort(axis=1)
    reached = np.cumsum(weight[order], axis=1)
    place = (reached[..., None] < levels).sum(axis=1).clip(max=len(weight) - 1)
    ordered = np.take_along_axis(nodes, order, axis=1)
    return np.take_along_axis(ordered.swapaxes(1, 2), place, axis=2)


def find_root(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    n_iter: int = 100,
    tol: float = 1e-9,
) -> np.ndarray:
    """Return the roots of many increasing functions between ``low`` and ``high`` ``(n, m)``.

    The Illinois method: secants between ends of different signs, with half of the value at an end
    that stays; at every eighth step, and from the 40th on, bisection. It ends when the ends are
    closer than ``tol``, or the value is that close to 0. ``function(u, rows)`` gets the values
    ``(r, m)`` of the rows with an open root.
    """
    low, high = low.copy(), high.copy()
    rows = np.arange(len(low))
    f_low, f_high = function(low, rows), function(high, rows)
    root = np.where(np.abs(f_low) < np.abs(f_high), low, high)
    last = np.zeros(low.shape)  # the side that moved last
    for i in range(n_iter):
        wide = high - low > tol * (1 + np.abs(low))
        is_open = wide & (f_low < 0) & (f_high > 0)
        rows = np.flatnonzero(is_open.any(axis=1))
        if not len(rows):
            break
        moving, u = is_open[rows], root[rows]
        a, b, fa, fb = (part[rows] for part in (low, high, f_low, f_high))
        secant = np.divide(fb * (b - a), fb - fa, out=(b - a) / 2, where=moving)
        halved = i % 8 == 7 or i >= 40
        u = np.where(moving, (a + b) / 2 if halved else b - secant, u)
        value = function(u, rows)
        value[np.abs(value) < tol] = 0
        root[rows] = u
        below = value < 0
        again = np.where(below, -1, 1) == last[rows]
        up, down = moving & below, moving & ~below
        low[rows], f_low[rows] = np.where(up, u, a), np.where(up, value, fa / (1 + (down & again)))
        high[rows] = np.where(down, u, b)
        f_high[rows] = np.where(down, value, fb / (1 + (up & again)))
        last[rows] = np.where(below, -1, 1)
    return root
