"""How time and memory of skflow's defaults grow with the number of rows.

    python examples/benchmarks/large.py --rows 10000 100000 1000000

Ten features, one of which depends on another. Every size runs in a process of its own, so that the
peak of the memory is that of the size alone. Times are of the processor and not of the clock.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from skflow import CouplingFlowDensity


def megabytes():
    """Peak memory of the process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(n_rows):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 10))
    X[:, 1] += X[:, 0] ** 2
    row, before = {"rows": n_rows, "table, MB": X.nbytes / 2**20}, megabytes()
    start = time.process_time()
    flow = CouplingFlowDensity(random_state=0).fit(X)
    row["fit, s"], row["epochs"] = time.process_time() - start, flow.n_iter_
    row["peak of fit, MB"] = megabytes() - before
    before, start = megabytes(), time.process_time()
    flow.score_samples(X)
    row["score, s"] = time.process_time() - start
    start = time.process_time()
    flow.sample(n_rows, random_state=0)
    row["sample, s"] = time.process_time() - start
    row["more for both, MB"] = megabytes() - before
    return row


def line(cells):
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    print(f"{torch.get_num_threads()} of {os.cpu_count()} processors, torch {torch.__version__}\n")
    for i, n_rows in enumerate(arguments.rows):
        command = [sys.executable, __file__, "--one", str(n_rows)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if i == 0:
            print(line(row) + "\n|" + " ---: |" * len(row))
        print(line(f"{x:,.0f}" if x >= 100 else f"{x:.2g}" for x in row.values()), flush=True)


if __name__ == "__main__":
    main()
