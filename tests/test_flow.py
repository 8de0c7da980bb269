"""FlowStack: one table of flows, the same invariants for every one of them."""

import itertools
import math

import numpy as np
import pytest
import torch
from test_couplings import plain

from skflow import masks as M
from skflow._nn.flow import FlowStack


def random_masks(n_models, n_layers, n_features, n_transformed, seed=0):
    """Masks that differ between models; ``n_transformed`` may differ between layers."""
    rng = np.random.default_rng(seed)
    sizes = np.broadcast_to(n_transformed, n_layers)
    masks = np.zeros((n_models, n_layers, n_features), dtype=bool)
    for k in range(n_models):
        for i, size in enumerate(sizes):
            masks[k, i, rng.permutation(n_features)[:size]] = True
    return masks


def with_idle(masks, n_idle, seed=0):
    """Some of the conditioning features are idle instead; ``n_idle`` may differ between layers."""
    rng, roles = np.random.default_rng(seed), masks.astype(np.int8)
    sizes = np.broadcast_to(n_idle, masks.shape[1])
    for k in range(len(masks)):
        for layer, size in zip(roles[k], sizes):
            layer[rng.permutation(np.flatnonzero(layer == 0))[:size]] = -1
    return roles


CONDITIONERS = {
    "single-layer": {"hidden_layer_sizes": ()},
    "relu": {"hidden_layer_sizes": (6, 5), "activation": "relu"},
    "tanh": {"hidden_layer_sizes": (6,), "activation": "tanh", "linear": True},
}
LAYOUTS = {
    "even": random_masks(3, 2, 4, 2),
    "odd": random_masks(3, 3, 5, 2),
    "unequal": random_masks(3, 3, 5, [1, 4, 3]),
    "alone": random_masks(1, 2, 4, 2),
    "one-feature": np.ones((3, 2, 1), dtype=bool),
    "all-transformed": np.ones((1, 2, 3), dtype=bool),
    "idle": with_idle(random_masks(3, 3, 5, [1, 2, 2]), [2, 1, 0]),
    "triangular": np.array(
        [[[0, 0, 1], [0, 1, -1], [1, -1, -1]], [[1, 0, 0], [-1, 0, 1], [-1, 1, -1]]]
    ),
}
COUPLINGS = {
    "affine": {"coupling": "affine"},
    "spline": {"coupling": "spline", "n_bins": 4},
}
# Each layout with either coupling, and with and without a context; conditioners take turns.
FLOWS = {
    f"{coupling}/{(conditioner := [*CONDITIONERS][(i + k) % 3])}/{layout}": (
        masks,
        {**own, **CONDITIONERS[conditioner], "n_context": 2 * ((i + k) % 2)},
    )
    for i, (coupling, own) in enumerate(COUPLINGS.items())
    for k, (layout, masks) in enumerate(LAYOUTS.items())
}
# Each coupling with each conditioner, every other one with a context.
KINDS = [
    {**own, **options, "n_context": 2 * ((i + j) % 2)}
    for i, own in enumerate(COUPLINGS.values())
    for j, options in enumerate(CONDITIONERS.values())
]


def randomize(flow, scale=0.1, seed=0):
    """Parameters as large as a trained flow has them, different in every model."""
    generator = torch.Generator().manual_seed(seed)
    flow.initialize([generator] * flow.n_models)
    flow.theta += scale * torch.randn(flow.theta.shape, generator=generator, dtype=flow.theta.dtype)
    return flow


def make_flow(name, dtype=torch.float64):
    masks, options = FLOWS[name]
    return randomize(FlowStack(masks, **options, dtype=dtype))


def rows_for(flow, n_rows=6, seed=1):
    """Rows that differ between models, and their context or None."""
    generator = torch.Generator().manual_seed(seed)

    def draw(n_columns):
        shape = (flow.n_models, n_rows, n_columns)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(flow.theta.dtype)

    x = draw(flow.n_features)
    x[:, 0] *= 4  # a row in the tails
    return x, draw(flow.n_context) if flow.n_context else None


def of_models(context, models):
    return None if context is None else context[models]


@pytest.fixture(params=FLOWS)
def flow(request):
    return make_flow(request.param)


def plain_log_prob(flow, theta, x, context):
    """Latent values and log-densities, written for autograd, by the masks, model by model."""
    layers = flow.like(theta).parameters
    outcomes = [plain_model(flow, layers, k, x[k], of_models(context, k)) for k in range(len(x))]
    return [torch.stack(parts) for parts in zip(*outcomes)]


def plain_model(flow, parameters, k, x, context):
    log_prob = 0
    for i, layer in enumerate(flow.layers):
        log_s, t = parameters[i].log_scale[k], parameters[i].shift[k]
        a, b, idle = (np.flatnonzero(flow.masks[k, i] == role) for role in (1, 0, -1))
        h = x[:, b] if context is None else torch.cat([x[:, b], context], 1)
        for j, linear in enumerate(parameters[i].conditioner):
            h = h if j == 0 else getattr(torch, flow.config["activation"])(h)
            h = torch.nn.functional.linear(h, linear.weight[k], linear.bias[k, :, 0])
        raw = h.T.view(1, layer.coupling.n_parameters, len(a), len(x))
        x_a = x[:, a]
        if flow.config["linear"] and len(b):
            weight, log_scale, shift = (part[k] for part in parameters[i].linear)
            x_a = (x_a - x[:, b] @ weight.T) * log_scale[:, 0].exp() + shift[:, 0]
            log_prob = log_prob + log_scale.sum()
        y, log_slope = plain(layer.coupling, x_a.T.unsqueeze(0), raw)
        log_prob = log_prob + log_slope[0].sum(0) + log_s.sum()
        # constants stand with the transformed features' first, and idle ones have none
        active = torch.cat([y[0].T, x[:, b]], 1) * log_s[:, 0].exp() + t[:, 0]
        x = torch.cat([active, x[:, idle]], 1)[:, np.argsort(np.r_[a, b, idle])]
    normal = torch.distributions.Normal(torch.zeros((), dtype=x.dtype), 1.0)
    return x, log_prob + normal.log_prob(x).sum(1)


SOME = pytest.mark.parametrize(
    "name",
    ["affine/relu/odd", "affine/tanh/unequal", "spline/relu/even", "spline/single-layer/unequal"],
)


def test_flow_is_the_plain_formula(flow):
    x, context = rows_for(flow)
    z, log_prob = plain_log_prob(flow, flow.theta, x, context)
    torch.testing.assert_close(flow.forward(x, context)[0], z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(flow.log_prob(x, context), log_prob, rtol=1e-10, atol=1e-10)


def test_log_det_is_that_of_autograds_jacobian(flow):
    x, context = rows_for(flow, 4)
    # A row's output depends on that row only, so the sum over rows keeps each row's Jacobian.
    jacobian = torch.autograd.functional.jacobian(
        lambda x: plain_log_prob(flow, flow.theta, x, context)[0].sum((0, 1)), x
    )
    truth = torch.linalg.slogdet(jacobian.movedim(0, 2))[1]
    torch.testing.assert_close(flow.forward(x, context)[1], truth, rtol=1e-10, atol=1e-10)


def test_round_trip(flow):
    x, context = rows_for(flow, 50)
    x[:, 0] /= 4  # where slopes of three layers multiply to 1e-7, rounding is amplified
    z, log_det = flow.forward(x, context)
    back, log_det_back = flow.inverse(z, context)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_plain_formula(flow, weighted):
    x, context = rows_for(flow)
    weight = torch.rand(flow.n_models, x.shape[1], dtype=x.dtype) if weighted else None
    loss, found = flow.loss_and_gradient(x, weight, context)

    theta = flow.theta.clone().requires_grad_()
    log_prob = plain_log_prob(flow, theta, x, context)[1]
    truth = -(log_prob if weight is None else log_prob * weight).mean(1)
    (gradient,) = torch.autograd.grad(truth.sum(), theta)
    torch.testing.assert_close(loss, truth.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-10)


def test_model_of_a_stack_is_the_model_alone(flow):
    x, context = rows_for(flow)
    loss, gradient = flow.loss_and_gradient(x, context=context)
    log_prob = flow.log_prob(x, context)
    sampled = flow.inverse(x, context)[0]
    for k in range(flow.n_models):
        alone, its_context = flow.take(k), of_models(context, [k])
        alone_loss, alone_gradient = alone.loss_and_gradient(x[[k]], context=its_context)
        torch.testing.assert_close(alone_loss, loss[[k]], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone_gradient, gradient[[k]], rtol=1e-9, atol=1e-11)
        its_log_prob = alone.log_prob(x[k], its_context)
        its_sampled = alone.inverse(x[k], its_context)[0]
        torch.testing.assert_close(its_log_prob, log_prob[[k]], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(its_sampled, sampled[[k]], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", [name for name, (masks, _) in FLOWS.items() if len(masks) == 3])
def test_a_broken_model_leaves_the_others_untouched(name):
    flow = make_flow(name)
    x, context = rows_for(flow)
    outcomes = []
    for value in (flow.theta[1].clone(), torch.tensor(math.nan), torch.tensor(1e300)):
        flow.theta[1] = value
        outcomes.append(flow.loss_and_gradient(x, context=context))
    for loss, gradient in outcomes[1:]:
        assert torch.equal(loss[[0, 2]], outcomes[0][0][[0, 2]])
        assert torch.equal(gradient[[0, 2]], outcomes[0][1][[0, 2]])


@pytest.mark.parametrize("method", ["log_prob", "forward", "inverse"])
def test_shared_rows_are_rows_of_every_model(flow, method):
    x, context = rows_for(flow)
    x, shared = x[0], of_models(context, 0)
    repeated = x.expand(flow.n_models, *x.shape)
    same = None if shared is None else shared.expand(flow.n_models, *shared.shape)
    expected = getattr(flow, method)(repeated, same)
    for arguments in ((x, shared), (x, same), (repeated, shared)):
        found = getattr(flow, method)(*arguments)
        assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("method", ["log_prob", "forward", "inverse"])
def test_a_context_of_other_columns_is_refused(flow, method):
    x, _ = rows_for(flow)
    message = f"columns, but the flow has n_context={flow.n_context}"
    for n_columns in {0, 2, 3} - {flow.n_context}:
        wrong = x.new_zeros(6, n_columns) if n_columns else None
        with pytest.raises(ValueError, match=message):
            getattr(flow, method)(x, wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_starts_near_the_identity(flow, dtype):
    flow = flow.to(dtype=dtype)
    flow.initialize([torch.Generator().manual_seed(k) for k in range(flow.n_models)])
    x, context = rows_for(flow)
    z, log_det = flow.forward(x, context)
    assert (z - x).abs().max() < 0.3 * x.abs().max()
    assert log_det.abs().max() < 1


@SOME
def test_inference_leaves_the_flow_unchanged(name):
    flow = make_flow(name)
    before, names = flow.theta.clone(), set(flow.__dict__)
    x, context = rows_for(flow)
    given = x.clone()
    z, _ = flow.forward(x, context)
    flow.inverse(z, context)
    flow.log_prob(x, context)
    flow.loss_and_gradient(x, context=context)
    assert torch.equal(flow.theta, before) and set(flow.__dict__) == names
    assert torch.equal(x, given) and torch.equal(z, flow.forward(x, context)[0])


def test_weight_mask_and_number_of_parameters(flow):
    weights = sum(a * b for layer in flow.layers for a, b in _weight_shapes(layer))
    biases = sum(b for layer in flow.layers for _, b in _weight_shapes(layer))
    n_constants, n_steps = (flow.masks[0] != -1).sum(), 0
    if flow.config["linear"]:
        stepped = [layer for layer in flow.layers if layer.n_conditioning]
        n_steps = sum(layer.n_transformed * layer.n_conditioning for layer in stepped)
        n_constants += sum(layer.n_transformed for layer in stepped)
    assert flow.n_parameters == weights + n_steps + biases + 2 * n_constants
    # linear steps' weights decay where they start at 0
    assert (flow.weight_mask().sum(1) == weights).all()
    flow.theta[1:].zero_()
    assert flow.weight_mask().sum(1).tolist() == [weights] + [weights + n_steps] * (
        flow.n_models - 1
    )


def _weight_shapes(layer):
    sizes = layer.conditioner.sizes
    return list(itertools.pairwise(sizes))


def test_layers_of_a_stack_have_equal_sizes():
    masks = np.array([[[1, 0, 0]], [[1, 0, -1]]])
    with pytest.raises(ValueError, match=r"features in layer 1, but these numbers have to be"):
        FlowStack(masks)


def test_triangular_flow_is_the_product_of_conditionals():
    """Its Jacobian is triangular in the order, whatever the number of passes."""
    order = [2, 0, 3, 1]
    masks = np.tile(M.Triangular(order=order).make(1, 4), (2, 1))[None]
    flow = randomize(FlowStack(masks, hidden_layer_sizes=(5,), dtype=torch.float64), 0.5)
    x = torch.randn(1, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: plain_log_prob(flow, flow.theta, x, None)[0].sum((0, 1)), x[None]
    )[:, 0, 0][np.ix_(order, order)]
    assert (torch.triu(jacobian, 1) == 0).all()
    assert (torch.tril(jacobian) != 0).sum() == 10


def one_context(flow, x):
    """The same context for all rows, for a density to integrate."""
    return x.new_full((len(x), flow.n_context), 0.7) if flow.n_context else None


@pytest.mark.parametrize("options", KINDS)
def test_density_integrates_to_one_in_one_dimension(options):
    flow = randomize(FlowStack(np.ones((2, 3, 1), dtype=bool), **options, dtype=torch.float64))
    x = torch.linspace(-60, 60, 240_001, dtype=torch.float64).unsqueeze(1)
    mass = torch.trapezoid(flow.log_prob(x, one_context(flow, x)).exp(), x[:, 0], dim=1)
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [1e6, -1e30])
def test_far_away_rows_score_finitely(flow, value):
    x, context = rows_for(flow)
    x[:, 0] = value
    x[:, 1, 0] = value
    z, log_det = flow.forward(x, context)
    log_prob = flow.log_prob(x, context)
    assert (
        torch.isfinite(z).all() and torch.isfinite(log_det).all() and torch.isfinite(log_prob).all()
    )
    assert (log_prob[:, 0] < -1e9).all()
    back, log_det = flow.inverse(x, context)
    assert torch.isfinite(back).all() and torch.isfinite(log_det).all()
