"""The trainer: schedules, per-model fates, and that a stack is its models side by side."""

import numpy as np
import pytest
import torch
from scipy import stats
from small_trainings import correlated_rows, options
from torch.utils._python_dispatch import TorchDispatchMode

from skflow import masks
from skflow._nn import blocks as _blocks
from skflow._nn.flow import FlowStack
from skflow._nn.training import (
    Noise,
    Trainer,
    draw_batches,
    make_generators,
    validation_loss,
)
from skflow._nn.training_data import TrainingData


@pytest.fixture
def table():
    return correlated_rows()


def stack(n_models, seeds=None, coupling="affine", hidden=(8,)):
    structure = np.repeat(masks.parity(3, 4)[np.newaxis], n_models, axis=0)
    flow = FlowStack(structure, coupling=coupling, hidden_layer_sizes=hidden)
    return flow.initialize(make_generators(range(n_models) if seeds is None else seeds))


def split(n_models=1):
    return torch.arange(250).repeat(n_models, 1), torch.arange(250, 300).repeat(n_models, 1)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("coupling", ["affine", "spline"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_model_of_a_stack_trains_as_it_does_alone(table, solver, coupling, alpha):
    # in float64: forty steps of training amplify rounding a thousandfold and more
    chosen = options(solver=solver, alpha=alpha, with_replacement=solver == "sgd")
    data = TrainingData(table.double(), *split())
    together = stack(3, coupling=coupling).to(dtype=torch.float64)
    result = Trainer(together, chosen, data, make_generators([10, 11, 12])).fit()
    for k in range(3):
        alone = stack(1, [k], coupling=coupling).to(dtype=torch.float64)
        single = Trainer(alone, chosen, data, make_generators([10 + k])).fit()
        torch.testing.assert_close(alone.theta[0], together.theta[k], rtol=1e-7, atol=1e-8)
        assert single.score[0] == pytest.approx(result.score[k], rel=1e-9)


NOISE = (0.0, 0.3, 0.0, 1.0)
CONTEXT_NOISE = (0.0, 0.0, 0.5, 0.2)


@pytest.mark.parametrize("n_context", [0, 2])
def test_models_of_one_stack_train_at_their_own_resolutions(table, n_context):
    """As each would alone; and one without noise as if there were none."""

    def fit(k, seeds, **noise):
        masks_ = np.repeat(masks.parity(3, 4 - n_context)[np.newaxis], len(k), axis=0)
        flow = FlowStack(masks_, n_context=n_context, hidden_layer_sizes=(8,), dtype=torch.float64)
        flow.initialize(make_generators(k))
        result = Trainer(flow, options(**noise), data, make_generators(seeds)).fit()
        return flow.theta, result.score

    columns = table.double().split([4 - n_context, n_context], dim=1)
    context = columns[1] if n_context else None
    data = TrainingData(columns[0], *split(), context=context)
    both = {"noise": NOISE}
    if n_context:
        both["context_noise"] = CONTEXT_NOISE
    together, scores = fit(range(4), range(10, 14), **both)
    for k in range(4):
        own = {name: sizes[k] for name, sizes in both.items() if sizes[k] > 0}
        alone, score = fit([k], [10 + k], **own)
        torch.testing.assert_close(alone[0], together[k], rtol=1e-7, atol=1e-8)
        assert score[0] == pytest.approx(scores[k], rel=1e-9)


@pytest.mark.parametrize("context_noise", [0.0, 1.0])
def test_a_conditional_density_is_learned(context_noise):
    """y = x + N(0, 0.25); seen through noise in x, it is less certain and the slope is less."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6000, 1, generator=generator)
    y = x + 0.5 * torch.randn(6000, 1, generator=generator)
    data = TrainingData(y, torch.arange(3000)[None], torch.arange(3000, 6000)[None], context=x)
    flow = FlowStack(np.ones((1, 2, 1), dtype=bool), n_context=1).initialize(make_generators([0]))
    chosen = options(
        n_steps=600,
        batch_size=500,
        learning_rate_init=0.05,
        context_noise=context_noise,
        n_iter_no_change=None,
    )
    result = Trainer(flow, chosen, data, make_generators([1])).fit()
    slope = 1 / (1 + context_noise**2)
    variance = 0.25 + slope * context_noise**2
    entropy = 0.5 * np.log(2 * np.pi * np.e * variance)
    assert result.score[0] == pytest.approx(entropy, abs=0.05)
    means = flow.inverse(torch.zeros(2, 1), torch.tensor([[-0.5], [0.5]]))[0].flatten()
    assert float(means[1] - means[0]) == pytest.approx(slope, abs=0.06)


def test_noise_teaches_the_density_of_noisy_rows():
    """A normal of variance v is learned as one of variance v + noise^2; its score is the entropy.

    The structure is one affine map, the maximum likelihood of which is known in closed form.
    """
    noise = np.array([0.0, 0.5, 2.0])
    table = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    table = (table - table.mean()) / table.std()
    rows = torch.arange(2000)[None], torch.arange(2000, 4000)[None]
    flow = FlowStack(np.ones((3, 1, 1), dtype=bool)).initialize(make_generators([0] * 3))
    chosen = options(n_steps=400, batch_size=500, learning_rate_init=0.05, noise=tuple(noise))
    result = Trainer(flow, chosen, TrainingData(table, *rows), make_generators([1, 2, 3])).fit()
    scale = 1 / flow.forward(torch.tensor([[0.0], [1.0]]))[0].diff(dim=1).flatten().numpy()
    assert scale == pytest.approx(np.sqrt(1 + noise**2), rel=0.05)
    assert result.score == pytest.approx(0.5 * np.log(2 * np.pi * np.e * (1 + noise**2)), abs=0.06)


def test_noise_of_validation_rows_stays_the_same_over_the_epochs(table):
    trainer = Trainer(
        stack(2), options(noise=(0.0, 0.5)), TrainingData(table, *split()), make_generators([0, 1])
    )
    noise = trainer.validation_noise.rows.clone()
    assert not noise[0].any()
    assert noise[1].std() == pytest.approx(0.5, rel=0.2)
    kept = trainer.flow.theta.clone()
    trainer._epoch(np.full(4, 0.01))
    trainer.flow.theta.copy_(kept)
    assert torch.equal(trainer.validation_noise.rows, noise)
    x = table[250:] + noise
    expected = -trainer.flow.log_prob(x).mean(1)
    found = validation_loss(trainer.flow, trainer.data, Noise(noise))
    assert found == pytest.approx(expected.numpy(), rel=1e-5)


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf, (0.1, 0.2, 0.3), ((0.1, 0.2),)])
def test_impossible_noise(table, noise):
    with pytest.raises(ValueError, match="noise=.* is not possible for 2 models"):
        Trainer(stack(2), options(noise=noise), TrainingData(table, *split()), None)


def test_noise_on_a_context_needs_one(table):
    with pytest.raises(ValueError, match=r"context_noise=0\.5 needs a context"):
        Trainer(stack(1), options(context_noise=0.5), TrainingData(table, *split()), None)


def test_parts_of_the_data_keep_weights_and_context(table):
    data = TrainingData(table, *split(2), weight=torch.rand(300), context=torch.randn(300, 2))
    for part in (data.take([1]), data.repeated(2)):
        x, weight, context = part.at(part.validation_rows)
        shape = part.validation_rows.shape
        assert x.shape == (*shape, 4) and weight.shape == shape and context.shape == (*shape, 2)
        assert torch.equal(context[-1], data.context[250:])


def test_a_model_that_is_nan_leaves_the_others_untouched(table):
    data = TrainingData(table, *split())
    healthy, ill = stack(3), stack(3)
    ill.theta[1] = torch.nan
    expected = Trainer(healthy, options(), data, make_generators([0, 1, 2])).fit()
    found = Trainer(ill, options(), data, make_generators([0, 1, 2])).fit()
    for k in (0, 2):
        torch.testing.assert_close(ill.theta[k], healthy.theta[k], rtol=0, atol=0)
        assert found.score[k] == expected.score[k]
    assert found.score[1] == np.inf
    assert list(found.n_recoveries) == [0, 5, 0]


def test_a_model_that_diverges_returns_to_its_best_state(table):
    trainer = Trainer(stack(2), options(), TrainingData(table, *split()), make_generators([0, 1]))
    trainer._judge(trainer._epoch(np.full(8, 0.01)))
    best = trainer.flow.theta.clone()
    trainer.flow.theta[0] = torch.inf
    trainer._judge(np.array([np.nan, 1.0]))
    torch.testing.assert_close(trainer.flow.theta[0], best[0], rtol=0, atol=0)
    assert trainer.rate_scale.flatten().tolist() == pytest.approx([0.3, 1.0])
    assert (trainer.optimizer.mean[0] == 0).all()
    assert (trainer.optimizer.mean[1] != 0).float().mean() > 0.9


def test_the_state_kept_is_the_best_on_the_validation_rows(table):
    flow = stack(3)
    data = TrainingData(table, *split())
    chosen = options(n_steps=400, learning_rate="constant", learning_rate_init=0.05)
    result = Trainer(flow, chosen, data, make_generators([0, 1, 2])).fit()
    curve = np.array(result.validation_curve)
    assert result.score == pytest.approx(curve.min(axis=0))
    assert validation_loss(flow, data) == pytest.approx(result.score, rel=1e-6)
    assert (curve[-1] > curve.min(axis=0)).all()  # the last state would have been another one


def test_patience_is_per_model(table):
    flow = stack(2)
    flow.theta[1] = torch.nan  # never improves
    chosen = options(n_steps=160, n_iter_no_change=3)
    data = TrainingData(table, *split())
    result = Trainer(flow, chosen, data, make_generators([0, 1])).fit()
    assert result.n_epochs[1] == 3
    assert result.n_epochs[0] > 3


def test_validation_loss_is_the_weighted_mean_in_any_blocks(table, monkeypatch):
    weight = torch.rand(300, generator=torch.Generator().manual_seed(0))
    flow = stack(2)
    rows, held_out = split(2)
    data = TrainingData(table, rows, held_out, weight)
    w = weight[250:].double()
    log_prob = flow.log_prob(table[250:]).detach().double()
    expected = -(log_prob * w).sum(1) / w.sum()
    assert validation_loss(flow, data) == pytest.approx(expected.numpy(), rel=1e-5)
    noise = 0.1 * torch.randn(2, 50, 4)
    noisy = -(flow.log_prob(table[250:] + noise).double() * w).sum(1) / w.sum()
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", 100)
    assert validation_loss(flow, data) == pytest.approx(expected.numpy(), rel=1e-5)
    assert validation_loss(flow, data, Noise(noise)) == pytest.approx(noisy.numpy(), rel=1e-5)


def test_permutations_visit_every_row_as_often(table):
    rows = torch.arange(100, 140)[None]
    batches = draw_batches(make_generators([0]), rows, 8, 10, with_replacement=False)
    assert batches.shape == (8, 1, 10)
    values, counts = np.unique(batches.numpy(), return_counts=True)
    assert (values == np.arange(100, 140)).all()
    assert (counts == 2).all()


def test_the_curves_of_a_stopped_model_end(table):
    chosen = options(n_steps=160, n_iter_no_change=3)
    trainer = Trainer(stack(2), chosen, TrainingData(table, *split()), make_generators([0, 1]))
    trainer.stopped[0] = True  # as if after the first epoch
    trainer.result.loss_curve.append(np.array([9.0, 9.0]))
    trainer.result.validation_curve.append(np.array([8.0, 8.0]))
    trainer.result.last_loss = np.array([7.0, 7.0])
    trainer._judge(trainer._epoch(np.full(4, 0.01)))
    for values, last in (
        (trainer.result.loss_curve[-1], 9.0),
        (trainer.result.validation_curve[-1], 8.0),
        (trainer.result.last_loss, 7.0),
    ):
        assert values[0] == last
        assert values[1] != last


def test_draws_with_replacement_are_uniform():
    rows = torch.arange(20)[None]
    batches = draw_batches(make_generators([0]), rows, 100, 20, with_replacement=True)
    counts = np.bincount(batches.numpy().ravel(), minlength=20)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert counts.min() != counts.max()


def test_gradients_are_clipped_model_by_model(table):
    table = table.clone()
    flow = stack(2)
    flow.theta[1] *= 30
    chosen = options(solver="sgd", max_grad_norm=0.5, learning_rate="constant")
    trainer = Trainer(flow, chosen, TrainingData(table, *split()), make_generators([0, 1]))
    before = flow.theta.clone()
    trainer._epoch(np.full(1, 0.01))
    norms = torch.linalg.vector_norm(before - flow.theta, dim=1) / 0.01
    assert (norms <= 0.5 * (1 + 1e-3)).all()
    assert norms[1] == pytest.approx(0.5, rel=1e-3)


class ReadsOfTheHost(TorchDispatchMode):
    """Counts operations that bring a value to Python, for which a GPU would have to be waited."""

    names = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select"}

    def __init__(self):
        super().__init__()
        self.n_calls = self.n_reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n_calls += 1
        self.n_reads += func.overloadpacket.__name__ in self.names
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_steps_read_nothing_back(table, solver, coupling, monkeypatch):
    monkeypatch.setenv("SKFLOW_KERNELS", "0")  # as on a GPU
    chosen = options(solver=solver, alpha=1.0)
    data = TrainingData(table, *split(), weight=torch.ones(300))
    trainer = Trainer(stack(2, coupling=coupling), chosen, data, make_generators([0, 1]))
    with ReadsOfTheHost() as control:
        float(table[0, 0])
    assert control.n_reads == 1
    reads = []
    for n_steps in (1, 6):
        with ReadsOfTheHost() as seen:
            trainer._epoch(np.full(n_steps, 1e-3))
        assert seen.n_calls > 40 * n_steps
        reads.append(seen.n_reads)
    assert reads[0] == reads[1]
