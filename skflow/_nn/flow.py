"""FlowStack: K coupling flows side by side in one tensor program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .._core.saving import saved_as
from .._core.typing import ArrayLike
from . import kernels
from .conditioners import Conditioner
from .couplings import make_coupling
from .layer import Layer, LayerParameters, select
from .mask_arrays import layer_sizes, tidy


@saved_as("flows")
class FlowStack:
    """K flows of L layers side by side, with the standard normal as base distribution.

    A layer is a coupling, which transforms the features where its mask is True conditioned on those
    where it is False, followed by a constant affine map ``x * s + t`` of both (``log s`` is
    learned, so that ``s`` is positive). Idle features pass it unchanged, without parameters. With
    ``linear`` a layer begins with a linear step, as a spline lacks a shift that depends on the
    conditioning features; it starts at the identity. (A start at the regressions of the data was
    worse: it mixes features that conditioners should see apart.)

    This is the formula of Gonsior et al. (2021), F_l = c_l o f_l. The order in their text, constant
    first, fits worse: on standardised data the first constant does nothing, and nothing widens the
    last coupling. The parameters of model k are row k of ``theta``, so all operations by model
    (clipping, best states, optimizers) are operations on rows.

    Parameters
    ----------
    masks : array of shape (K, L, n_features)
        Boolean, or roles, see ``skflow.masks``. All models have the same numbers of transformed and
        of conditioning features in a layer.
    n_context : int
        Columns of a context: the density is p(x given context). The context enters every
        conditioner, also of layers that transform all features, but not the masks, the constants or
        the base distribution.
    coupling : str
        A name in ``COUPLINGS``.
    hidden_layer_sizes : tuple of int
        Sizes of the conditioners; affine with () is ``(s, t) = tanh(W x_B + b)``.
    activation : str
        A name in ``ACTIVATIONS``.
    linear : bool
        Whether a layer begins with ``(x_A - W x_B) * s + t`` for the transformed features A and
        the conditioning features B, without the context.
    dtype, device
        Dtype and device of the parameters and of inputs.
    **hyperparameters
        Hyperparameters of the coupling, such as ``n_bins`` of the spline.
    """

    def __init__(
        self,
        masks: ArrayLike,
        *,
        n_context: int = 0,
        coupling: str = "affine",
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "relu",
        linear: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        **hyperparameters: Any,
    ) -> None:
        self.masks = tidy(masks)
        _check_equal_sizes(self.masks)
        self.n_context = n_context
        self.config: dict[str, Any] = {
            "n_context": n_context,
            "coupling": coupling,
            "hidden_layer_sizes": tuple(hidden_layer_sizes),
            "activation": activation,
            "linear": linear,
            **hyperparameters,
        }
        self.n_models, self.n_layers, self.n_features = self.masks.shape
        self.device = torch.device(device)
        order = np.tile(np.arange(self.n_features), (self.n_models, 1))
        self.layers: list[Layer] = []
        own_coupling = make_coupling(
            coupling,
            single_layer=not hidden_layer_sizes,
            given=hyperparameters,
        )
        for layer_masks in self.masks.transpose(1, 0, 2):
            layer = Layer(layer_masks, order, own_coupling, self._conditioner, linear, self.device)
            self.layers.append(layer)
            order = layer.order
        rows = np.argsort(order, axis=1) + self.n_features * np.arange(self.n_models)[:, None]
        self.last_rows = torch.from_numpy(rows.ravel()).to(self.device)
        self._first_rows = torch.from_numpy(np.argsort(rows.ravel())).to(self.device)
        size = sum(layer.n_parameters for layer in self.layers)
        self._kernel: kernels.FlowKernel | None = None
        self._bind(torch.zeros(self.n_models, size, dtype=dtype, device=self.device))

    def _conditioner(self, n_conditioning: int, n_outputs: int) -> Conditioner:
        n_inputs = n_conditioning + self.n_context
        # Without inputs only the last bias matters, so leave out hidden layers.
        hidden = self.config["hidden_layer_sizes"] if n_inputs else ()
        return Conditioner((n_inputs, *hidden, n_outputs), self.config["activation"])

    def _bind(self, theta: torch.Tensor) -> None:
        self.theta, self.parameters = theta, self._views(theta)

    def _views(self, flat: torch.Tensor) -> list[LayerParameters]:
        """Return the parameters as views of ``flat`` ``(K, P)``, a list of ``LayerParameters``.

        The log-scales of all layers come first, then all shifts, then layer by layer the weights of
        the linear step and of the conditioner.
        """
        constants = [layer.n_constants for layer in self.layers]
        weights = [layer.n_parameters - 2 * layer.n_constants for layer in self.layers]
        parts = flat.split([*constants, *constants, *weights], 1)
        return [layer.views(*parts[i :: self.n_layers]) for i, layer in enumerate(self.layers)]

    @property
    def kernel(self) -> kernels.FlowKernel | None:
        """The compiled kernels of this flow, or None if PyTorch computes."""
        if not kernels.available():
            return None
        if self._kernel is None and kernels.supports(self):
            self._kernel = kernels.FlowKernel(self)
        return self._kernel

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one model."""
        return self.theta.shape[1]

    @property
    def numbers_per_row(self) -> int:
        """Numbers per row in the widest tensor of the stack."""
        widths = [max(layer.conditioner.sizes) + self.n_features for layer in self.layers]
        return self.n_models * max(widths)

    def weight_mask(self) -> torch.Tensor:
        """Mask ``(K, P)``: 1 for weights that decay, 0 for all other parameters.

        Weights of linear steps decay only if they are 0. Those of columns that nearly determine
        each other start elsewhere (``start_linear``), and decay would make them inexact.
        """
        mask = torch.zeros_like(self.theta)
        for layer, now in zip(self._views(mask), self.parameters):
            for linear in layer.conditioner:
                linear.weight.fill_(1)
            if layer.linear is not None and now.linear is not None:
                layer.linear.weight.copy_(now.linear.weight == 0)
        return mask

    def initialize(self, generators: Sequence[torch.Generator], spread: bool = False) -> FlowStack:
        """Draw the parameters of model k from ``generators[k]``; constants are the identity.

        ``spread`` is that of ``Conditioner.initialize``, for a context of real numbers.
        """
        self.theta.zero_()
        for layer, parameters in zip(self.layers, self.parameters):
            for k, generator in enumerate(generators):
                layer.conditioner.initialize(parameters.conditioner, k, generator, spread)
        return self

    def _rows_first(self, x: torch.Tensor) -> torch.Tensor:
        """Return rows ``(B, d)``, ``(1, B, d)`` or ``(K, B, d)`` feature-major: ``(K, d, B)``."""
        return x.expand(self.n_models, -1, -1).transpose(1, 2)

    def _checked(self, context: torch.Tensor | None) -> torch.Tensor | None:
        found = 0 if context is None else context.shape[-1]
        if found != self.n_context:
            raise ValueError(
                f"context has {found} columns, but the flow has n_context={self.n_context}. Give "
                "one of shape (B, n_context) or (K, B, n_context), and None for n_context=0."
            )
        return context

    def context_first(self, context: torch.Tensor | None) -> torch.Tensor | None:
        """Return a context feature-major, or None for a flow without one."""
        context = self._checked(context)
        return None if context is None else self._rows_first(context)

    def _to_base(
        self, parameters: list[LayerParameters], x: torch.Tensor, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latent features (in the last layer's order) and the log-determinant."""
        x, context = self._rows_first(x), self.context_first(context)
        log_det: Any = 0
        for layer, own in zip(self.layers, parameters):
            x, layer_log_det = layer.forward(own, x, context)
            log_det = log_det + layer_log_det
        return x, log_det

    def _log_prob(
        self, parameters: list[LayerParameters], x: torch.Tensor, context: torch.Tensor | None
    ) -> torch.Tensor:
        z, log_det = self._to_base(parameters, x, context)
        return log_det - 0.5 * ((z * z).sum(1) + self.n_features * math.log(2 * math.pi))

    @torch.inference_mode()
    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latent rows ``(K, B, d)`` and log-determinants ``(K, B)``.

        Rows are ``(B, d)`` or ``(K, B, d)``, their context ``(B, c)`` or ``(K, B, c)``.
        """
        if self.kernel is not None:
            return self.kernel.map(x, self._checked(context))
        z, log_det = self._to_base(self.parameters, x, context)
        return select(z, self.last_rows).transpose(1, 2), log_det

    @torch.inference_mode()
    def inverse(
        self, z: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return data rows of latent rows, and log-determinants of this direction."""
        if self.kernel is not None:
            return self.kernel.map(z, self._checked(context), inverse=True)
        x, context = self._rows_first(z), self.context_first(context)
        x = select(x, self._first_rows)
        log_det: Any = 0
        for layer, parameters in zip(reversed(self.layers), reversed(self.parameters)):
            x, layer_log_det = layer.inverse(parameters, x, context)
            log_det = log_det + layer_log_det
        return x.transpose(1, 2), log_det

    @torch.inference_mode()
    def log_prob(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Return log-densities ``(K, B)`` of rows given a context, in nats."""
        if self.kernel is not None:
            return self.kernel.map(x, self._checked(context), add_base=True, keep=False)[1]
        return self._log_prob(self.parameters, x, context)

    @torch.enable_grad()
    def loss_and_gradient(
        self,
        x: torch.Tensor,
        weight: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean negative log-likelihood of a batch and its gradient, by model.

        Parameters
        ----------
        x : tensor of shape (K, B, d)
        weight : tensor of shape (K, B), optional
            Weights of the rows.
        context : tensor of shape (K, B, c), optional
            Context of the rows, for a flow with ``n_context=c``.

        Returns
        -------
        loss : tensor of shape (K,), in nats a row
        gradient : tensor of shape (K, P)
        """
        if self.kernel is not None:
            return self.kernel.gradient(x, weight, self._checked(context))
        theta = self.theta.detach().requires_grad_()
        log_prob = self._log_prob(self._views(theta), x, context)
        loss = -(log_prob if weight is None else log_prob * weight).mean(1)
        return loss.detach(), torch.autograd.grad(loss.sum(), theta)[0]

    def like(self, theta: torch.Tensor, masks: np.ndarray | None = None) -> FlowStack:
        """Return a stack of the same configuration with the given rows of parameters."""
        flow = FlowStack(
            self.masks if masks is None else masks,
            **self.config,
            dtype=theta.dtype,
            device=theta.device,
        )
        flow._bind(theta)
        return flow

    def take(self, models: ArrayLike) -> FlowStack:
        """Return the stack of the given models (an index or a list of indices)."""
        models = np.atleast_1d(models)
        theta = self.theta[torch.from_numpy(models).to(self.device)].clone()
        return self.like(theta, self.masks[models])

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> FlowStack:
        """Return a copy with parameters of another dtype or on another device."""
        return self.like(self.theta.to(dtype=dtype, device=device, copy=True))

    def __getstate__(self) -> dict[str, Any]:
        """Return configuration, masks and parameters as plain Python and NumPy objects."""
        return {
            **self.config,
            "masks": self.masks,
            "theta": self.theta.cpu().numpy().copy(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        theta = torch.from_numpy(state["theta"].copy())
        config = {key: value for key, value in state.items() if key not in ("masks", "theta")}
        FlowStack.__init__(self, state["masks"], **config, dtype=theta.dtype)
        self._bind(theta)


def _check_equal_sizes(masks: np.ndarray) -> None:
    sizes = layer_sizes(masks)
    if (sizes != sizes[:1]).any():
        layer = np.flatnonzero((sizes != sizes[:1]).any(axis=(0, 2)))[0]
        raise ValueError(
            f"The models of a stack transform and condition {np.unique(sizes[:, layer], axis=0)} "
            f"features in layer {layer + 1}, but these numbers have to be the same in all. Train "
            "them apart."
        )
