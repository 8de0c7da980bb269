"""What the compiled kernels bring: the same work by PyTorch's way and by the kernels, by turns.

    python kernels.py --markdown kernels.md

Ratios are medians over turns of PyTorch's time by the kernels'. With one thread the clock is the
processor time of this process, with more it is the wall's, which needs a machine that has nothing
else to do.
"""

import argparse
import os
import time

import numpy as np
import pandas as pd
import torch
from _speed_contests import by_turns, in_blocks, make_flow, n_scored, our_step
from _speed_parts import twisted
from speed import table

from skflow import CouplingFlowDensity, show_versions
from skflow._nn.kernels import available

#: Features, batch, models of a training step of splines with (64, 64) conditioners, 8 layers.
STEPS = [(4, 32, 5), (10, 64, 5), (10, 380, 1), (10, 128, 8)]
FLOWS = {
    "affine, single layer": ("affine", ()),
    "affine (64, 64)": ("affine", (64, 64)),
    "spline (64, 64)": ("spline", (64, 64)),
}


def way(kernels, make):
    """What ``make`` gives, made and called by one of the two ways."""

    def switch():
        os.environ["SKFLOW_KERNELS"] = str(int(kernels))
        assert available() == kernels, "the kernels are not built"

    switch()
    work = make()

    def run():
        switch()
        return work()

    return run


def contest(make, n_turns, n_threads, least=0.02):
    contestants = {name: (way(on, make), 1) for name, on in (("PyTorch", False), ("kernels", True))}
    times = by_turns(contestants, n_turns, n_threads, least)
    ratio = np.median(times["PyTorch"] / times["kernels"])
    return {name: 1e3 * np.median(seconds) for name, seconds in times.items()} | {"ratio": ratio}


def training_steps(n_turns, n_threads):
    for d, batch, n_models in STEPS:
        n_steps = 20 if n_threads > 1 else 4

        def make(d=d, batch=batch, n_models=n_models, n_steps=n_steps):
            return our_step(d, batch, 8, "spline", (64, 64), n_models, n_steps)[0]

        yield (
            f"training step, {d} x {batch} x {n_models}",
            n_steps,
            contest(make, n_turns, n_threads),
        )


def inference(n_turns, n_threads):
    for name, (coupling, hidden) in FLOWS.items():
        for d in (10, 200):
            for method in ("log_prob", "inverse"):
                rows = torch.randn(n_scored(d), d, dtype=torch.float64)

                def make(coupling=coupling, hidden=hidden, d=d, method=method, rows=rows):
                    flow = make_flow(d, 8, coupling, hidden).to(dtype=torch.float64)
                    return in_blocks(flow, getattr(flow, method), rows)

                work = "score" if method == "log_prob" else "sample"
                label = f"{work} 1000 rows of {d} columns, {name}"
                yield label, len(rows) / 1000, contest(make, n_turns, n_threads)


def fits(n_turns, n_threads):
    for n_rows in (500, 5000):
        rows = twisted(n_rows).numpy()

        def make(rows=rows):
            return lambda: CouplingFlowDensity(random_state=0).fit(rows)

        yield f"default fit, {n_rows} x 10", 1, contest(make, n_turns, n_threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--fits", action="store_true", help="whole fits, too")
    parser.add_argument("--markdown", help="file of the table")
    arguments = parser.parse_args()
    show_versions()
    records, started = [], time.time()
    for n_threads in arguments.threads:
        torch.set_num_threads(n_threads)
        parts = [training_steps(arguments.turns, n_threads)]
        parts += [inference(arguments.turns, n_threads)] if n_threads == 1 else []
        parts += [fits(2, n_threads)] if arguments.fits else []
        for part in parts:
            for label, n_units, found in part:
                records.append(
                    {
                        "threads": n_threads,
                        "work": label,
                        "PyTorch (ms)": found["PyTorch"] / n_units,
                        "kernels (ms)": found["kernels"] / n_units,
                        "times as fast": found["ratio"],
                    }
                )
                print(records[-1], flush=True)
    frame = pd.DataFrame(records)
    print(f"{time.time() - started:.0f} s, load {os.getloadavg()[0]:.1f}")
    if arguments.markdown:
        with open(arguments.markdown, "w") as file:
            file.write(table(frame))


if __name__ == "__main__":
    main()
