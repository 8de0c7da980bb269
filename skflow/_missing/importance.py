"""Known columns under a flow, and the others given them: weighted draws.

The density of the known columns is the integral of that of whole rows over the others. With draws
``u`` of these from a proposal ``q(u | known)`` it is the mean of the weights ``p(known, u) / q``,
and draws chosen by their weights are draws from the flow's conditional distribution (importance
sampling and resampling: Rubin 1987, Owen 2013). Their effective number, ``(sum w)**2 / sum w**2``,
says how good that is. Where it is small, it is done again with four times as many draws. A row
that is several cases has draws of each, in proportion to what the case is of it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from .._core.patterns import patterns
from .._core.quasi_random import sobol
from .._core.runtime import map_blocks
from .._core.weights import at
from .._nn.blocks import BLOCK_SIZE
from .cases import answers
from .proposal import proposal_of


class Effort(NamedTuple):
    """How much work an answer is worth.

    Numbers of weighted draws for a row, tried one after another until enough of them count, the
    effective number that is enough, and the most cases that a row is taken for.
    """

    n_points: tuple
    wanted: int
    n_cases: int


#: For answers to users; for draws that a density is fitted to, soon to be replaced by better ones.
CAREFUL = Effort((2**8, 2**10, 2**12, 2**14), 100, 2**10)
QUICK = Effort((2**6, 2**8, 2**10), 15, 2**7)
#: The least effective number that goes without a warning.
LEAST = 30
#: Weighted draws of a case at least, a power of 2.
_LEAST_POINTS = 4


@dataclass
class Weighted:
    """What weighted draws say of cases.

    Attributes
    ----------
    log_prob : ndarray of shape (m,)
        Log-density of the known columns under the flows.
    ess : ndarray of shape (m,)
        Effective number of draws.
    draws : ndarray of shape (m, n_draws, d)
        Cases with the unknown columns drawn, in standardised units.
    """

    log_prob: np.ndarray
    ess: np.ndarray
    draws: np.ndarray


def weighted_draws(density, cases, choices, seed=0, effort=CAREFUL):
    """Log-densities of known columns, and draws of the others.

    Nothing depends on which rows are computed at once.

    Parameters
    ----------
    density : Density
    cases : Cases
        Something of each is not known.
    choices : ndarray of shape (m, n_draws)
        Uniform numbers in [0, 1), which choose among the weighted draws.
    seed : int
        Of the quasi-random points.
    effort : Effort
    """
    (n_cases, n_features), n_draws = cases.U.shape, choices.shape[1]
    found = Weighted(np.empty(n_cases), np.empty(n_cases), np.empty((n_cases, n_draws, n_features)))
    proposal, share = proposal_of(density), np.ones(n_cases)
    if cases.context is not None:
        guessed = np.empty(n_cases)
        for own, _, said in answers(proposal, cases):
            guessed[own] = said.log_prob
        share = cases.shares(cases.joint(guessed))
    pending = np.concatenate([own for _, own in patterns(cases.known)])  # a pattern's together
    for n_points in effort.n_points:
        if n_points < min(2 * n_draws, effort.n_points[-1]):
            continue

        def answer(batch):
            n_own, own = batch
            points, log_q = _points(proposal, cases.take(own), n_own, seed)
            context = at(cases.context, np.repeat(own, n_own))
            log_p = density.flow.log_prob(points.reshape(-1, n_features), context)
            _settle(found, own, points, log_p.reshape(log_q.shape) - log_q, choices[own])

        map_blocks(answer, _batches(pending, n_points, share, density.flow.numbers_per_row))
        if cases.context is not None:
            share = cases.shares(cases.joint(found.log_prob))
        enough = share * max(effort.wanted, n_draws)
        pending = pending[found.ess[pending] < enough[pending]]
    return found


def _batches(pending, n_points, share, numbers_per_row):
    """Pairs of a number of points and of cases that get as many, in proportion to their share."""
    with np.errstate(divide="ignore"):
        steps = np.floor(np.log2(share[pending])).clip(np.log2(_LEAST_POINTS / n_points), 0)
    found = []
    for step in np.unique(steps)[::-1]:
        n_own, own = int(n_points * 2.0**step), pending[steps == step]
        size = max(1, BLOCK_SIZE // (n_own * numbers_per_row))
        found += [(n_own, own[i : i + size]) for i in range(0, len(own), size)]
    return found


def _points(proposal, cases, n_points, seed):
    """Cases ``(m, p, d)`` with unknown columns drawn, and the log-densities of that ``(m, p)``."""
    points = np.repeat(cases.U[:, None], n_points, axis=1)
    log_q = np.empty(points.shape[:2])
    for own, pattern, said in answers(proposal, cases):
        drawn = said.place(*_quasi_random(n_points, (~pattern).sum(), seed))
        points[np.ix_(own, range(n_points), ~pattern)] = drawn
        log_q[own] = said.conditional_log_prob(drawn)
    return points, log_q


@lru_cache(maxsize=16)  # of one call: another has another seed
def _quasi_random(n_points, n_unknown, seed):
    """What ``Answers.place`` takes, from a scrambled Sobol sequence."""
    uniform = sobol(n_points, n_unknown + 2, seed)
    uniform = np.clip(uniform, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return uniform[None, :, 0], ndtri(uniform[None, :, 2:]), uniform[None, :, 1]


def _settle(found, batch, points, log_weights, choices):
    """Note what the weights of a batch say, and choose draws by them."""
    total = logsumexp(log_weights, axis=1)
    parts = np.exp(log_weights - total[:, None])
    found.log_prob[batch] = total - np.log(log_weights.shape[1])
    found.ess[batch] = 1 / (parts**2).sum(axis=1)
    for row, part, choice, of_row in zip(batch, parts, choices, points):
        chosen = np.searchsorted(part.cumsum()[:-1], choice, side="right")
        found.draws[row] = of_row[chosen]
