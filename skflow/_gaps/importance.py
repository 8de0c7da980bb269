"""Known columns under a flow, and the others given them: weighted draws.

The density of the known columns is the integral of that of whole rows over the others. With draws
``u`` of these from a proposal ``q(u | known)`` it is the mean of the weights ``p(known, u) / q``,
and draws chosen by their weights are draws from the flow's conditional distribution (importance
sampling and resampling: Rubin 1987, Owen 2013). Their effective number, ``(sum w)**2 / sum w**2``,
says how good that is. Where it is small, it is done again with four times as many draws.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from .._flows.blocks import BLOCK_SIZE
from .._support.quasi_random import sobol
from .._support.runtime import map_blocks
from .patterns import patterns
from .proposal import proposal_of


class Effort(NamedTuple):
    """Numbers of weighted draws for a row, tried one after another until enough of them count."""

    n_points: tuple
    wanted: int  # effective number


#: For answers to users; for draws that a density is fitted to, soon to be replaced by better ones.
CAREFUL, QUICK = Effort((2**8, 2**10, 2**12, 2**14), 100), Effort((2**6, 2**8, 2**10), 15)
#: The least effective number that goes without a warning.
LEAST = 30


@dataclass
class Weighted:
    """What weighted draws say of rows.

    Attributes
    ----------
    log_prob : ndarray of shape (n,)
        Log-density of the known columns under the flows.
    ess : ndarray of shape (n,)
        Effective number of draws.
    draws : ndarray of shape (n, n_draws, d)
        Rows with the unknown columns drawn, in standardised units.
    """

    log_prob: np.ndarray
    ess: np.ndarray
    draws: np.ndarray


def weighted_draws(density, U, known, choices, seed=0, effort=CAREFUL):
    """Log-densities of known columns, and draws of the others.

    Nothing depends on which rows are computed at once.

    Parameters
    ----------
    density : Density
    U : ndarray of shape (n, d)
        In standardised units; what stands at unknown columns does not matter.
    known : ndarray of bool, shape (n, d)
        At least one of each row is not.
    choices : ndarray of shape (n, n_draws)
        Uniform numbers in [0, 1), which choose among the weighted draws.
    seed : int
        Of the quasi-random points.
    effort : Effort
    """
    n_rows, n_draws = choices.shape
    found = Weighted(np.empty(n_rows), np.empty(n_rows), np.empty((n_rows, n_draws, U.shape[1])))
    proposal = proposal_of(density)
    pending = np.concatenate([rows for _, rows in patterns(known)])  # those of a pattern together
    for n_points in effort.n_points:
        if n_points < min(2 * n_draws, effort.n_points[-1]):
            continue

        def answer(batch, n_points=n_points):
            points, log_q = _points(proposal, U[batch], known[batch], n_points, seed)
            log_p = density.flow_log_prob(points.reshape(-1, U.shape[1])).reshape(log_q.shape)
            _settle(found, batch, points, log_p - log_q, choices[batch])

        size = max(1, BLOCK_SIZE // (n_points * density.flow.numbers_per_row))
        map_blocks(answer, [pending[i : i + size] for i in range(0, len(pending), size)])
        pending = pending[found.ess[pending] < max(effort.wanted, n_draws)]
    return found


def _points(proposal, U, known, n_points, seed):
    """Rows ``(n, m, d)`` with unknown columns drawn, and the log-densities of that ``(n, m)``."""
    points = np.repeat(U[:, None], n_points, axis=1)
    log_q = np.empty(points.shape[:2])
    for pattern, rows in patterns(known):
        answers = proposal.conditionals(pattern).given(U[rows][:, pattern])
        drawn = answers.place(*_quasi_random(n_points, (~pattern).sum(), seed))
        points[np.ix_(rows, range(n_points), ~pattern)] = drawn
        log_q[rows] = answers.conditional_log_prob(drawn)
    return points, log_q


@lru_cache(maxsize=64)
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
