"""``EvolutionarySearch``: what it asks of a task, and what it chooses."""

from types import SimpleNamespace

import numpy as np
import pytest

from skflow import masks
from skflow._structure.search import SearchRecord


def task(history=(), n_steps=100, previous=None):
    """Stands for what an estimator offers; the costs are those of a history, in its order."""
    costs = iter([record.cost for record in history])

    class Evaluator:
        def __call__(self, structures, streams):
            return [next(costs) for _ in structures]

        def stack_size(self):
            return 1

    return SimpleNamespace(
        n_layers=4,
        n_features=8,
        X=None,
        random_state=np.random.RandomState(0),
        seed=0,
        n_steps=n_steps,
        max_time=None,
        has_held_out=False,
        previous=previous,
        make_evaluator=lambda *args, **kwargs: Evaluator(),
        log_det=0.0,
        progress=lambda description, total: SimpleNamespace(
            update=lambda **figures: None, close=lambda: None
        ),
    )


def records(costs):
    return [SearchRecord(t, None, cost, False, min(costs[: t + 1])) for t, cost in enumerate(costs)]


def search(n_iter, **params):
    return masks.EvolutionarySearch(n_iter, initial_layout="random", search_space="free", **params)


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (20, 6)])
def test_top_are_distinct_and_the_best_of_the_search(top_k, expected):
    choice = search(5, top_k=top_k).choose(task(records([3.0, 4.0, 1.0, 1.0, 5.0, 2.0])))
    assert len({masks_.tobytes() for masks_ in choice.top}) == len(choice.top) == expected
    # of equal costs the last was accepted
    order = [3, 2, 5, 0, 1, 4]
    for found, t in zip(choice.top, order):
        np.testing.assert_array_equal(found, choice.history[t].masks)
    np.testing.assert_array_equal(choice.masks, choice.history[3].masks)


@pytest.mark.parametrize(("n_steps", "expected"), [(300, 1), (100, 2), (10, 8)])
def test_top_take_as_many_steps_as_the_candidates(n_steps, expected):
    asked = task(records(np.arange(21.0)), n_steps=n_steps)
    choice = search(20, n_candidate_steps=10).choose(asked)
    assert len(choice.top) == expected


def test_the_search_goes_on_from_the_previous_choice():
    costs = [3.0, 2.0, 4.0, 1.0, 5.0]
    first = search(2).choose(task(records(costs)))
    assert first.stop_reason == "n_iter"
    assert search(2).choose(task(previous=first)) is first
    # two iterations in a row without a lower cost
    stopped = search(9, n_iter_no_change=2).choose(task(records([3.0, 2.0, 4.0, 5.0])))
    assert stopped.stop_reason == "n_iter_no_change" and len(stopped.history) == 4
    second = search(4).choose(task(records(costs[3:]), previous=first))
    assert [record.cost for record in second.history] == costs
