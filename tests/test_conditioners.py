"""Conditioners: the stacked perceptron and its hand-written gradients."""

import math

import pytest
import torch

from skflow._nn.conditioners import ACTIVATIONS, Conditioner

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


def literal(parameters, x, activation, k):
    """Model k as torch.nn.functional would write it, row-major: (n_inputs, B) -> (n_outputs, B)."""
    h = x[k].T
    for i, linear in enumerate(parameters):
        h = h if i == 0 else getattr(torch, activation)(h)
        h = torch.nn.functional.linear(h, linear.weight[k], linear.bias[k, :, 0])
    return h.T


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


@pytest.mark.parametrize("n_models", [1, 3])
def test_forward_is_the_literal_perceptron(case, n_models):
    sizes, activation = case
    conditioner = Conditioner(sizes, activation)
    parameters = conditioner.views(random_parameters(conditioner, n_models))
    x = torch.randn(n_models, sizes[0], 7, dtype=torch.float64)
    out, _ = conditioner.forward(parameters, x)
    assert out.shape == (n_models, sizes[-1], 7)
    for k in range(n_models):
        torch.testing.assert_close(out[k], literal(parameters, x, activation, k))


@pytest.mark.parametrize("n_asked", [0, 1, None])
@pytest.mark.parametrize("n_models", [1, 3])
def test_backward_agrees_with_autograd(case, n_models, n_asked):
    sizes, activation = case
    conditioner = Conditioner(sizes, activation)
    flat = random_parameters(conditioner, n_models).requires_grad_()
    x = torch.randn(n_models, sizes[0], 7, dtype=torch.float64, requires_grad=True)
    parameters = conditioner.views(flat)
    out = torch.stack([literal(parameters, x, activation, k) for k in range(n_models)])
    grad = torch.randn_like(out)
    true_grad_x, truth = torch.autograd.grad(out, [x, flat], grad)
    with torch.no_grad():
        parameters = conditioner.views(flat)
        out, inputs = conditioner.forward(parameters, x)
        # garbage in the buffer must be overwritten; the gradient of the first inputs is added
        gradient = torch.full_like(flat, math.nan)
        grad_x = torch.ones_like(x[:, :n_asked])
        conditioner.backward(parameters, conditioner.views(gradient), inputs, grad, grad_x)
    torch.testing.assert_close(gradient, truth, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(grad_x - 1, true_grad_x[:, :n_asked], rtol=1e-11, atol=1e-12)


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
