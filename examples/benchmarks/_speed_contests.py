"""The contests of ``speed.py``: who takes part, how they take turns, what the machine can do."""

import functools
import importlib
import itertools
import time

import numpy as np
import pandas as pd
import torch
from _speed_peers import PEERS, parity_masks

from skflow._nn.blocks import blocks
from skflow._nn.flow import FlowStack
from skflow._nn.training import Trainer, TrainingOptions
from skflow._nn.training_data import TrainingData

SIZES = [(10, 380, 8), (60, 64, 8), (10, 4096, 8), (200, 512, 8)]  # features, batch, layers
FLOWS = {
    "affine, single layer": ("affine", ()),
    "affine (64, 64)": ("affine", (64, 64)),
    "spline (64, 64)": ("spline", (64, 64)),
}
N_BINS = 8
STACK = 16


# ------------------------------------------------------------------------------------------------
# Contestants: each is a function that does the work once


def make_flow(d, n_layers, coupling, hidden, n_models=1, dtype=torch.float32):
    masks = np.tile(parity_masks(n_layers, d), (n_models, 1, 1))
    own = {"n_bins": N_BINS} if coupling == "spline" else {}
    flow = FlowStack(masks, coupling=coupling, hidden_layer_sizes=hidden, dtype=dtype, **own)
    return flow.initialize([torch.Generator().manual_seed(k) for k in range(n_models)])


def make_trainer(flow, table, batch_size, n_steps=1000, learning_rate=1e-3):
    options = TrainingOptions(
        n_steps=n_steps,
        steps_per_epoch=n_steps,
        batch_size=batch_size,
        learning_rate_init=learning_rate,
    )
    rows = torch.arange(len(table)).unsqueeze(0)
    generators = [torch.Generator().manual_seed(k) for k in range(flow.n_models)]
    return Trainer(flow, options, TrainingData(table, rows), generators)


def our_step(d, batch, n_layers, coupling, hidden, n_models=1, n_steps=5):
    """``n_steps`` steps of the trainer, batches drawn, and the number of model-steps in them."""
    flow = make_flow(d, n_layers, coupling, hidden, n_models)
    trainer = make_trainer(flow, torch.randn(4 * batch, d), batch)
    rates = np.full(n_steps, 1e-4)
    return lambda: trainer._epoch(rates), n_steps * n_models


def in_blocks(flow, function, rows):
    parts = blocks(len(rows), flow.numbers_per_row)
    return lambda: [function(rows[part]) for part in parts]


def n_scored(d):
    """Rows that are scored or drawn: as many numbers for every width."""
    return max(1000, 100_000 // d)


@functools.cache
def announce(message):
    print(message, flush=True)  # once


def make_peers(d, n_layers, coupling, hidden):
    peers = {}
    for name, peer in PEERS.items():
        try:
            importlib.import_module(name)
            peers[name] = peer(d, n_layers, coupling, hidden, N_BINS)
        except (ImportError, NotImplementedError) as reason:
            announce(f"{name} is left out: {reason}")
    return peers


def training(d, batch, n_layers, coupling, hidden):
    x = torch.randn(batch, d)
    contestants = {"skflow": our_step(d, batch, n_layers, coupling, hidden)}
    if d * batch < 10_000:
        stack = our_step(d, batch, n_layers, coupling, hidden, STACK, n_steps=2)
        contestants[f"stack of {STACK}"] = stack
    for name, peer in make_peers(d, n_layers, coupling, hidden).items():
        peer.start_training(1e-4)
        contestants[name] = (lambda peer=peer: peer.step(x)), 1
    return contestants


def inference(d, n_layers, coupling, hidden, ours, theirs):
    """``ours(flow, dtype)`` is what to call on blocks of rows, ``theirs(peer)`` on all of them."""
    flow, n_rows = make_flow(d, n_layers, coupling, hidden), n_scored(d)
    contestants = {}
    for label, dtype in {"skflow": torch.float64, "skflow, float32": torch.float32}.items():
        copy, rows = flow.to(dtype=dtype), torch.randn(n_rows, d, dtype=dtype)
        contestants[label] = in_blocks(copy, ours(copy), rows), n_rows
    rows = torch.randn(n_rows, d)
    for name, peer in make_peers(d, n_layers, coupling, hidden).items():
        work = torch.inference_mode()(lambda peer=peer: theirs(peer, rows))
        contestants[name] = work, n_rows
    return contestants


def scoring(d, batch, *flow):
    return inference(d, *flow, lambda f: f.log_prob, lambda peer, rows: peer.log_prob(rows))


def sampling(d, batch, *flow):
    def ours(f):
        return lambda rows: f.inverse(torch.randn_like(rows))

    return inference(d, *flow, ours, lambda peer, rows: peer.sample(len(rows)))


WORK = {"training step": training, "scoring a row": scoring, "sampling a row": sampling}


# ------------------------------------------------------------------------------------------------
# Measuring


def clock(n_threads):
    return time.process_time if n_threads == 1 else time.perf_counter


def by_turns(contestants, n_turns, n_threads, least=0.02):
    """Seconds a unit of work, ``{label: (n_turns,)}``, the contestants taking turns."""
    now = clock(n_threads)
    repeats = {}
    for label, (work, _) in contestants.items():
        work()  # first calls allocate and choose kernels
        start = now()
        work()
        repeats[label] = max(1, round(least / max(now() - start, 1e-6)))
    seconds = {label: [] for label in contestants}
    for _ in range(n_turns):
        for label, (work, n_units) in contestants.items():
            start = now()
            for _ in range(repeats[label]):
                work()
            seconds[label].append((now() - start) / (repeats[label] * n_units))
    return {label: np.array(values) for label, values in seconds.items()}


def machine(n_threads, size=512, n=2**20):
    """Multiply-adds a second in ``torch.mm``, and seconds a number in ``torch.sigmoid``."""
    rates = {}
    for dtype in (torch.float32, torch.float64):
        a, x = torch.randn(size, size, dtype=dtype), torch.randn(n, dtype=dtype)
        times = by_turns(
            {"mm": (lambda a=a: torch.mm(a, a), 1), "sigmoid": (lambda x=x: torch.sigmoid(x), 1)},
            7,
            n_threads,
        )
        rates[dtype] = size**3 / times["mm"].min(), times["sigmoid"].min() / n
    return rates


def roofline(work, d, n_rows, n_layers, coupling, hidden, rates):
    """Least seconds a unit of work: its products at ``mm``'s rate, its functions at ``sigmoid``'s.

    Counted are the multiply-adds of the conditioners (thrice in training: forward, weights,
    inputs) and the exponentials, sigmoids and logarithms; every other operation, memory and the
    optimizer are left out, so this is a bound and not a goal.
    """
    n_transformed = d / 2
    n_parameters = 3 * N_BINS - 1 if coupling == "spline" else 2
    sizes = (d - n_transformed, *hidden, n_transformed * n_parameters)
    products = sum(a * b for a, b in itertools.pairwise(sizes))
    # the softmaxes' exponentials, two end derivatives, a logarithm; or bounded s, t, and exp(s)
    functions = n_transformed * (2 * N_BINS + 3 if coupling == "spline" else 3 - bool(hidden))
    train = work == "training step"
    per_product, per_function = rates[torch.float32 if train else torch.float64]
    seconds = n_layers * (products * (3 if train else 1) / per_product + functions * per_function)
    return seconds * (n_rows if train else 1)


def compare(works, sizes, n_turns, n_threads):
    """Records of every contestant on every work, flow and size."""
    rates, records = machine(n_threads), []
    for d, batch, n_layers in sizes:
        for flow, (coupling, hidden) in FLOWS.items():
            for work in works:
                contestants = WORK[work](d, batch, n_layers, coupling, hidden)
                times = by_turns(contestants, n_turns, n_threads)
                bound = roofline(work, d, batch, n_layers, coupling, hidden, rates)
                for label, seconds in times.items():
                    records.append(
                        {
                            "threads": n_threads,
                            "work": work,
                            "flow": flow,
                            "size": f"({d}, {batch}, {n_layers})",
                            "library": label,
                            "microseconds": 1e6 * np.median(seconds),
                            "by_skflow": np.median(seconds / times["skflow"]),
                            "by_bound": np.median(seconds) / bound,
                        }
                    )
                ours = times["skflow"]
                peers = [name for name in times if name in PEERS]
                best = min((np.median(times[name] / ours) for name in peers), default=np.nan)
                size = f"({d}, {batch}, {n_layers})"
                print(f"{n_threads} {work}, {flow}, {size}: {best:.2f}", flush=True)
    return pd.DataFrame(records)
