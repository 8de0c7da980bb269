"""One layer of K flows: a linear step, a coupling, then a constant affine map."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from .mask_arrays import layer_sizes


class LinearStep(NamedTuple):
    """Parameters of ``x_A -> (x_A - W x_B) * s + t``, before the coupling, or their gradients."""

    weight: torch.Tensor  # W, (K, n_transformed, n_conditioning)
    log_scale: torch.Tensor  # (K, n_transformed, 1)
    shift: torch.Tensor


class LayerParameters(NamedTuple):
    """Parameters of one layer of K flows, or their gradients."""

    log_scale: torch.Tensor  # of the constants of features that are not idle, (K, n_active, 1)
    shift: torch.Tensor
    conditioner: list  # of ``Linear``
    linear: LinearStep | None


class _LayerCache(NamedTuple):
    """What the reverse pass of a layer needs of the forward pass."""

    x: torch.Tensor  # between coupling and constants
    scale: torch.Tensor  # of the constants
    inputs: list  # of the conditioner's linear maps
    coupling: object
    stepped: torch.Tensor | None  # x_A between linear step and coupling


class Layer:
    """One layer of K flows: a linear step, a coupling, then a constant affine map.

    Inside the layer the features of model k stand in the order [transformed, conditioning, idle],
    so the parts are slices; ``rows`` brings them from the previous layer's order into this one's.
    A context stands behind the conditioning features in the conditioner's input. The linear step is
    left out where it is not asked for or nothing conditions.
    """

    def __init__(self, masks, previous, coupling, make_conditioner, linear, device):
        n_models, n_features = masks.shape
        self.n_transformed, n_conditioning = layer_sizes(masks[0]).tolist()
        self.n_active = self.n_transformed + n_conditioning
        self.n_conditioning = n_conditioning
        self.n_idle = n_features - self.n_active
        self.linear = linear and n_conditioning > 0
        # a stable sort keeps the features of each part in ascending order
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
    def n_constants(self):
        """Log-scales of one model, those of the linear step included; there are as many shifts."""
        return self.n_active + self.linear * self.n_transformed

    @property
    def n_parameters(self):
        """Parameters of one model."""
        weights = self.linear * self.n_transformed * self.n_conditioning
        return 2 * self.n_constants + weights + self.conditioner.n_parameters

    def views(self, log_scales, shifts, flat):
        """The parameters in log-scales, shifts ``(K, n_constants, 1)`` and a flat rest."""
        active, linear = slice(self.n_active), None
        if self.linear:
            size, own = self.n_transformed * self.n_conditioning, slice(self.n_active, None)
            weight, flat = flat[:, :size], flat[:, size:]
            weight = weight.view(len(flat), self.n_transformed, -1)
            linear = LinearStep(weight, log_scales[:, own], shifts[:, own])
        conditioner = self.conditioner.views(flat)
        return LayerParameters(log_scales[:, active], shifts[:, active], conditioner, linear)

    def _split(self, x, context):
        """The transformed features and what they are conditioned on."""
        x_a, x_b = x[:, : self.n_transformed], x[:, self.n_transformed : self.n_active]
        return x_a, x_b if context is None else torch.cat([x_b, context], 1)

    def constants(self, parameters):
        """Log-scales and shifts ``(K, d, 1)``, 0 for idle features."""
        log_scale, shift = parameters.log_scale, parameters.shift
        if self.n_idle:
            log_scale, shift = (F.pad(part, (0, 0, 0, self.n_idle)) for part in (log_scale, shift))
        return log_scale, shift

    def forward(self, parameters, x, context):
        x = select(x, self.rows)  # a copy: linear step and coupling work in place
        x_a, conditions = self._split(x, context)
        stepped = None
        if self.linear:
            weight, log_scale, shift = parameters.linear
            x_a.baddbmm_(weight, conditions[:, : self.n_conditioning], alpha=-1)
            stepped = x_a.mul_(torch.exp(log_scale)).add_(shift).clone()
        raw, inputs = self.conditioner.forward(parameters.conditioner, conditions)
        log_det, cache = self.coupling.forward(x_a, raw)
        log_scale, shift = self.constants(parameters)
        scale = torch.exp(log_scale)
        z = torch.addcmul(shift, x, scale)
        return z, log_det, _LayerCache(x, scale, inputs, cache, stepped)

    def backward(self, parameters, gradients, cache, grad, grad_log_det):
        """Write the gradients of the parameters, return that of the input.

        What log-scales add to the log-determinant is left to the caller.
        """
        active = slice(self.n_active)
        torch.sum(grad[:, active], 2, keepdim=True, out=gradients.shift)
        grad = grad * cache.scale
        products = cache.x[:, active] * grad[:, active]
        torch.sum(products, 2, keepdim=True, out=gradients.log_scale)
        grad_a, grad_b = grad[:, : self.n_transformed], grad[:, self.n_transformed : self.n_active]
        grad_raw = self.coupling.backward(cache.coupling, grad_a, grad_log_det)
        self.conditioner.backward(
            parameters.conditioner, gradients.conditioner, cache.inputs, grad_raw, grad_b
        )
        if self.linear:
            weight, log_scale, shift = parameters.linear
            torch.sum(grad_a, 2, keepdim=True, out=gradients.linear.shift)
            products = (cache.stepped - shift).mul_(grad_a)
            torch.sum(products, 2, keepdim=True, out=gradients.linear.log_scale)
            grad_a.mul_(torch.exp(log_scale))
            x_b = cache.x[:, self.n_transformed : self.n_active]
            gradients.linear.weight.copy_(torch.bmm(grad_a, x_b.mT).neg_())
            grad_b.baddbmm_(weight.mT, grad_a, alpha=-1)
        return select(grad, self.rows_back)

    def inverse(self, parameters, y, context):
        log_scale, shift = self.constants(parameters)
        scale = torch.exp(-log_scale)
        x = torch.addcmul(-shift * scale, y, scale)
        x_a, conditions = self._split(x, context)
        raw, _ = self.conditioner.forward(parameters.conditioner, conditions)
        log_det = self.coupling.inverse(x_a, raw)
        if self.linear:
            weight, log_scale, shift = parameters.linear
            x_a.sub_(shift).mul_(torch.exp(-log_scale))
            x_a.baddbmm_(weight, conditions[:, : self.n_conditioning])
        return select(x, self.rows_back), log_det


def select(x, rows):
    return x.reshape(-1, x.shape[2]).index_select(0, rows).view(x.shape)
