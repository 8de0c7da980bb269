"""How time and memory of skflow's defaults grow with the number of rows.

    python examples/benchmarks/large.py --rows 10000 100000 1000000
    python examples/benchmarks/large.py --memory --rows 100000 400000
    python examples/benchmarks/large.py --grid --markdown examples/benchmarks/large_results.md
    python examples/benchmarks/large.py --cell 200000 100

Ten features, one of which depends on another. Every size runs in a process of its own, so that the
peak of the memory is that of the size alone. Times are of the processor and not of the clock.

With ``--grid`` the time of a default fit is measured along both axes: rows of ten columns, and
columns of 500 rows. ``--cell`` is one fit of such a table.

With ``--memory`` methods of a small flow are measured from outside: the peak of a child process
that Linux reports while it answers, less what it held before, with its input, and less the answer.
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

from skflow import CouplingFlowDensity, Training

ROWS = (100, 200, 500, 1000, 2000, 5000, 20_000, 100_000, 1_000_000)
COLUMNS = (2, 10, 50, 100, 200, 300, 500, 1000)


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


def table(n_rows, n_columns):
    """Columns with up to five common factors, one of which depends on another."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n_rows, 5)) @ rng.standard_normal((5, n_columns))
    X = rng.standard_normal((n_rows, n_columns)) + 0.5 * common
    X[:, 1] += X[:, 0] ** 2
    return X


def cell(n_rows, n_columns):
    """Processor seconds of a default fit, and its epochs."""
    X = table(n_rows, n_columns)
    start = time.process_time()
    flow = CouplingFlowDensity(random_state=0).fit(X)
    return {"seconds": time.process_time() - start, "epochs": flow.n_iter_}


def print_grid(file):
    print("# Time of a default fit by rows and columns\n", file=file)
    print("Processor seconds of whole fits, one thread.", file=file)
    for name, shapes in {
        "rows": [(n_rows, 10) for n_rows in ROWS],
        "columns": [(500, n_columns) for n_columns in COLUMNS],
    }.items():
        print(f"\n## {name}\n\n{line([name, 'seconds'])}\n| ---: | ---: |", file=file)
        for shape in shapes:
            command = [sys.executable, __file__, "--cell", *map(str, shape)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = json.loads(done.stdout)["seconds"]
            print(line([shape[name == "columns"], f"{seconds:.1f}"]), file=file, flush=True)


METHODS = {
    "score_samples": lambda flow, X: flow.score_samples(X),
    "transform": lambda flow, X: flow.transform(X),
    "inverse_transform": lambda flow, X: flow.inverse_transform(X),
    "sample": lambda flow, X: flow.sample(len(X), random_state=0),
}


def answer(method, dtype, n_rows):
    """The child of ``beside``: a flow, a table, and when told to, one call."""
    X = np.random.default_rng(0).standard_normal((n_rows, 10), dtype=np.float32).astype(dtype)
    flow = CouplingFlowDensity(
        1,
        hidden_layer_sizes=(8,),
        training=Training(validation_fraction=0.2),
        max_iter=1,
        random_state=0,
    ).fit(X[:500])
    METHODS[method](flow, X[:1000])
    print("ready", flush=True)
    input()
    print(METHODS[method](flow, X).nbytes, flush=True)
    input()


def beside(method, dtype, n_rows):
    """Megabytes that a call takes at its peak beside its input and its output."""
    command = [sys.executable, __file__, "--child", method, dtype, str(n_rows)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:

        def status(name):
            with open(f"/proc/{child.pid}/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024

        child.stdout.readline()
        with open(f"/proc/{child.pid}/clear_refs", "w") as file:
            file.write("5")  # the peak starts again from here
        before = status("VmRSS")
        child.stdin.write("\n")
        output = int(child.stdout.readline()) / 2**20
        peak = status("VmHWM")
        child.stdin.write("\n")
    return peak - before - output


def print_memory(sizes):
    print(line(["method", "dtype", *(f"{size:,} rows" for size in sizes)]))
    print("|---|---|" + " ---: |" * len(sizes))
    for method in METHODS:
        for dtype in ("float64", "float32"):
            found = [f"{beside(method, dtype, size):.0f}" for size in sizes]
            print(line([method, dtype, *found]), flush=True)


def line(cells):
    return f"| {' | '.join(map(str, cells))} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help="memory of methods, on Linux")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--grid", action="store_true", help="time along both axes")
    parser.add_argument(
        "--cell", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help="time of one default fit"
    )
    parser.add_argument("--markdown", help="where --grid writes its tables; default: here")
    arguments = parser.parse_args()
    if arguments.child:
        method, dtype, n_rows = arguments.child
        answer(method, dtype, int(n_rows))
        return
    if arguments.cell:
        print(json.dumps(cell(*arguments.cell)))
        return
    if arguments.grid:
        with open(arguments.markdown or sys.stdout.fileno(), "w", encoding="utf-8") as file:
            print_grid(file)
        return
    if arguments.memory:
        print_memory(arguments.rows)
        return
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
