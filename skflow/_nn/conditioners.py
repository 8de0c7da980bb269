"""Conditioners: K multilayer perceptrons side by side, with their gradients.

Tensors are *feature-major*: an activation is ``(K, features, batch)``. Gathering the features of a
mask is then a copy of contiguous rows, and every element-wise operation runs along the batch.
Weights are ``(K, out, in)``.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch


def _relu_gradient(grad, output):
    # autograd's own kernel: vectorised, unlike torch.where
    return torch.ops.aten.threshold_backward.default(grad, output, 0)


def _tanh(x):
    # 2 sigmoid(2x) - 1 is tanh(x); torch's sigmoid is several times faster than tanh on a CPU.
    return x.add_(x).sigmoid_().mul_(2).sub_(1)


def _tanh_gradient(grad, output):
    return grad.addcmul_(grad, output * output, value=-1)


class Activation(NamedTuple):
    """A function that acts in place, and the gradient of its input from those of its output.

    ``gradient(grad, output)`` may use up ``grad``.
    """

    function: Callable
    gradient: Callable


#: A new activation is an entry.
ACTIVATIONS = {
    "relu": Activation(torch.relu_, _relu_gradient),
    "tanh": Activation(_tanh, _tanh_gradient),
}


class Linear(NamedTuple):
    """Parameters ``(K, out, in)`` and ``(K, out, 1)`` of K linear maps, or their gradients."""

    weight: torch.Tensor
    bias: torch.Tensor


class Conditioner:
    """Shapes, forward and backward pass of K perceptrons ``n_inputs -> ... -> n_outputs``.

    The parameters live outside (in the flat ``(K, P)`` tensor of a ``FlowStack``), as a list of
    ``Linear``; this class knows their shapes and how to use them. With no hidden layer it is one
    linear map.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the layers, inputs and outputs included.
    activation : str
        A name in ``ACTIVATIONS``, of the hidden layers.
    """

    def __init__(self, sizes, activation):
        self.sizes = tuple(sizes)
        self.activation = ACTIVATIONS[activation]

    @property
    def n_parameters(self):
        """Parameters of one model."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def views(self, flat):
        """The linear maps in a flat ``(K, n_parameters)``."""
        linears, start = [], 0
        for n_in, n_out in pairwise(self.sizes):
            end_of_weight, end = start + n_in * n_out, start + (n_in + 1) * n_out
            weight = flat[:, start:end_of_weight].view(len(flat), n_out, n_in)
            linears.append(Linear(weight, flat[:, end_of_weight:end].unsqueeze(2)))
            start = end
        return linears

    def initialize(self, parameters, k, generator, spread=False):
        """Draw model k: hidden layers as He et al. (2015), the last layer near zero.

        ``spread`` draws the first biases, too, as weights of one more input that is 1. Where they
        are 0, every unit bends at the inputs' origin, and answers have a kink at the mean of a
        context.
        """
        for linear in parameters:
            weight = linear.weight[k]
            # A near-zero last layer makes the flow start near the identity.
            scale = 1e-2 if linear is parameters[-1] else math.sqrt(2 / max(weight.shape[1], 1))
            # in float32, whatever the default dtype or the flow's
            draw = torch.randn(weight.shape, generator=generator, dtype=torch.float32) * scale
            weight.copy_(draw)
            linear.bias[k].zero_()
        if spread and len(parameters) > 1:
            bias, scale = parameters[0].bias[k], math.sqrt(2 / (self.sizes[0] + 1))
            draw = torch.randn(bias.shape, generator=generator, dtype=torch.float32)
            bias.copy_(draw * scale)

    def forward(self, parameters, x):
        """``(K, n_inputs, B)`` -> ``(K, n_outputs, B)`` and the input of every linear map."""
        inputs = []
        for linear in parameters:
            if inputs:
                x = self.activation.function(x)
            inputs.append(x)
            x = torch.baddbmm(linear.bias, linear.weight, x)
        return x, inputs

    def backward(self, parameters, gradients, inputs, grad, grad_input):
        """Write the parameters' gradients; add the gradient of the input to ``grad_input``.

        Of the inputs behind those of ``grad_input`` nothing is asked: a context is no parameter.
        """
        for i in reversed(range(len(parameters))):
            x, weight = inputs[i], parameters[i].weight.transpose(1, 2)
            torch.bmm(grad, x.transpose(1, 2), out=gradients[i].weight)
            torch.sum(grad, 2, keepdim=True, out=gradients[i].bias)
            if i == 0:
                n_asked = grad_input.shape[1]
                asked = weight if n_asked == x.shape[1] else weight[:, :n_asked]
                grad_input.baddbmm_(asked, grad)
            else:
                grad = self.activation.gradient(torch.bmm(weight, grad), x)
