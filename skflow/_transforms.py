"""Elementwise transforms of coupling layers: value and log-determinant from one call.

A transform changes features ``x`` ``(K, A, B)`` (model, feature, row) *in place*, with
unconstrained parameters ``raw`` ``(K, n_parameters * A, B)`` from a conditioner, whose memory it
may use up. ``forward`` returns the log-determinant ``(K, B)`` and a cache; ``backward`` takes the
cache, turns the gradient of the value into that of ``x`` in place and returns that of ``raw``;
``inverse`` returns the log-determinant of the inverse map. All parameters zero is the identity.
"""

import math

import torch


class Affine:
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

    def __init__(self, max_log_scale=3.0, bounded_shift=False):
        self.max_log_scale = max_log_scale
        self.bounded_shift = bounded_shift

    def _parameters(self, raw):
        log_scale, shift = raw.chunk(2, 1)
        bounded = raw if self.bounded_shift else log_scale
        # m tanh(r / m) = 2 m sigmoid(2 r / m) - m
        m = self.max_log_scale
        bounded.mul_(2 / m).sigmoid_().mul_(2 * m).sub_(m)
        return log_scale, shift, bounded

    def forward(self, x, raw):
        log_scale, shift, bounded = self._parameters(raw)
        scale = torch.exp(log_scale)
        scaled = x * scale
        torch.add(scaled, shift, out=x)
        return log_scale.sum(1), (scaled, scale, bounded)

    def backward(self, cache, grad, grad_log_det):
        scaled, scale, bounded = cache
        n_models, n_features, n_rows = grad.shape
        grad_raw = grad.new_empty(n_models, 2 * n_features, n_rows)
        grad_log_scale, grad_shift = grad_raw.chunk(2, 1)
        torch.addcmul(grad_log_det, grad, scaled, out=grad_log_scale)
        grad_shift.copy_(grad)
        inner = grad_raw if self.bounded_shift else grad_log_scale
        inner.addcmul_(inner, bounded * bounded, value=-1 / self.max_log_scale**2)
        grad.mul_(scale)
        return grad_raw

    def inverse(self, y, raw):
        log_scale, shift, _ = self._parameters(raw)
        y.sub_(shift).div_(torch.exp(log_scale))
        return -log_scale.sum(1)


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
        self.min_length = 2 * bound * self.min_size
        self.free = 2 * bound - n_bins * self.min_length

    def _edges(self, part):
        """Right edges of the bins: a cumulative sum as a product with a triangle."""
        n_models, _, n, n_features, n_rows = part.shape
        triangle = torch.full((n, n), self.free, dtype=part.dtype, device=part.device).tril_()
        first = torch.arange(1, n + 1, dtype=part.dtype, device=part.device).unsqueeze(1)
        first.mul_(self.min_length).sub_(self.bound)
        flat = part.view(2 * n_models, n, n_features * n_rows)
        edges = torch.baddbmm(first, triangle.expand(2 * n_models, n, n), flat)
        return edges.view(part.shape)

    def _lookup(self, raw, value, axis):
        """The numbers of the bin that holds a value: left edges, sizes, end derivatives.

        ``reached`` ``(K, n_bins + 1, A, B)`` is 1 at the edges up to the value and 0 beyond it.
        """
        n = self.n_bins
        shape = (raw.shape[0], -1, value.shape[1], raw.shape[2])
        raw = raw.view(shape)
        part = torch.softmax(raw[:, : 2 * n].unflatten(1, (2, n)), 2)
        edges = self._edges(part)
        reached = value.new_empty(shape[0], n + 1, *value.shape[1:])
        reached[:, 0] = 1
        reached[:, n] = 0
        # comparing into a float tensor is several times faster than into a boolean one on a CPU
        inner_reached = reached[:, 1:n]
        torch.gt(value.unsqueeze(1), edges[:, axis, :-1], out=inner_reached)
        index = inner_reached.sum(1, keepdim=True)
        both = index.long().unsqueeze(1).expand(-1, 2, -1, -1, -1)
        size = part.gather(2, both).squeeze(2).mul_(self.free).add_(self.min_length)
        left = edges.gather(2, both).squeeze(2).sub_(size)
        # The derivative at the boundary is 1, that is raw 0: inner is 0 there, elsewhere 1.
        ends = torch.cat([index - 1, index], 1)
        clamped = ends.clamp(0, n - 2)
        inner = torch.eq(ends, clamped, out=ends)
        level = raw[:, 2 * n :].gather(1, clamped.long()).mul_(inner).add_(self.offset).sigmoid_()
        derivative = level * self.derivative_range
        derivative.add_(self.min_derivative)
        return left, size, derivative, (part, reached, inner, level)

    def forward(self, x, raw):
        # Beyond the bound the spline is taken at the bound, where it is the bound, with slope 1.
        clipped = x.clamp(-self.bound, self.bound)
        left, size, derivative, bins = self._lookup(raw, clipped, 0)
        (x0, y0), (w, h), (d0, d1) = left.unbind(1), size.unbind(1), derivative.unbind(1)
        theta = (clipped - x0).div_(w)
        s = h / w
        u, curvature, denominator, low, high, m = _rational(theta, s, d0, d1)
        q = (theta * low).div_(denominator)
        slope = (s / denominator).square_().mul_(m)
        inside = torch.eq(x, clipped, out=torch.empty_like(x))
        x.sub_(clipped).add_(y0).addcmul_(h, q)
        cache = (theta, s, u, curvature, denominator, low, high, m, q, slope, w, h, inside, bins)
        return torch.log(slope).sum(1), cache

    def backward(self, cache, grad, grad_log_det):
        """Reverse mode through ``y0 + h q`` and ``2 log s + log m - 2 log denominator``."""
        theta, s, u, curvature, denominator, low, high, m, q, slope, w, h, inside, bins = cache
        shape = (grad.shape[0], 2, *grad.shape[1:])
        g_left, g_size, g_derivative = grad.new_empty(3, *shape).unbind(0)
        (g_x0, g_y0), (g_w, g_h) = g_left.unbind(1), g_size.unbind(1)
        g_d0, g_d1 = g_derivative.unbind(1)
        g_y0.copy_(grad)
        g_num = (grad * h).div_(denominator)
        twice = 2 * grad_log_det
        g_den = torch.addcmul(twice / denominator, g_num, q)  # with the sign turned
        g_m = grad_log_det / m
        theta_2, one_minus_2 = theta * theta, (1 - theta).square_()
        # end derivatives
        torch.mul(g_m, one_minus_2, out=g_d0).addcmul_(u, g_num - g_den)
        torch.mul(g_m, theta_2, out=g_d1).addcmul_(u, g_den, value=-1)
        # the slope h / w at fixed theta
        g_s = torch.addcdiv(g_num.mul_(theta_2), grad_log_det, s, value=2)
        g_s.addcmul_(g_m, u, value=2).addcmul_(g_den, torch.rsub(u, 1, alpha=2), value=-1).div_(w)
        # theta at fixed slope: of the value it is the spline's slope
        bend = curvature.mul_(torch.rsub(theta, 1, alpha=2)).div_(denominator)
        g_x = (high - low).div_(m).sub_(bend).mul_(twice).div_(w).addcmul_(grad, slope)
        torch.neg(g_x, out=g_x0)
        torch.addcmul(g_s * s, theta, g_x, out=g_w).neg_()
        torch.addcmul(g_s, grad, q, out=g_h)
        # Beyond the bound x has slope 1, and raw no influence (the sums cancel).
        grad.addcmul_(inside, g_x.sub_(grad))
        return self._raw_gradient(bins, g_left, g_size, g_derivative)

    def _raw_gradient(self, bins, g_left, g_size, g_derivative):
        part, reached, inner, level = bins
        n = self.n_bins
        grad_raw = part.new_empty(part.shape[0], self.n_parameters, *part.shape[3:])
        here = reached[:, :-1] - reached[:, 1:]  # 1 at the bin that holds the value
        g_derivative.mul_(inner).mul_(level).mul_((1 - level).mul_(self.derivative_range))
        g_d0, g_d1 = g_derivative.split(1, 1)
        torch.mul(here[:, 1:], g_d0, out=grad_raw[:, 2 * n :]).addcmul_(here[:, :-1], g_d1)
        # A left edge is the sum of the sizes of the bins passed.
        g_part = reached[:, 1:].unsqueeze(1) * g_left.mul_(self.free).unsqueeze(2)
        g_part.addcmul_(here.unsqueeze(1), g_size.mul_(self.free).unsqueeze(2))
        grad_softmax = torch._softmax_backward_data(g_part, part, 2, part.dtype)
        grad_raw[:, : 2 * n] = grad_softmax.flatten(1, 2)
        return grad_raw.flatten(1, 2)

    def inverse(self, y, raw):
        clipped = y.clamp(-self.bound, self.bound)
        left, size, derivative, _ = self._lookup(raw, clipped, 1)
        (x0, y0), (w, h), (d0, d1) = left.unbind(1), size.unbind(1), derivative.unbind(1)
        s = h / w
        rise = clipped - y0
        # The root of a t^2 + b t + c in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
        bend = torch.add(d0 + d1, s, alpha=-2).mul_(rise)
        b = torch.addcmul(bend.neg(), h, d0)
        a = bend.addcmul_(h, s - d0)
        c = rise.mul_(s)  # with the sign turned
        root = (b * b).addcmul_(a, c, value=4).clamp_(min=0).sqrt_()
        theta = c.mul_(2).div_(root.add_(b))
        _, _, denominator, _, _, m = _rational(theta, s, d0, d1)
        y.sub_(clipped).add_(x0).addcmul_(theta, w)
        return -torch.log(s.div_(denominator).square_().mul_(m)).sum(1)


def _rational(theta, s, d0, d1):
    """Shared terms of the spline at theta in [0, 1] of a bin of slope s, end derivatives d0, d1."""
    u = torch.addcmul(theta, theta, theta, value=-1)
    curvature = torch.add(d0 + d1, s, alpha=-2)
    denominator = torch.addcmul(s, curvature, u)
    # d1 theta^2 + 2 s u + d0 (1 - theta)^2 as de Casteljau's: means of positive numbers only
    low, high = torch.lerp(d0, s, theta), torch.lerp(s, d1, theta)
    return u, curvature, denominator, low, high, torch.lerp(low, high, theta)


def make_transform(name, *, n_bins, single_layer):
    """The transform that an estimator's ``transform`` names.

    A single-layer conditioner makes the affine coupling the paper's: scale and shift in (-1, 1).
    """
    if name == "affine":
        return Affine(1.0, bounded_shift=True) if single_layer else Affine()
    return Spline(n_bins)
