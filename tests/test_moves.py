"""Moves of the search: what they keep, and that they reach everything."""

import numpy as np
import pytest

from skflow import masks as M
from skflow._nn.mask_arrays import layer_sizes
from skflow._structure.moves import MOVES, SEARCH_SPACES, propose, resize

STARTS = {
    "free": M.random(3, 6, random_state=0),
    "alternating": M.parity(3, 6),
    "sparse": np.array([[1, 1, 0, -1, -1, -1], [0, 0, 1, 1, 1, -1], [1, 0, -1, -1, -1, -1]]),
    "columns": M.Triangular(order="given").make(1, 6),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_offspring_are_structures(space, move):
    masks, rng = STARTS[space], np.random.default_rng(0)
    different = 0
    for _ in range(200):
        offspring = M.check_masks(propose(masks, rng, move, space), *masks.shape)
        different += not np.array_equal(offspring, masks)
        if space != "sparse":
            kept = layer_sizes(offspring) == layer_sizes(masks)
            assert kept.all()
        masks = offspring
    assert different > 150


def test_columns_keep_a_triangle():
    rng, masks = np.random.default_rng(0), STARTS["columns"]
    for _ in range(20):
        masks = propose(masks, rng, "swap", "columns")
        order = masks[::-1].argmax(axis=1)
        assert np.array_equal(masks, M.Triangular(order=order).make(1, 6))


def test_resize_has_few_sizes_and_leaves_one_of_each():
    rng, masks = np.random.default_rng(0), np.tile(M.parity(2, 12), 1)
    sizes = {layer_sizes(resize(masks, rng)).tobytes() for _ in range(100)}
    assert len(sizes) <= 3  # fewer transformed, fewer conditioning, and nothing to be filled
    for _ in range(300):
        masks = resize(masks, rng)
        assert (layer_sizes(masks) >= 1).all()


def test_resize_can_undo_itself():
    rng, reached = np.random.default_rng(0), set()
    masks = M.parity(1, 4)
    for _ in range(500):
        masks = resize(masks, rng)
        reached.add(tuple(layer_sizes(masks)[0].tolist()))
    assert {(1, 1), (2, 2), (1, 2), (2, 1), (1, 3), (3, 1)} <= reached
