"""Weighted draws of the unknown cells of rows given the known ones, and the density of these.

Unknown cells ``u`` are drawn from a proposal ``q(u | known)``: the mixture with ellipses in place
of the flow. The mean of the weights ``p(known, u) / q(u | known)`` is the density of the known
cells, and draws chosen by their weights are draws from the conditional distribution (importance
sampling and resampling: Rubin 1987, Owen 2013). Their effective number, ``(sum w)**2 / sum w**2``,
measures how good they are. The other components have equal weights, so a small weight of the flow
needs fewer draws. Each draw is weighed by one member of the flow, in turn.

A row with several completions has draws of each, in proportion to their probability by the
proposal. All questions about missing cells are answered by ``weighted_draws``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from .._core.random import sobol
from .._models.mixture import N_PLACES
from .completions import Completions, find_completions
from .proposal import Proposal, proposal_of

if TYPE_CHECKING:
    from .._models.density import Density

#: If the probability of the flow given the known cells is less, its ellipses replace it.
LEAST_SHARE = 1e-3


class Effort(NamedTuple):
    """How much work an answer may take.

    The first and the largest number of weighted draws of a row, powers of 2; the effective number
    that is enough, as a fraction of the first; the most completions of a row; the places of noise
    for absent numbers; and whether to leave rows unanswered when the time of a fit is up.
    """

    n_points: int
    most_points: int
    wanted: float
    n_completions: int
    n_places: int = N_PLACES
    in_time: bool = False


@dataclass
class Weighted:
    """Weighted draws of rows, row by row.

    Attributes
    ----------
    completions : Completions
        One for each draw: ``U`` ``(N, d)`` is complete, in standardised units, ``row`` ``(N,)`` is
        its row, and ``known`` are the known cells.
    log_weight : ndarray of shape (N,)
        The sum of the weights of a row is the density of its known cells, in the data's units.
    exact : ndarray of bool, shape (N,)
        Weights that are exact, not estimates.
    """

    completions: Completions
    log_weight: np.ndarray
    exact: np.ndarray

    def log_prob(self) -> np.ndarray:
        """Return log-densities ``(n,)`` of the known cells of the rows."""
        return self.completions.total(self.log_weight)

    def effective(self) -> np.ndarray:
        """Return the effective numbers ``(n,)`` of draws, infinite if all are exact."""
        parts = np.where(self.exact, 0.0, self.completions.shares(self.log_weight))
        total, squares = (np.bincount(self.completions.row, p) for p in (parts, parts**2))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, total**2 / squares, np.inf)

    def choose(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Return indices ``(n, n_samples)`` of draws, chosen by weight (systematic resampling)."""
        row, parts = self.completions.row, self.completions.shares(self.log_weight)
        first = np.searchsorted(row, np.arange(row[-1] + 1))
        reached, last = parts.cumsum(), np.append(first[1:], len(row)) - 1
        start = reached[first] - parts[first]
        levels = np.arange(n_samples) + rng.uniform(size=(len(first), 1))
        levels = start[:, None] + levels / n_samples * (reached[last] - start)[:, None]
        chosen = np.searchsorted(reached, levels, side="right")
        chosen = chosen.clip(first[:, None], last[:, None])
        order = rng.uniform(size=chosen.shape).argsort(axis=1)
        return np.take_along_axis(chosen, order, axis=1)


def weighted_draws(
    density: Density,
    X: np.ndarray,
    n_points: int,
    effort: Effort,
    rng: np.random.RandomState | None = None,
    unseen: bool = True,
) -> Weighted:
    """Draw the unknown cells of rows, and weigh the draws.

    Parameters
    ----------
    density : Density
    X : ndarray of shape (n, d)
        Codes and numbers in the data's units; NaN where unknown.
    n_points : int
        Draws of a row, a power of 2; more with many completions, and one for each completion whose
        numbers are all known.
    effort : Effort
        Limits the completions and the places of noise.
    unseen
        As in ``find_completions``.
    rng : RandomState or None
        With None, all rows use the same quasi-random points, so that answers do not change from
        call to call. Otherwise draws of different rows are independent.

    Returns
    -------
    draws : Weighted
    """
    completions = find_completions(density, X, effort.n_completions, unseen)
    proposal = proposal_of(density)
    settled, log_prob = completions.settled, np.zeros(len(completions.U))
    whole = settled & completions.known.any(axis=1)
    if whole.any():
        chosen = completions if whole.all() else completions.take(whole)
        log_prob[whole] = density.mixture.log_prob(chosen.U, chosen.context, effort.n_places)
    if not settled.all():
        chosen = completions.take(~settled)
        guess = proposal.conditionals(chosen.U, chosen.known, chosen.context)
        log_prob[~settled] = guess.log_prob
    joint = completions.joint(log_prob)
    shares = np.where(settled, 0.0, completions.shares(joint))
    times = np.ceil(n_points * shares).astype(int).clip(1)
    number = np.repeat(np.arange(len(times)), times)
    drawn, log_weight = completions.take(number), (joint - np.log(times))[number]
    own = np.flatnonzero(~settled[number])
    if len(own):
        row, point = drawn.row[own], (np.arange(len(number)) - np.searchsorted(number, number))[own]
        numbers = points(n_points, completions.U.shape[1])[point]
        if rng is not None:
            numbers = (numbers + rng.uniform(size=(row[-1] + 1, numbers.shape[1]))[row]) % 1
        place = (np.cumsum(~settled) - 1)[number[own]]
        drawn.U[own] = guess.place(place, *spread(numbers))
        if proposal.has_flow:
            own = own[guess.first_share[place] > LEAST_SHARE]
            log_weight[own] += _log_ratio(density, proposal, drawn.take(own))
    return Weighted(drawn, log_weight, settled[number] | (not proposal.has_flow))


def _log_ratio(density: Density, proposal: Proposal, completions: Completions) -> np.ndarray:
    """Return the log-ratios ``(m,)`` of density and proposal, each by one member of the flow."""
    if not len(completions.row):
        return np.zeros(0)
    turn = np.arange(len(completions.row)) - np.searchsorted(completions.row, completions.row)
    terms = proposal.log_probs(completions.U, completions.context)
    log_q = logsumexp(terms, axis=0)
    member = turn % density.flow.n_members
    log_prob = density.flow.log_prob_of(member, completions.U, completions.context)
    terms[0] = log_prob + proposal.log_weights[0]
    return logsumexp(terms, axis=0) - log_q


@lru_cache(maxsize=16)
def points(n_points: int, n_columns: int) -> np.ndarray:
    """Return quasi-random numbers: for the ellipse, the radius, and each column."""
    return sobol(n_points, n_columns + 2)


def spread(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert uniform numbers to the arguments of ``Conditionals.place``."""
    numbers = np.clip(numbers, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return numbers[:, 0], ndtri(numbers[:, 2:]), numbers[:, 1]
