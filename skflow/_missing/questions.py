"""What a fitted density says of rows with missing cells: NaN means unknown.

Rows are asked about in blocks; of those for which too few weighted draws count, more are drawn.
"""

from typing import NamedTuple

import numpy as np

from .._core.checks import warn
from .._core.deadline import time_left
from .._core.rows import patterns
from .._models.mixture import N_PLACES
from .completions import count_completions
from .importance import weighted_draws
from .proposal import proposal_of


class Effort(NamedTuple):
    """How much work an answer is worth.

    Weighted draws of a row at first and at most, powers of 2; the effective number that is enough,
    as a part of the first; the most completions that a row is taken for; the places of the noise
    where a number is absent; and whether rows stay as they are once the time of a fit is up.
    """

    n_points: int
    most_points: int
    wanted: float
    n_completions: int
    n_places: int = N_PLACES
    in_time: bool = False


#: For draws and for densities that users get.
CAREFUL = Effort(2**7, 2**14, 0.4, 2**10)
EXACT = CAREFUL._replace(n_points=2**8)
#: For draws that a density is fitted to, soon to be replaced by better ones; for densities that
#: have to put rows in order: they are off by some hundredths of a nat, with cells missing by some
#: tenths.
QUICK = Effort(2**4, 2**8, 0.3, 2**7)
ROUGH = Effort(2**4, 2**4, 0.0, 2**5, 4)
#: The least effective number that goes without a warning.
LEAST = 30
#: Numbers in the widest array of a block of rows.
MOST_NUMBERS = 2**22


class RoughRows:
    """Rows that few weighted draws count for, of all parts of a table."""

    def __init__(self):
        self.count, self.worst = 0, np.inf

    def add(self, ess):
        few = ess < LEAST
        self.count += few.sum()
        self.worst = ess.min(where=few, initial=self.worst)

    def warn(self):
        if self.count:
            warn(
                f"The unknown cells of {self.count} rows are drawn roughly, and so are the "
                f"densities of what is known there: of {CAREFUL.most_points} weighted draws fewer "
                f"than {LEAST} count (in the worst row {self.worst:.0f}). Such rows are unusual, "
                "or have very many missing cells: look at them, or leave out columns that you do "
                "not need."
            )


def log_prob_known(density, X, rough, effort=EXACT):
    """Log-densities ``(n,)`` of the known columns of rows, in the data's units.

    ``rough`` is told of rows of which they are rough.
    """
    missing = np.isnan(X)
    result, ess = np.zeros(len(X)), np.full(len(X), np.inf)  # of a row of which nothing is known
    whole = ~missing.any(axis=1)
    if whole.any():
        result[whole] = density.log_prob(X[whole], n_places=effort.n_places)
    asked = np.flatnonzero(~whole & ~missing.all(axis=1))
    for rows, draws, enough in _ask(density, X, asked, effort):
        result[rows] = draws.log_prob()[enough]
        ess[rows] = draws.effective()[enough]
    rough.add(ess)
    return result


def sample_given(density, X, n_samples, rng, effort=CAREFUL):
    """Rows with their unknown cells drawn given the known ones, and how good the draws are.

    Returns
    -------
    drawn : ndarray of shape (n, d, n_samples)
    ess : ndarray of shape (n,)
        Effective number of weighted draws that a row's were chosen from, infinite where they are
        exact.
    """
    density.columns.bounds.check(X[:, density.schema.real_columns], density.columns.names)
    missing = np.isnan(X)
    drawn = np.repeat(X[:, :, None], n_samples, axis=2)
    ess = np.full(len(X), np.inf)
    empty = missing.all(axis=1)
    if empty.any():
        rows = density.sample(n_samples * empty.sum(), rng)
        drawn[empty] = rows.reshape(-1, n_samples, X.shape[1]).transpose(0, 2, 1)
    asked = np.flatnonzero(missing.any(axis=1) & ~empty)
    for rows, draws, enough in _ask(density, X, asked, effort, n_samples, rng):
        ess[rows] = draws.effective()[enough]
        chosen = draws.choose(n_samples, rng)[enough]
        found = _to_data(density, draws.completions.take(chosen.ravel()), rng)
        found = found.reshape(*chosen.shape, X.shape[1]).transpose(0, 2, 1)
        drawn[rows] = np.where(missing[rows, :, None], found, drawn[rows])
    if effort is CAREFUL:
        rough = RoughRows()
        rough.add(ess)
        rough.warn()
    return drawn, ess


def _to_data(density, completions, rng):
    """Rows in the data's units of completions; where no number was known, any are drawn."""
    U, discrete = completions.U, np.zeros((len(completions.U), 0), dtype=int)
    if completions.context is not None:
        U, discrete = U.copy(), completions.context.discrete
        free = ~completions.known.any(axis=1)
        if free.any():
            U[free] = density.mixture.sample(free.sum(), rng, completions.context[free])
    return density.to_data(U, discrete)


def _ask(density, X, rows, effort, n_points=1, rng=None):
    """Numbers of rows that are answered, block by block; the draws of a block, and whose of its
    rows are enough."""
    if not len(rows):  # nothing is fitted for those
        return
    if proposal_of(density).has_flow:  # otherwise all draws count
        n_points = max(effort.n_points, n_points)
    n_points = 2 ** int(np.ceil(np.log2(n_points)))
    wanted = effort.wanted * n_points
    while len(rows):
        last = n_points >= effort.most_points
        # those of a pattern together: what has to be decomposed for it is, once
        order = [own for _, own in patterns(np.isnan(X[rows]))]
        left = []
        for block in row_blocks(density, X, rows[np.concatenate(order)], n_points, effort):
            if effort.in_time and not time_left():
                return
            draws = weighted_draws(density, X[block], n_points, effort, rng, unseen=rng is None)
            enough = np.full(len(block), True) if last else draws.effective() >= wanted
            yield block[enough], draws, enough
            left.append(block[~enough])
        rows, n_points = np.concatenate(left), 4 * n_points


def row_blocks(density, X, rows, n_points, effort):
    """Numbers of rows, as arrays of so many as are answered at once."""
    numbers = proposal_of(density).numbers_per_row
    n_completions = np.ones(len(rows))
    if len(density.schema.sizes):
        n_completions = count_completions(density, X[rows], effort.n_completions)
    needed = n_completions * numbers + (n_completions + n_points) * 4 * X.shape[1]
    block = np.cumsum(needed) // MOST_NUMBERS
    return np.split(rows, np.flatnonzero(np.diff(block)) + 1)
