"""Conditioners: K multilayer perceptrons side by side, with their gradients.

Tensors are *feature-major*: an activation is ``(K, features, batch)``. Gathering the features of a
mask is then a copy of contiguous rows, and every element-wise operation runs along the batch.
Weights are ``(K, out, in)``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ._registry import Registry


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
ACTIVATIONS = Registry(
    "activation",
    {
        "relu": Activation(torch.relu_, _relu_gradient),
        "tanh": Activation(_tanh, _tanh_gradient),
    },
)


class Conditioner:
    """Shapes, forward and backward pass of K perceptrons ``n_inputs -> ... -> n_outputs``.

    The parameters live outside (in the flat ``(K, P)`` tensor of a ``FlowStack``); this class
    knows their shapes and how to use them. With no hidden layer it is one linear map.

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
        self.shapes = []
        for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:]):
            self.shapes += [(n_out, n_in), (n_out, 1)]

    def initialize(self, parameters, k, generator):
        """Draw model k: hidden layers as He et al. (2015), the last layer near zero."""
        weights, last = parameters[0::2], len(parameters) // 2 - 1
        for i, (weight, bias) in enumerate(zip(weights, parameters[1::2])):
            # A near-zero last layer makes the flow start near the identity.
            scale = math.sqrt(2 / max(weight.shape[2], 1)) if i < last else 1e-2
            # in float32, whatever the default dtype or the flow's
            draw = torch.randn(weight.shape[1:], generator=generator, dtype=torch.float32) * scale
            weight[k].copy_(draw)
            bias[k].zero_()

    def forward(self, parameters, x):
        """``(K, n_inputs, B)`` -> ``(K, n_outputs, B)`` and the input of every linear map."""
        inputs = []
        last = len(parameters) - 2
        for i in range(0, len(parameters), 2):
            inputs.append(x)
            x = torch.baddbmm(parameters[i + 1], parameters[i], x)
            if i < last:
                x = self.activation.function(x)
        return x, inputs

    def backward(self, parameters, gradients, inputs, grad, grad_input):
        """Write the parameters' gradients; add the gradient of the input to ``grad_input``."""
        for i in range(len(parameters) - 2, -1, -2):
            x, weight = inputs[i // 2], parameters[i].transpose(1, 2)
            torch.bmm(grad, x.transpose(1, 2), out=gradients[i])
            torch.sum(grad, 2, keepdim=True, out=gradients[i + 1])
            if i == 0:
                grad_input.baddbmm_(weight, grad)
            else:
                grad = self.activation.gradient(torch.bmm(weight, grad), x)
