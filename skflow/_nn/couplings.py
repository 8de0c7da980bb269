"""Couplings, the elementwise maps of layers; one call returns image and log-slope."""

from __future__ import annotations

import inspect
import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F


class Coupling:
    """An invertible map of numbers; a conditioner returns the parameters for each number.

    A new coupling is a subclass with ``n_parameters`` (for each number), the two methods, its
    hyperparameters as keywords of the constructor, and an entry in ``COUPLINGS``. A parameter of an
    estimator with the name of a hyperparameter sets it.

    Values are ``(K, A, B)`` (model, feature, row), and their parameters ``raw``, unconstrained,
    ``(K, n_parameters, A, B)``. All parameters zero is the identity. Those of a single feature,
    ``(K, n_parameters, 1, B)``, stand for all features of the values: then many values of a row
    share their map. Gradients are left to autograd, so nothing may be changed in place.
    """

    n_parameters: int

    @classmethod
    def defaults(cls, single_layer: bool) -> dict[str, Any]:
        """Return defaults for a conditioner that is a single linear map, or for a deeper one."""
        return {}

    def forward(self, x: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images ``(K, A, B)`` and log-slopes of the map."""
        raise NotImplementedError

    def inverse(self, y: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same for the inverse map."""
        raise NotImplementedError


class Affine(Coupling):
    """``exp(s) * x + t``, the coupling of RealNVP (Dinh et al. 2017).

    Parameters
    ----------
    max_log_scale : float
        The log-scale is ``max_log_scale * tanh(raw / max_log_scale)``: bounded smoothly, so that
        neither direction of the flow overflows.
    bounded_shift : bool
        Whether to bound the shift, too. With ``max_log_scale=1`` this is the conditioner of
        Gonsior, Mücke and Morik (2021), ``(s, t) = tanh(W x_B + b)``.
    """

    n_parameters = 2

    @classmethod
    def defaults(cls, single_layer: bool) -> dict[str, Any]:
        return {"max_log_scale": 1.0, "bounded_shift": True} if single_layer else {}

    def __init__(self, max_log_scale: float = 3.0, bounded_shift: bool = False) -> None:
        self.max_log_scale, self.bounded_shift = max_log_scale, bounded_shift

    def _parameters(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_scale, shift = raw.unbind(1)
        return self._bounded(log_scale), self._bounded(shift) if self.bounded_shift else shift

    def _bounded(self, raw: torch.Tensor) -> torch.Tensor:
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)

    def forward(self, x: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_scale, shift = self._parameters(raw)
        return torch.exp(log_scale) * x + shift, log_scale

    def inverse(self, y: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_scale, shift = self._parameters(raw)
        return (y - shift) * torch.exp(-log_scale), -log_scale


class _Bin(NamedTuple):
    """The bins ``(K, A, B)`` that contain values: left edges, sizes, end slopes."""

    x0: torch.Tensor
    y0: torch.Tensor
    w: torch.Tensor
    h: torch.Tensor
    d0: torch.Tensor
    d1: torch.Tensor


class Spline(Coupling):
    """Monotonic rational-quadratic spline with linear tails (Durkan et al. 2019, Eqs. 4-8).

    Inside ``[-bound, bound]`` a spline of ``n_bins`` bins, outside the identity; the derivative is
    1 at the boundary, so the map is continuously differentiable. The parameters of a feature are
    ``n_bins`` widths, ``n_bins`` heights and the ``n_bins - 1`` inner derivatives.
    """

    min_size = 1e-3  # of a bin, as a fraction of the interval
    min_derivative, max_derivative = 1e-3, 1e2

    def __init__(self, n_bins: int = 8, bound: float = 5.0) -> None:
        self.n_bins, self.bound = n_bins, bound
        self.n_parameters = 3 * n_bins - 1
        self.min_length = 2 * bound * self.min_size
        self.free_length = 2 * bound - n_bins * self.min_length
        # Derivatives are bounded as the bins' slopes are, so that far-away conditioning values do
        # no harm; sigmoid(offset) makes raw zero the derivative 1, and small raw values its log.
        self.derivative_range = self.max_derivative - self.min_derivative
        part = (1 - self.min_derivative) / self.derivative_range
        self.offset = math.log(part / (1 - part))

    def _find(self, value: torch.Tensor, raw: torch.Tensor, axis: int) -> _Bin:
        """Return the ``_Bin`` that contains a value of x (axis 0) or of y (axis 1)."""
        n = self.n_bins
        parts = torch.softmax(raw[:, : 2 * n].unflatten(1, (2, n)), 2)
        sizes = self.min_length + self.free_length * parts
        edges = F.pad(sizes.cumsum(2), (0, 0, 0, 0, 1, 0)) - self.bound
        # at the boundary raw 0 is the derivative 1
        derivatives = F.pad(raw[:, 2 * n :], (0, 0, 0, 0, 1, 1))
        ends = torch.stack([derivatives[:, :n], derivatives[:, 1:]], 1)
        numbers = torch.cat([edges[:, :, :n], sizes, ends], 1)
        index = (value.unsqueeze(1) > edges[:, axis, 1:n]).sum(1)
        # the parameters of a single feature serve all
        numbers = numbers.expand(-1, -1, -1, *value.shape[1:])
        index = index[:, None, None].expand(-1, 6, -1, -1, -1)
        x0, y0, w, h, d0, d1 = numbers.gather(2, index).squeeze(2).unbind(1)
        return _Bin(x0, y0, w, h, self._derivative(d0), self._derivative(d1))

    def _derivative(self, raw: torch.Tensor) -> torch.Tensor:
        return self.min_derivative + self.derivative_range * torch.sigmoid(raw + self.offset)

    def forward(self, x: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Beyond the bound, evaluate at the bound, where the spline is the identity with slope 1.
        clipped = x.clamp(-self.bound, self.bound)
        found = self._find(clipped, raw, 0)
        rise, log_slope = _rational((clipped - found.x0) / found.w, found)
        return x - clipped + found.y0 + found.h * rise, log_slope

    def inverse(self, y: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        clipped = y.clamp(-self.bound, self.bound)
        found = self._find(clipped, raw, 1)
        x0, y0, w, h, d0, d1 = found
        s, rise = h / w, clipped - y0
        # The root of a t^2 + b t - c in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
        bend = rise * (d0 + d1 - 2 * s)
        a, b, c = bend + h * (s - d0), h * d0 - bend, rise * s
        theta = 2 * c / (b + (b * b + 4 * a * c).clamp(min=0).sqrt())
        return y - clipped + x0 + theta * w, -_rational(theta, found)[1]


def _rational(theta: torch.Tensor, found: _Bin) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the spline at theta in [0, 1] of a bin: the relative rise and the log-slope."""
    d0, d1, s = found.d0, found.d1, found.h / found.w
    denominator = s + (d0 + d1 - 2 * s) * (theta * (1 - theta))
    # d1 theta^2 + 2 s theta (1 - theta) + d0 (1 - theta)^2 from positive terms only
    low, high = torch.lerp(d0, s, theta), torch.lerp(s, d1, theta)
    slope = (s / denominator).square() * torch.lerp(low, high, theta)
    return theta * low / denominator, torch.log(slope)


COUPLINGS: dict[str, type[Coupling]] = {"affine": Affine, "spline": Spline}


def hyperparameters(name: str) -> set[str]:
    """Return the names of the hyperparameters of a coupling."""
    return set(inspect.signature(COUPLINGS[name]).parameters)


def make_coupling(name: str, single_layer: bool, given: dict[str, Any]) -> Coupling:
    """Return the coupling of a name, with the given hyperparameters (a dict)."""
    coupling: Any = COUPLINGS[name]
    return coupling(**{**coupling.defaults(single_layer), **given})
