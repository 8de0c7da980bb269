"""The evolutionary structure search (Algorithm 1 of the paper), with speculative evaluation.

Nothing here knows about flows: the evaluator, which turns masks into costs, is handed in. Iteration
t owns its random streams, which depend on the seed and t alone. So the offspring of the next
iterations can be drawn and evaluated in advance, as one stack, on the assumption that none of them
is accepted; where one is, those after it are thrown away and drawn again from the new best
structure. The sequence of accepted structures is the same for any size of stack, and one at a time
is Algorithm 1 to the letter. Acceptances are rare, so little is thrown away.
"""

import math
import time
from typing import NamedTuple

import numpy as np

from .._core.saving import saved_as
from .moves import propose


@saved_as("record")
class SearchRecord(NamedTuple):
    """What happened in one iteration; iteration 0 is the start.

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

    def shifted(self, nats):
        """The record with its costs moved by so many nats, as to other units of the data."""
        return self._replace(cost=self.cost + nats, best_cost=self.best_cost + nats)


class SearchResult(NamedTuple):
    """The records of a search, one for each iteration, and why it ended.

    That is "n_iter", "n_iter_no_change", "max_time" or "interrupted", by KeyboardInterrupt.
    """

    history: list
    stop_reason: str

    @property
    def best(self):
        """The record of the best structure, the last one that was accepted."""
        return _best(self.history)


def candidate_streams(seed, iteration):
    """An iteration's random streams: a Generator for the move, a seed (63 bits) for the training.

    They depend on the seed of the search and the iteration alone, whatever was evaluated before.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(iteration, 0))
    for_move, for_training = sequence.spawn(2)
    stream = int(for_training.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return np.random.default_rng(for_move), stream


def evolutionary_search(
    initial_masks,
    evaluate,
    *,
    n_iter,
    seed,
    move="shuffle",
    search_space="free",
    n_iter_no_change=None,
    max_time=None,
    stack=8,
    history=None,
    callback=lambda record: None,
):
    """Search for masks of low cost: Algorithm 1 of [1]_, a (1 + 1) evolutionary strategy.

    In each iteration an offspring of the best structure is evaluated, and replaces it if its cost
    is not higher.

    Parameters
    ----------
    initial_masks : ndarray of bool, shape (n_layers, n_features)
        The start.
    evaluate : callable
        `evaluate(masks, streams)` returns K costs for masks of shape (K, n_layers, n_features), the
        same as it would one by one. `streams` holds K integers, the candidates' seeds. A cost that
        is not finite counts as +inf.
    n_iter : int
        Last iteration (the paper's T), counted from the start of the search and not of this call.
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
        After KeyboardInterrupt, the best so far. If not even the start had been evaluated, the
        exception passes.

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
                    # The rest of the stack are offspring of a structure that is no longer the best.
                    break
        else:
            stop_reason = "n_iter" if len(history) > n_iter else "n_iter_no_change"
    except KeyboardInterrupt:
        stop_reason = "interrupted"
    return SearchResult(history, stop_reason)


def _costs(evaluate, structures, streams):
    """Costs as a list; those that are not finite are infinite."""
    costs = np.asarray(evaluate(np.stack(structures), streams), dtype=float)
    if costs.shape != (len(structures),):
        raise ValueError(
            f"evaluate returned costs of shape {costs.shape} for {len(structures)} candidates."
        )
    # Neither is -inf a good likelihood: it comes from a model that diverged, and would win forever.
    return np.where(np.isfinite(costs), costs, np.inf).tolist()


def _best(history):
    return next(record for record in reversed(history) if record.accepted)


def iterations_left(history, n_iter, n_iter_no_change):
    """Count the iterations that are still to be made if none of them improves."""
    last = n_iter
    if n_iter_no_change is not None:
        improved = next(
            t
            for t in reversed(range(len(history)))
            if t == 0 or history[t].best_cost < history[t - 1].best_cost
        )
        last = min(last, improved + n_iter_no_change)
    return last + 1 - len(history)
