"""Densities and draws of rows with missing cells; NaN means unknown.

Rows are answered in blocks. A row gets more weighted draws if their effective number is too small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .._core.checks import warn
from .._core.deadline import time_left
from .._core.rows import patterns
from .completions import count_completions
from .importance import Effort, weighted_draws
from .proposal import proposal_of

if TYPE_CHECKING:
    from .._models.density import Density
    from .completions import Completions
    from .importance import Weighted

#: For draws and densities that users get.
CAREFUL = Effort(2**7, 2**14, 0.4, 2**10)
EXACT = CAREFUL._replace(n_points=2**8)
#: For draws to fit a density to, which better ones will replace; and for densities that only rank
#: rows, with errors of some hundredths of a nat, or tenths with missing cells.
QUICK = Effort(2**4, 2**8, 0.3, 2**7)
ROUGH = Effort(2**4, 2**4, 0.0, 2**5, 4)
#: Below this effective number there is a warning.
LEAST = 30
#: Most numbers in the widest array of a block of rows.
MOST_NUMBERS = 2**22


class RoughRows:
    """Counts the rows with few effective draws over all parts of a table."""

    def __init__(self) -> None:
        self.count, self.worst = 0, np.inf

    def add(self, ess: np.ndarray) -> None:
        few = ess < LEAST
        self.count += few.sum()
        self.worst = ess.min(where=few, initial=self.worst)

    def warn(self) -> None:
        if self.count:
            warn(
                f"The unknown cells of {self.count} rows have rough draws and densities: of "
                f"{CAREFUL.most_points} weighted draws fewer than {LEAST} are effective (in the "
                f"worst row {self.worst:.0f}). Such rows are unusual, or have very many missing "
                "cells: look at them, or leave out columns that you do not need."
            )


def log_prob_known(
    density: Density, X: np.ndarray, rough: RoughRows, effort: Effort = EXACT
) -> np.ndarray:
    """Return log-densities ``(n,)`` of the known columns of rows, in the data's units.

    ``rough`` counts the rows with rough values.
    """
    missing = np.isnan(X)
    result, ess = np.zeros(len(X)), np.full(len(X), np.inf)  # for rows without known cells
    whole = ~missing.any(axis=1)
    if whole.any():
        result[whole] = density.log_prob(X[whole], n_places=effort.n_places)
    asked = np.flatnonzero(~whole & ~missing.all(axis=1))
    for rows, draws, enough in _ask(density, X, asked, effort):
        result[rows] = draws.log_prob()[enough]
        ess[rows] = draws.effective()[enough]
    rough.add(ess)
    return result


def sample_given(
    density: Density,
    X: np.ndarray,
    n_samples: int,
    rng: np.random.RandomState,
    effort: Effort = CAREFUL,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the unknown cells of rows given the known ones.

    Returns
    -------
    drawn : ndarray of shape (n, d, n_samples)
    ess : ndarray of shape (n,)
        Effective number of the weighted draws of each row, infinite if they are exact.
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


def _to_data(density: Density, completions: Completions, rng: np.random.RandomState) -> np.ndarray:
    """Return completions in the data's units; without any known number, draw all."""
    U, discrete = completions.U, np.zeros((len(completions.U), 0), dtype=int)
    if completions.context is not None:
        U, discrete = U.copy(), completions.context.discrete
        free = ~completions.known.any(axis=1)
        if free.any():
            U[free] = density.mixture.sample(free.sum(), rng, completions.context[free])
    return density.to_data(U, discrete)


def _ask(
    density: Density,
    X: np.ndarray,
    rows: np.ndarray,
    effort: Effort,
    n_points: int = 1,
    rng: np.random.RandomState | None = None,
) -> Iterator[tuple[np.ndarray, Weighted, np.ndarray]]:
    """Yield the rows of each block, their weighted draws, and which rows have enough."""
    if not len(rows):  # do not fit a proposal for none
        return
    if proposal_of(density).has_flow:  # otherwise all draws are exact
        n_points = max(effort.n_points, n_points)
    n_points = 2 ** int(np.ceil(np.log2(n_points)))
    wanted = effort.wanted * n_points
    while len(rows):
        last = n_points >= effort.most_points
        # rows of a pattern together, as its matrices are decomposed once
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


def row_blocks(
    density: Density, X: np.ndarray, rows: np.ndarray, n_points: int, effort: Effort
) -> list[np.ndarray]:
    """Return the indices of rows in blocks that are answered at once."""
    numbers = proposal_of(density).numbers_per_row
    n_completions = np.ones(len(rows))
    if len(density.schema.sizes):
        n_completions = count_completions(density, X[rows], effort.n_completions)
    needed = n_completions * numbers + (n_completions + n_points) * 4 * X.shape[1]
    block = np.cumsum(needed) // MOST_NUMBERS
    return np.split(rows, np.flatnonzero(np.diff(block)) + 1)
