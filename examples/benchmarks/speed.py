"""Speed of skflow against zuko, nflows, normflows and FrEIA on the same flows and the same rows.

    python speed.py --threads 1 2 --output speed.csv --markdown speed.md

Everything runs in one process, the libraries by turns, so that a drift of the machine cancels; a
ratio is the median over turns of a library's time by skflow's in the same turn. With one thread the
clock is the processor time of this process, otherwise the wall's. The peers get the same batch in
every step; skflow's trainer also draws its batches. The peers score in float32, skflow as its
estimators do, in float64; the same in float32 is shown beside it.

Needs the packages of the extra ``bench``; a library that is missing is left out.
"""

import argparse
import importlib
import itertools
import multiprocessing
import platform
import time

import numpy as np
import pandas as pd
import torch
from _speed_peers import PEERS, parity_masks

from skflow._flow import FlowStack
from skflow._training import Trainer, TrainingData, TrainingOptions, learning_rates

SIZES = [(10, 380, 8), (60, 64, 8), (10, 4096, 8), (200, 512, 8)]  # features, batch, layers
FLOWS = {
    "affine, single layer": ("affine", ()),
    "affine (64, 64)": ("affine", (64, 64)),
    "spline (64, 64)": ("spline", (64, 64)),
}
N_BINS = 8
N_SCORED = 10_000
BLOCK = 2560  # rows that skflow scores at a time
STACK = 16


# ------------------------------------------------------------------------------------------------
# Contestants: each is a function that does the work once


def make_flow(d, n_layers, transform, hidden, n_models=1, dtype=torch.float32):
    masks = np.tile(parity_masks(n_layers, d), (n_models, 1, 1))
    flow = FlowStack(
        masks, transform=transform, n_bins=N_BINS, hidden_layer_sizes=hidden, dtype=dtype
    )
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


def our_step(d, batch, n_layers, transform, hidden, n_models=1, n_steps=5):
    """``n_steps`` steps of the trainer, batches drawn, and the number of model-steps in them."""
    flow = make_flow(d, n_layers, transform, hidden, n_models)
    trainer = make_trainer(flow, torch.randn(4 * batch, d), batch)
    rates = np.full(n_steps, 1e-4)
    return lambda: trainer._epoch(rates), n_steps * n_models


def in_blocks(function, rows):
    return lambda: [function(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)]


def make_peers(d, n_layers, transform, hidden):
    peers = {}
    for name, peer in PEERS.items():
        try:
            importlib.import_module(name)
            peers[name] = peer(d, n_layers, transform, hidden, N_BINS)
        except (ImportError, NotImplementedError) as reason:
            print(f"{name} is left out: {reason}")
    return peers


def training(d, batch, n_layers, transform, hidden):
    x = torch.randn(batch, d)
    contestants = {"skflow": our_step(d, batch, n_layers, transform, hidden)}
    if d * batch < 10_000:
        stack = our_step(d, batch, n_layers, transform, hidden, STACK, n_steps=2)
        contestants[f"skflow, stack of {STACK}"] = stack
    for name, peer in make_peers(d, n_layers, transform, hidden).items():
        peer.start_training(1e-4)
        contestants[name] = (lambda peer=peer: peer.step(x)), 1
    return contestants


def scoring(d, batch, n_layers, transform, hidden, sample=False):
    flow = make_flow(d, n_layers, transform, hidden)
    contestants = {}
    for label, dtype in {"skflow": torch.float64, "skflow, float32": torch.float32}.items():
        copy, rows = flow.to(dtype=dtype), torch.randn(N_SCORED, d, dtype=dtype)
        contestants[label] = in_blocks(copy.inverse if sample else copy.log_prob, rows), N_SCORED
    rows = torch.randn(N_SCORED, d)
    for name, peer in make_peers(d, n_layers, transform, hidden).items():

        @torch.inference_mode()
        def work(peer=peer):
            peer.sample(N_SCORED) if sample else peer.log_prob(rows)

        contestants[name] = work, N_SCORED
    return contestants


def sampling(*arguments):
    return scoring(*arguments, sample=True)


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


def roofline(work, d, n_rows, n_layers, transform, hidden, rates):
    """Least seconds a unit of work: its products at ``mm``'s rate, its functions at ``sigmoid``'s.

    Counted are the multiply-adds of the conditioners (thrice in training: forward, weights,
    inputs) and the exponentials, sigmoids and logarithms; every other operation, memory and the
    optimizer are left out, so this is a bound and not a goal.
    """
    n_transformed = d / 2
    n_parameters = 3 * N_BINS - 1 if transform == "spline" else 2
    sizes = (d - n_transformed, *hidden, n_transformed * n_parameters)
    products = sum(a * b for a, b in itertools.pairwise(sizes))
    # the softmaxes' exponentials, two end derivatives, a logarithm; or bounded s, t, and exp(s)
    functions = n_transformed * (2 * N_BINS + 3 if transform == "spline" else 3 - bool(hidden))
    train = work == "training step"
    per_product, per_function = rates[torch.float32 if train else torch.float64]
    seconds = n_layers * (products * (3 if train else 1) / per_product + functions * per_function)
    return seconds * (n_rows if train else 1)


def compare(works, sizes, n_turns, n_threads):
    """Records of every contestant on every work, flow and size."""
    rates, records = machine(n_threads), []
    for d, batch, n_layers in sizes:
        for flow, (transform, hidden) in FLOWS.items():
            for work in works:
                contestants = WORK[work](d, batch, n_layers, transform, hidden)
                times = by_turns(contestants, n_turns, n_threads)
                bound = roofline(work, d, batch, n_layers, transform, hidden, rates)
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
                print(pd.DataFrame(records[-len(times) :]).to_string(index=False), flush=True)
    return pd.DataFrame(records)


# ------------------------------------------------------------------------------------------------
# Whole fits, growth, memory


def twisted(n_rows, d=10, seed=0):
    """Rows whose odd features bend with the even ones: x_odd = z_odd + z_even^2 / 2."""
    z = np.random.default_rng(seed).standard_normal((n_rows, d))
    z[:, 1::2] += 0.5 * z[:, ::2] ** 2
    return torch.from_numpy((z - z.mean(0)) / z.std(0)).float()


def whole_fits(n_threads, n_models=20, n_looped=2, n_steps=1250, batch=380, peak=0.03):
    """Models of the paper's Table 3 (L = 8), one after the other and as one stack.

    Each trains with the same schedule on the same rows and is scored on held-out ones every 25
    steps, off the clock. The likelihood to reach is that of the worst at its end, in the mean over
    models, less 0.02 nats. In the loop ``n_looped`` of the models are trained and counted for all.
    """
    table, held_out = twisted(12_000), twisted(5_000, seed=1)
    d, now = table.shape[1], clock(n_threads)
    options = TrainingOptions(n_steps, n_steps, batch, learning_rate_init=peak)
    rates = np.split(learning_rates(options), n_steps // 25)
    curves = {}

    def follow(step_all, score):
        spent, curve = 0.0, []
        for part in rates:
            start = now()
            step_all(part)
            spent += now() - start
            curve.append((spent, score()))
        return curve

    def ours(count, seed=0):
        flow = make_flow(d, 8, "affine", (), count)
        trainer = make_trainer(flow, table, batch, n_steps, peak)
        return follow(trainer._epoch, lambda: flow.log_prob(held_out).mean().item())

    def theirs(peer, seed):
        torch.manual_seed(seed)
        peer.start_training(peak)

        def steps(part):
            for rate in part:
                peer.optimizer.param_groups[0]["lr"] = rate
                peer.step(table[torch.randint(len(table), (batch,))])

        @torch.inference_mode()
        def score():
            return peer.log_prob(held_out).mean().item()

        return follow(steps, score)

    curves[f"skflow, one stack of {n_models}"] = [ours(n_models)], 1
    curves[f"skflow, {n_models} in a loop"] = [ours(1) for _ in range(n_looped)], n_models
    for name in make_peers(d, 8, "affine", ()):
        fits = [theirs(PEERS[name](d, 8, "affine", ()), seed) for seed in range(n_looped)]
        curves[f"{name}, {n_models} in a loop"] = fits, n_models
    return fit_records(curves, n_threads)


def fit_records(curves, n_threads):
    means = {label: (np.mean(fits, 0), count) for label, (fits, count) in curves.items()}
    goal = min(curve[-1, 1] for curve, _ in means.values()) - 0.02
    records = []
    for label, (curve, count) in means.items():
        reached = curve[np.argmax(curve[:, 1] >= goal), 0] * count
        records.append(
            {
                "threads": n_threads,
                "work": "20 models, Table 3, L = 8",
                "library": label,
                "log_likelihood": curve[-1, 1],
                "seconds": curve[-1, 0] * count,
                "seconds_to_goal": reached,
            }
        )
    frame = pd.DataFrame(records)
    frame["by_stack"] = frame["seconds_to_goal"] / frame["seconds_to_goal"].iloc[0]
    print(f"goal: {goal:.3f} nats a row\n{frame.to_string(index=False)}", flush=True)
    return frame


def growth(n_turns, n_threads):
    """Time of a training step as one size doubles and the others stay at (10, 380, 8), K = 1."""
    records = []
    for name, values in {
        "rows": [95, 190, 380, 760, 1520, 3040],
        "features": [5, 10, 20, 40, 80],
        "layers": [2, 4, 8, 16],
        "models": [1, 2, 4, 8, 16, 32],
    }.items():
        for flow, (transform, hidden) in FLOWS.items():
            contestants = {}
            for value in values:
                size = {"features": 10, "rows": 380, "layers": 8, "models": 1, name: value}
                work, count = our_step(
                    size["features"],
                    size["rows"],
                    size["layers"],
                    transform,
                    hidden,
                    size["models"],
                )
                contestants[value] = work, count // size["models"]
            times = by_turns(contestants, n_turns, n_threads)
            for value, seconds in times.items():
                records.append(
                    {
                        "threads": n_threads,
                        "grows": name,
                        "value": value,
                        "flow": flow,
                        "milliseconds": 1e3 * np.median(seconds),
                    }
                )
    frame = pd.DataFrame(records)
    print(frame.to_string(index=False), flush=True)
    return frame


def peak_memory(n_rows, transform, hidden):
    """MiB beyond the input while ``n_rows`` rows of 10 columns are scored, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory, (n_rows, transform, hidden))


def _peak_memory(n_rows, transform, hidden):
    torch.set_num_threads(1)
    flow = make_flow(10, 8, transform, hidden, dtype=torch.float64)
    x = torch.ones(n_rows, 10, dtype=torch.float64)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew; it would be the parent's otherwise
    before = _peak_so_far()
    in_blocks(flow.log_prob, x)()
    return _peak_so_far() - before


def _peak_so_far():
    """MiB, on Linux."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024


def memory(rows=(10_000, 100_000, 1_000_000)):
    records = [
        {"flow": flow, "rows": n, "MiB beyond the input": peak_memory(n, *FLOWS[flow])}
        for flow in FLOWS
        for n in rows
    ]
    frame = pd.DataFrame(records)
    print(frame.to_string(index=False), flush=True)
    return frame


# ------------------------------------------------------------------------------------------------
# Command line


def markdown(title, frame):
    """A table of GitHub's dialect; pandas' own needs another package."""
    cells = frame.map(lambda v: f"{v:.3g}" if isinstance(v, float) else str(v))
    lines = [" | ".join(row) for row in [list(map(str, frame.columns)), *cells.values.tolist()]]
    lines.insert(1, " | ".join(["---"] * frame.shape[1]))
    return f"### {title}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--parts", nargs="+", default=["compare", "fits", "growth", "memory"])
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--sizes", type=int, nargs="+", default=range(len(SIZES)), help="of SIZES")
    parser.add_argument("--output", help="CSV file of all measurements")
    parser.add_argument("--markdown", help="file of the tables")
    arguments = parser.parse_args()

    tables = {part: [] for part in arguments.parts}
    for n_threads in arguments.threads:
        torch.set_num_threads(n_threads)
        sizes = [SIZES[i] for i in arguments.sizes]
        run = {
            "compare": lambda: compare(arguments.work, sizes, arguments.turns, n_threads),  # noqa: B023
            "fits": lambda: whole_fits(n_threads),  # noqa: B023
            "growth": lambda: growth(arguments.turns, n_threads),  # noqa: B023
        }
        for part in arguments.parts:
            if part in run:
                tables[part].append(run[part]())
    if "memory" in arguments.parts:
        tables["memory"].append(memory())
    tables = {part: pd.concat(frames) for part, frames in tables.items()}
    if arguments.output:
        pd.concat(tables, names=["part", None]).reset_index("part").to_csv(
            arguments.output, index=False
        )
    if arguments.markdown:
        versions = f"torch {torch.__version__}, Python {platform.python_version()}"
        with open(arguments.markdown, "w") as file:
            file.write(f"{platform.machine()}, {versions}\n\n")
            file.write("\n".join(markdown(part, frame) for part, frame in tables.items()))


if __name__ == "__main__":
    main()
