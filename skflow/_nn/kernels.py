"""Compiled kernels: the passes of a ``FlowStack`` on a CPU, by ``native/kernels.cpp``.

They compute the same as the couplings and conditioners of this folder, several times as fast. They
are used on a CPU, for the package's own couplings and activations, if the library was built when
the package was installed. With ``SKFLOW_KERNELS=0`` in the environment, PyTorch computes all. See
docs/developer/kernels.md on how the library is built and tested.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import sys
import weakref
from ctypes import c_double, c_int64, c_void_p
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from .conditioners import ACTIVATIONS
from .couplings import Affine, Coupling, Spline

SOURCES = Path(__file__).with_name("native")
#: Rows that pass a flow at once: their numbers have to fit into the processor's caches.
ROWS_IN_TRAINING, ROWS = 64, 96
#: Numbers in the longest vector of any processor.
WHOLE_ROWS = 16
_MOST_BINS = 128  # as in native/couplings.h
_DTYPES = {torch.float32: "float", torch.float64: "double"}


def _structures() -> SimpleNamespace:
    """Return the structures of ``native/descriptions.h`` (int64_t, double or pointers)."""
    text = re.sub("//.*", "", (SOURCES / "descriptions.h").read_text(encoding="utf-8"))
    found = {}
    for name, body in re.findall(r"struct (\w+) {(.*?)};", text, re.DOTALL):
        fields = []
        for line in body.split(";"):
            kind = c_void_p if "*" in line else c_double if "double" in line else c_int64
            fields += [(field, kind) for field in re.findall(r"(\w+)\s*(?:,|$)", line)]
        found[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return SimpleNamespace(**found)


native = _structures()


def library_path(sources: Path = SOURCES) -> Path:
    """Return the path of the library of exactly these sources."""
    digest = hashlib.sha256()
    for source in sorted(sources.glob("*.[ch]*")):
        digest.update(source.read_bytes())
    return sources / f"_kernels_{digest.hexdigest()[:16]}.so"


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """Return the library, or None if it was not built."""
    try:
        library = ctypes.CDLL(str(library_path()))
    except OSError:
        return None
    library.instruction_set.restype = ctypes.c_char_p
    return library


@lru_cache(maxsize=1)
def instruction_set() -> str | None:
    """Return the instruction set in use: ``"avx512"``, ``"avx2"`` or ``"base"``; or None."""
    library = _library()
    return None if library is None else library.instruction_set().decode()


def available() -> bool:
    """Return whether compiled kernels are in use.

    They are if the library was built and the environment variable ``SKFLOW_KERNELS`` is not 0.
    """
    return os.environ.get("SKFLOW_KERNELS") != "0" and _library() is not None


def address(tensor: torch.Tensor | None) -> int | None:
    """Return the address of a contiguous tensor's numbers, None for None."""
    return None if tensor is None else tensor.data_ptr()


class FlowKernel:
    """The kernels of one ``FlowStack`` on a CPU.

    It holds numbers and addresses for the compiled code, not a copy of the parameters.
    """

    def __init__(self, flow: Any) -> None:
        # no reference to the flow, as cycles would delay freeing copies of flows
        self._flow = weakref.proxy(flow)
        self._set = instruction_set()
        self._kept: list[Any] = []  # arrays that the compiled code reads
        coupling = flow.layers[0].coupling
        n_constants = sum(layer.n_constants for layer in flow.layers)
        self.description = native.Flow(
            n_features=flow.n_features,
            n_context=flow.n_context,
            n_layers=flow.n_layers,
            n_constants=n_constants,
            n_parameters=flow.n_parameters,
            tanh=flow.layers[0].conditioner.activation is ACTIVATIONS["tanh"],
            layers=self._layers(flow, 2 * n_constants),
            last_rows=self._rows(flow.last_rows, flow),
            **_constants(coupling),
        )

    def _address(self, array: torch.Tensor | np.ndarray) -> int:
        self._kept.append(array)
        return array.data_ptr() if isinstance(array, torch.Tensor) else array.ctypes.data

    def _rows(self, rows: torch.Tensor, flow: Any) -> int:
        """Return rows of the stack's tensor as places within each model."""
        places = rows.numpy().reshape(flow.n_models, -1) % flow.n_features
        return self._address(np.ascontiguousarray(places, dtype=np.int64))

    def _layers(self, flow: Any, place: int) -> int:
        layers, constants = (native.Layer * flow.n_layers)(), 0
        for described, layer in zip(layers, flow.layers):
            sizes = np.array(layer.conditioner.sizes, dtype=np.int64)
            described.n_transformed = layer.n_transformed
            described.n_conditioning = layer.n_active - layer.n_transformed
            described.n_linears = len(sizes) - 1
            end = place + layer.n_parameters - 2 * layer.n_constants
            described.constants, described.linear = constants, place if layer.linear else -1
            described.conditioner = end - layer.conditioner.n_parameters
            described.sizes = self._address(sizes)
            described.rows = self._rows(layer.rows, flow)
            constants, place = constants + layer.n_constants, end
        self._kept.append(layers)
        return ctypes.addressof(layers)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the library, in this flow's dtype, on the calling thread."""
        function = getattr(_library(), f"{name}_{_DTYPES[self._flow.theta.dtype]}_{self._set}")
        self.description.theta = self._flow.theta.data_ptr()
        by = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments]
        return function(ctypes.byref(self.description), *by)

    def memory(self, n_rows: int, training: bool) -> torch.Tensor:
        """Return the workspace of a call for tiles of at most ``n_rows`` rows."""
        size = self.call("memory", c_int64(n_rows), c_int64(training))
        return torch.empty(size + 64, dtype=torch.uint8)

    def map(
        self,
        values: torch.Tensor,
        context: torch.Tensor | None,
        inverse: bool = False,
        add_base: bool = False,
        keep: bool = True,
    ) -> tuple[Any, torch.Tensor]:
        """Map rows ``(B, d)`` or ``(K, B, d)``; return values or None, and log-determinants."""
        flow = self._flow
        n_rows = values.shape[-2]
        values, values_stride = self._rows_of(values, n_rows, flow.n_features)
        context, context_stride = self._rows_of(context, n_rows, flow.n_context)
        log_det = values.new_empty(flow.n_models, n_rows)
        out = values.new_empty(flow.n_models, n_rows, flow.n_features) if keep else None
        tile = min(ROWS, n_rows)
        if n_rows:
            memory = self.memory(tile, training=False)
            rows = native.Rows(
                last_model=flow.n_models,
                n_rows=n_rows,
                tile=tile,
                inverse=inverse,
                add_base=add_base,
                values=address(values),
                context=address(context),
                values_stride=values_stride,
                context_stride=context_stride,
                out=address(out),
                log_det=address(log_det),
                memory=address(memory),
            )
            self.call("map", rows)
        return out, log_det

    def _check(self, numbers: torch.Tensor) -> None:
        """Raise for numbers of another dtype or device, which compiled code would misread."""
        dtype = self._flow.theta.dtype
        if numbers.dtype != dtype or numbers.device.type != "cpu":
            raise ValueError(
                f"Numbers in {numbers.dtype} on {numbers.device} do not fit a flow in {dtype} on "
                "the CPU. Convert either with .to()."
            )

    def _rows_of(self, rows: torch.Tensor | None, n_rows: int, n_columns: int) -> tuple[Any, int]:
        """Return contiguous rows of all models, and the stride between models."""
        if rows is None:
            return None, 0
        self._check(rows)
        n_models = rows.shape[0] if rows.dim() == 3 else 1
        if rows.shape[-2:] != (n_rows, n_columns) or n_models not in (1, self._flow.n_models):
            raise ValueError(
                f"Rows of shape {tuple(rows.shape)} are not possible here: give them in shape "
                f"({n_rows}, {n_columns}), or ({self._flow.n_models}, {n_rows}, {n_columns})."
            )
        if rows.dim() == 3 and (n_models == 1 or rows.stride(0) == 0):
            rows = rows[0]
        rows = rows.contiguous()
        return rows, 0 if rows.dim() == 2 else n_rows * n_columns

    def map_values(
        self,
        x: torch.Tensor,
        raw: torch.Tensor,
        scale: torch.Tensor,
        shift: torch.Tensor,
        inverse: bool = False,
    ) -> None:
        """Apply one layer of flows of a single feature in place to values ``(K, m, n)``.

        The values are contiguous, and ``n`` is a multiple of ``WHOLE_ROWS``.
        """
        raw, scale, shift = (part.contiguous() for part in (raw, scale, shift))
        for part in (x, raw, scale, shift):
            self._check(part)
        n_models, n_values, n_rows = x.shape
        values = native.Values(
            n_models=n_models,
            n_values=n_values,
            n_rows=n_rows,
            inverse=inverse,
            x=address(x),
            raw=address(raw),
            scale=address(scale),
            shift=address(shift),
        )
        self.call("values", values)

    def gradient(
        self, x: torch.Tensor, weight: torch.Tensor | None, context: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss ``(K,)`` of rows ``(K, B, d)`` and its gradient ``(K, P)``."""
        flow, n_rows = self._flow, x.shape[-2]
        n_models, size = flow.n_models, x.element_size()
        x, x_stride = self._rows_of(x, n_rows, flow.n_features)
        context, context_stride = self._rows_of(context, n_rows, flow.n_context)
        if weight is not None:
            self._check(weight)
            weight = weight.expand(n_models, n_rows).contiguous()
        loss, gradient = x.new_empty(n_models), torch.empty_like(flow.theta)
        index = torch.arange(n_rows)
        tile = min(ROWS_IN_TRAINING, n_rows)
        memory = self.memory(tile, training=True)
        for k in range(n_models):
            own = native.Steps(
                model=k,
                n_steps=1,
                batch_size=n_rows,
                tile=tile,
                table=x.data_ptr() + k * x_stride * size,
                weight=None if weight is None else address(weight[k]),
                context=None if context is None else context.data_ptr() + k * context_stride * size,
                index=address(index),
                theta=address(flow.theta[k]),
                gradient=address(gradient[k]),
                losses=address(loss[k:]),
                memory=address(memory),
            )
            self.call("train", own)
        return loss, gradient


def _constants(coupling: Coupling) -> dict[str, Any]:
    """Return the constants of a coupling for the kernels, empty for an unknown coupling."""
    if type(coupling) is Affine:
        return {"bound": coupling.max_log_scale, "bounded_shift": coupling.bounded_shift}
    if type(coupling) is Spline and coupling.n_bins <= _MOST_BINS:
        return {
            "spline": True,
            "n_bins": coupling.n_bins,
            "bound": coupling.bound,
            "min_length": coupling.min_length,
            "free_length": coupling.free_length,
            "derivative_range": coupling.derivative_range,
            "min_derivative": coupling.min_derivative,
            "offset": coupling.offset,
        }
    return {}


def supports(flow: Any) -> bool:
    """Return whether there are kernels for all parts of a flow."""
    layer = flow.layers[0]
    return (
        flow.device.type == "cpu"
        and flow.theta.dtype in _DTYPES
        and flow.theta.is_contiguous()
        and _constants(layer.coupling) != {}
        and layer.conditioner.activation in (ACTIVATIONS["relu"], ACTIVATIONS["tanh"])
    )


def show_versions() -> None:
    """Print versions of skflow and what it needs, and which compiled kernels are in use.

    The kernels make training, scoring and sampling on a CPU several times as fast. They are built
    when the package is installed with a C++ compiler. With ``SKFLOW_KERNELS=0`` in the environment,
    PyTorch computes all.

    Examples
    --------
    >>> import skflow
    >>> skflow.show_versions()
    skflow ..., Python ..., numpy ..., scipy ..., scikit-learn ..., torch ...
    compiled kernels: ...
    """
    own = sys.modules[__package__.partition(".")[0]]
    found = {"skflow": own.__version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")}
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    chosen = instruction_set()
    if chosen is not None and not available():
        chosen = "off, by SKFLOW_KERNELS=0"
    print(f"compiled kernels: {chosen or 'not built'}")
