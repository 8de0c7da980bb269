"""Masks of the members of an ensemble, each from what the member may see."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skflow import masks
from skflow._member_masks import finalists, make_masks, search_masks
from skflow._recipe import training_options
from skflow._search import SearchRecord, SearchResult
from skflow._streams import RandomStreams
from skflow._structure_search import StructureSearchFlow
from skflow._training import TrainingData

STREAMS = RandomStreams(0)
SEARCH = masks.EvolutionarySearch(4, n_candidate_steps=3, initial_layout="random")
CONFIG = {"coupling": "affine", "hidden_layer_sizes": ()}


def ensemble(validated=True):
    """Two members on 60 of 80 rows, with the other 20 to validate on, or without."""
    table = torch.as_tensor(np.random.RandomState(0).normal(size=(80, 4)), dtype=torch.float32)
    orders = torch.stack([torch.arange(80), torch.arange(79, -1, -1)])
    return TrainingData(table, orders[:, :60], orders[:, 60:] if validated else None)


class Recorder(masks.Parity):
    """Parity that remembers the rows which it was shown."""

    needs_data = True

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        self.seen = [*getattr(self, "seen", []), X]
        return masks.parity(n_layers, n_features)


def test_a_layout_sees_the_training_rows_of_the_member_alone():
    data, layout = ensemble(), Recorder()
    made = make_masks(layout, 3, None, data, STREAMS)
    np.testing.assert_array_equal(made, [masks.parity(3, 4)] * 2)
    table = data.table.numpy()
    np.testing.assert_array_equal(layout.seen, [table[:60], table[:19:-1]])


def test_members_draw_masks_of_their_own_and_again_the_same():
    made = make_masks(masks.Random(), 5, 1, ensemble(), STREAMS)
    assert made.shape == (2, 5, 4) and not np.array_equal(made[0], made[1])
    assert ((~made).sum(axis=2) == 1).all()
    np.testing.assert_array_equal(make_masks(masks.Random(), 5, 1, ensemble(), STREAMS), made)


@pytest.mark.parametrize("layout", [masks.Random(), masks.Parity(), SEARCH])
def test_an_impossible_number_is_an_error_also_where_it_is_not_used(layout):
    with pytest.raises(ValueError, match="n_conditioning=4"):
        make_masks(layout, 2, 4, ensemble(), STREAMS)


def test_members_that_differ_in_sizes_are_an_error():
    sizes = iter([1, 2])
    layout = masks.Custom(lambda L, d, _: np.arange(d) < np.full((L, 1), next(sizes)))
    with pytest.raises(ValueError, match=r"mask_layout.*n_estimators=1"):
        make_masks(layout, 2, None, ensemble(), STREAMS)


def searched(data, histories=(None, None), search=SEARCH):
    starts = make_masks(search, 3, None, data, STREAMS)
    options = training_options(StructureSearchFlow(coupling="affine"), 60, 4)
    return starts, search_masks(search, starts, histories, data, options, CONFIG, STREAMS, 0)


def test_every_member_is_searched_for_from_its_own_start():
    starts, results = searched(ensemble())
    for start, result in zip(starts, results):
        assert len(result.history) == 5
        np.testing.assert_array_equal(result.initial_masks, start)
    one, other = ([record.cost for record in result.history] for result in results)
    assert one != other


def test_a_search_that_goes_on_is_that_of_one_go():
    data = ensemble()
    _, whole = searched(data)
    parts = [result.history[:3] for result in whole]
    _, continued = searched(data, parts)
    for one, other in zip(whole, continued):
        np.testing.assert_array_equal(one.masks, other.masks)
        assert one.cost == pytest.approx(other.cost, rel=1e-5)


def history(costs, structures):
    return [
        SearchRecord(t, np.array(masks_), cost, False, min(costs[: t + 1]))
        for t, (cost, masks_) in enumerate(zip(costs, structures))
    ]


A, B, C = masks.parity(2, 2), ~masks.parity(2, 2), np.array([[True, False]] * 2)


@pytest.mark.parametrize(
    ("n_finalists", "expected"), [(1, [B]), (2, [B, A]), (3, [B, A]), ("auto", [B, A])]
)
def test_finalists_are_distinct_and_the_best_of_the_search(n_finalists, expected):
    def result(costs, structures):
        return SearchResult(B, 1.0, A, history(costs, structures), 0, False)

    results = [result([3, 1, 1, 2], [A, A, B, C]), result([2, 1, 1], [A, B, B])]
    search = masks.EvolutionarySearch(3, n_finalists=n_finalists)
    options = training_options(StructureSearchFlow(max_iter=1), 60, 2)
    found = finalists(search, results, options)
    assert found.shape == (2, len(expected), 2, 2)
    np.testing.assert_array_equal(found, [expected] * 2)


@pytest.mark.parametrize(("n_steps", "expected"), [(300, 1), (100, 2), (10, 8)])
def test_finalists_take_as_many_steps_as_the_candidates(n_steps, expected):
    rng = np.random.RandomState(0)
    structures = [masks.random(4, 8, random_state=rng) for _ in range(12)]
    records = history(list(range(12)), structures)
    result = SearchResult(structures[0], 0.0, structures[0], records, 0, False)
    search = masks.EvolutionarySearch(20, n_candidate_steps=10)
    options = SimpleNamespace(n_steps=n_steps)
    assert finalists(search, [result], options).shape[1] == expected


def test_costs_are_those_of_validation_rows_where_there_are_any():
    def costs(candidate_score, validated):
        search = masks.EvolutionarySearch(**SEARCH.get_params(deep=False))
        search.set_params(candidate_score=candidate_score)
        _, results = searched(ensemble(validated), search=search)
        return [record.cost for record in results[0].history]

    assert costs("auto", True) == costs("validation", True) != costs("train_batch", True)
    assert costs("auto", False) == costs("train_batch", False)
    with pytest.raises(ValueError, match=r"candidate_score='validation'.*early_stopping"):
        costs("validation", False)
