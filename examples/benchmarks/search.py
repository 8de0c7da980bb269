"""Time of a structure search at the paper's setting, against a plain loop in PyTorch.

    python search.py --markdown search.md

The loop trains one candidate after the other with autograd and ``torch.optim.SGD``. It draws the
same candidates, initial weights and batches as skflow, so that both walk through the same sequence
of structures, which is checked. Everything runs in one process, by turns, each turn with a seed of
its own; a ratio is the median over turns of the loop's time by skflow's in the same turn. On one
core the clock is processor time; on two it is the wall's, and beside it the processor time of this
process with an even share of its workers', which the wall's would be were both cores free.

Needs the packages of the extra ``bench``.
"""

import argparse
import math
import os
import platform
import time
from importlib.metadata import version

import numpy as np
import pandas as pd
import psutil
import torch
from joblib import parallel_config
from speed import processor, table
from torch import nn

from skflow import masks
from skflow._nn.optimizers import learning_rates
from skflow._nn.recipe import learning_rate_init
from skflow._nn.training import TrainingOptions
from skflow._nn.training_data import TrainingData
from skflow._structure.candidates import STACK, CandidateEvaluator
from skflow._structure.moves import shuffle
from skflow._structure.search import candidate_streams, evolutionary_search
from skflow.datasets import fetch_magic

N_FEATURES, N_LAYERS, BATCH, N_STEPS = 10, 8, 380, 50
STACKS = (1, 2, 4, 8, 16, 32)
FLOWS = {
    "affine, single layer": {"coupling": "affine", "hidden_layer_sizes": ()},
    "spline (64, 64)": {"coupling": "spline", "hidden_layer_sizes": (64, 64)},
}


def training_rows():
    """The standardised training rows of magic; without the file, normal ones of that shape."""
    try:
        magic = fetch_magic(download_if_missing=False)
        X, name = magic.data[magic.train_indices], "the training rows of magic"
    except OSError:
        X, name = np.random.default_rng(0).standard_normal((17_118, N_FEATURES)), "synthetic rows"
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return torch.from_numpy(X).float(), f"{name}, {X.shape[0]} x {X.shape[1]}"


def options(n_steps=N_STEPS):
    """The paper's training: plain SGD. It gives no learning rate, so this is skflow's."""
    return TrainingOptions(
        n_steps=n_steps,
        steps_per_epoch=n_steps,
        batch_size=BATCH,
        solver="sgd",
        learning_rate="cyclic",
        learning_rate_init=learning_rate_init("sgd", single_layer=True),
        max_grad_norm=math.inf,  # the paper does not clip, and the loop need not either
        with_replacement=True,
    )


def start(seed):
    rng = np.random.RandomState(seed)
    return masks.random(N_LAYERS, N_FEATURES, random_state=rng)


# ------------------------------------------------------------------------------------------------
# The plain loop


class Layer(nn.Module):
    """A coupling with the paper's conditioner and a constant affine map."""

    def __init__(self, mask, previous):
        super().__init__()
        self.order = np.r_[np.flatnonzero(mask), np.flatnonzero(~mask)]
        self.columns = torch.from_numpy(np.argsort(previous)[self.order])
        self.n_transformed = int(mask.sum())
        self.linear = nn.Linear(len(mask) - self.n_transformed, 2 * self.n_transformed)
        self.log_scale = nn.Parameter(torch.zeros(len(mask)))
        self.shift = nn.Parameter(torch.zeros(len(mask)))

    def forward(self, x):
        # the layer's own order of the features: one gather, then slices
        x_a, x_b = x.index_select(1, self.columns).tensor_split([self.n_transformed], dim=1)
        log_scale, shift = torch.tanh(self.linear(x_b)).chunk(2, dim=1)
        x = torch.cat([x_a * log_scale.exp() + shift, x_b], dim=1)
        return x * self.log_scale.exp() + self.shift, log_scale.sum(1) + self.log_scale.sum()


class Flow(nn.Module):
    def __init__(self, structure):
        super().__init__()
        order, layers = np.arange(structure.shape[1]), []
        for mask in structure:
            layers.append(Layer(mask, order))
            order = layers[-1].order
        self.layers = nn.ModuleList(layers)

    def log_prob(self, x):
        log_det = 0.0
        for layer in self.layers:
            x, layer_log_det = layer(x)
            log_det = log_det + layer_log_det
        return log_det - 0.5 * (x.square().sum(1) + x.shape[1] * math.log(2 * math.pi))


def train(structure, X, rates, generator):
    """The loss on the last batch."""
    flow = Flow(structure)
    with torch.no_grad():
        for layer in flow.layers:
            layer.linear.weight.normal_(std=1e-2, generator=generator)
            layer.linear.bias.zero_()
    optimizer = torch.optim.SGD(flow.parameters(), lr=rates[0])  # fused or foreach takes as long
    batches = torch.randint(len(X), (len(rates), BATCH), generator=generator)
    for rate, batch in zip(rates, batches):
        optimizer.param_groups[0]["lr"] = rate
        loss = -flow.log_prob(X[batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def plain_search(X, n_iter, seed):
    """Algorithm 1, one candidate after the other; the accepted structures."""
    rates = learning_rates(options()).tolist()
    accepted, best_cost = [], math.inf
    for t in range(n_iter + 1):
        rng, stream = candidate_streams(seed, t)
        candidate = shuffle(accepted[-1], rng) if accepted else start(seed)
        cost = train(candidate, X, rates, torch.Generator().manual_seed(stream))
        if cost <= best_cost:
            accepted.append(candidate)
            best_cost = cost
    return accepted, n_iter + 1


# ------------------------------------------------------------------------------------------------
# skflow


def evaluator(X, flow=FLOWS["affine, single layer"], n_steps=N_STEPS, n_jobs=None):
    data = TrainingData(X, torch.arange(len(X)).unsqueeze(0))
    return CandidateEvaluator(flow, options(n_steps), data, score="train_batch", n_jobs=n_jobs)


def stacked_search(X, n_iter, seed, stack, n_jobs=None):
    """The accepted structures, and how many candidates were trained."""
    evaluate, n_trained = evaluator(X, n_jobs=n_jobs), [0]

    def counting(structures, streams):
        n_trained[0] += len(structures)
        return evaluate(structures, streams)

    result = evolutionary_search(start(seed), counting, n_iter=n_iter, seed=seed, stack=stack)
    return [record.masks for record in result.history if record.accepted], n_trained[0]


# ------------------------------------------------------------------------------------------------
# Turns


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def processor_on_two_cores():
    """Of this process and an even share of its two workers': the wall's, were both cores free."""
    workers = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + sum(times.user + times.system for times in workers) / 2


def contest(contestants, n_turns, n_iter, **clocks):
    """One row for every contestant, turn and clock.

    A contestant is a function of the seed and the number of iterations, and the number of threads
    that it is to have.
    """
    records = []
    for search, n_threads in contestants.values():  # PyTorch's first calls are slow
        torch.set_num_threads(n_threads)
        search(0, 1)
    for seed in range(n_turns):
        expected = None
        for name, (search, n_threads) in contestants.items():
            torch.set_num_threads(n_threads)
            began = {unit: clock() for unit, clock in clocks.items()}
            accepted, n_trained = search(seed, n_iter)
            seconds = {unit: clock() - began[unit] for unit, clock in clocks.items()}
            expected = expected or accepted
            records.append(
                {
                    "search": name,
                    **seconds,
                    "trained": n_trained,
                    "wasted": n_trained - (n_iter + 1),
                    "accepted": len(accepted) - 1,
                    "same": same(accepted, expected),
                }
            )
            print(records[-1], flush=True)
    return pd.DataFrame(records)


def summary(records, *clocks):
    """Medians over the turns, and the speed in units of the loop's."""
    groups = dict(list(records.groupby("search", sort=False)))
    rows = []
    for name, group in groups.items():
        row = {"search": name}
        for clock in clocks:
            row[f"seconds, {clock}"] = group[clock].median()
            ratios = groups["loop"][clock].to_numpy() / group[clock].to_numpy()
            spread = f"{ratios.min():.1f} to {ratios.max():.1f}"
            row[f"times as fast, {clock}"] = f"**{np.median(ratios):.1f}** ({spread})"
        row["trained"] = f"{group['trained'].mean():.0f}"
        row["thrown away"] = f"{group['wasted'].mean():.0f}"
        row["accepted"] = f"{group['accepted'].mean():.0f}"
        row["same sequence"] = f"{group['same'].sum()} of {len(group)}"
        rows.append(row)
    return pd.DataFrame(rows)


def one_core(X, n_turns, n_iter):
    contestants = {"loop": (lambda seed, n: plain_search(X, n, seed), 1)}
    for stack in STACKS:
        name = f"skflow, stacks of {stack}{' (in use)' * (stack == STACK)}"
        contestants[name] = (lambda seed, n, stack=stack: stacked_search(X, n, seed, stack)), 1
    records = contest(contestants, n_turns, n_iter, processor=time.process_time)
    return summary(records, "processor")


def two_cores(X, n_turns, n_iter):
    contestants = {
        "loop": (lambda seed, n: plain_search(X, n, seed), 1),
        "skflow": (lambda seed, n: stacked_search(X, n, seed, STACK), 1),
        "skflow, n_jobs=2": (lambda seed, n: stacked_search(X, n, seed, 2 * STACK, 2), 1),
    }
    with parallel_config(backend="loky", inner_max_num_threads=1):
        stacked_search(X, 16, 0, 2 * STACK, n_jobs=2)  # starts the processes
        clocks = {"wall": time.perf_counter, "processor": processor_on_two_cores}
        records = contest(contestants, n_turns, n_iter, **clocks)
    return summary(records, *clocks)


def two_threads(X, n_iter):
    """One turn, a tenth of the iterations: on a busy machine threads wait long for each other."""
    contestants = {}
    for n_threads, suffix in ((1, ""), (2, ", 2 threads")):
        contestants |= {
            f"loop{suffix}": (lambda seed, n: plain_search(X, n, seed), n_threads),
            f"skflow{suffix}": (lambda seed, n: stacked_search(X, n, seed, STACK), n_threads),
        }
    records = contest(contestants, 1, n_iter // 10, wall=time.perf_counter)
    return summary(records, "wall")


def stack_costs(X, n_turns, n_steps=10):
    """Milliseconds of a training step by model, as the stack grows."""
    torch.set_num_threads(1)
    records = []
    for name, flow in FLOWS.items():
        evaluate = evaluator(X, flow, n_steps)
        times = {n_models: [] for n_models in STACKS}
        for turn in range(-1, n_turns):
            for n_models, measured in times.items():
                structures = np.stack([start(seed) for seed in range(n_models)])
                began = time.process_time()
                evaluate(structures, range(n_models))
                if turn >= 0:  # the first turn warms up
                    measured.append((time.process_time() - began) / n_steps / n_models * 1e3)
        cells = {f"stack of {n}": np.median(measured) for n, measured in times.items()}
        records.append({"milliseconds of a step, by model": name, **cells})
    return pd.DataFrame(records)


TITLES = {
    "one": "One core",
    "short": "One core, a tenth of the iterations",
    "two": "Two cores: processes",
    "threads": "Two cores: threads, one turn of a tenth of the iterations",
    "stacks": "A step in stacks of several sizes, one core",
}


def page(results, rows, n_iter, n_turns):
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "joblib"))
    yield (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}. Rows: {rows}. {n_iter} iterations, "
        f"{n_turns} turns, but where a table says otherwise.\n"
    )
    for part, (frame, load) in results.items():
        yield f"### {TITLES[part]}\n"
        yield table(frame)
        yield f"The load of the machine was {load[0]:.1f} before and {load[1]:.1f} after.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--markdown", help="file of the tables")
    arguments = parser.parse_args()
    n_iter, n_turns = arguments.iterations, arguments.turns
    X, rows = training_rows()
    print(rows)
    run = {
        "one": lambda: one_core(X, n_turns, n_iter),
        "short": lambda: one_core(X, n_turns, n_iter // 10),
        "two": lambda: two_cores(X, n_turns, n_iter),
        "threads": lambda: two_threads(X, n_iter),
        "stacks": lambda: stack_costs(X, n_turns),
    }
    results = {}
    for part in arguments.parts:
        before = os.getloadavg()[0]
        frame = run[part]()
        results[part] = frame, (before, os.getloadavg()[0])
        print(frame.to_string(index=False), flush=True)
        if arguments.markdown:  # after every part: a run may be interrupted
            with open(arguments.markdown, "w") as file:
                file.write("\n".join(page(results, rows, n_iter, n_turns)))


if __name__ == "__main__":
    main()
