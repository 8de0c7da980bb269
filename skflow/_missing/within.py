"""Weighted draws of rows within a region.

They come from a mixture of ellipses within the region (``boxes.py``) that approximates the flow and
the components. The weight of a draw is its density divided by the density of drawing it (importance
sampling). Whole rows are drawn, which integrates out the columns without a condition. The discrete
part is drawn first, or enumerated, from what the region allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from .._core.random import sobol
from .._core.rows import patterns
from .._models.mixture import N_PLACES, at, log_noise, normal_places
from .boxes import BoxedEllipses
from .proposal import proposal_of

if TYPE_CHECKING:
    from .._models.components import EllipticalMixture
    from .._models.density import Density
    from .._models.mixture import Context
    from .._table.columns import Columns
    from .._table.schema import Schema
    from .regions import Region

#: Number of independent sets of weighted draws.
N_SETS = 8
#: Most ways to fill in the discrete part that are enumerated; beyond, as many are drawn.
MOST_COMPLETIONS = 256
#: Draws of each ellipse that estimate its probability in the region.
N_PILOTS = 2**5
#: Draws do not use models with more ellipses, such as kernels on rows.
_MOST_ELLIPSES = 64


class Points(NamedTuple):
    """Weighted rows in a region, set by set; the mean weight is its probability.

    Attributes
    ----------
    U : ndarray of shape (n, r)
        In standardised units.
    discrete : ndarray of int, shape (n, q)
    log_weight : ndarray of shape (n,)
        If columns have a single value, the weight includes its density.
    """

    U: np.ndarray
    discrete: np.ndarray
    log_weight: np.ndarray


class _Ellipses:
    """The ellipses of a model that several completions share.

    Attributes
    ----------
    order : ndarray of shape (m,)
        Columns in the order of drawing.
    completions : ndarray of shape (n_completions,)
        Indices of the completions, ascending.
    log_pi : ndarray of shape (n_completions, k)
        Log-probabilities of drawing from each ellipse.
    """

    def __init__(
        self,
        member: EllipticalMixture,
        box: _Box,
        absent: np.ndarray,
        completions: np.ndarray,
        location: np.ndarray,
        log_weight: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        self.order, self.completions = box.order[~absent[box.order]], completions
        self._location = location[:, self.order]  # shift by the categories
        known = box.exact[self.order].sum()
        self._boxed = BoxedEllipses(member, self.order, known)
        ends = (end[self.order] - self._location for end in (box.values, box.lower, box.upper))
        values, lower, upper = ends
        self._ends = values[:, :known], lower[:, known:], upper[:, known:]
        which = np.repeat(np.arange(len(completions)), N_PILOTS)
        uniform = _uniform(N_PILOTS, len(self.order) - known, rng)
        uniform = np.tile(uniform, (len(completions), 1))
        weights = member.weights / member.weights.sum()
        log_mass = np.stack([self.draw(k, which, uniform)[1] for k in range(len(weights))])
        log_mass = logsumexp(log_mass.reshape(len(weights), -1, N_PILOTS), axis=2).T
        self.log_pi = log_mass - np.log(N_PILOTS) + np.log(weights) + log_weight[:, None]

    def draw(self, k: int, which: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return draws ``(n, m)`` of ellipse ``k`` for completions ``which``, and log-weights."""
        known, lower, upper = (end[which] for end in self._ends)
        U, log_mass = self._boxed.draw(k, known, lower, upper, uniform)
        return U + self._location[which], log_mass

    def log_q(self, U: np.ndarray, completion: np.ndarray) -> np.ndarray:
        """Return log-densities ``(n,)`` of drawing the completion and the columns."""
        place = np.searchsorted(self.completions[:-1], completion)
        own = self.completions[place] == completion
        which, found = place[own], np.full(len(U), -np.inf)
        points = U[own][:, self.order] - self._location[which]
        log_q = self._boxed.log_density(points, *(end[which] for end in self._ends[1:]))
        found[own] = logsumexp(log_q + self.log_pi[which].T, axis=0)
        return found


class Within:
    """Weighted draws of rows within a region."""

    def __init__(self, density: Density, region: Region) -> None:
        self.density, self.region = density, region
        self.ellipses: list[_Ellipses] | None = None

    def looked(self, rng: np.random.RandomState, again: bool = False) -> Within:
        """Find completions, estimate by a few draws each ellipse's share within, return self."""
        if self.ellipses is not None and not again:
            return self
        density = self.density
        self.box = box = _Box(density, self.region)
        self.discrete, self.log_completion, self.complete = _completions(density, self.region, rng)
        context = density.context(self.discrete)
        absent = np.zeros((len(self.discrete), len(box.lower)), dtype=bool)
        absent = absent if context is None else context.absent
        # without a present number outside the box
        possible = np.flatnonzero(~(box.empty & ~absent).any(axis=1))
        self.ellipses = []
        if len(possible):
            self.ellipses = list(self._all_ellipses(possible, context, absent, rng))
            total = logsumexp(np.concatenate([own.log_pi.ravel() for own in self.ellipses]))
            for own in self.ellipses:
                own.log_pi -= total
        return self

    def points(self, n_points: int, rng: np.random.RandomState) -> Points:
        """Return ``Points`` in independent sets."""
        density = self.density
        if self.region.is_everything:  # draws of the density itself have equal weights
            discrete = density.discrete.sample(n_points, rng)
            U = density.mixture.sample(n_points, rng, density.context(discrete))
            # rows within a region have categories of fit, too
            log_seen = sum(np.log1p(-factor.unseen) for factor in density.discrete.factors)
            return Points(U, discrete, np.full(n_points, log_seen, dtype=float))
        sets = []
        for k in range(N_SETS):
            self.looked(rng, again=k > 0 and not self.complete)
            sets.append(self._one_set(n_points // N_SETS, rng))
        return Points(*map(np.concatenate, zip(*sets)))

    def rows(self, points: Points) -> np.ndarray:
        """Return points as rows in the data's units, within the region to the last bit."""
        rows, region = self.density.to_data(points.U, points.discrete), self.region
        real = self.density.schema.real_columns
        rows[:, real] = np.clip(rows[:, real], region.lower[real], region.upper[real])
        return rows

    def _one_set(self, n_points: int, rng: np.random.RandomState) -> Points:
        n_columns = len(self.box.lower)
        if not self.ellipses:
            discrete = np.zeros((n_points, self.discrete.shape[1]), dtype=int)
            return Points(np.zeros((n_points, n_columns)), discrete, np.full(n_points, -np.inf))
        U, completion = _drawn(self.ellipses, n_points, n_columns, rng)
        context = self.density.context(self.discrete[completion])
        log_prob = self.density.mixture.log_prob_of_all(U, context, in_turn=True)
        log_q = logsumexp([own.log_q(U, completion) for own in self.ellipses], axis=0)
        log_weight = self.log_completion[completion] + log_prob - log_q
        if context is not None:  # absent numbers are drawn as noise
            log_weight -= (context.absent * log_noise(U)).sum(axis=1)
        return Points(U, self.discrete[completion], log_weight)

    def _all_ellipses(
        self,
        possible: np.ndarray,
        context: Context | None,
        absent: np.ndarray,
        rng: np.random.RandomState,
    ) -> Iterator[_Ellipses]:
        """Return the ``_Ellipses`` of every model, group and pattern of absent numbers."""
        context, absent = at(context, possible), absent[possible]
        for model, log_share in _models(self.density):
            members, location = [(model, np.arange(len(possible)))], np.zeros(absent.shape)
            if context is not None:
                members, location = model.split(context), model.groups.location(context)
            for member, numbers in members:
                for pattern, places in patterns(absent[numbers]):
                    own = numbers[places]
                    log_weight = log_share + self.log_completion[possible[own]]
                    yield _Ellipses(
                        member, self.box, pattern, possible[own], location[own], log_weight, rng
                    )


class _Box:
    """The real part of a region in standardised units.

    Attributes
    ----------
    exact : ndarray of bool, shape (r,)
    values, lower, upper : ndarray of shape (r,)
    empty : ndarray of bool, shape (r,)
        Columns without a number in the range, but perhaps with a spike.
    order : ndarray of shape (r,)
        The columns: those with a value, those with a range, the others.
    """

    def __init__(self, density: Density, region: Region) -> None:
        columns, real = density.columns, density.schema.real_columns
        low, high = region.lower[real], region.upper[real]
        self.exact = region.exact[real]
        self.values = np.zeros(len(real))
        if self.exact.any():
            given, of_given = columns.take(self.exact), low[None, self.exact]
            given.bounds.check(of_given, given.names)
            self.values[self.exact] = given.forward(of_given)[0][0]
        below = np.nextafter(low, -np.inf)
        below = np.where(columns.step > 0, low - 1e-6 * columns.step, below)
        self.lower = _end(columns, below, -np.inf)
        self.upper = _end(columns, high, np.inf)
        self.lower[columns.bounds.lower >= low] = -np.inf
        self.upper[columns.bounds.upper <= high] = np.inf
        inside = (low <= columns.origin) & (columns.origin <= high)
        self.lower[columns.constant & inside] = -np.inf
        self.upper[columns.constant & inside] = np.inf
        # a single real value has the width of its rounding
        with np.errstate(invalid="ignore"):  # columns without ends
            narrow = self.upper - self.lower <= 1e-12 * np.abs(self.upper).clip(1, 1e100)
        beyond = (high < columns.bounds.lower) | (low > columns.bounds.upper)
        self.empty = narrow | beyond | (columns.constant & ~inside)
        self.empty &= ~self.exact
        bounded = np.isfinite(self.lower) | np.isfinite(self.upper)
        self.order = np.argsort(np.where(self.exact, 0, 2 - bounded), kind="stable")


def _end(columns: Columns, ends: np.ndarray, infinite: float) -> np.ndarray:
    finite = np.isfinite(ends)
    found = np.full(len(ends), infinite)
    if finite.any():
        found[finite] = columns.take(finite).ends_of_cells(ends[None, finite])[0]
    return found


def _completions(
    density: Density, region: Region, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return discrete parts ``(m, q)``, log-weights ``(m,)``, and whether these are all."""
    schema = density.schema
    if not len(schema.sizes):
        return np.zeros((1, 0), dtype=int), np.zeros(1), True
    possible = zip(schema.sizes, _codes(schema, region))
    allowed = [np.isin(np.arange(size), codes) for size, codes in possible]
    n_ways = np.prod([found.sum(dtype=float) for found in allowed])
    if n_ways <= MOST_COMPLETIONS:
        ways = np.meshgrid(*map(np.flatnonzero, allowed), indexing="ij")
        discrete = np.stack([way.ravel() for way in ways], axis=1)
        return discrete, density.discrete.log_prob(discrete), True
    uniform = rng.uniform(size=(MOST_COMPLETIONS, len(allowed)))
    discrete, log_mass = density.discrete.fill_within(allowed, uniform)
    return discrete, log_mass - np.log(MOST_COMPLETIONS), False


def _codes(schema: Schema, region: Region) -> Iterator[np.ndarray]:
    """Return the values that the region allows each column of the discrete part."""
    for j, size in zip(schema.category_columns, schema.sizes):
        yield region.codes.get(j, np.arange(size))
    for j, value in zip(schema.spike_columns, schema.spike_values):
        at_spike = region.lower[j] <= value <= region.upper[j]
        beside = not (region.exact[j] and at_spike)
        yield np.flatnonzero([beside, at_spike])


def _models(density: Density) -> Iterator[tuple[Any, float]]:
    """Return the mixtures of ellipses that draws come from, with their log-weights."""
    proposal = proposal_of(density)
    for model, log_weight in zip(proposal.models, proposal.log_weights):
        members = getattr(model, "members", [model])
        if max(len(member.weights) for member in members) <= _MOST_ELLIPSES:
            yield model, log_weight


def _drawn(
    ellipses: list[_Ellipses], n_points: int, n_columns: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ellipses, then rows ``(n_points, r)``; return the rows and their completions."""
    pi = np.exp(np.concatenate([own.log_pi.ravel() for own in ellipses]))
    level = (np.arange(n_points) + rng.uniform()) / n_points
    chosen = np.searchsorted(pi.cumsum()[:-1], level, side="right")
    # absent numbers: one of the places of noise that the mixture averages over
    places = normal_places(N_PLACES, n_columns)
    points = places[rng.randint(len(places), size=n_points)]
    completion = np.empty(n_points, dtype=int)
    uniform = rng.permutation(_uniform(n_points, n_columns, rng))
    start = 0
    for own in ellipses:
        mine = np.flatnonzero((start <= chosen) & (chosen < start + own.log_pi.size))
        row, k = np.divmod(chosen[mine] - start, own.log_pi.shape[1])
        start += own.log_pi.size
        for j in np.unique(k):
            rows, which = mine[k == j], row[k == j]
            points[rows[:, None], own.order] = own.draw(j, which, uniform[rows])[0]
            completion[rows] = own.completions[which]
    return points, completion


def _uniform(n_points: int, n_columns: int, rng: np.random.RandomState) -> np.ndarray:
    """Return numbers in (0, 1) ``(n_points, n_columns)`` of a scrambled Sobol sequence."""
    if n_columns == 0:
        return np.empty((n_points, 0))
    tiny = np.finfo(float).eps
    return sobol(n_points, n_columns, rng.randint(2**31 - 1)).clip(tiny, 1 - tiny)
