"""Elementwise transforms: both directions, log-determinants, hand-written gradients."""

import math

import pytest
import torch

from skflow._transforms import Affine, Spline, make_transform

TRANSFORMS = {
    "paper": lambda: Affine(1.0, bounded_shift=True),
    "affine": lambda: Affine(),
    "spline": lambda: Spline(8),
    "spline-2-bins": lambda: Spline(2, bound=2.0),
    "spline-3-bins": lambda: Spline(3),
    "spline-20-bins": lambda: Spline(20, bound=3.0),
}
SPLINES = [name for name in TRANSFORMS if name.startswith("spline")]


@pytest.fixture(params=TRANSFORMS)
def transform(request):
    return TRANSFORMS[request.param]()


@pytest.fixture(params=SPLINES)
def spline(request):
    return TRANSFORMS[request.param]()


def draw(transform, shape=(3, 2, 50), scale=1.0, dtype=torch.float64):
    """Values over the interval and its tails, and parameters as a trained flow has."""
    generator = torch.Generator().manual_seed(0)
    n_models, n_features, n_rows = shape
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 2
    raw = torch.randn(
        n_models,
        transform.n_parameters,
        n_features,
        n_rows,
        generator=generator,
        dtype=torch.float64,
    )
    return x.to(dtype), (raw * scale).to(dtype)


def constant_raw(transform, n_rows, scale=1.0, dtype=torch.float64):
    """One spline for all rows, ``(1, n_parameters, 1, n_rows)``."""
    _, raw = draw(transform, (1, 1, 1), scale, dtype)
    return raw.expand(-1, -1, -1, n_rows).contiguous()


class HandWritten(torch.autograd.Function):
    """A transform with its own ``backward``, as torch's checks want it."""

    @staticmethod
    def forward(ctx, transform, x, raw):
        y, log_det, ctx.cache = transform.forward(x, raw)
        ctx.transform = transform
        return y, log_det

    @staticmethod
    def backward(ctx, grad, grad_log_det):
        return None, *ctx.transform.backward(ctx.cache, grad, grad_log_det.unsqueeze(1))


def test_zero_parameters_are_the_identity(transform):
    x, raw = draw(transform)
    for direction in (transform.forward, transform.inverse):
        y, log_det = direction(x, torch.zeros_like(raw))[:2]
        torch.testing.assert_close(y, x, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_round_trip(transform, scale):
    x, raw = draw(transform, scale=scale)
    y, log_det, _ = transform.forward(x, raw)
    back, log_det_back = transform.inverse(y, raw)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det_back, -log_det, rtol=1e-10, atol=1e-9)


def test_round_trip_at_extreme_slopes(transform):
    """Slopes from 1e-7 to 1e3: rounding is amplified in x, so it is y that must come back."""
    y, raw = draw(transform, scale=3.0)
    x, log_det_back = transform.inverse(y, raw)
    again, log_det, _ = transform.forward(x, raw)
    torch.testing.assert_close(again, y, rtol=0, atol=1e-11)
    torch.testing.assert_close(log_det, -log_det_back, rtol=0, atol=1e-6)


def test_round_trip_in_float32(transform):
    x, raw = draw(transform, dtype=torch.float32)
    y, log_det, _ = transform.forward(x, raw)
    back, log_det_back = transform.inverse(y, raw)
    assert y.dtype == back.dtype == log_det.dtype == torch.float32
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(log_det_back, -log_det, rtol=1e-3, atol=1e-3)


def test_log_det_is_the_log_of_the_derivative(transform):
    x, raw = draw(transform)
    x.requires_grad_()
    y, log_det, _ = transform.forward(x, raw)
    (slope,) = torch.autograd.grad(y.sum(), x)  # elementwise, so this is the Jacobian's diagonal
    assert (slope > 0).all()
    torch.testing.assert_close(log_det, slope.log().sum(1))


def test_backward_agrees_with_autograd_of_forward(transform):
    x, raw = draw(transform)
    inputs = x.requires_grad_(), raw.requires_grad_()
    y, log_det, _ = transform.forward(*inputs)
    grad, grad_log_det = torch.randn_like(y), torch.randn_like(log_det)
    truth = torch.autograd.grad([y, log_det], inputs, [grad, grad_log_det])
    with torch.no_grad():
        _, _, cache = transform.forward(*inputs)
        ours = transform.backward(cache, grad, grad_log_det.unsqueeze(1))
    for a, b in zip(ours, truth):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_gradcheck(transform):
    x, raw = draw(transform, (2, 2, 3))
    x[0, 0, 0] = 10.0  # a tail
    inputs = x.requires_grad_(), raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda *inputs: HandWritten.apply(transform, *inputs), inputs)


def test_one_bad_model_leaves_the_others_untouched(transform):
    x, raw = draw(transform)
    grad, grad_log_det = torch.randn_like(x), torch.randn(3, 1, x.shape[2], dtype=x.dtype)
    outcomes = []
    for value in (raw[1].clone(), torch.full_like(raw[1], math.nan)):
        raw[1] = value
        y, log_det, cache = transform.forward(x, raw)
        outcomes.append((y, log_det, *transform.backward(cache, grad, grad_log_det)))
    for good, beside_bad in zip(*outcomes):
        assert torch.equal(good[[0, 2]], beside_bad[[0, 2]])


def test_affine_is_bounded_both_ways():
    for transform in (Affine(), Affine(1.0, bounded_shift=True)):
        x = torch.ones(1, 1, 4)
        raw = torch.tensor([-1e30, -50.0, 50.0, 1e30]).expand(1, 2, 1, 4).contiguous()
        for direction in (transform.forward, transform.inverse):
            y, log_det = direction(x, raw)[:2]
            assert torch.isfinite(y).all()
            assert log_det.abs().max() <= transform.max_log_scale * (1 + 1e-6)


def test_papers_coupling_against_the_literal_formula():
    transform = make_transform("affine", n_bins=8, single_layer=True)
    x, raw = draw(transform)
    y, log_det, _ = transform.forward(x, raw)
    s, t = torch.tanh(raw[:, 0]), torch.tanh(raw[:, 1])
    torch.testing.assert_close(y, torch.exp(s) * x + t)
    torch.testing.assert_close(log_det, s.sum(1))


def test_make_transform():
    assert isinstance(make_transform("spline", n_bins=5, single_layer=True), Spline)
    assert make_transform("spline", n_bins=5, single_layer=False).n_parameters == 14
    assert not make_transform("affine", n_bins=5, single_layer=False).bounded_shift


def literal_spline(spline, x, raw):
    """Value and log-derivative at one number, as Durkan et al. (2019) write it in Eqs. 4 and 5."""
    n, bound = spline.n_bins, spline.bound
    if not -bound <= x <= bound:
        return x, 0.0
    exp = [math.exp(r) for r in raw[: 2 * n]]
    free = 1 - n * spline.min_size
    sizes = [2 * bound * (spline.min_size + free * e / sum(exp[:n])) for e in exp[:n]]
    sizes_y = [2 * bound * (spline.min_size + free * e / sum(exp[n:])) for e in exp[n:]]
    low, high = spline.min_derivative, spline.max_derivative
    odds = (1 - low) / (high - 1)  # of raw zero, where the derivative is 1
    inner = [low + (high - low) / (1 + math.exp(-r) / odds) for r in raw[2 * n :]]
    derivatives = [1.0, *inner, 1.0]
    k = 0
    while k < n - 1 and x >= -bound + sum(sizes[: k + 1]):
        k += 1
    xi = (x + bound - sum(sizes[:k])) / sizes[k]
    s, d0, d1 = sizes_y[k] / sizes[k], derivatives[k], derivatives[k + 1]
    u = xi * (1 - xi)
    below = s + (d1 + d0 - 2 * s) * u
    y = -bound + sum(sizes_y[:k]) + sizes_y[k] * (s * xi**2 + d0 * u) / below
    slope = s**2 * (d1 * xi**2 + 2 * s * u + d0 * (1 - xi) ** 2) / below**2
    return y, math.log(slope)


def test_spline_against_the_literal_formula(spline):
    x, raw = draw(spline, (2, 1, 40))
    y, log_det, _ = spline.forward(x, raw)
    for k in range(2):
        for b in range(40):
            value, log_slope = literal_spline(spline, x[k, 0, b].item(), raw[k, :, 0, b].tolist())
            assert y[k, 0, b].item() == pytest.approx(value, abs=1e-11)
            assert log_det[k, b].item() == pytest.approx(log_slope, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_spline_is_monotonic(spline, scale, dtype):
    x = torch.linspace(-1.2 * spline.bound, 1.2 * spline.bound, 5001, dtype=dtype).view(1, 1, -1)
    raw = constant_raw(spline, 5001, scale, dtype)
    slack = 4 * spline.bound * torch.finfo(dtype).eps
    for direction in (spline.forward, spline.inverse):
        y = direction(x, raw)[0]
        assert (y.diff() >= -slack).all()
        assert (y[..., -1] > y[..., 0]).all()


def test_spline_is_the_identity_beyond_its_bound(spline):
    bound = spline.bound
    x = torch.tensor([-1e30, -1e6, -bound - 1, -bound, bound, bound + 1, 1e6, 1e30])
    for dtype in (torch.float32, torch.float64):
        values = x.to(dtype).view(1, 1, -1)
        raw = constant_raw(spline, 8, 2.0, dtype)
        for direction in (spline.forward, spline.inverse):
            y, log_det = direction(values, raw)[:2]
            torch.testing.assert_close(
                y, values, rtol=2e-6 if dtype == torch.float32 else 1e-14, atol=0
            )
            assert log_det.abs().max() < (1e-3 if dtype == torch.float32 else 1e-10)


def test_spline_is_continuously_differentiable_at_its_bound(spline):
    bound, step = spline.bound, 1e-7
    x = torch.tensor(
        [-bound - step, -bound + step, bound - step, bound + step], dtype=torch.float64
    )
    raw = constant_raw(spline, 4)
    y, log_det, _ = spline.forward(x.view(1, 1, -1), raw)
    torch.testing.assert_close(y.ravel(), x, rtol=0, atol=1e-5)
    # The curvature beside the bound is finite: a slope 1 + O(step / bin size).
    assert log_det.abs().max() < 1e-3


def test_spline_at_its_knots(spline):
    """Exactly on a knot the value is the knot's, the slope its derivative, from both sides."""
    raw = constant_raw(spline, spline.n_bins + 1)
    n = spline.n_bins
    single = raw[..., :1]
    sizes = torch.softmax(single[:, : 2 * n].view(1, 2, n), 2) * spline.free
    sizes = sizes + 2 * spline.bound * spline.min_size
    knots = torch.cat([torch.zeros(1, 2, 1), sizes.cumsum(2)], 2) - spline.bound
    inner = torch.sigmoid(single[0, 2 * n :].ravel() + spline.offset)
    derivatives = torch.ones(n + 1, dtype=torch.float64)
    derivatives[1:-1] = (
        inner * (spline.max_derivative - spline.min_derivative) + spline.min_derivative
    )
    x, y = knots[:, :1], knots[:, 1:]
    for nudge in (-1e-12, 0.0, 1e-12):
        value, log_det, _ = spline.forward(x + nudge, raw)
        torch.testing.assert_close(value, y, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_det[0], derivatives.log(), rtol=0, atol=1e-8)
        back, log_det_back = spline.inverse(y + nudge, raw)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_det_back[0], -derivatives.log(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_spline_stays_finite(spline, scale, dtype):
    """Whatever the conditioner says and wherever the value lies: values, log-dets, gradients."""
    x, raw = draw(spline, (1, 4, 400), scale, dtype)
    far = [-1e30, -1e6, -spline.bound, 0.0, spline.bound, 1e6, 1e30]
    x[0, 0, : len(far)] = torch.tensor(far, dtype=dtype)
    y, log_det, cache = spline.forward(x, raw)
    assert torch.isfinite(y).all() and torch.isfinite(log_det).all()
    back, log_det_back = spline.inverse(x, raw)
    assert torch.isfinite(back).all() and torch.isfinite(log_det_back).all()
    for grad in spline.backward(cache, torch.ones_like(x), torch.ones_like(log_det).unsqueeze(1)):
        assert torch.isfinite(grad).all()


def test_gradients_beyond_the_bound(spline):
    """In the tails x has slope 1, and the parameters have no influence."""
    x = torch.tensor([-1e6, -spline.bound - 1, spline.bound + 1, 1e6], dtype=torch.float64)
    raw = constant_raw(spline, 4)
    _, _, cache = spline.forward(x.view(1, 1, -1), raw)
    grad = torch.randn(1, 1, 4, dtype=torch.float64)
    grad_x, grad_raw = spline.backward(cache, grad, torch.randn(1, 1, 4, dtype=torch.float64))
    assert torch.equal(grad_x, grad)
    assert grad_raw.abs().max() < 1e-9
