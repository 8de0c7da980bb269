"""The best completion of rows: the unknown cells at the mode of the joint density.

Candidates are centres and draws of the proposal given the known cells, or rows of a region. Then
differential evolution (Storn and Price 1997) improves them: a candidate is replaced by a step from
the best one along the difference of two others if that has a higher density. Such steps do not
change what the candidates of a row share, namely known cells and categories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .completions import find_completions
from .events import sample_region
from .importance import points, spread
from .proposal import proposal_of
from .questions import QUICK, row_blocks

if TYPE_CHECKING:
    from .._models.density import Density
    from .regions import Region

#: Candidates of a completion, completions of a row, and rows drawn in a region.
N_CANDIDATES, N_TRIED, N_DRAWN = 2**5, 3, 2**9
#: Most steps of each candidate; stop after this many steps without this gain, in nats.
N_STEPS, PATIENCE, LEAST_GAIN = 60, 5, 1e-3


def best_completions(density: Density, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return rows of codes ``(n, d)`` with their unknown cells at the mode of the density."""
    density.columns.bounds.check(X[:, density.schema.real_columns], density.columns.names)
    best, asked = X.copy(), np.flatnonzero(np.isnan(X).any(axis=1))
    for rows in row_blocks(density, X, asked, N_CANDIDATES * N_TRIED, QUICK) if len(asked) else ():
        candidates, row = _candidates(density, X[rows])
        found, log_prob = _climb(density, candidates, rng)
        order = np.lexsort((log_prob, row))  # the last of each row is the best
        last = np.append(np.diff(row[order]) > 0, True)
        best[rows] = found[order[last]]
    return best


def best_of_region(density: Density, region: Region, rng: np.random.RandomState) -> np.ndarray:
    """Return the row ``(1, d)`` with the highest density in a region."""
    drawn = sample_region(density, region, N_DRAWN, rng)[0]
    discrete = density.schema.split(drawn)[0]
    parts, number, counts = np.unique(discrete, axis=0, return_inverse=True, return_counts=True)
    tried = np.argsort(-counts, kind="stable")
    tried = tried[_have_the_same_spikes(density, parts[tried], np.zeros(len(tried), int))][:N_TRIED]
    log_prob, candidates = density.log_prob(drawn), []
    for part in tried:
        own = np.flatnonzero(number.ravel() == part)
        own = own[np.argsort(-log_prob[own])][:N_CANDIDATES]
        candidates.append(drawn[np.resize(own, N_CANDIDATES)])
    found, log_prob = _climb(density, np.stack(candidates), rng, region.lower, region.upper)
    return found[[log_prob.argmax()]]


def _candidates(density: Density, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return candidates ``(m, N_CANDIDATES, d)`` of completions, and the rows of these."""
    completions = find_completions(density, X, QUICK.n_completions, unseen=False)
    context = completions.context
    guess = proposal_of(density).conditionals(completions.U, completions.known, context)
    row = completions.row
    order = np.lexsort((-completions.joint(guess.log_prob), row))
    first = np.searchsorted(row, row)
    tried = order[np.arange(len(row)) - first < N_TRIED]
    row = row[tried]
    discrete = np.zeros((len(row), 0), int) if context is None else context.discrete[tried]
    same = _have_the_same_spikes(density, discrete, np.searchsorted(row, row))
    tried, row, discrete = tried[same], row[same], discrete[same]
    choice, normal, radius = spread(points(N_CANDIDATES, completions.U.shape[1]))
    normal = np.where(np.arange(N_CANDIDATES)[:, None] % 2, normal, 0.0)  # half are centres
    n = len(tried)
    arrays = np.tile(choice, n), np.tile(normal, (n, 1)), np.tile(radius, n)
    U = guess.place(np.repeat(tried, N_CANDIDATES), *arrays)
    found = density.to_data(U, np.repeat(discrete, N_CANDIDATES, axis=0))
    known = np.repeat(X[row], N_CANDIDATES, axis=0)
    found = np.where(np.isnan(known), found, known)
    return found.reshape(n, N_CANDIDATES, X.shape[1]), row


def _have_the_same_spikes(density: Density, discrete: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return which discrete parts have the same spikes as those with indices ``first``.

    Otherwise their densities are of different columns and not comparable.
    """
    absent = density.schema.absent(discrete) if discrete.shape[1] else np.zeros((len(first), 0))
    return (absent == absent[first]).all(axis=1)


def _climb(
    density: Density,
    candidates: np.ndarray,
    rng: np.random.RandomState,
    lower: np.ndarray | float = -np.inf,
    upper: np.ndarray | float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Improve candidates ``(m, k, d)``; return the best ones ``(m, d)`` and log-densities."""
    shape, real, columns = candidates.shape, density.schema.real_columns, density.columns
    ends = columns.bounds.lower, columns.bounds.upper
    candidates, active = candidates.copy(), np.arange(len(candidates))
    log_prob = density.log_prob(candidates.reshape(-1, shape[2])).reshape(shape[:2])
    history = []
    for _ in range(N_STEPS):
        own, n = candidates[active], len(active)
        best = own[np.arange(n), log_prob[active].argmax(axis=1)][:, None]
        one, other = (rng.randint(shape[1], size=(n, shape[1])) for _ in range(2))
        step = np.take_along_axis(own, one[:, :, None], 1)
        step -= np.take_along_axis(own, other[:, :, None], 1)
        trial = best + rng.uniform(0.2, 1.0, (n, shape[1], 1)) * step
        trial = np.clip(trial, lower, upper).reshape(-1, shape[2])
        trial[:, real] = columns.to_grid(np.clip(trial[:, real], *ends))
        new = density.log_prob(trial).reshape(n, shape[1])
        better = new > log_prob[active]
        candidates[active] = np.where(better[:, :, None], trial.reshape(own.shape), own)
        log_prob[active] = np.where(better, new, log_prob[active])
        history.append(log_prob.max(axis=1))
        if len(history) > PATIENCE:
            active = active[(history[-1] - history[-1 - PATIENCE])[active] > LEAST_GAIN]
            if not len(active):
                break
    chosen = log_prob.argmax(axis=1)
    return candidates[np.arange(shape[0]), chosen], log_prob.max(axis=1)
