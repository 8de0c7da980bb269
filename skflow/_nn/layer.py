"""One layer of K flows: a linear step, a coupling, then a constant affine map."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .conditioners import Conditioner, Linear
from .couplings import Coupling
from .mask_arrays import layer_sizes


class LinearStep(NamedTuple):
    """Parameters of ``x_A -> (x_A - W x_B) * s + t``, before the coupling."""

    weight: torch.Tensor  # W, (K, n_transformed, n_conditioning)
    log_scale: torch.Tensor  # (K, n_transformed, 1)
    shift: torch.Tensor


class LayerParameters(NamedTuple):
    """Parameters of one layer of K flows."""

    log_scale: torch.Tensor  # of the constants of features that are not idle, (K, n_active, 1)
    shift: torch.Tensor
    conditioner: list[Linear]
    linear: LinearStep | None


class Layer:
    """One layer of K flows: a linear step, a coupling, then a constant affine map.

    Inside the layer the features of model k are in the order [transformed, conditioning, idle], so
    the parts are slices; ``rows`` permutes the previous layer's order into this one's. In the
    conditioner's input, the context follows the conditioning features. There is no linear step
    without conditioning features.
    """

    def __init__(
        self,
        masks: np.ndarray,
        previous: np.ndarray,
        coupling: Coupling,
        make_conditioner: Callable[[int, int], Conditioner],
        linear: bool,
        device: torch.device,
    ) -> None:
        n_models, n_features = masks.shape
        self.n_transformed, n_conditioning = layer_sizes(masks[0]).tolist()
        self.n_active = self.n_transformed + n_conditioning
        self.n_conditioning = n_conditioning
        self.parts = [self.n_transformed, n_conditioning, n_features - self.n_active]
        self.linear = linear and n_conditioning > 0
        # stable, to keep the features of each part in ascending order
        self.order = np.argsort(-masks.astype(np.int8), axis=1, kind="stable")
        position = np.argsort(previous, axis=1)  # feature -> place in the previous layer's order
        local = np.take_along_axis(position, self.order, axis=1)
        rows = (local + n_features * np.arange(n_models)[:, None]).ravel()
        self.rows = torch.from_numpy(rows).to(device)
        self.rows_back = torch.from_numpy(np.argsort(rows)).to(device)
        self.coupling = coupling
        self.conditioner = make_conditioner(
            n_conditioning, self.n_transformed * coupling.n_parameters
        )

    @property
    def n_constants(self) -> int:
        """Number of log-scales of one model, including the linear step; and of shifts."""
        return self.n_active + self.linear * self.n_transformed

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one model."""
        weights = self.linear * self.n_transformed * self.n_conditioning
        return 2 * self.n_constants + weights + self.conditioner.n_parameters

    def views(
        self, log_scale: torch.Tensor, shift: torch.Tensor, weights: torch.Tensor
    ) -> LayerParameters:
        """Return the parameters as views of log-scales, shifts ``(K, n_constants)`` and weights."""
        of_step = self.linear * self.n_transformed
        (log_scale, *step_scale), (shift, *step_shift) = (
            part.unsqueeze(2).split([self.n_active, of_step], 1) for part in (log_scale, shift)
        )
        linear = None
        weight, weights = weights.split(
            [of_step * self.n_conditioning, self.conditioner.n_parameters], 1
        )
        if self.linear:
            weight = weight.view(len(weight), self.n_transformed, -1)
            linear = LinearStep(weight, *step_scale, *step_shift)
        return LayerParameters(log_scale, shift, self.conditioner.views(weights), linear)

    def raw(
        self, parameters: LayerParameters, x_b: torch.Tensor, context: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the parameters of the coupling given conditioning features and context."""
        inputs = x_b if context is None else torch.cat([x_b, context], 1)
        raw = self.conditioner.forward(parameters.conditioner, inputs)
        return raw.view(len(raw), self.coupling.n_parameters, -1, raw.shape[2])

    def forward(
        self, parameters: LayerParameters, x: torch.Tensor, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x_a, x_b, idle = select(x, self.rows).split(self.parts, 1)
        log_det = parameters.log_scale.sum(1)
        if parameters.linear is not None:
            weight, log_scale, shift = parameters.linear
            x_a = torch.baddbmm(x_a, weight, x_b, alpha=-1) * torch.exp(log_scale) + shift
            log_det = log_det + log_scale.sum(1)
        x_a, log_slope = self.coupling.forward(x_a, self.raw(parameters, x_b, context))
        active = torch.cat([x_a, x_b], 1) * torch.exp(parameters.log_scale) + parameters.shift
        return torch.cat([active, idle], 1), log_det + log_slope.sum(1)

    def inverse(
        self, parameters: LayerParameters, y: torch.Tensor, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        active, idle = y.split([self.n_active, y.shape[1] - self.n_active], 1)
        active = (active - parameters.shift) * torch.exp(-parameters.log_scale)
        x_a, x_b = active.split(self.parts[:2], 1)
        x_a, log_slope = self.coupling.inverse(x_a, self.raw(parameters, x_b, context))
        log_det = log_slope.sum(1) - parameters.log_scale.sum(1)
        if parameters.linear is not None:
            weight, log_scale, shift = parameters.linear
            x_a = torch.baddbmm((x_a - shift) * torch.exp(-log_scale), weight, x_b)
            log_det = log_det - log_scale.sum(1)
        return select(torch.cat([x_a, x_b, idle], 1), self.rows_back), log_det


def select(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[2]).index_select(0, rows).view(x.shape)
