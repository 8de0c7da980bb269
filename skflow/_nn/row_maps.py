"""Flows of one feature at many values of each row, with one pass of the conditioners a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .._core.runtime import is_available
from .flow import FlowStack
from .kernels import WHOLE_ROWS

#: Least numbers per value in each model, for the size of blocks.
NUMBERS_PER_VALUE = 10


class RowMaps:
    """The maps of K flows of a single feature given the context of each of n rows.

    Parameters
    ----------
    flow : FlowStack
        A flow of one feature, with a context.
    context : ndarray of shape (n, c)
    device : str
        Where to compute; the CPU if the device is not available.
    """

    @torch.inference_mode()
    def __init__(self, flow: FlowStack, context: np.ndarray, device: str = "cpu") -> None:
        if device != "cpu" and is_available(device):
            flow = flow.to(device=device)
        self._flow, self._kernel = flow, flow.kernel  # which has no reference to the flow
        first: Any = flow.context_first(torch.as_tensor(self._whole(context), device=flow.device))
        self._layers = [
            (
                layer.coupling,
                layer.raw(parameters, first[:, :0], first),
                torch.exp(parameters.log_scale),
                parameters.shift,
            )
            for layer, parameters in zip(flow.layers, flow.parameters)
        ]
        self._n_models, self._device = flow.n_models, flow.device

    def _whole(self, rows: np.ndarray) -> np.ndarray:
        """Pad rows to whole vectors for the kernels."""
        missing = -len(rows) % WHOLE_ROWS if self._kernel is not None and len(rows) else 0
        return np.pad(rows, [(0, missing), *[(0, 0)] * (np.ndim(rows) - 1)], mode="edge")

    def _values(self, values: np.ndarray) -> torch.Tensor:
        """Return a copy ``(K, m, n)`` of values ``(n, m)``, which kernels change in place."""
        padded = torch.as_tensor(self._whole(values), device=self._device).T
        return padded.expand(self._n_models, -1, -1).clone(memory_format=torch.contiguous_format)

    def forward(self, values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return latent values ``(K, n, m)`` of values ``(n, m)``, or of some rows (indices)."""
        return self._mapped(values, rows=rows)

    def inverse(self, latent: np.ndarray) -> np.ndarray:
        """Return values ``(K, n, m)`` of latent values ``(n, m)``."""
        return self._mapped(latent, inverse=True)

    @torch.inference_mode()
    def _mapped(
        self, values: np.ndarray, inverse: bool = False, rows: np.ndarray | None = None
    ) -> np.ndarray:
        index = None
        if rows is not None:
            index = torch.as_tensor(self._whole(np.asarray(rows)), device=self._device)
        x = self._values(values)
        for coupling, raw, scale, shift in self._layers[:: -1 if inverse else 1]:
            own = raw if index is None else raw.index_select(3, index)
            if self._kernel is not None:
                self._kernel.map_values(x, own, scale, shift, inverse)
            elif inverse:
                x = coupling.inverse((x - shift) / scale, own)[0]
            else:
                x = coupling.forward(x, own)[0] * scale + shift
        return x.transpose(1, 2)[:, : len(values)].cpu().numpy()
