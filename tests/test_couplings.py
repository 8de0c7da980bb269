"""Couplings: both directions, log-slopes, gradients."""

from functools import partial

import pytest
import torch

from skflow._nn.couplings import COUPLINGS, Affine, Spline, make_coupling

CASES = {
    "paper": partial(Affine, 1.0, bounded_shift=True),
    "affine": partial(Affine),
    "spline": partial(Spline, 8),
    "spline-2-bins": partial(Spline, 2, bound=2.0),
    "spline-3-bins": partial(Spline, 3),
    "spline-20-bins": partial(Spline, 20, bound=3.0),
}
SPLINES = [name for name in CASES if name.startswith("spline")]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture(params=CASES)
def coupling(request):
    return CASES[request.param]()


@pytest.fixture(params=SPLINES)
def spline(request):
    return CASES[request.param]()


def draw(coupling, shape=(3, 2, 50), scale=1.0, dtype=torch.float64):
    """Values over the interval and its tails, and parameters as a trained flow has."""
    generator = torch.Generator().manual_seed(0)
    n_models, n_features, n_rows = shape
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 2
    raw = torch.randn(
        n_models,
        coupling.n_parameters,
        n_features,
        n_rows,
        generator=generator,
        dtype=torch.float64,
    )
    return x.to(dtype), (raw * scale).to(dtype)


def constant_raw(coupling, n_rows, scale=1.0, dtype=torch.float64):
    """One spline for all rows, ``(1, n_parameters, 1, n_rows)``."""
    _, raw = draw(coupling, (1, 1, 1), scale, dtype)
    return raw.expand(-1, -1, -1, n_rows).contiguous()


def plain(coupling, x, raw):
    """Value and log-slope ``(K, A, B)`` by the formulas, for autograd; ``raw`` as from ``draw``."""
    if isinstance(coupling, Affine):
        bound = coupling.max_log_scale
        log_scale = bound * torch.tanh(raw[:, 0] / bound)
        shift = torch.tanh(raw[:, 1]) if coupling.bounded_shift else raw[:, 1]
        return torch.exp(log_scale) * x + shift, log_scale
    return plain_spline(coupling, x, raw.movedim(1, -1))


def plain_spline(spline, x, raw):
    """Durkan et al. (2019), Eqs. 4 and 5, with the parameters of a value in the last dimension."""
    n, bound = spline.n_bins, spline.bound
    sizes = torch.softmax(raw[..., : 2 * n].unflatten(-1, (2, n)), -1)
    sizes = 2 * bound * (spline.min_size + (1 - n * spline.min_size) * sizes)
    edges = torch.nn.functional.pad(sizes.cumsum(-1), (1, 0)) - bound
    low, high = spline.min_derivative, spline.max_derivative
    odds = (1 - low) / (high - 1)  # of raw zero, where the derivative is 1
    inner = low + (high - low) / (1 + torch.exp(-raw[..., 2 * n :]) / odds)
    derivatives = torch.nn.functional.pad(inner, (1, 1), value=1.0)
    clipped = x.clamp(-bound, bound)
    bins = torch.searchsorted(edges[..., 0, 1:-1].contiguous(), clipped.unsqueeze(-1).contiguous())

    def at(table, bins):
        return table.gather(-1, bins).squeeze(-1)

    (w, h), (x0, y0) = ([at(t[..., i, :], bins) for i in (0, 1)] for t in (sizes, edges))
    d0, d1 = at(derivatives, bins), at(derivatives, bins + 1)
    xi, s = (clipped - x0) / w, h / w
    below = s + (d1 + d0 - 2 * s) * xi * (1 - xi)
    y = y0 + h * (s * xi**2 + d0 * xi * (1 - xi)) / below
    slope = s**2 * (d1 * xi**2 + 2 * s * xi * (1 - xi) + d0 * (1 - xi) ** 2) / below**2
    inside = x == clipped
    return torch.where(inside, y, x), torch.where(inside, slope, 1.0).log()


def test_zero_parameters_are_the_identity(coupling):
    x, raw = draw(coupling)
    for direction in (coupling.forward, coupling.inverse):
        y, log_slope = direction(x, torch.zeros_like(raw))
        torch.testing.assert_close(y, x, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(log_slope, torch.zeros_like(log_slope), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_round_trip(coupling, scale):
    x, raw = draw(coupling, scale=scale)
    y, log_slope = coupling.forward(x, raw)
    back, log_slope_back = coupling.inverse(y, raw)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_slope_back, -log_slope, rtol=1e-10, atol=1e-9)


def test_round_trip_at_extreme_slopes(coupling):
    """Slopes from 1e-7 to 1e3: rounding is amplified in x, so it is y that must come back."""
    y, raw = draw(coupling, scale=3.0)
    x, log_slope_back = coupling.inverse(y, raw)
    again, log_slope = coupling.forward(x, raw)
    torch.testing.assert_close(again, y, rtol=0, atol=1e-11)
    torch.testing.assert_close(log_slope, -log_slope_back, rtol=0, atol=1e-6)


def test_parameters_of_one_feature_are_those_of_all_values(coupling):
    x, raw = draw(coupling, (3, 4, 50))
    one = raw[:, :, :1].contiguous()
    for direction in (coupling.forward, coupling.inverse):
        shared, repeated = (direction(x, r)[0] for r in (one, one.expand_as(raw)))
        torch.testing.assert_close(shared, repeated, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_forward_is_the_plain_formula(coupling, scale):
    x, raw = draw(coupling, scale=scale)
    y, log_slope = coupling.forward(x, raw)
    plain_y, plain_log_slope = plain(coupling, x, raw)
    torch.testing.assert_close(y, plain_y, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(log_slope, plain_log_slope, rtol=1e-9, atol=1e-9)


def test_log_slope_is_the_log_of_autograds_derivative(coupling):
    x, raw = draw(coupling)
    for direction in (coupling.forward, coupling.inverse):
        y, log_slope = direction(x.requires_grad_(), raw)
        (slope,) = torch.autograd.grad(y.sum(), x)  # elementwise: the Jacobian's diagonal
        assert (slope > 0).all()
        torch.testing.assert_close(log_slope, slope.log(), rtol=1e-9, atol=1e-9)


def test_affine_is_bounded_both_ways():
    for coupling in (Affine(), Affine(1.0, bounded_shift=True)):
        x = torch.ones(1, 1, 4)
        raw = torch.tensor([-1e30, -50.0, 50.0, 1e30]).expand(1, 2, 1, 4).contiguous()
        for direction in (coupling.forward, coupling.inverse):
            y, log_slope = direction(x, raw)
            assert torch.isfinite(y).all()
            assert log_slope.abs().max() <= coupling.max_log_scale * (1 + 1e-6)


def test_every_coupling_of_the_table_is_tested():
    assert {type(case()) for case in CASES.values()} == set(COUPLINGS.values())


def test_make_coupling():
    assert make_coupling("spline", True, {"n_bins": 5}).n_parameters == 14
    assert make_coupling("affine", True, {}).bounded_shift
    assert not make_coupling("affine", False, {}).bounded_shift
    assert make_coupling("affine", True, {"max_log_scale": 2.0}).max_log_scale == 2


@DTYPES
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_spline_is_monotonic(spline, scale, dtype):
    x = torch.linspace(-1.2 * spline.bound, 1.2 * spline.bound, 5001, dtype=dtype).view(1, 1, -1)
    raw = constant_raw(spline, 5001, scale, dtype)
    slack = 4 * spline.bound * torch.finfo(dtype).eps
    for direction in (spline.forward, spline.inverse):
        y = direction(x, raw)[0]
        assert (y.diff() >= -slack).all()
        assert (y[..., -1] > y[..., 0]).all()


@DTYPES
def test_spline_is_the_identity_beyond_its_bound(spline, dtype):
    bound, single = spline.bound, dtype == torch.float32
    x = torch.tensor(
        [[[-1e30, -1e6, -bound - 1, -bound, bound, bound + 1, 1e6, 1e30]]], dtype=dtype
    )
    raw = constant_raw(spline, 8, 2.0, dtype)
    for direction in (spline.forward, spline.inverse):
        y, log_slope = direction(x, raw)
        torch.testing.assert_close(y, x, rtol=2e-6 if single else 1e-14, atol=0)
        assert log_slope.abs().max() < (1e-3 if single else 1e-10)


def test_spline_is_continuously_differentiable_at_its_bound(spline):
    bound, step = spline.bound, 1e-7
    x = torch.tensor(
        [-bound - step, -bound + step, bound - step, bound + step], dtype=torch.float64
    )
    raw = constant_raw(spline, 4)
    y, log_slope = spline.forward(x.view(1, 1, -1), raw)
    torch.testing.assert_close(y.ravel(), x, rtol=0, atol=1e-5)
    # The curvature beside the bound is finite: a slope 1 + O(step / bin size).
    assert log_slope.abs().max() < 1e-3


def test_spline_at_its_knots(spline):
    """Exactly on a knot the value is the knot's, the slope its derivative, from both sides."""
    raw = constant_raw(spline, spline.n_bins + 1)
    n = spline.n_bins
    single = raw[..., :1]
    sizes = torch.softmax(single[:, : 2 * n].view(1, 2, n), 2) * spline.free_length
    sizes = sizes + 2 * spline.bound * spline.min_size
    knots = torch.cat([torch.zeros(1, 2, 1), sizes.cumsum(2)], 2) - spline.bound
    inner = torch.sigmoid(single[0, 2 * n :].ravel() + spline.offset)
    derivatives = torch.ones(n + 1, dtype=torch.float64)
    derivatives[1:-1] = (
        inner * (spline.max_derivative - spline.min_derivative) + spline.min_derivative
    )
    x, y = knots[:, :1], knots[:, 1:]
    for nudge in (-1e-12, 0.0, 1e-12):
        value, log_slope = spline.forward(x + nudge, raw)
        torch.testing.assert_close(value, y, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_slope[0, 0], derivatives.log(), rtol=0, atol=1e-8)
        back, log_slope_back = spline.inverse(y + nudge, raw)
        torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(log_slope_back[0, 0], -derivatives.log(), rtol=0, atol=1e-8)


@DTYPES
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_spline_stays_finite(spline, scale, dtype):
    """Whatever the conditioner says and wherever the value lies: values, log-dets, gradients."""
    x, raw = draw(spline, (1, 4, 400), scale, dtype)
    far = [-1e30, -1e6, -spline.bound, 0.0, spline.bound, 1e6, 1e30]
    x[0, 0, : len(far)] = torch.tensor(far, dtype=dtype)
    for direction in (spline.forward, spline.inverse):
        outcome = direction(x.requires_grad_(), raw.requires_grad_())
        assert all(torch.isfinite(part).all() for part in outcome)
    gradients = torch.autograd.grad(sum(spline.forward(x, raw)).sum(), (x, raw))
    assert all(torch.isfinite(part).all() for part in gradients)
