"""Elementwise transforms of coupling layers: value and log-determinant from one call.

A transform maps features ``x`` ``(K, A, B)`` (model, feature, row) with unconstrained parameters
``raw`` ``(K, n_parameters, A, B)`` from a conditioner. ``forward`` returns the value, the
log-determinant ``(K, B)`` and a cache; ``backward`` takes the cache and gives the gradients of
``x`` and ``raw``; ``inverse`` returns the value and the log-determinant of the inverse map. All
parameters zero is the identity.
"""

import math

import torch

from ._conditioners import tanh, tanh_gradient


class Affine:
    """``exp(s) * x + t``, the coupling of RealNVP (Dinh et al. 2017).

    Parameters
    ----------
    max_log_scale : float
        The log-scale is ``max_log_scale * tanh(raw / max_log_scale)``: bounded smoothly, so that
        neither direction of the flow overflows.
    bounded_shift : bool
        With True the shift is ``tanh(raw)`` too. With ``max_log_scale=1`` this is the conditioner
        of Gonsior, Mücke and Morik (2021), ``(s, t) = tanh(W x_B + b)``.
    """

    n_parameters = 2

    def __init__(self, max_log_scale=3.0, bounded_shift=False):
        self.max_log_scale = max_log_scale
        self.bounded_shift = bounded_shift

    def _parameters(self, raw):
        if self.bounded_shift:
            unit = tanh(raw)
            return unit, unit[:, 0], unit[:, 1]
        unit = tanh(raw[:, 0] / self.max_log_scale)
        return unit, unit * self.max_log_scale, raw[:, 1]

    def forward(self, x, raw):
        unit, log_scale, shift = self._parameters(raw)
        scale = torch.exp(log_scale)
        scaled = x * scale
        return scaled + shift, log_scale.sum(1), (scaled, scale, unit)

    def backward(self, cache, grad, grad_log_det):
        scaled, scale, unit = cache
        grad_log_scale = torch.addcmul(grad_log_det, grad, scaled)
        if self.bounded_shift:
            grad_raw = tanh_gradient(torch.stack([grad_log_scale, grad], 1), unit)
        else:
            grad_raw = torch.stack([tanh_gradient(grad_log_scale, unit), grad], 1)
        return grad * scale, grad_raw

    def inverse(self, y, raw):
        _, log_scale, shift = self._parameters(raw)
        return (y - shift) * torch.exp(-log_scale), -log_scale.sum(1)


class Spline:
    """Monotonic rational-quadratic spline with linear tails (Durkan et al. 2019, Eqs. 4-8).

    Inside ``[-bound, bound]`` a spline of ``n_bins`` bins, outside the identity; the derivative is
    1 at the boundary, so the map is continuously differentiable. The parameters of a feature are
    ``n_bins`` widths, ``n_bins`` heights and the ``n_bins - 1`` inner derivatives.
    """

    min_size = 1e-3  # of a bin, as a part of the whole interval
    min_derivative, max_derivative = 1e-3, 1e2

    def __init__(self, n_bins=8, bound=5.0):
        self.n_bins = n_bins
        self.bound = bound
        self.n_parameters = 3 * n_bins - 1
        # Derivatives are bounded as the bins' slopes are, so that far-away conditioning values do
        # no harm; sigmoid(offset) makes raw zero the derivative 1, and small raw values its log.
        self.derivative_range = self.max_derivative - self.min_derivative
        part = (1 - self.min_derivative) / self.derivative_range
        self.offset = math.log(part / (1 - part))
        self.free = 2 * bound * (1 - n_bins * self.min_size)

    def _bins(self, raw):
        """Softmax of widths and heights ``(K, 2, n, A, B)``, bin sizes, right edges of bins."""
        n_models, _, n_features, n_rows = raw.shape
        n = self.n_bins
        shape = (n_models, 2, n, n_features, n_rows)
        part = torch.softmax(raw[:, : 2 * n].reshape(shape), 2)
        sizes = part * self.free + 2 * self.bound * self.min_size
        # A cumulative sum over bins as a product with a triangle: faster than cumsum on a CPU.
        triangle = torch.ones(n, n, dtype=raw.dtype, device=raw.device).tril_()
        edges = torch.matmul(triangle, sizes.view(n_models, 2, n, n_features * n_rows))
        return part, sizes, edges.view(shape) - self.bound

    def _lookup(self, raw, value, axis):
        """The bin of every value, and the spline's numbers there."""
        n = self.n_bins
        part, sizes, edges = self._bins(raw)
        beyond = value.unsqueeze(1) - edges[:, axis]  # positive at right edges left of the value
        index = _is_positive(beyond).sum(1, keepdim=True).long().clamp_(max=n - 1)  # (K, 1, A, B)
        both = index.unsqueeze(1).expand(-1, 2, -1, -1, -1)
        size = sizes.gather(2, both).squeeze(2)
        left = edges.gather(2, both).squeeze(2) - size
        ends = torch.cat([index - 1, index], 1)
        clamped = ends.clamp(0, n - 2)
        inner = 1 - (ends - clamped).abs().to(raw.dtype)
        # the derivative at the boundary is 1, that is raw 0
        level = torch.sigmoid(raw[:, 2 * n :].gather(1, clamped) * inner + self.offset)
        derivative = level * self.derivative_range + self.min_derivative
        return left, size, derivative, (part, beyond, both, clamped, inner, level)

    def forward(self, x, raw):
        # Beyond the bound the spline is taken at the bound, where it is the bound, with slope 1.
        clipped = x.clamp(-self.bound, self.bound)
        left, size, derivative, bins = self._lookup(raw, clipped, 0)
        (x0, y0), (w, h), (d0, d1) = left.unbind(1), size.unbind(1), derivative.unbind(1)
        theta = (clipped - x0) / w
        s = h / w
        u, curvature, denominator, m = _rational(theta, s, d0, d1)
        q = theta * torch.addcmul(d0, theta, s - d0) / denominator
        y = torch.addcmul(y0, h, q) + (x - clipped)
        ratio = s / denominator
        log_det = torch.log(ratio * ratio * m).sum(1)
        return y, log_det, (raw, x, theta, u, s, curvature, denominator, q, m, w, h, d0, d1, bins)

    def backward(self, cache, grad, grad_log_det):
        raw, x, theta, u, s, curvature, denominator, q, m, w, h, d0, d1, bins = cache
        one_minus = 1 - theta
        # Reverse mode through the scalars of the bin: y0 + h q, 2 log s + log m - 2 log denominator
        g_num = grad * h / denominator
        g_den = -(g_num * q + 2 * grad_log_det / denominator)
        g_m = grad_log_det / m
        g_s = 2 * (grad_log_det / s + g_m * u) + g_num * theta * theta + g_den * (1 - 2 * u)
        g_both = (g_num + g_den) * u
        g_d0 = g_both + g_m * one_minus * one_minus
        g_d1 = g_den * u + g_m * theta * theta
        g_u = 2 * g_m * s + g_num * d0 + g_den * curvature
        g_slope = g_m * (d1 * theta - d0 * one_minus) + g_num * s * theta
        g_x = (g_u * (1 - 2 * theta) + 2 * g_slope) / w
        g_s_w = g_s / w
        g_size = torch.stack([-(g_s_w * s + g_x * theta), torch.addcmul(g_s_w, grad, q)], 1)
        g_left = torch.stack([-g_x, grad], 1)
        grad_raw = self._raw_gradient(raw, bins, g_left, g_size, torch.stack([g_d0, g_d1], 1))
        # Beyond the bound raw has no influence (the sums above cancel), and x has slope 1.
        inside = _is_positive(self.bound - x.abs())
        return torch.addcmul(grad, inside, g_x - grad), grad_raw

    def _raw_gradient(self, raw, bins, g_left, g_size, g_derivative):
        part, beyond, both, ends, inner, level = bins
        n = self.n_bins
        grad_raw = torch.zeros_like(raw)
        g_derivative = g_derivative * inner * (level * (1 - level) * self.derivative_range)
        grad_raw[:, 2 * n :].scatter_add_(1, ends, g_derivative)
        # The left edge is the sum of the sizes of the bins passed; then the softmax's Jacobian.
        passed = _is_positive(beyond).unsqueeze(1)
        g_part = (passed * g_left.unsqueeze(2)).scatter_(2, both, g_size.unsqueeze(2)).mul_(part)
        total = g_part.sum(2, keepdim=True)
        g_part.addcmul_(part, total, value=-1).mul_(self.free)
        grad_raw[:, : 2 * n] = g_part.view(raw.shape[0], 2 * n, *raw.shape[2:])
        return grad_raw

    def inverse(self, y, raw):
        clipped = y.clamp(-self.bound, self.bound)
        left, size, derivative, _ = self._lookup(raw, clipped, 1)
        (x0, y0), (w, h), (d0, d1) = left.unbind(1), size.unbind(1), derivative.unbind(1)
        s = h / w
        rise = clipped - y0
        bend = (d0 + d1 - 2 * s) * rise
        # The root of a t^2 + b t + c in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
        a = h * (s - d0) + bend
        b = h * d0 - bend
        c = -s * rise
        theta = -2 * c / (b + torch.sqrt((b * b - 4 * a * c).clamp(min=0)))
        _, _, denominator, m = _rational(theta, s, d0, d1)
        ratio = s / denominator
        x = torch.addcmul(x0, theta, w) + (y - clipped)
        return x, -torch.log(ratio * ratio * m).sum(1)


def _is_positive(x):
    """1 where x > 0, else 0, in x's dtype: several times faster than a comparison on a CPU."""
    return torch.ops.aten.threshold_backward(torch.ones_like(x), x, 0)


def _rational(theta, s, d0, d1):
    """Shared terms of the spline at theta in [0, 1] of a bin of slope s, end derivatives d0, d1."""
    one_minus = 1 - theta
    u = theta * one_minus
    curvature = d0 + d1 - 2 * s
    denominator = torch.addcmul(s, curvature, u)
    m = d1 * theta * theta + 2 * s * u + d0 * one_minus * one_minus
    return u, curvature, denominator, m


def make_transform(name, *, n_bins, single_layer):
    """The transform that an estimator's ``transform`` names.

    A single-layer conditioner makes the affine coupling the paper's: scale and shift in (-1, 1).
    """
    if name == "affine":
        return Affine(1.0, bounded_shift=True) if single_layer else Affine()
    return Spline(n_bins)
