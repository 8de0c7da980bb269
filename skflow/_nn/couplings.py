"""Couplings, the elementwise maps of layers: value and log-determinant from one call."""

import inspect
import math
from typing import NamedTuple

import numpy as np
import torch

_LOG2_E = 1 / math.log(2)


class Coupling:
    """An invertible map of numbers, whose parameters a conditioner gives for every one of them.

    A new coupling is a subclass with ``n_parameters`` (of a number), the three methods and, as
    keywords of its constructor, hyperparameters of its own, and an entry in ``COUPLINGS``. A
    parameter of an estimator that has the name of a hyperparameter sets it.

    A coupling changes features ``x`` ``(K, A, B)`` (model, feature, row) *in place*, with
    unconstrained parameters ``raw`` ``(K, n_parameters * A, B)``, whose memory it may use up. All
    parameters zero is the identity. It works in one dtype, on one device. Parameters of a single
    feature, ``(K, n_parameters, B)``, stand for all features of ``x``: then many values of a row
    share their map (log-determinants and ``backward`` are not asked for).
    """

    n_parameters: int

    @classmethod
    def defaults(cls, single_layer):
        """Hyperparameters for a conditioner that is a single linear map, or for a deeper one."""
        return {}

    def forward(self, x, raw):
        """Log-determinant ``(K, B)``, and a cache for ``backward``."""
        raise NotImplementedError

    def backward(self, cache, grad, grad_log_det):
        """The gradient of ``raw``; that of the value becomes that of ``x`` in place."""
        raise NotImplementedError

    def inverse(self, y, raw):
        """Log-determinant ``(K, B)`` of the inverse map."""
        raise NotImplementedError


class _AffineCache(NamedTuple):
    scaled: torch.Tensor  # exp(s) * x
    scale: torch.Tensor  # exp(s)
    raw: torch.Tensor
    bounded: torch.Tensor  # the parameters that were bounded: log-scale, or it and shift


class Affine(Coupling):
    """``exp(s) * x + t``, the coupling of RealNVP (Dinh et al. 2017).

    Parameters
    ----------
    max_log_scale : float
        The log-scale is ``max_log_scale * tanh(raw / max_log_scale)``: bounded smoothly, so that
        neither direction of the flow overflows.
    bounded_shift : bool
        With True the shift is bounded too. With ``max_log_scale=1`` this is the conditioner of
        Gonsior, Mücke and Morik (2021), ``(s, t) = tanh(W x_B + b)``.
    """

    n_parameters = 2

    @classmethod
    def defaults(cls, single_layer):
        return {"max_log_scale": 1.0, "bounded_shift": True} if single_layer else {}

    def __init__(self, max_log_scale=3.0, bounded_shift=False, dtype=torch.float32, device=None):
        self.bounded_shift = bounded_shift
        number = _numbers(dtype, device)
        self.high, self.low = max_log_scale, number(-max_log_scale)
        self.steepness, self.log2_e = number(2 / max_log_scale), number(_LOG2_E)
        self.curvature = -1 / max_log_scale**2

    def _parameters(self, raw):
        log_scale, shift = raw.view(len(raw), 2, -1, raw.shape[2]).unbind(1)
        bounded = raw if self.bounded_shift else log_scale
        # m tanh(r / m) goes from -m to m as sigmoid(2 r / m) from 0 to 1, which is much faster
        bounded.mul_(self.steepness).sigmoid_()
        torch.add(self.low, bounded, alpha=2 * self.high, out=bounded)
        return log_scale, shift, bounded

    def _exp(self, log_scale):
        # torch takes powers of 2 several times faster than those of e
        return (log_scale * self.log2_e).exp2_()

    def forward(self, x, raw):
        log_scale, shift, bounded = self._parameters(raw)
        scale = self._exp(log_scale)
        scaled = x * scale
        torch.add(scaled, shift, out=x)
        return log_scale.sum(1), _AffineCache(scaled, scale, raw, bounded)

    def backward(self, cache, grad, grad_log_det):
        grad_raw = torch.empty_like(cache.raw)
        grad_log_scale, grad_shift = grad_raw.view(grad.shape[0], 2, *grad.shape[1:]).unbind(1)
        torch.addcmul(grad_log_det, grad, cache.scaled, out=grad_log_scale)
        grad_shift.copy_(grad)
        inner = grad_raw if self.bounded_shift else grad_log_scale
        inner.addcmul_(inner, cache.bounded * cache.bounded, value=self.curvature)
        grad.mul_(cache.scale)
        return grad_raw

    def inverse(self, y, raw):
        log_scale, shift, _ = self._parameters(raw)
        y.sub_(shift).div_(self._exp(log_scale))
        return log_scale.sum(1).neg_()


class _Bin(NamedTuple):
    """The numbers ``(K, A, B)`` of the bins that hold values: left edges, sizes, end slopes."""

    x0: torch.Tensor
    y0: torch.Tensor
    w: torch.Tensor
    h: torch.Tensor
    d0: torch.Tensor
    d1: torch.Tensor


class _Lookup(NamedTuple):
    """What the way back from the numbers of a bin to the raw parameters needs."""

    powers: torch.Tensor  # the softmax's numerators, (K, 2, n_bins, A, B)
    scale: torch.Tensor  # and what brings them to scale, (K, 2, A, B)
    left: torch.Tensor  # left edges and sizes of the bins, less what a bin has at least
    size: torch.Tensor
    reached: torch.Tensor  # 1 at the edges below the value, (K, n_bins + 1, A, B)
    level: torch.Tensor  # sigmoids of the end slopes, (K, 2, A, B)


class _Rational(NamedTuple):
    """Terms of the rational functions that a spline and its slope are (see ``_rational``)."""

    u: torch.Tensor
    curvature: torch.Tensor
    denominator: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    m: torch.Tensor


class _SplineCache(NamedTuple):
    theta: torch.Tensor  # place in the bin, from 0 to 1
    s: torch.Tensor  # slope of the bin, h / w
    terms: _Rational
    q: torch.Tensor  # rise within the bin, from 0 to 1
    slope: torch.Tensor  # of the spline
    w: torch.Tensor
    h: torch.Tensor
    inside: torch.Tensor  # 1 within the bound, otherwise 0
    lookup: _Lookup


class Spline(Coupling):
    """Monotonic rational-quadratic spline with linear tails (Durkan et al. 2019, Eqs. 4-8).

    Inside ``[-bound, bound]`` a spline of ``n_bins`` bins, outside the identity; the derivative is
    1 at the boundary, so the map is continuously differentiable. The parameters of a feature are
    ``n_bins`` widths, ``n_bins`` heights and the ``n_bins - 1`` inner derivatives.
    """

    min_size = 1e-3  # of a bin, as a part of the whole interval
    min_derivative, max_derivative = 1e-3, 1e2

    def __init__(self, n_bins=8, bound=5.0, dtype=torch.float32, device=None):
        self.n_bins = n_bins
        self.bound = bound
        self.n_parameters = 3 * n_bins - 1
        number = _numbers(dtype, device)
        self.one, self.low = number(1.0), number(self.min_derivative)
        # Derivatives are bounded as the bins' slopes are, so that far-away conditioning values do
        # no harm; sigmoid(offset) makes raw zero the derivative 1, and small raw values its log.
        derivative_range = self.max_derivative - self.min_derivative
        part = (1 - self.min_derivative) / derivative_range
        self.derivative_range = number(derivative_range)
        self.offset = number(math.log(part / (1 - part)))
        min_length = 2 * bound * self.min_size
        self.free = 2 * bound - n_bins * min_length
        self.min_length, self.free_length = number(min_length), number(self.free)
        self.log2_e, self.ends = number(_LOG2_E), number(np.arange(2)[:, None, None])
        # the inner edges of bins of the least size
        self.least_edges = number(np.arange(1, n_bins)[:, None, None] * min_length - bound)

    def _lookup(self, raw, value, axis):
        """The ``_Bin`` that holds a value of x (axis 0) or of y (axis 1), and its ``_Lookup``.

        The sizes are a softmax as powers of 2, which are several times faster than those of e, and
        are not divided by their sum: only the edges that the value is compared with and the numbers
        of its bin are brought to scale. The ends of ``reached`` are left to ``backward``.
        """
        n, (n_models, n_values, n_rows) = self.n_bins, value.shape
        raw = raw.view(n_models, self.n_parameters, -1, n_rows)
        n_features = raw.shape[2]  # as many as values, or 1
        powers = raw[:, : 2 * n].view(n_models, 2, n, n_features, n_rows)
        powers.sub_(powers.amax(2, keepdim=True)).mul_(self.log2_e).exp2_()
        sums = raw.new_empty(n_models, 2, n + 1, n_features, n_rows)
        partial = sums.unbind(2)
        partial[0].zero_()
        # in float64 twice as fast as cumsum or the product with a triangle
        for before, power, after in zip(partial, powers.unbind(2), partial[1:]):
            torch.add(before, power, out=after)
        scale = self.free_length / partial[n]
        edges = torch.addcmul(self.least_edges, sums[:, axis, 1:n], scale[:, axis].unsqueeze(1))
        reached = raw.new_empty(n_models, n + 1, n_values, n_rows)
        # comparing into a float tensor is several times faster than into a boolean one on a CPU
        inner = torch.gt(value.unsqueeze(1), edges, out=reached[:, 1:n])
        n_passed = inner.sum(1, keepdim=True)
        ends = (n_passed + self.ends).long()
        here = ends[:, None, :1].expand(-1, 2, -1, -1, -1)
        left = _gather(sums, 2, here).squeeze(2).mul_(scale)
        size = _gather(powers, 2, here).squeeze(2).mul_(scale)
        numbers = raw.new_empty(n_models, 6, n_values, n_rows)
        torch.add(left, n_passed.mul_(self.min_length).sub_(self.bound), out=numbers[:, :2])
        torch.add(size, self.min_length, out=numbers[:, 2:4])
        # At the boundary nothing is added: raw 0 is the derivative 1.
        raw_derivative = raw.new_empty(n_models, n + 1, n_features, n_rows)
        raw_derivative[:, ::n].zero_()
        raw_derivative[:, 1:n].copy_(raw[:, 2 * n :])
        level = _gather(raw_derivative, 1, ends).add_(self.offset).sigmoid_()
        torch.mul(level, self.derivative_range, out=numbers[:, 4:]).add_(self.low)
        return _Bin(*numbers.unbind(1)), _Lookup(powers, scale, left, size, reached, level)

    def forward(self, x, raw):
        # Beyond the bound the spline is taken at the bound, where it is the bound, with slope 1.
        clipped = x.clamp(-self.bound, self.bound)
        (x0, y0, w, h, d0, d1), lookup = self._lookup(raw, clipped, 0)
        theta = (clipped - x0).div_(w)
        s = h / w
        terms = _rational(theta, s, d0, d1)
        q = (theta * terms.low).div_(terms.denominator)
        ratio = s / terms.denominator
        slope = (ratio * ratio).mul_(terms.m)
        inside = torch.eq(x, clipped, out=ratio)
        x.sub_(clipped).add_(y0).addcmul_(h, q)
        cache = _SplineCache(theta, s, terms, q, slope, w, h, inside, lookup)
        return torch.log(slope).sum(1), cache

    def backward(self, cache, grad, grad_log_det):
        """Reverse mode through ``y0 + h q`` and ``2 log s + log m - 2 log denominator``.

        The equations are derived in docs/developer/spline_gradient.md; ``g_a`` is the gradient
        of ``a``. The memory of the terms is used up.
        """
        theta, s, terms, q, slope, w, h, inside, lookup = cache
        u, curvature, denominator, low, high, m = terms
        gradients = grad.new_empty(grad.shape[0], 6, *grad.shape[1:])
        g_x0, g_y0, g_w, g_h, g_d0, g_d1 = gradients.unbind(1)
        twice = grad_log_det + grad_log_det
        theta_2, rest = theta * theta, self.one - theta
        rest_2 = rest.mul_(rest)
        # g_y0 = g
        g_y0.copy_(grad)
        # g_numerator = g h / denominator
        g_numerator = (grad * h).div_(denominator)
        # g_denominator = -2 G / denominator - g_numerator q
        g_denominator = torch.addcmul(-twice / denominator, g_numerator, q, value=-1)
        # g_m = G / m
        g_m = grad_log_det / m
        # g_d0 = (1 - theta)^2 g_m + u (g_numerator + g_denominator)
        torch.mul(g_m, rest_2, out=g_d0).addcmul_(u, g_numerator + g_denominator)
        # g_d1 = theta^2 g_m + u g_denominator
        torch.mul(g_m, theta_2, out=g_d1).addcmul_(u, g_denominator)
        # g_s = theta^2 g_numerator + 2 G / s + 2 u g_m + (1 - 2 u) g_denominator
        g_s = g_numerator.mul_(theta_2)
        g_s.addcdiv_(grad_log_det, s, value=2)
        g_s.addcmul_(g_m, u, value=2)
        g_s.addcmul_(g_denominator, torch.sub(self.one, u, alpha=2))
        # g_s / w, in which form the sizes need it: s = h / w
        g_s.div_(w)
        # fall = (low - high) / m + curvature (1 - 2 theta) / denominator
        bend = curvature.mul_(torch.sub(self.one, theta, alpha=2)).div_(denominator)
        fall = (low - high).div_(m).add_(bend)
        # g_x0 = 2 G fall / w - g slope
        torch.div(fall.mul_(twice), w, out=g_x0).addcmul_(grad, slope, value=-1)
        # g_w = theta g_x0 - s g_s / w
        torch.mul(theta, g_x0, out=g_w).addcmul_(g_s, s, value=-1)
        # g_h = g_s / w + g q
        torch.addcmul(g_s, grad, q, out=g_h)
        # g_x = -g_x0 within the bound; beyond it x has slope 1, and raw no influence
        grad.addcmul_(inside, g_x0 + grad, value=-1)
        return self._raw_gradient(lookup, gradients)

    def _raw_gradient(self, lookup, gradients):
        """The gradient of the raw parameters from those of the numbers of a bin."""
        powers, scale, left, size, reached, level = lookup
        n, (n_models, _, n_features, n_rows) = self.n_bins, gradients.shape
        grad_raw = powers.new_empty(n_models, self.n_parameters, n_features, n_rows)
        grad_sizes, grad_derivative = grad_raw[:, : 2 * n], grad_raw[:, 2 * n :]
        level.addcmul_(level, level, value=-1).mul_(self.derivative_range)
        g_ends = gradients[:, 4:].mul_(level)
        reached[:, 0].fill_(1)
        reached[:, n].zero_()
        reached, passed = reached[:, :-1], reached[:, 1:]  # of every bin: its left, its right edge
        here = reached - passed
        torch.mul(here[:, 1:], g_ends[:, :1], out=grad_derivative)
        grad_derivative.addcmul_(here[:, :-1], g_ends[:, 1:])
        # A left edge is the sum of the sizes of the bins passed; and the softmax's gradient is
        # p (g - sum(p g)), where the sum is known from the forward pass.
        g_left, g_size = gradients[:, :2].mul_(scale), gradients[:, 2:4].mul_(scale)
        common = left.mul_(g_left).addcmul_(size, g_size).mul_(-1 / self.free)
        grad_sizes = grad_sizes.view(powers.shape)
        torch.addcmul(
            common.unsqueeze(2),
            passed.unsqueeze(1),
            g_left.sub_(g_size).unsqueeze(2),
            out=grad_sizes,
        )
        grad_sizes.addcmul_(reached.unsqueeze(1), g_size.unsqueeze(2)).mul_(powers)
        return grad_raw.view(n_models, -1, n_rows)

    def inverse(self, y, raw):
        clipped = y.clamp(-self.bound, self.bound)
        (x0, y0, w, h, d0, d1), _ = self._lookup(raw, clipped, 1)
        s = h / w
        rise = clipped - y0
        # The root of a t^2 + b t - c in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
        bend = torch.add(d0 + d1, s, alpha=-2).mul_(rise)
        b = torch.mul(h, d0).sub_(bend)
        a = bend.addcmul_(h, s - d0)
        c = rise.mul_(s)
        root = (b * b).addcmul_(a, c, value=4).clamp_(min=0).sqrt_()
        theta = c.add_(c).div_(root.add_(b))
        terms = _rational(theta, s, d0, d1)
        y.sub_(clipped).add_(x0).addcmul_(theta, w)
        ratio = s.div_(terms.denominator)
        return (ratio * ratio).mul_(terms.m).log_().sum(1).neg_()


def _gather(table, dim, index):
    """``table.gather(dim, index)``, where the table of a single feature is that of all."""
    return table.expand(*table.shape[:-2], *index.shape[-2:]).gather(dim, index)


def _rational(theta, s, d0, d1):
    """Shared terms of the spline at theta in [0, 1] of a bin of slope s, end derivatives d0, d1."""
    u = torch.addcmul(theta, theta, theta, value=-1)
    curvature = torch.add(d0 + d1, s, alpha=-2)
    denominator = torch.addcmul(s, curvature, u)
    # d1 theta^2 + 2 s u + d0 (1 - theta)^2 as de Casteljau's: means of positive numbers only
    low, high = torch.lerp(d0, s, theta), torch.lerp(s, d1, theta)
    return _Rational(u, curvature, denominator, low, high, torch.lerp(low, high, theta))


def _numbers(dtype, device):
    """Constants as tensors: torch converts a Python number anew in every operation."""
    return lambda value: torch.tensor(value, dtype=dtype, device=device)


COUPLINGS = {"affine": Affine, "spline": Spline}


def hyperparameters(name):
    """Names of the hyperparameters of a coupling."""
    return set(inspect.signature(COUPLINGS[name]).parameters) - {"dtype", "device"}


def make_coupling(name, single_layer, given, dtype=torch.float32, device=None):
    """The coupling of a name, with the given hyperparameters (a dict)."""
    coupling = COUPLINGS[name]
    chosen = {**coupling.defaults(single_layer), **given}
    return coupling(**chosen, dtype=dtype, device=device)
