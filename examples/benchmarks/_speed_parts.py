"""What ``speed.py`` measures besides contests: fits, growth, memory, workers, a busy machine."""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import torch
from _speed_contests import (
    FLOWS,
    by_turns,
    clock,
    machine,
    make_flow,
    make_peers,
    make_trainer,
    our_step,
    roofline,
)
from _speed_peers import PEERS
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skflow import CouplingFlowDensity
from skflow._nn.optimizers import learning_rates
from skflow._nn.training import TrainingOptions

# ------------------------------------------------------------------------------------------------
# Whole fits, growth


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
    frame.insert(3, "goal", goal)
    return frame


def growth(n_turns, n_threads):
    """Time of a training step as one size doubles and the others stay at (10, 380, 8), K = 1."""
    rates, records = machine(n_threads), []
    for name, values in {
        "rows": [95, 190, 380, 760, 1520, 3040],
        "features": [5, 10, 20, 40, 80],
        "layers": [2, 4, 8, 16],
        "models": [1, 2, 4, 8, 16, 32],
    }.items():
        for flow, (coupling, hidden) in FLOWS.items():
            contestants, bounds = {}, {}
            for value in values:
                size = {"features": 10, "rows": 380, "layers": 8, "models": 1, name: value}
                d, batch, n_layers, n_models = size.values()
                work, count = our_step(d, batch, n_layers, coupling, hidden, n_models)
                contestants[value] = work, count // n_models
                bounds[value] = n_models * roofline(
                    "training step", d, batch, n_layers, coupling, hidden, rates
                )
            for value, seconds in by_turns(contestants, n_turns, n_threads).items():
                records.append(
                    {
                        "threads": n_threads,
                        "grows": name,
                        "value": value,
                        "flow": flow,
                        "milliseconds": 1e3 * np.median(seconds),
                        "by_bound": np.median(seconds) / bounds[value],
                    }
                )
        print(f"growth with {name} done", flush=True)
    return pd.DataFrame(records)


# ------------------------------------------------------------------------------------------------
# Memory


def memory(rows):
    """Peak memory beyond the input: of fitted estimators for each number of rows, and of peers."""
    tasks = [("skflow", flow, n) for flow in FLOWS for n in rows]
    tasks += [(name, flow, 100_000) for flow in FLOWS for name in PEERS]
    records = []
    for library, flow, n_rows in tasks:
        # a fresh process each, as a peak never falls
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(peak_memory, (library, n_rows, *FLOWS[flow]))
        record = {"library": library, "flow": flow, "rows": n_rows, "MiB beyond the input": peak}
        records.append(record)
        print(*record.values(), flush=True)
    return pd.DataFrame(records).dropna()


def peak_memory(library, n_rows, coupling, hidden):
    torch.set_num_threads(1)
    if library == "skflow":
        table = twisted(2000).double().numpy()
        model = CouplingFlowDensity(
            8, coupling=coupling, hidden_layer_sizes=hidden, max_iter=1, random_state=0
        ).fit(table)
        X, score = np.ones((n_rows, 10)), model.score_samples
    else:
        peers = make_peers(10, 8, coupling, hidden)
        if library not in peers:
            return np.nan
        X = torch.ones(n_rows, 10)
        score = torch.inference_mode()(peers[library].log_prob)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew; it would be that of starting up otherwise
    before = _peak_so_far()
    score(X)
    return _peak_so_far() - before


def _peak_so_far():
    """MiB, on Linux."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024


# ------------------------------------------------------------------------------------------------
# Workers of a grid search


def workers():
    """The same grid of layouts with one process and with two, their start included."""
    # the variable would settle the matter before joblib does
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    frames = []
    for n_jobs in (1, 2):
        command = [sys.executable, __file__, str(n_jobs)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        frames.append(json.loads(run.stdout.splitlines()[-1]))
        print(*frames[-1].values(), flush=True)
    return pd.DataFrame(frames)


def grid_search(n_jobs):
    """Twelve default fits to 5000 rows, and their scores."""
    X = twisted(10_000).numpy()
    grid = {"mask_layout": ["parity", "derived", "random"], "n_layers": [4, 6]}
    model = CouplingFlowDensity(random_state=0)
    begun, start = processor_seconds(), time.perf_counter()
    threads = set(Parallel(n_jobs=n_jobs)(delayed(torch.get_num_threads)() for _ in range(4)))
    GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, refit=False, error_score="raise").fit(X)
    seconds = time.perf_counter() - start
    get_reusable_executor().shutdown(wait=True)  # so that the workers' time is known
    return {
        "n_jobs": n_jobs,
        "cores": os.cpu_count(),
        "threads of a worker": ", ".join(map(str, sorted(threads))),
        "seconds": seconds,
        "processor seconds": processor_seconds() - begun,
    }


def processor_seconds():
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


# ------------------------------------------------------------------------------------------------
# A busy machine


def busy(quick, n_turns=3):
    """Default fits in fresh interpreters, alone and beside two busy loops, by turns.

    The environment says nothing of threads. The seconds are those of the fit alone.
    """
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}

    def seconds(table, n_loops):
        loop = [sys.executable, "-c", "while True: pass"]
        loops = [subprocess.Popen(loop) for _ in range(n_loops)]
        try:
            command = [sys.executable, __file__, table, "quick" if quick else "whole"]
            run = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
        finally:
            for process in loops:
                process.kill()
                process.wait()
        return float(run.stdout.splitlines()[-1])

    records = []
    for table in ("iris", "20000 x 10"):
        turns = np.array([[seconds(table, 0), seconds(table, 2)] for _ in range(n_turns)])
        alone, beside = np.median(turns, axis=0)
        ratio = np.median(turns[:, 1] / turns[:, 0])
        record = {"default fit": table, "seconds alone": alone, "beside two loops": beside}
        records.append({**record, "times as long": ratio})
        print(*records[-1].values(), flush=True)
    return pd.DataFrame(records)


def default_fit(table, length):
    X = load_iris().data if table == "iris" else twisted(20_000).numpy()
    shortened = {"max_iter": 3} if length == "quick" and table != "iris" else {}
    start = time.perf_counter()
    CouplingFlowDensity(random_state=0, **shortened).fit(X)
    return time.perf_counter() - start


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(default_fit(*sys.argv[1:]))
    else:
        print(json.dumps(grid_search(int(sys.argv[1]))))
