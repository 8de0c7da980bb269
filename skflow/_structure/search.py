"""The evolutionary structure search (Algorithm 1 of the paper), with speculative evaluation.

The search does not know about flows: the evaluator returns the costs of masks. The random streams
of iteration t depend only on the seed and t. So the offspring of the next iterations are drawn and
evaluated in advance, as one stack, assuming that none of them is accepted. If one is, those after
it are discarded and drawn again from the new best structure. The accepted structures do not depend
on the size of the stacks, and stacks of one are exactly Algorithm 1. Acceptances are rare, so
little is discarded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .._core.saving import saved_as
from .._core.typing import ArrayLike
from .moves import propose

#: Returns the costs of masks ``(K, L, d)``, given K seeds.
Evaluate = Callable[[np.ndarray, list[int]], ArrayLike]


@saved_as("record")
class SearchRecord(NamedTuple):
    """The record of one iteration; iteration 0 is the start.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import StructureSearchFlow
    >>> flow = StructureSearchFlow(2, n_search_iter=3, n_candidate_steps=3, max_iter=2)
    >>> flow = flow.set_params(random_state=0).fit(load_iris().data)
    >>> flow.search_history_[0].iteration, flow.search_history_[0].accepted
    (0, True)
    """

    iteration: int
    masks: np.ndarray
    cost: float
    accepted: bool
    best_cost: float

    def shifted(self, nats: float) -> SearchRecord:
        """Return the record with its costs shifted, as for other units of the data."""
        return self._replace(cost=self.cost + nats, best_cost=self.best_cost + nats)


class SearchResult(NamedTuple):
    """The records of a search, one for each iteration, and why it ended.

    The reason is "n_iter", "n_iter_no_change", "max_time" or "interrupted" (KeyboardInterrupt).
    """

    history: list[SearchRecord]
    stop_reason: str

    @property
    def best(self) -> SearchRecord:
        """The record of the best structure, which is the last accepted one."""
        return _best(self.history)


def candidate_streams(seed: int | Sequence[int], iteration: int) -> tuple[np.random.Generator, int]:
    """Return a Generator for the move and a seed (63 bits) for the training of an iteration.

    They depend only on the seed of the search and on the iteration.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(iteration, 0))
    for_move, for_training = sequence.spawn(2)
    stream = int(for_training.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return np.random.default_rng(for_move), stream


def evolutionary_search(
    initial_masks: np.ndarray,
    evaluate: Evaluate,
    *,
    n_iter: int,
    seed: int | Sequence[int],
    move: str = "shuffle",
    search_space: str = "free",
    n_iter_no_change: int | None = None,
    max_time: float | None = None,
    stack: int = 8,
    history: Sequence[SearchRecord] | None = None,
    callback: Callable[[SearchRecord], object] = lambda record: None,
) -> SearchResult:
    """Search for masks of low cost: Algorithm 1 of [1]_, a (1 + 1) evolutionary strategy.

    In each iteration an offspring of the best structure is evaluated, and replaces it if its cost
    is not higher.

    Parameters
    ----------
    initial_masks : ndarray of bool, shape (n_layers, n_features)
        The start.
    evaluate : callable
        `evaluate(masks, streams)` returns K costs for masks of shape (K, n_layers, n_features), the
        same as for each alone. `streams` holds K integers, the candidates' seeds. A cost that is
        not finite counts as +inf.
    n_iter : int
        Last iteration (the paper's T), counted from the start of the search, not of this call.
    seed : int or sequence of int
        Together with the evaluator it determines the result.
    move, search_space, n_iter_no_change, max_time
        As in ``EvolutionarySearch``.
    stack : int, default=8
        Number of candidates that are evaluated at once. It has no influence on the result.
    history : list of SearchRecord or None, default=None
        Of an earlier search from the same start, which goes on where it ended. With the same seed
        and parameters the result is that of a search without a break.
    callback : callable
        Called with each new record.

    Returns
    -------
    result : SearchResult
        After KeyboardInterrupt, the result so far. The exception is raised if the start was not
        evaluated yet.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.
    """
    history = list(history or ())
    deadline = time.monotonic() + (math.inf if max_time is None else max_time)
    resumed = bool(history)
    if not resumed:
        (cost,) = _costs(evaluate, [initial_masks], [candidate_streams(seed, 0)[1]])
        history.append(SearchRecord(0, np.array(initial_masks), cost, True, cost))
    try:
        if not resumed:
            callback(history[0])
        while (n_left := iterations_left(history, n_iter, n_iter_no_change)) > 0:
            if time.monotonic() >= deadline:
                stop_reason = "max_time"
                break
            n_ahead = min(stack, n_left)
            parent, t = _best(history), len(history)
            drawn = [candidate_streams(seed, t + i) for i in range(n_ahead)]
            offspring = [propose(parent.masks, rng, move, search_space) for rng, _ in drawn]
            costs = _costs(evaluate, offspring, [stream for _, stream in drawn])
            for masks, cost in zip(offspring, costs):
                accepted = cost <= parent.cost
                best_cost = min(cost, parent.cost)
                record = SearchRecord(len(history), masks, cost, accepted, best_cost)
                history.append(record)
                callback(record)
                if accepted:
                    # The rest of the stack are offspring of the former best structure.
                    break
        else:
            stop_reason = "n_iter" if len(history) > n_iter else "n_iter_no_change"
    except KeyboardInterrupt:
        stop_reason = "interrupted"
    return SearchResult(history, stop_reason)


def _costs(evaluate: Evaluate, structures: list[np.ndarray], streams: list[int]) -> list[float]:
    """Return costs as a list, infinite if not finite."""
    costs = np.asarray(evaluate(np.stack(structures), streams), dtype=float)
    if costs.shape != (len(structures),):
        raise ValueError(
            f"evaluate returned costs of shape {costs.shape} for {len(structures)} candidates."
        )
    # A cost of -inf comes from a model that diverged, and would win forever.
    return np.where(np.isfinite(costs), costs, np.inf).tolist()


def _best(history: Sequence[SearchRecord]) -> SearchRecord:
    return next(record for record in reversed(history) if record.accepted)


def iterations_left(
    history: Sequence[SearchRecord], n_iter: int, n_iter_no_change: int | None
) -> int:
    """Return the number of iterations left if none of them improves."""
    last = n_iter
    if n_iter_no_change is not None:
        improved = next(
            t
            for t in reversed(range(len(history)))
            if t == 0 or history[t].best_cost < history[t - 1].best_cost
        )
        last = min(last, improved + n_iter_no_change)
    return last + 1 - len(history)
