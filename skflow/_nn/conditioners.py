"""Conditioners: K multilayer perceptrons side by side.

Tensors are *feature-major*: an activation is ``(K, features, batch)``. Gathering the features of a
mask is then a copy of contiguous rows, and every element-wise operation runs along the batch.
Weights are ``(K, out, in)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

#: Add an entry for a new activation.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
}


class Linear(NamedTuple):
    """Parameters ``(K, out, in)`` and ``(K, out, 1)`` of K linear maps."""

    weight: torch.Tensor
    bias: torch.Tensor


class Conditioner:
    """Shapes and forward pass of K perceptrons ``n_inputs -> ... -> n_outputs``.

    The parameters are outside (in the flat ``(K, P)`` tensor of a ``FlowStack``), as a list of
    ``Linear``; this class has their shapes and the forward pass. Without a hidden layer it is one
    linear map.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the layers, inputs and outputs included.
    activation : str
        Activation of the hidden layers, a name in ``ACTIVATIONS``.
    """

    def __init__(self, sizes: Sequence[int], activation: str) -> None:
        self.sizes = tuple(sizes)
        self.activation = ACTIVATIONS[activation]

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one model."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def views(self, flat: torch.Tensor) -> list[Linear]:
        """Return the linear maps as views of a flat ``(K, n_parameters)``."""
        sizes = list(pairwise(self.sizes))
        parts = iter(flat.split([n for a, b in sizes for n in (a * b, b)], 1))
        return [
            Linear(next(parts).view(len(flat), n_out, n_in), next(parts).unsqueeze(2))
            for n_in, n_out in sizes
        ]

    def initialize(
        self,
        parameters: list[Linear],
        k: int,
        generator: torch.Generator,
        spread: bool = False,
    ) -> None:
        """Draw model k: hidden layers as He et al. (2015), the last layer near zero.

        ``spread`` draws the first biases, too, like the weights of an input that is 1. With zero
        biases all units bend at the origin, and the density has a kink at the mean of a context.
        """
        for linear in parameters:
            weight = linear.weight[k]
            # A near-zero last layer makes the flow start near the identity.
            scale = 1e-2 if linear is parameters[-1] else math.sqrt(2 / max(weight.shape[1], 1))
            # always in float32
            draw = torch.randn(weight.shape, generator=generator, dtype=torch.float32) * scale
            weight.copy_(draw)
            linear.bias[k].zero_()
        if spread and len(parameters) > 1:
            bias, scale = parameters[0].bias[k], math.sqrt(2 / (self.sizes[0] + 1))
            draw = torch.randn(bias.shape, generator=generator, dtype=torch.float32)
            bias.copy_(draw * scale)

    def forward(self, parameters: list[Linear], x: torch.Tensor) -> torch.Tensor:
        """Map ``(K, n_inputs, B)`` to ``(K, n_outputs, B)``."""
        for linear in parameters:
            if linear is not parameters[0]:
                x = self.activation(x)
            x = torch.baddbmm(linear.bias, linear.weight, x)
        return x
