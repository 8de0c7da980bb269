import numpy as np
import pytest
from scipy import stats

from skflow import masks as M
from skflow._structure.moves import MOVES, propose, select_layers, shuffle, swap
from skflow._structure.search import candidate_streams, evolutionary_search

PRICES = np.random.default_rng(0).normal(size=(4, 7))


def evaluate(masks, streams):
    """A stand-in for training: each masked feature has a price, plus the candidate's noise."""
    draws = np.array([np.random.default_rng(stream).normal() for stream in streams])
    return (masks * PRICES).sum(axis=(1, 2)) + 0.5 * draws


def algorithm_1(masks, evaluate, n_iter, seed, move):
    """Transcribe the paper's Algorithm 1, one candidate at a time."""
    _, stream = candidate_streams(seed, 0)
    best, c_star, sequence = masks, evaluate(masks[None], [stream])[0], []
    for t in range(1, n_iter + 1):
        rng, stream = candidate_streams(seed, t)
        xi = move(best, rng)
        c = evaluate(xi[None], [stream])[0]
        if c <= c_star:
            best, c_star = xi, c
            sequence.append((t, xi.tolist(), c))
    return best, c_star, sequence


def accepted_of(result):
    return [(r.iteration, r.masks.tolist(), r.cost) for r in result.history[1:] if r.accepted]


def as_lists(history):
    return [(r.iteration, r.masks.tolist(), r.cost, r.accepted, r.best_cost) for r in history]


START = M.random(4, 7, random_state=1)
PAIR_START = M.alternating(START[0], 4)


# --- moves


def test_number_of_selected_layers_is_geometric():
    rng = np.random.default_rng(0)
    n_layers, n_draws = 5, 4000
    draws = [select_layers(n_layers, rng) for _ in range(n_draws)]
    assert all(len(set(layers)) == len(layers) for layers in draws)
    observed = np.bincount([len(layers) for layers in draws], minlength=n_layers + 1)[1:]
    probabilities = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])  # the last is "5 or more"
    assert stats.chisquare(observed, n_draws * probabilities).pvalue > 0.01
    # Each layer as often as any other.
    counts = np.bincount(np.concatenate(draws), minlength=n_layers)
    assert stats.chisquare(counts).pvalue > 0.01


def test_shuffle_permutes_uniformly_and_each_layer_on_its_own():
    masks = np.array([[True, False, False], [True, True, False]])
    rng = np.random.default_rng(0)
    both = []
    for _ in range(8000):
        offspring = shuffle(masks, rng)
        if (offspring != masks).any(axis=1).all():
            both.append((offspring[0].argmax(), offspring[1].argmin()))
    # Both layers changed: the mark of each moved to one of the two other places, independently.
    _, counts = np.unique(both, axis=0, return_counts=True)
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("n_features", [2, 3, 7])
def test_moves_keep_sizes_and_leave_their_input_alone(move, n_features):
    masks = M.random(4, n_features, 1, random_state=0)
    before = masks.copy()
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(50):
        offspring = MOVES[move](masks, rng)
        assert offspring.dtype == bool
        np.testing.assert_array_equal(offspring.sum(axis=1), masks.sum(axis=1))
        np.testing.assert_array_equal(masks, before)
        changed += (offspring != masks).any()
    assert changed > 25


def test_swap_exchanges_one_pair_in_each_selected_layer():
    masks = M.random(5, 8, 3, random_state=0)
    pairs = set()
    for seed in range(200):
        selected = np.zeros(5, dtype=bool)
        selected[select_layers(5, np.random.default_rng(seed))] = True
        offspring = swap(masks, np.random.default_rng(seed))
        left = (masks & ~offspring).sum(axis=1)
        entered = (~masks & offspring).sum(axis=1)
        np.testing.assert_array_equal(left, selected)
        np.testing.assert_array_equal(entered, selected)
        if selected[0]:
            pairs.add(tuple(np.flatnonzero(masks[0] != offspring[0])))
    assert len(pairs) == 15  # every one of 5 x 3


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("search_space", ["free", "alternating"])
def test_one_feature_stays_as_it_is(move, search_space):
    masks = np.ones((3, 1), dtype=bool)
    offspring = propose(masks, np.random.default_rng(0), move, search_space)
    np.testing.assert_array_equal(offspring, masks)


# --- streams


def test_streams_belong_to_the_candidate():
    streams = {candidate_streams(seed, t)[1] for seed in (0, 1) for t in range(20)}
    assert len(streams) == 2 * 20
    assert all(type(stream) is int and 0 <= stream < 2**63 for stream in streams)
    rng, stream = candidate_streams(4, 2)
    again, stream_again = candidate_streams(4, 2)
    assert stream == stream_again
    assert rng.random() == again.random()
    # A candidate's move and its training do not share draws.
    assert rng.random() != np.random.default_rng(stream).random()


# --- the search


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("stack", [1, 2, 7, 16])
@pytest.mark.parametrize("move", MOVES)
def test_algorithm_1(seed, stack, move):
    best, cost, sequence = algorithm_1(START, evaluate, 80, seed, MOVES[move])
    result = evolutionary_search(START, evaluate, n_iter=80, seed=seed, move=move, stack=stack)
    assert len(sequence) >= 3
    assert accepted_of(result) == sequence
    np.testing.assert_array_equal(result.best.masks, best)
    assert result.best.cost == cost
    assert result.stop_reason == "n_iter"
    np.testing.assert_array_equal(result.history[0].masks, START)


@pytest.mark.parametrize("search_space", ["free", "alternating"])
@pytest.mark.parametrize("n_iter_no_change", [None, 8])
def test_speculation_changes_nothing(search_space, n_iter_no_change):
    histories = []
    for stack in (1, 2, 7, 16):
        result = evolutionary_search(
            PAIR_START,
            evaluate,
            n_iter=50,
            seed=3,
            search_space=search_space,
            n_iter_no_change=n_iter_no_change,
            stack=stack,
        )
        histories.append(as_lists(result.history))
    assert all(history == histories[0] for history in histories)


def test_a_stack_ends_where_a_candidate_is_accepted():
    accept_at = {3, 20}
    sizes = []

    def evaluate(masks, streams):
        sizes.append(len(masks))
        by_stream = {candidate_streams(0, t)[1]: t for t in range(60)}
        iterations = [by_stream[stream] for stream in streams]
        return [0.0 - t if t in accept_at or t == 0 else 1.0 for t in iterations]

    result = evolutionary_search(START, evaluate, n_iter=40, seed=0, stack=8)
    assert [record.iteration for record in result.history if record.accepted] == [0, 3, 20]
    # Start; 1-8 accepted at 3; 4-11; 12-19; 20-27 accepted at 20; 21-28; 29-36; 37-40.
    assert sizes == [1, 8, 8, 8, 8, 8, 8, 4]


def test_ties_are_accepted():
    result = evolutionary_search(START, lambda masks, _: [1.0] * len(masks), n_iter=9, seed=0)
    assert len(accepted_of(result)) == 9
    np.testing.assert_array_equal(result.best.masks, result.history[-1].masks)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_cost_that_is_not_finite_is_the_worst(bad):
    good = iter([2.0, bad, 3.0, bad, 1.0, bad])

    def evaluate(masks, streams):
        return [next(good) for _ in masks]

    result = evolutionary_search(START, evaluate, n_iter=5, seed=0, stack=1)
    assert [record.cost for record in result.history] == [2.0, np.inf, 3.0, np.inf, 1.0, np.inf]
    assert [record.iteration for record in result.history if record.accepted] == [0, 4]
    assert result.best.cost == 1.0


def test_early_stop():
    # Improves at iterations 2 and 5; the tie at 7 is accepted but is no improvement.
    costs = {0: 9, 1: 10, 2: 8, 3: 10, 4: 10, 5: 7, 6: 10, 7: 7, 8: 10, 9: 10, 10: 0}
    by_stream = {candidate_streams(0, t)[1]: t for t in range(40)}

    def evaluate(masks, streams):
        return [float(costs.get(by_stream[stream], 10)) for stream in streams]

    def search(n_iter_no_change, stack=16):
        return evolutionary_search(
            START,
            evaluate,
            n_iter=30,
            seed=0,
            n_iter_no_change=n_iter_no_change,
            stack=stack,
        )

    for stack in (1, 16):
        result = search(4, stack)
        assert len(result.history) - 1 == 9
        assert result.stop_reason == "n_iter_no_change"
        assert result.best.cost == 7
        assert len(accepted_of(result)) == 3
    assert len(search(2).history) - 1 == 4
    assert len(search(5).history) - 1 == 15
    assert len(search(None).history) - 1 == 30


def test_time_limit(monkeypatch):
    whole = evolutionary_search(START, evaluate, n_iter=40, seed=0)
    clock = iter(range(1000))  # a second passes between any two stacks
    monkeypatch.setattr("skflow._structure.search.time.monotonic", lambda: float(next(clock)))
    result = evolutionary_search(START, evaluate, n_iter=40, seed=0, max_time=4)
    assert result.stop_reason == "max_time"
    assert 4 <= len(result.history) < 41
    assert as_lists(result.history) == as_lists(whole.history[: len(result.history)])
    # a second is left after the last iteration, which is then what ended it
    result = evolutionary_search(START, evaluate, n_iter=1, seed=0, max_time=2)
    assert result.stop_reason == "n_iter"


@pytest.mark.parametrize("broken_at", [0, 1, 13, 40])
def test_resumption_is_identical(broken_at):
    whole = evolutionary_search(START, evaluate, n_iter=40, seed=2)
    first = evolutionary_search(START, evaluate, n_iter=broken_at, seed=2)
    assert len(first.history) == broken_at + 1
    kept = list(first.history)
    second = evolutionary_search(START, evaluate, n_iter=40, history=first.history, seed=2)
    assert as_lists(second.history) == as_lists(whole.history)
    assert first.history == kept


def test_resumption_keeps_the_early_stop():
    options = {"seed": 2, "n_iter_no_change": 10}
    whole = evolutionary_search(START, evaluate, n_iter=200, **options)
    assert 12 < len(whole.history) < 200
    first = evolutionary_search(START, evaluate, n_iter=len(whole.history) - 5, **options)
    second = evolutionary_search(START, evaluate, n_iter=200, history=first.history, **options)
    assert as_lists(second.history) == as_lists(whole.history)
    third = evolutionary_search(START, evaluate, n_iter=200, history=second.history, **options)
    assert len(third.history) == len(whole.history)


@pytest.mark.parametrize("n_calls", [1, 2, 5])
def test_interruption_keeps_the_best(n_calls):
    calls = []

    def interrupted(masks, streams):
        if len(calls) == n_calls:
            raise KeyboardInterrupt
        calls.append(len(masks))
        return evaluate(masks, streams)

    whole = evolutionary_search(START, evaluate, n_iter=40, seed=0)
    result = evolutionary_search(START, interrupted, n_iter=40, seed=0)
    assert result.stop_reason == "interrupted"
    n_made = len(result.history)
    assert 1 <= n_made <= sum(calls)
    assert as_lists(result.history) == as_lists(whole.history[:n_made])
    assert result.best.cost == whole.history[n_made - 1].best_cost
    resumed = evolutionary_search(START, evaluate, n_iter=40, seed=0, history=result.history)
    assert as_lists(resumed.history) == as_lists(whole.history)
    assert resumed.stop_reason == "n_iter"


def test_interruption_before_anything_is_known():
    def evaluate(masks, streams):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evolutionary_search(START, evaluate, n_iter=5, seed=0)


def test_interruption_by_the_callback():
    def callback(record):
        if record.iteration == 6:
            raise KeyboardInterrupt

    result = evolutionary_search(START, evaluate, n_iter=40, seed=0, callback=callback)
    assert result.stop_reason == "interrupted"
    assert len(result.history) == 7


def test_callback_sees_every_new_record():
    seen = []
    first = evolutionary_search(START, evaluate, n_iter=10, seed=0, callback=seen.append)
    assert seen == first.history
    seen.clear()
    second = evolutionary_search(
        START, evaluate, n_iter=15, seed=0, history=first.history, callback=seen.append
    )
    assert seen == second.history[11:]


def test_a_search_that_goes_on_makes_the_stacks_of_one_in_one_go():
    def recording(sizes):

        def call(masks, streams):
            sizes.append(len(masks))
            return evaluate(masks, streams)

        return call

    options = {"seed": 4, "stack": 5}
    whole = []
    history = evolutionary_search(START, recording(whole), n_iter=60, **options).history
    ends, t = [], 1
    for size in whole[1:]:  # where stacks ended: at an acceptance, or after all of it
        stack = history[t : t + size]
        t += next((i + 1 for i, record in enumerate(stack) if record.accepted), size)
        ends.append(t)
    for i, end in enumerate(ends):
        rest = []
        evolutionary_search(START, recording(rest), n_iter=60, history=history[:end], **options)
        assert rest == whole[i + 2 :]


def test_evaluator_of_wrong_shape():
    with pytest.raises(ValueError, match=r"evaluate returned costs of shape \(\) for 1 cand"):
        evolutionary_search(START, lambda masks, _: 1.0, n_iter=3, seed=0)
