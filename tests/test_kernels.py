"""Compiled kernels against PyTorch's way, value by value."""

import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from small_trainings import correlated_rows, options
from test_flow import FLOWS, make_flow, random_masks, randomize, rows_for

import skflow
from skflow import masks
from skflow._nn import conditioners, couplings, kernels
from skflow._nn.flow import FlowStack
from skflow._nn.optimizers import SOLVERS, Adam
from skflow._nn.row_maps import RowMaps
from skflow._nn.training import Trainer, make_generators
from skflow._nn.training_data import TrainingData

ROOT = Path(__file__).parent.parent
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
#: How far results may be apart, by what they are: the rounding of either way, in float64.
CLOSE = {torch.float32: {"rtol": 2e-3, "atol": 2e-4}, torch.float64: {"rtol": 1e-8, "atol": 1e-9}}

built = pytest.mark.skipif(
    kernels.instruction_set() is None, reason="not built: run `python hatch_build.py`"
)
SETS = ["base", "avx2", "avx512"][
    : 1 + ["base", "avx2", "avx512"].index(kernels.instruction_set() or "base")
]


@pytest.fixture
def both(monkeypatch):
    """Calls a function by PyTorch's way and by the kernels."""

    def call(function):
        monkeypatch.setenv("SKFLOW_KERNELS", "0")
        expected = function()
        monkeypatch.setenv("SKFLOW_KERNELS", "1")
        return expected, function()

    return call


def answers(flow, x, context, weight=None):
    """All that a stack answers, flat in a dict; the way must not matter."""
    loss, gradient = flow.loss_and_gradient(x, weight, context)
    z, log_det = flow.forward(x, context)
    back, inverse_log_det = flow.inverse(x, context)
    return {
        "loss": loss,
        "gradient": gradient,
        "latent": z,
        "log_det": log_det,
        "inverse": back,
        "inverse_log_det": inverse_log_det,
        "log_prob": flow.log_prob(x, context),
    }


def assert_same(expected, found, dtype):
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        torch.testing.assert_close(
            found[name], value, **CLOSE[dtype], equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
        )


@built
@DTYPES
@pytest.mark.parametrize("name", FLOWS)
def test_every_answer_of_a_stack(both, name, dtype):
    flow = make_flow(name, dtype)
    x, context = rows_for(flow, n_rows=21)
    weight = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(3)).to(dtype)
    assert flow.kernel is not None
    assert_same(*both(lambda: answers(flow, x, context, weight)), dtype)


@built
@DTYPES
@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("n_rows", [1, 2, 7, 64, 65, 200])
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_any_number_of_rows_with_any_instructions(
    both, monkeypatch, coupling, n_rows, instructions, dtype
):
    monkeypatch.setattr(kernels, "instruction_set", lambda: instructions)
    # tanh: at a kink, rounding decides on which side a row's gradient is
    flow = FlowStack(
        random_masks(2, 3, 5, 2),
        coupling=coupling,
        hidden_layer_sizes=(13,),
        activation="tanh",
        linear=True,
        dtype=dtype,
    )
    randomize(flow)
    x, _ = rows_for(flow, n_rows)
    assert_same(*both(lambda: answers(flow, x, None)), dtype)


@built
@DTYPES
@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"coupling": "spline", "n_bins": 1},
        {"coupling": "spline", "n_bins": 2, "bound": 1.0},
        {"coupling": "spline", "n_bins": 20, "bound": 3.0},
        {"coupling": "affine", "max_log_scale": 0.5, "bounded_shift": True},
    ],
)
@pytest.mark.parametrize("hidden", [(), (70, 3, 20)])
def test_hyperparameters(both, hyperparameters, hidden, dtype):
    flow = FlowStack(
        random_masks(2, 2, 4, 2), hidden_layer_sizes=hidden, dtype=dtype, **hyperparameters
    )
    randomize(flow)
    x, _ = rows_for(flow, 40)
    assert_same(*both(lambda: answers(flow, x, None)), dtype)


@built
@DTYPES
def test_a_context_of_each_model_or_of_all(both, dtype):
    flow = FlowStack(
        random_masks(2, 2, 4, 2),
        n_context=3,
        hidden_layer_sizes=(8,),
        dtype=dtype,
    )
    randomize(flow)
    x, context = rows_for(flow, 30)
    assert_same(*both(lambda: answers(flow, x, context)), dtype)
    common = context[0]
    expected, found = both(lambda: flow.log_prob(x[0], common))
    torch.testing.assert_close(found, expected, **CLOSE[dtype])


@built
@DTYPES
@pytest.mark.parametrize("used", [[], [0], [6], [2, 3], [0, 3, 4, 6]])
def test_columns_of_a_context_that_are_zero_are_left_out(both, used, dtype):
    flow = FlowStack(random_masks(2, 2, 4, 2), n_context=7, hidden_layer_sizes=(8,), dtype=dtype)
    randomize(flow)
    x, context = rows_for(flow, 30)
    context[:, :, np.setdiff1d(range(7), used)] = 0
    assert_same(*both(lambda: answers(flow, x, context)), dtype)


@built
@pytest.mark.parametrize("coupling", ["affine", "spline"])
@pytest.mark.parametrize("scale", [10.0, 1e4, 1e30, np.nan, np.inf])
def test_extreme_parameters_and_rows(both, coupling, scale):
    """What is finite by PyTorch's way is so by the kernels, and as large; what is not, is not."""
    flow = FlowStack(
        random_masks(1, 1, 4, 2), coupling=coupling, hidden_layer_sizes=(), dtype=torch.float64
    )
    randomize(flow)
    flow.parameters[0].conditioner[0].weight.mul_(scale)
    x, _ = rows_for(flow, 33)
    for rows in (x, x * 1e10, x * torch.tensor(np.nan)):
        expected, found = both(lambda rows=rows: answers(flow, rows, None))
        for name, value in expected.items():
            finite = torch.isfinite(value)
            if name == "gradient":  # a model that is not finite anywhere has diverged
                assert finite.all() == torch.isfinite(found[name]).all()
                finite &= torch.isfinite(found[name])
            else:
                assert torch.equal(finite, torch.isfinite(found[name])), name
            largest = value[finite].abs().amax() if finite.any() else 0.0
            torch.testing.assert_close(
                found[name][finite], value[finite], rtol=1e-7, atol=1e-9 + 1e-12 * float(largest)
            )


@built
@DTYPES
def test_an_affine_scale_is_exact_to_the_last_digits(dtype):
    everything = np.ones((1, 1, 1), dtype=bool)
    flow = FlowStack(everything, coupling="affine", dtype=dtype, max_log_scale=3.0)
    x = torch.ones(1, 1, dtype=dtype)
    for raw in np.linspace(-20, 20, 401):
        flow.parameters[0].conditioner[0].bias[0, 0] = raw
        z, log_det = flow.forward(x)
        exact = 3 * np.tanh(flow.parameters[0].conditioner[0].bias[0, 0, 0].item() / 3)
        accuracy = 8 * torch.finfo(dtype).eps
        assert log_det.item() == pytest.approx(exact, rel=accuracy, abs=accuracy)
        assert z.item() == pytest.approx(np.exp(exact), rel=4 * accuracy)


def stack(n_models, coupling, dtype, **config):
    structure = np.repeat(masks.parity(3, 4)[np.newaxis], n_models, axis=0)
    config = {"hidden_layer_sizes": (8,), "linear": True, **config}
    flow = FlowStack(structure, coupling=coupling, dtype=dtype, **config)
    return flow.initialize(make_generators(range(n_models)))


def split():
    return torch.arange(250)[None], torch.arange(250, 300)[None]


TRAININGS = {
    "plain": {},
    "decay": {"alpha": 1.0},
    "sgd": {"solver": "sgd", "with_replacement": True, "alpha": 0.1},
    "clipped": {"max_grad_norm": 0.01},
    "odd batches": {"batch_size": 83},
    "noise": {"noise": (0.0, 0.3, 1.0)},
    "context": {"context_noise": (0.5, 0.0, 0.1), "noise": 0.1},
}


@built
@DTYPES
@pytest.mark.parametrize("case", [*TRAININGS, "weights", "absent"])
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_an_epoch(both, coupling, case, dtype):
    table = correlated_rows().to(dtype)
    table /= table.std(0)
    if case == "absent":
        table[::7, 1] = np.nan
    n_context = 2 * (case == "context")
    generator = torch.Generator().manual_seed(5)
    data = TrainingData(
        table,
        *split(),
        weight=torch.rand(300, generator=generator).to(dtype) if case == "weights" else None,
        context=torch.randn(300, 2, generator=generator).to(dtype) if n_context else None,
    )
    chosen = options(learning_rate="constant", **TRAININGS.get(case, {}))

    def train():
        flow = stack(3, coupling, dtype, n_context=n_context)
        trainer = Trainer(flow, chosen, data, make_generators([7, 8, 9]))
        curve = [trainer._epoch(np.full(2, 0.01)), trainer._epoch(np.full(1, 0.01))]
        drawn = torch.stack([torch.rand(3, generator=own) for own in trainer.generators])
        return {
            "theta": flow.theta,
            "curve": torch.from_numpy(np.stack(curve)).to(dtype),
            "last": torch.from_numpy(trainer.result.last_loss).to(dtype),
            "drawn": drawn,
        }

    expected, found = both(train)
    assert torch.equal(found.pop("drawn"), expected.pop("drawn"))
    assert_same(expected, found, dtype)
    assert (
        found["theta"] - stack(3, coupling, dtype, n_context=n_context).theta
    ).abs().max() > 1e-4


@built
@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype, n_steps, close",
    # rounding grows from step to step
    [(torch.float64, 40, 1e-6), (torch.float32, 400, 0.2)],
)
def test_trainings_reach_the_same_likelihood(both, dtype, n_steps, close):
    data = TrainingData(correlated_rows().to(dtype), *split())

    def train():
        flow, chosen = stack(4, "spline", dtype), options(n_steps=n_steps)
        return Trainer(flow, chosen, data, make_generators(range(4))).fit()

    expected, found = both(train)
    assert found.score.mean() == pytest.approx(expected.score.mean(), abs=close)
    assert np.shape(found.loss_curve) == np.shape(expected.loss_curve)


@built
@pytest.mark.parametrize("n_models", [1, 3, 5])
def test_threads_change_nothing(n_models, monkeypatch):
    from skflow._nn import kernel_training

    data = TrainingData(correlated_rows(), *split())
    trained = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(kernel_training, "allowed_threads", lambda n=n_threads: n)
        monkeypatch.setattr("skflow._nn.blocks.allowed_threads", lambda n=n_threads: n)
        flow = stack(n_models, "spline", torch.float32)
        Trainer(flow, options(noise=0.1), data, make_generators(range(n_models))).fit()
        trained.append(flow.theta)
    assert torch.equal(trained[0], trained[1]) and torch.equal(trained[0], trained[2])


@built
def test_a_flow_is_gone_without_garbage_collection():
    flow = FlowStack(masks.parity(2, 4)[None], coupling="affine", hidden_layer_sizes=(3,))
    assert flow.kernel is not None
    gone = weakref.ref(flow)
    del flow
    assert gone() is None


@built
def test_what_users_add_is_left_to_pytorch(monkeypatch):
    class Own(couplings.Affine):
        pass

    class OwnSolver(Adam):
        pass

    monkeypatch.setitem(couplings.COUPLINGS, "own", Own)
    monkeypatch.setitem(SOLVERS, "own", OwnSolver)
    monkeypatch.setitem(conditioners.ACTIVATIONS, "own", torch.sigmoid)
    structure = masks.parity(2, 4)[None]
    assert FlowStack(structure, coupling="affine", hidden_layer_sizes=(3,)).kernel is not None
    assert FlowStack(structure, coupling="own", hidden_layer_sizes=(3,)).kernel is None
    assert FlowStack(structure, hidden_layer_sizes=(3,), activation="own").kernel is None
    assert FlowStack(structure, coupling="spline", n_bins=200).kernel is None
    data = TrainingData(correlated_rows(), *split())
    trainers = {
        solver: Trainer(
            stack(1, "affine", torch.float32), options(solver=solver), data, make_generators([0])
        )
        for solver in ("adam", "own")
    }
    assert trainers["adam"].kernel_training is not None
    assert trainers["own"].kernel_training is None
    for trainer in trainers.values():
        trainer.fit()
    torch.testing.assert_close(
        trainers["own"].flow.theta, trainers["adam"].flow.theta, rtol=0.05, atol=0.02
    )


@built
def test_the_switch(monkeypatch, capsys):
    flow = stack(1, "affine", torch.float32)
    monkeypatch.setenv("SKFLOW_KERNELS", "0")
    assert not kernels.available() and flow.kernel is None
    skflow.show_versions()
    monkeypatch.delenv("SKFLOW_KERNELS")
    assert kernels.available() and flow.kernel is not None
    skflow.show_versions()
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "compiled kernels: off, by SKFLOW_KERNELS=0"
    assert printed[3] == f"compiled kernels: {kernels.instruction_set()}"


@built
def test_numbers_of_another_kind_are_refused():
    """Compiled code would read beyond their ends."""
    flow = stack(2, "affine", torch.float32)
    assert flow.log_prob(torch.zeros(3, 4)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"torch.float64 on cpu do not fit a flow"):
        flow.log_prob(torch.zeros(3, 4, dtype=torch.float64))
    for shape in ((3, 5), (3, 3, 4), (1, 3, 2)):
        with pytest.raises(ValueError, match=r"are not possible here: give them in shape \(3, 4\)"):
            flow.forward(torch.zeros(shape))
    rows = torch.arange(300)[None]
    for data in (
        TrainingData(torch.zeros(300, 3), rows),
        TrainingData(torch.zeros(300, 4), rows, weight=torch.ones(299)),
        TrainingData(torch.zeros(300, 4, dtype=torch.float64), rows),
        TrainingData(torch.zeros(299, 4), rows),
    ):
        with pytest.raises(ValueError, match="of the TrainingData"):
            Trainer(flow, options(), data, make_generators([0, 1]))


@built
@DTYPES
@pytest.mark.parametrize("n_rows", [1, 16, 37])
@pytest.mark.parametrize(
    "config",
    [
        {"coupling": "affine"},
        {"coupling": "affine", "max_log_scale": 1.0, "bounded_shift": True},
        {"coupling": "spline"},
        {"coupling": "spline", "n_bins": 5, "bound": 2.0},
    ],
)
def test_many_values_of_a_feature(both, config, n_rows, dtype):
    everything = np.ones((3, 2, 1), dtype=bool)
    flow = FlowStack(everything, n_context=2, hidden_layer_sizes=(6,), dtype=dtype, **config)
    randomize(flow, scale=0.5)
    rng = np.random.default_rng(0)
    values = 3 * rng.standard_normal((n_rows, 5)).astype(str(dtype).split(".")[1])
    context = rng.standard_normal((n_rows, 2)).astype(values.dtype)
    some = rng.integers(n_rows, size=5)

    def answer():
        maps = RowMaps(flow, context)
        parts = maps.forward(values), maps.inverse(values), maps.forward(values[:5], some[:n_rows])
        return dict(zip(("latent", "inverse", "some"), map(torch.from_numpy, parts)))

    assert_same(*both(answer), dtype)


def test_the_library_of_another_source_is_not_found(tmp_path):
    (tmp_path / "kernels.cpp").write_text("")
    header = tmp_path / "passes.h"
    header.write_text("// one")
    first = kernels.library_path(tmp_path)
    header.write_text("// another")
    assert kernels.library_path(tmp_path) != first
    assert first.parent == tmp_path


def run_hook(tmp_path, monkeypatch, **environment):
    """``hatch_build.py`` on a copy of the sources."""
    folder = tmp_path / "skflow" / "_nn" / "native"
    folder.mkdir(parents=True)
    (folder / "_kernels_0.so").write_text("of an older source")
    for source in kernels.SOURCES.glob("*.[ch]*"):
        (folder / source.name).write_bytes(source.read_bytes())
    hook = tmp_path / "hatch_build.py"
    hook.write_bytes((ROOT / "hatch_build.py").read_bytes())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return folder, subprocess.run([sys.executable, str(hook)], capture_output=True, text=True)


needs_source = pytest.mark.skipif(
    not (ROOT / "hatch_build.py").exists(), reason="hatch_build.py is in the repository alone"
)


@needs_source
def test_without_a_compiler_one_line_says_so(tmp_path, monkeypatch):
    folder, run = run_hook(tmp_path, monkeypatch, CXX="no-such-compiler")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "without its compiled kernels" in line and "no-such-compiler" in line
    assert [path.name for path in folder.glob("_kernels_*")] == ["_kernels_0.so"]


@needs_source
def test_a_compiler_that_fails_is_named_with_its_error(tmp_path, monkeypatch):
    _, run = run_hook(tmp_path, monkeypatch, CXX="false")
    assert run.returncode == 1 and "false: it failed" in run.stderr


@built
@needs_source
def test_the_hook_names_the_library_as_the_package_looks_for_it(tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"  # writes an empty file where the library should go
    compiler.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n')
    compiler.chmod(0o755)
    found, run = run_hook(tmp_path / "copy", monkeypatch, CXX=str(compiler))
    assert run.returncode == 0, run.stderr
    assert [path.name for path in found.glob("_kernels_*")] == [kernels.library_path().name]
