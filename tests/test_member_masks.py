"""Masks of the members of an ensemble, each from what the member may see."""

import numpy as np
import pytest
import torch

from skflow import masks
from skflow._core.random import RandomStreams
from skflow._nn.recipe import training_options
from skflow._nn.training_data import Plan, TrainingData
from skflow._structure.member_masks import choose_masks, stack_top
from skflow.density import StructureSearchFlow

FREE = {"n_iter": 4, "n_candidate_steps": 3}
SEARCH = masks.EvolutionarySearch(**FREE, initial_layout="random")
CONFIG = {"coupling": "affine", "hidden_layer_sizes": ()}


def ensemble(validated=True):
    """Two members on 60 of 80 rows, with the other 20 to validate on, or without."""
    table = torch.as_tensor(np.random.RandomState(0).normal(size=(80, 4)), dtype=torch.float32)
    orders = torch.stack([torch.arange(80), torch.arange(79, -1, -1)])
    return TrainingData(table, orders[:, :60], orders[:, 60:] if validated else None)


def chosen(layout, data=None, n_layers=3, previous=None):
    params = StructureSearchFlow(n_layers, coupling="affine", random_state=0)
    data = ensemble() if data is None else data
    options = training_options(params, 60, 4)
    plan = Plan(data, options, CONFIG, RandomStreams(0), np.zeros(len(data.table)))
    return choose_masks(plan, layout, params, previous)


def made(*args, **kwargs):
    return stack_top(chosen(*args, **kwargs))[:, 0]


class Recorder(masks.Layout):
    """Parity that remembers the rows which it was shown."""

    needs_data = True

    def make(self, n_layers, n_features, *, random_state=None, X=None):
        self.seen = [*getattr(self, "seen", []), X]
        return masks.parity(n_layers, n_features)


def test_a_layout_sees_the_training_rows_of_the_member_alone():
    data, layout = ensemble(), Recorder()
    np.testing.assert_array_equal(made(layout, data), [masks.parity(3, 4)] * 2)
    table = data.table.numpy()
    np.testing.assert_array_equal(layout.seen, [table[:60], table[:19:-1]])


def test_members_draw_masks_of_their_own_and_again_the_same():
    layout = masks.Rule("random", n_conditioning=1)
    drawn = made(layout, n_layers=5)
    assert drawn.shape == (2, 5, 4) and not np.array_equal(drawn[0], drawn[1])
    assert ((~drawn).sum(axis=2) == 1).all()
    np.testing.assert_array_equal(made(layout, n_layers=5), drawn)


@pytest.mark.parametrize("layout", [masks.Rule, masks.Derived])
def test_an_impossible_number_is_an_error(layout):
    given = {"rule": "random"} if layout is masks.Rule else {}
    with pytest.raises(ValueError, match="n_conditioning=4"):
        chosen(layout(n_conditioning=4, **given))


def test_members_that_differ_in_sizes_are_an_error():
    sizes = iter([1, 2])
    layout = masks.Rule(lambda L, d, _: np.arange(d) < np.full((L, 1), next(sizes)))
    with pytest.raises(ValueError, match=r"mask_layout.*n_estimators=1"):
        chosen(layout)


class Wrong:
    """A layout of somebody else, without a base, that has `make` alone."""

    def __init__(self, masks):
        self.masks = masks

    def make(self, n_layers, n_features, *, random_state=None):
        return self.masks


def test_layouts_that_only_make_need_no_base():
    given = masks.parity(3, 4)
    np.testing.assert_array_equal(made(Wrong(given)), [given] * 2)


def test_masks_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"What .*Wrong.* chose has shape \(2, 4\)"):
        chosen(Wrong(masks.parity(2, 4)))


def test_a_choice_is_needed():
    class Unwrapped(masks.Layout):
        def choose(self, task):
            return masks.parity(task.n_layers, task.n_features)

    with pytest.raises(TypeError, match=r"Unwrapped\(\)\.choose returned .*ndarray.*masks\.Choice"):
        chosen(Unwrapped())


def test_every_member_is_searched_for_from_its_own_start():
    starts = made(masks.Rule("random"))
    choices = chosen(masks.EvolutionarySearch.paper(**FREE))
    for start, choice in zip(starts, choices):
        assert len(choice.history) == 5 and choice.stop_reason == "n_iter"
        np.testing.assert_array_equal(choice.history[0].masks, start)
    one, other = ([record.cost for record in choice.history] for choice in choices)
    assert one != other


def test_a_search_that_goes_on_is_that_of_one_go():
    def search(n_iter):
        return masks.EvolutionarySearch(n_iter, n_candidate_steps=20, candidate_score="validation")

    whole = chosen(search(10))
    continued = chosen(search(10), previous=chosen(search(4)))
    for one, other in zip(whole, continued):
        np.testing.assert_array_equal(one.masks, other.masks)
        np.testing.assert_array_equal(one.top, other.top)
        costs = [[record.cost for record in choice.history] for choice in (one, other)]
        assert costs[0] == pytest.approx(costs[1], rel=1e-5)


@pytest.mark.parametrize(
    "layout", [masks.Rule("random"), masks.EvolutionarySearch(4, n_candidate_steps=3)]
)
def test_where_nothing_is_left_to_choose_the_choice_is_the_previous_one(layout):
    before = chosen(layout)
    after = chosen(layout, previous=before)
    assert all(new is old for new, old in zip(after, before))


def test_members_have_as_many_top():
    A, B = masks.parity(2, 2), ~masks.parity(2, 2)
    choices = [masks.Choice(A, np.stack([A, B])), masks.Choice(B)]
    np.testing.assert_array_equal(stack_top(choices), [[A], [B]])


def test_costs_are_those_of_validation_rows_where_there_are_any():
    def costs(candidate_score, validated):
        search = masks.EvolutionarySearch(**FREE, candidate_score=candidate_score)
        return [record.cost for record in chosen(search, ensemble(validated))[0].history]

    assert costs("auto", True) == costs("validation", True) != costs("train_batch", True)
    assert costs("auto", False) == costs("train_batch", False)
    with pytest.raises(ValueError, match=r"candidate_score='validation'.*early_stopping"):
        costs("validation", False)
