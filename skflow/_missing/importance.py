"""Weighted draws: any unknown cells of rows given the known ones, and the density of these.

Unknown cells ``u`` are drawn from a proposal ``q(u | known)``, the mixture with ellipses in the
flow's place. The mean of the weights ``p(known, u) / q(u | known)`` is the density of what is
known, and draws chosen by their weights are draws from the conditional distribution (importance
sampling and resampling: Rubin 1987, Owen 2013). Their effective number, ``(sum w)**2 / sum w**2``,
says how good that is. What is not the flow's has equal weights: the less the flow counts, the fewer
draws are enough. The members of the flow take turns, each draw is weighed by one.

A row that is several completions has draws of each, in proportion to what the completion is of it
by the proposal. ``weighted_draws`` is all that is asked of a density; whatever a question is, it is
answered by these draws.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import logsumexp, ndtri

from .._core.random import sobol
from .completions import Completions, find_completions
from .proposal import proposal_of

#: Of the flow, given what is known: below, its ellipses stand for it.
LEAST_SHARE = 1e-3


@dataclass
class Weighted:
    """Weighted draws of rows, row after row.

    Attributes
    ----------
    completions : Completions
        One for each draw: ``U`` ``(N, d)`` is complete, in standardised units, and ``row`` ``(N,)``
        says which row it is of; ``known`` says what was known of it.
    log_weight : ndarray of shape (N,)
        The sum of the weights of a row is the density of what is known of it, in the data's units.
    exact : ndarray of bool, shape (N,)
        Weights that are no estimates.
    """

    completions: Completions
    log_weight: np.ndarray
    exact: np.ndarray

    def log_prob(self):
        """Log-densities ``(n,)`` of what is known of the rows."""
        return self.completions.total(self.log_weight)

    def effective(self):
        """Effective numbers ``(n,)`` of the draws of rows, infinite where all are exact."""
        parts = np.where(self.exact, 0.0, self.completions.shares(self.log_weight))
        total, squares = (np.bincount(self.completions.row, p) for p in (parts, parts**2))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, total**2 / squares, np.inf)

    def choose(self, n_samples, rng):
        """Numbers ``(n, n_samples)`` of draws, chosen by their weights (systematic resampling)."""
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


def weighted_draws(density, X, n_points, effort, rng=None, unseen=True):
    """Draws of the unknown cells of rows, and their weights.

    Parameters
    ----------
    density : Density
    X : ndarray of shape (n, d)
        Codes and numbers in the data's units; NaN where unknown.
    n_points : int
        Draws of a row, a power of 2; some more where there are many completions, and one of each
        completion of which all numbers are known.
    effort : Effort
        Says how many completions and places of the noise there are.
    unseen
        As of ``find_completions``.
    rng : RandomState or None
        None takes the same quasi-random points for all rows, so that answers are the same each
        time; otherwise each row has its own, and draws of several rows are independent.

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


def _log_ratio(density, proposal, completions):
    """Logarithms of density by proposal ``(m,)``: one member of the flow after the other."""
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
def points(n_points, n_columns):
    """Quasi-random numbers: which ellipse, how far out, and a place for each column."""
    return sobol(n_points, n_columns + 2)


def spread(numbers):
    """What ``Conditionals.place`` takes."""
    numbers = np.clip(numbers, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return numbers[:, 0], ndtri(numbers[:, 2:]), numbers[:, 1]
