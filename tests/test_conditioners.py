"""Conditioners: the stacked perceptron and its hand-written gradients."""

import math

import pytest
import torch

from skflow._conditioners import ACTIVATIONS, Conditioner

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
    return [
        torch.randn(n_models, *shape, generator=generator, dtype=torch.float64)
        for shape in conditioner.shapes
    ]


def literal(parameters, x, sizes, activation, k):
    """Model k as torch.nn.functional would write it, row-major: (n_inputs, B) -> (n_outputs, B)."""
    h = x[k].T
    for i in range(len(sizes) - 1):
        h = torch.nn.functional.linear(h, parameters[2 * i][k], parameters[2 * i + 1][k, :, 0])
        if i < len(sizes) - 2:
            h = getattr(torch, activation)(h)
    return h.T


@pytest.mark.parametrize("n_models", [1, 3])
def test_forward_is_the_literal_perceptron(case, n_models):
    sizes, activation = case
    conditioner = Conditioner(sizes, activation)
    parameters = random_parameters(conditioner, n_models)
    x = torch.randn(n_models, sizes[0], 7, dtype=torch.float64)
    out, _ = conditioner.forward(parameters, x)
    assert out.shape == (n_models, sizes[-1], 7)
    for k in range(n_models):
        torch.testing.assert_close(out[k], literal(parameters, x, sizes, activation, k))


@pytest.mark.parametrize("n_models", [1, 3])
def test_backward_agrees_with_autograd(case, n_models):
    sizes, activation = case
    conditioner = Conditioner(sizes, activation)
    parameters = [p.requires_grad_() for p in random_parameters(conditioner, n_models)]
    x = torch.randn(n_models, sizes[0], 7, dtype=torch.float64, requires_grad=True)
    out = torch.stack([literal(parameters, x, sizes, activation, k) for k in range(n_models)])
    grad = torch.randn_like(out)
    truth = torch.autograd.grad(out, [x, *parameters], grad)
    with torch.no_grad():
        out, inputs = conditioner.forward(parameters, x)
        # garbage in the buffers must be overwritten; the input's gradient is added
        gradients = [torch.full_like(p, math.nan) for p in parameters]
        grad_x = torch.ones_like(x)
        conditioner.backward(parameters, gradients, inputs, grad, grad_x)
    for ours, expected in zip([grad_x - 1, *gradients], truth):
        torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    function, gradient = ACTIVATIONS[name]
    x = torch.linspace(-50, 50, 1001, dtype=torch.float64, requires_grad=True)
    truth = getattr(torch, name)(x)
    with torch.no_grad():
        output = function(x.clone())
    torch.testing.assert_close(output, truth.detach(), rtol=1e-13, atol=1e-15)
    grad = torch.randn_like(x)
    (expected,) = torch.autograd.grad(truth, x, grad)
    with torch.no_grad():
        torch.testing.assert_close(gradient(grad, output), expected, rtol=1e-12, atol=1e-14)


def test_tanh_in_float32_and_far_away():
    tanh = ACTIVATIONS["tanh"].function
    x = torch.linspace(-20, 20, 4001)
    assert (tanh(x.clone()) - torch.tanh(x.double())).abs().max() < 2e-7
    far = tanh(torch.tensor([-math.inf, -1e30, 1e30, math.inf]))
    assert far.tolist() == [-1, -1, 1, 1]


def test_initialize_draws_each_model_from_its_generator():
    conditioner = Conditioner((3, 50, 4), "relu")
    stack = [torch.full((2, *shape), math.nan) for shape in conditioner.shapes]
    for k in range(2):
        conditioner.initialize(stack, k, torch.Generator().manual_seed(k))
    alone = [torch.full((1, *shape), math.nan) for shape in conditioner.shapes]
    conditioner.initialize(alone, 0, torch.Generator().manual_seed(1))
    for both, one in zip(stack, alone):
        assert torch.equal(both[1], one[0])
    assert not torch.equal(stack[0][0], stack[0][1])
    assert stack[2].abs().max() < 0.1  # near zero: the flow starts near the identity
    assert not stack[1].any() and not stack[3].any()
    assert 0.6 < stack[0].std() / math.sqrt(2 / 3) < 1.4
