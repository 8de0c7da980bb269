"""Moves of the search: what they keep, and that they reach everything."""

import numpy as np
import pytest

from skflow import masks as M
from skflow._nn.mask_arrays import layer_sizes
from skflow._structure.moves import MOVES, SEARCH_SPACES, propose

STARTS = {
    "free": M.random(3, 6, random_state=0),
    "alternating": M.parity(3, 6),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_offspring_are_structures(space, move):
    masks, rng = STARTS[space], np.random.default_rng(0)
    different = 0
    for _ in range(200):
        offspring = M.check_masks(propose(masks, rng, move, space), *masks.shape)
        different += not np.array_equal(offspring, masks)
        assert (layer_sizes(offspring) == layer_sizes(masks)).all()
        masks = offspring
    assert different > 150
