"""Flows of one feature at many values of a row: the same as those of repeated rows."""

import numpy as np
import pytest
import torch

from skflow._nn.couplings import COUPLINGS
from skflow._nn.flow import FlowStack
from skflow._nn.row_maps import RowMaps

N_ROWS, N_VALUES = 7, 4


@pytest.fixture(params=COUPLINGS)
def flow(request):
    flow = FlowStack(
        np.ones((3, 2, 1), dtype=bool),
        n_context=2,
        coupling=request.param,
        hidden_layer_sizes=(6,),
        dtype=torch.float64,
    )
    generator = torch.Generator().manual_seed(0)
    flow.theta.copy_(torch.randn(flow.theta.shape, generator=generator))
    return flow


def draw():
    rng = np.random.default_rng(0)
    return rng.standard_normal((N_ROWS, 2)), 2 * rng.standard_normal((N_ROWS, N_VALUES))


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_same_as_repeated_rows(flow, direction):
    context, values = draw()
    repeated = torch.from_numpy(np.repeat(context, N_VALUES, axis=0))
    truth, _ = getattr(flow, direction)(torch.from_numpy(values.reshape(-1, 1)), repeated)
    maps, before = RowMaps(flow, context), values.copy()
    for _ in range(2):  # nothing is used up
        found = getattr(maps, direction)(values)
        np.testing.assert_allclose(found, truth.numpy().reshape(3, N_ROWS, N_VALUES), rtol=1e-12)
    np.testing.assert_array_equal(values, before)


def test_some_rows(flow):
    context, values = draw()
    maps, rows = RowMaps(flow, context), np.array([5, 1])
    expected = maps.forward(values)[:, rows]
    np.testing.assert_allclose(maps.forward(values[rows], rows), expected, rtol=1e-12)
