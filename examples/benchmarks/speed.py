"""Speed of skflow against zuko, nflows, normflows and FrEIA on the same flows and the same rows.

    python speed.py --threads 1 2 --output speed.csv --markdown speed.md

Everything runs in one process, the libraries by turns, so that a drift of the machine cancels; a
ratio is the median over turns of a library's time by skflow's in the same turn. With one thread the
clock is the processor time of this process, otherwise the wall's. The peers get the same batch in
every step; skflow's trainer also draws its batches. The peers score in float32, skflow as its
estimators do, in float64; the same in float32 is shown beside it. All parts but the contests are
measured with the first number of threads.

Needs the packages of the extra ``bench``; a library that is missing is left out.
"""

import argparse
import os
import platform
import time
from importlib.metadata import version
from importlib.util import find_spec

import pandas as pd
import torch
from _speed_contests import SIZES, STACK, WORK, compare
from _speed_parts import busy, growth, memory, whole_fits, workers
from _speed_peers import PEERS

PARTS = ["compare", "fits", "growth", "memory", "workers", "busy"]


def table(frame):
    """A table of GitHub's dialect; pandas' own needs another package."""
    cells = frame.map(lambda v: f"{v:.3g}" if isinstance(v, float) else str(v))
    lines = [" | ".join(row) for row in [list(map(str, frame.columns)), *cells.values.tolist()]]
    lines.insert(1, " | ".join(["---"] * frame.shape[1]))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def contest_rows(frame):
    """One row for every piece of work: skflow's time, and the others' in units of it."""
    rows = []
    for (size, flow), group in frame.groupby(["size", "flow"], sort=False):
        by = group.set_index("library")
        ratios = by["by_skflow"]
        row = {
            "(d, batch, L)": size,
            "flow": flow,
            "microseconds": by["microseconds"]["skflow"],
            "by bound": by["by_bound"]["skflow"],
        }
        for other in (f"stack of {STACK}", "skflow, float32"):
            if other in frame["library"].values:
                row[other] = f"{ratios[other]:.2f}" if other in ratios else ""
        row |= {name: f"{ratios[name]:.2f}" if name in ratios else "" for name in PEERS}
        fastest = ratios[[name for name in PEERS if name in ratios]].min()
        row["fastest of the four"] = f"**{fastest:.2f}**"
        rows.append(row)
    return pd.DataFrame(rows)


def growth_rows(frame):
    cell = [f"{ms:.3g} ({by:.1f})" for ms, by in zip(frame["milliseconds"], frame["by_bound"])]
    wide = frame.assign(cell=cell).pivot(index=["grows", "value"], columns="flow", values="cell")
    order = frame[["grows", "value"]].drop_duplicates()
    return wide.reindex(pd.MultiIndex.from_frame(order)).reset_index()


def page(results, seconds):
    packages = ["torch", "numpy", "zuko", "nflows", "normflows", "FrEIA"]
    versions = ", ".join(f"{name} {version(name)}" for name in packages if find_spec(name))
    machine = f"{processor()}, {os.cpu_count()} cores, {platform.system()}"
    load = f"{os.getloadavg()[0]:.1f}"
    yield (
        f"{machine}, Python {platform.python_version()}, {versions}. The command took "
        f"{seconds / 60:.0f} minutes; the load of the machine at its end was {load}.\n"
    )
    contests = results.get("compare", pd.DataFrame(columns=["threads", "work"]))
    for (threads, work), frame in contests.groupby(["threads", "work"], sort=False):
        yield f"### {work.capitalize()}, {threads} thread{'s' * (threads > 1)}\n"
        yield table(contest_rows(frame))
    titles = {
        "fits": "Whole fits",
        "growth": "Growth of a training step: milliseconds (times the bound)",
        "memory": "Peak memory of scoring rows of 10 columns",
        "workers": "Workers of a grid of layouts",
        "busy": "Default fits on a busy machine, no variable set",
    }
    for part, title in titles.items():
        if part in results:
            yield f"### {title}\n"
            yield table((growth_rows if part == "growth" else lambda f: f)(results[part]))


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return (
                next(line for line in file if line.startswith("model name")).split(": ")[1].strip()
            )
    except (OSError, StopIteration):
        return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer turns, rows and sizes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, help="9, with --quick 3")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="of SIZES; all, with --quick the first"
    )
    parser.add_argument("--output", help="CSV file of all measurements")
    parser.add_argument("--markdown", help="file of the tables")
    arguments = parser.parse_args()
    quick, started = arguments.quick, time.time()
    n_turns = arguments.turns or (3 if quick else 9)
    sizes = [SIZES[i] for i in arguments.sizes or ([0] if quick else range(len(SIZES)))]
    first = arguments.threads[0]

    def contests():
        frames = []
        for n_threads in arguments.threads:
            torch.set_num_threads(n_threads)
            frames.append(compare(arguments.work, sizes, n_turns, n_threads))
        torch.set_num_threads(first)
        return pd.concat(frames)

    run = {
        "compare": contests,
        "fits": lambda: whole_fits(first, n_steps=250 if quick else 1250),
        "growth": lambda: growth(n_turns, first),
        "memory": lambda: memory([10_000, 100_000] if quick else [100_000, 1_000_000, 10_000_000]),
        "workers": workers,
        "busy": lambda: busy(quick),
    }
    torch.set_num_threads(first)
    results = {}
    for part in arguments.parts:
        print(f"{time.time() - started:.0f} s: {part}", flush=True)
        results[part] = run[part]()
        print(results[part].to_string(index=False), flush=True)
        if arguments.output:  # after every part: a run may be interrupted
            frames = pd.concat(results, names=["part", None]).reset_index("part")
            frames.to_csv(arguments.output, index=False)
        if arguments.markdown:
            with open(arguments.markdown, "w") as file:
                file.write("\n".join(page(results, time.time() - started)))


if __name__ == "__main__":
    main()
