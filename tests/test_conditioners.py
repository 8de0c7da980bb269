"""Conditioners: the stacked perceptron."""

import math

import pytest
import torch

from skflow._nn.conditioners import Conditioner

CASES = {
    "single-layer": ((3, 4), "relu"),
    "one-output": ((2, 1), "relu"),
    "relu": ((3, 5, 6, 4), "relu"),
    "tanh": ((3, 5, 4), "tanh"),
    "no-inputs": ((0, 4), "relu"),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def random_parameters(conditioner, n_models, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n_models, conditioner.n_parameters)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_views_are_the_flat_parameters_in_their_order(case):
    conditioner = Conditioner(*case)
    flat = random_parameters(conditioner, 3)
    views = conditioner.views(flat)
    for (weight, bias), n_in, n_out in zip(views, case[0], case[0][1:]):
        assert weight.shape == (3, n_out, n_in)
        assert bias.shape == (3, n_out, 1)
    parts = [part.flatten(1) for linear in views for part in linear]
    assert torch.equal(torch.cat(parts, 1), flat)
    views[-1].bias.zero_()
    assert not flat[:, -case[0][-1] :].any()


def test_initialize_draws_each_model_from_its_generator():
    conditioner = Conditioner((3, 50, 4), "relu")
    stack = conditioner.views(torch.full((2, conditioner.n_parameters), math.nan))
    for k in range(2):
        conditioner.initialize(stack, k, torch.Generator().manual_seed(k))
    alone = conditioner.views(torch.full((1, conditioner.n_parameters), math.nan))
    conditioner.initialize(alone, 0, torch.Generator().manual_seed(1))
    for both, one in zip(stack, alone):
        assert torch.equal(both.weight[1], one.weight[0])
        assert torch.equal(both.bias[1], one.bias[0])
    first, last = stack
    assert not torch.equal(first.weight[0], first.weight[1])
    assert last.weight.abs().max() < 0.1  # near zero: the flow starts near the identity
    assert not first.bias.any() and not last.bias.any()
    assert 0.6 < first.weight.std() / math.sqrt(2 / 3) < 1.4
    conditioner.initialize(stack, 0, torch.Generator().manual_seed(0), spread=True)
    assert 0.6 < first.bias[0].std() / math.sqrt(2 / 4) < 1.4
    assert not first.bias[1].any() and not last.bias.any()
