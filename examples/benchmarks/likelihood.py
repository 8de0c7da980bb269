"""Held-out likelihood of skflow and of its peers, every method on the same rows, in one run.

    python examples/benchmarks/likelihood.py --output results.csv --markdown results.md

A row is appended to the CSV file as soon as it is known. What is in the file is not run again, so
that an interrupted run continues where it stopped, and two runs of different data sets may share a
file. The Markdown page is made of all rows of the file, those of earlier runs too. The paper's
tables are looked for in ``--data-home``, as by ``skflow.datasets``. ``--self-check`` tests, in a
minute and without data, that the densities integrate to one and have the right constants.
"""

import argparse
import csv
import importlib.util
import io
import os
import platform
import sys
import time
import traceback
from collections import defaultdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import _data
import _peers
import numpy as np
import torch
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

KEY = ("dataset", "method", "seed")
SETTINGS = ("threads", "time_budget")
MEASURED = (
    "n_train",
    "n_features",
    "n_test",
    "bits_per_dim",
    "gap_nats_per_dim",
    "worst_nats_per_dim",
    "n_nonfinite",
    "fit_seconds",
    "fit_cpu_seconds",
    "score_seconds",
)
FIELDS = (*KEY, "test", *MEASURED, *SETTINGS, "detail", "error")
DATASETS_HELP = f"groups ({', '.join(_data.GROUPS)}) or names: {', '.join(_data.NAMES)}"


# ------------------------------------------------------------------------------------------------
# Measuring


def measure(table, method, seed, budget):
    """Fit a method to a table; one dictionary for each set of test rows."""
    n_train, d = table.X_train.shape
    start, cpu_start = time.perf_counter(), time.process_time()
    model = _peers.make(method, seed=seed, budget=budget)
    model.fit(table.X_train, _peers.is_validation(n_train, seed))
    fitted = {
        "n_train": n_train,
        "n_features": d,
        "fit_seconds": round(time.perf_counter() - start, 2),
        "fit_cpu_seconds": round(time.process_time() - cpu_start, 2),
        "detail": model.detail,
    }
    return [
        {"test": test, **fitted, **score(model, X, table.true_log_prob)}
        for test, X in table.tests.items()
    ]


def score(model, X, true_log_prob):
    """Means of the scores as they are: one infinite or NaN score makes the mean so."""
    start = time.perf_counter()
    log_prob = np.asarray(model.score_samples(X), dtype=float)
    seconds = time.perf_counter() - start
    n, d = X.shape
    result = {
        "n_test": n,
        "bits_per_dim": -log_prob.mean() / (d * np.log(2)),
        "worst_nats_per_dim": -log_prob.min() / d,
        "n_nonfinite": int((~np.isfinite(log_prob)).sum()),
        "score_seconds": round(seconds, 3),
    }
    if true_log_prob is not None:
        result["gap_nats_per_dim"] = (true_log_prob(X) - log_prob).mean() / d
    return result


def run(args, results):
    """All combinations that have no result yet, seed by seed."""
    done = results.done
    jobs = [
        job
        for seed in args.seeds
        for name in args.datasets
        for method in args.methods
        if (job := (name, method, seed)) not in done
    ]
    settings = {name: getattr(args, name) for name in SETTINGS}
    load, progress = lru_cache(maxsize=1)(_data.load), Progress(len(jobs))
    for name, method, seed in jobs:
        progress.start(f"{name}, {method}, seed {seed}")
        table = load(name, seed, args.data_home)
        try:
            rows = measure(table, method, seed, args.time_budget)
        except Exception as error:  # the other methods go on; a later run tries this one again
            traceback.print_exc()
            rows = [{"test": t, "error": f"{type(error).__name__}: {error}"} for t in table.tests]
        common = {"dataset": name, "method": method, "seed": seed}
        results.append([{**common, **row, **settings} for row in rows])
        progress.finish([describe(row) for row in rows])


def describe(row):
    if "error" in row:
        return row["error"]
    gap = f", gap {row['gap_nats_per_dim']:.4f} nats/dim" if "gap_nats_per_dim" in row else ""
    return (
        f"{row['test']} {row['bits_per_dim']:.4f} bits/dim{gap}, "
        f"worst row {row['worst_nats_per_dim']:.1f} nats/dim, "
        f"fit {row['fit_seconds']:.1f} s ({row['detail']})"
    )


class Progress:
    """A bar where tqdm is installed; the results themselves as lines in either case."""

    def __init__(self, total):
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar, self._write = None, print
        else:
            self._bar = tqdm(total=total, unit="fit", dynamic_ncols=True)
            self._write = self._bar.write
        self._total, self._count, self._job = total, 0, ""

    def start(self, job):
        self._job = job
        if self._bar is not None:
            self._bar.set_postfix_str(job)

    def finish(self, lines):
        self._count += 1
        for line in lines:
            self._write(f"[{self._count}/{self._total}] {self._job}: {line}")
        if self._bar is not None:
            self._bar.update()


class Results:
    """The CSV file: its rows by key, and what is done."""

    def __init__(self, path):
        self.path = Path(path)
        self._rows = {}
        if self.path.exists():
            self._drop_half_line()
            with self.path.open(newline="") as file:
                self._add(csv.DictReader(file))

    def _drop_half_line(self):
        """What an interrupted run may have left at the end."""
        text = self.path.read_bytes()
        if not text.endswith(b"\n"):
            self.path.write_bytes(text[: text.rfind(b"\n") + 1])

    def _add(self, rows):
        for row in rows:
            row = {name: "" if row.get(name) is None else str(row[name]) for name in FIELDS}
            self._rows[tuple(row[name] for name in (*KEY, "test"))] = row

    @property
    def rows(self):
        return list(self._rows.values())

    @property
    def done(self):
        return {
            (row["dataset"], row["method"], int(row["seed"]))
            for row in self.rows
            if not row["error"]
        }

    def append(self, rows):
        """Write rows at once, so that runs side by side do not mix their lines."""
        text = io.StringIO()
        writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
        if not self.path.exists() or self.path.stat().st_size == 0:
            writer.writeheader()
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            file.write(text.getvalue())
        self._add(rows)


# ------------------------------------------------------------------------------------------------
# The page


NOTES = f"""\
Mean and standard error over the seeds (a figure without an error is of one seed); the best of a
line is bold. Every method gets the same training rows. Of these,
{_peers.VALIDATION_FRACTION:.0%} drawn by the seed are validation rows, on which peers choose
their regularisation or stop early; skflow holds out its own. Peers stop at the time budget, counted
in seconds of the processor. The rows of the paper's tables are fixed, those of the others depend on
the seed.
Scores that are infinite or not a number are shown as they are; where a fit failed there is nan, and
the CSV file has the reason. Yeast's values are on a grid, so that its likelihood has no bound (a
narrow peak on a value gains as much as regularisation lets it); in yeast-jittered each is spread
over its cell.

- Gaussian mixture: full covariances, up to {max(_peers.Mixture.N_COMPONENTS)} components by BIC,
  `reg_covar` by validation likelihood, then fitted to all training rows.
- Kernel density: Gaussian kernels, bandwidth by cross-validated likelihood; a single leaf, because
  scikit-learn's tree gives densities far from the data that are wrong by up to hundreds of nats.
- Vine copula: pyvinecopulib's `VineDensity` with its defaults, nonparametric pairs and kernel
  margins.
- Flows of zuko and nflows: standardised inputs, hidden layers of 64 units (zuko: two; nflows: two
  residual blocks), 8 bins, three autoregressive or six coupling transforms; AdamW with a learning
  rate of 1e-3 that halves on plateaus, batches of 256, early stopping, best state kept, float32.
  Annealed: a learning rate of 3e-3 that falls to zero over the time budget by a cosine; on MAGIC's
  validation rows the better recipe.
"""

GROUP_TITLES = {
    "paper": "The paper's tables",
    "bundled": "Tables of scikit-learn",
    "jittered": "The same tables, each value spread by a tenth of a standard deviation",
    "synthetic": "Known densities",
}
RANKS = """\
1 is the best; the mean over the seeds that a method has is ranked, line by line, of the methods
that have all lines of a group. Four members of skflow do not take part beside its defaults.
"""
QUANTITIES = {  # column: (title, digits, how to join the seeds, whether the best is bold)
    "bits_per_dim": ("bits per dimension", 3, "mean", True),
    "gap_nats_per_dim": ("gap to the true density, nats per dimension", 4, "mean", True),
    "worst_nats_per_dim": ("worst test row of all seeds, nats per dimension", 1, "max", False),
    "fit_cpu_seconds": ("processor seconds to fit", 1, "mean", False),
    "score_seconds": ("seconds to score the test rows", 2, "mean", False),
}


def page(results):
    """The Markdown page of all results in the file."""
    rows = [row for row in results.rows if row["dataset"] in _data.NAMES]
    parts = [environment(rows), NOTES]
    for column, (title, *_) in QUANTITIES.items():
        tables = []
        for group, names in _data.TABLES.items():
            members = [row for row in rows if row["dataset"] in names]
            if any(row[column] for row in members):
                tables += [f"{GROUP_TITLES[group]}:\n", markdown_table(members, column)]
        if tables:
            parts += [f"## {title[0].upper()}{title[1:]}\n", *tables]
    if any(row["method"] == "skflow" for row in rows):
        parts += [ranks(rows), losses(rows)]
    return "\n".join(parts)


def environment(rows):
    """Machine, versions, and a command that gives these results."""

    def values(name, order=None):
        return sorted({row[name] for row in rows}, key=order.index if order else float)

    packages = (
        "skflow",
        "torch",
        "numpy",
        "scipy",
        "scikit-learn",
        "pyvinecopulib",
        "zuko",
        "nflows",
    )
    options = {
        "datasets": values("dataset", _data.NAMES),
        "methods": values("method", list(_peers.METHODS)),
        "seeds": values("seed"),
        "threads": values("threads"),
        "time-budget": values("time_budget"),
    }
    command = " ".join(f"--{name} {' '.join(chosen)}" for name, chosen in options.items())
    return (
        f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}\n"
        f"- Versions: Python {platform.python_version()}, "
        + ", ".join(f"{name} {version_of(name)}" for name in packages)
        + f"\n- Command: `python examples/benchmarks/likelihood.py {command}`\n"
    )


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def version_of(package):
    """Of skflow, the module's: its distribution has another name."""
    try:
        if package == "skflow":
            return importlib.import_module(package).__version__
        return version(package)
    except ImportError:
        return "(not installed)"


def cells(rows, column):
    """The values of a column over the seeds, by ``(dataset, test)`` and method."""
    table = defaultdict(lambda: defaultdict(list))
    for row in rows:
        value = float(row[column]) if row[column] else np.nan
        table[row["dataset"], row["test"]][row["method"]].append(value)
    return dict(sorted(table.items(), key=lambda item: _data.NAMES.index(item[0][0])))


def markdown_table(rows, column):
    _, digits, join, mark_best = QUANTITIES[column]
    present = {row["method"] for row in rows}
    methods = [method for method in _peers.METHODS if method in present]
    lines = [
        "| test rows | " + " | ".join(_peers.LABELS[method] for method in methods) + " |",
        "| --- |" + " ---: |" * len(methods),
    ]
    for (name, test), by_method in cells(rows, column).items():
        best = best_method(by_method) if mark_best else None
        texts = [cell(by_method.get(method), digits, join) for method in methods]
        texts = [f"**{t}**" if m == best else t for m, t in zip(methods, texts)]
        lines.append(f"| {name}, {test} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def best_method(by_method):
    means = {method: np.mean(values) for method, values in by_method.items()}
    finite = {method: mean for method, mean in means.items() if np.isfinite(mean)}
    return min(finite, key=finite.get, default=None)


def cell(values, digits, join):
    if values is None:
        return ""
    if join == "max":
        return number(np.max(values), digits)
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    text = number(np.mean(values), digits)
    return text if error is None else f"{text} ± {number(error, digits)}"


def number(value, digits):
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.2g}"


def ranks(rows):
    """Mean, worst and number of first ranks of each method that has all lines of a group."""
    parts = ["## Ranks by bits per dimension\n", RANKS]
    for group, names in _data.TABLES.items():
        lines = cells([row for row in rows if row["dataset"] in names], "bits_per_dim")
        methods = [m for m in _peers.METHODS if m != "skflow-x4" and complete(m, lines)]
        if len(methods) < 2:
            continue
        means = [[np.mean(line[method]) for method in methods] for line in lines.values()]
        ranked = rankdata(np.nan_to_num(means, nan=np.inf), axis=1)
        parts += [
            f"{GROUP_TITLES[group]} ({len(lines)} sets of test rows):\n",
            "| method | mean rank | worst | first on |\n| --- | ---: | ---: | ---: |",
        ]
        for method, column in zip(methods, ranked.T):
            label, n_first = _peers.LABELS[method], (column == 1).sum()
            parts.append(f"| {label} | {column.mean():.2f} | {column.max():g} | {n_first} |")
        parts.append("")
    return "\n".join(parts)


def complete(method, lines):
    return bool(lines) and all(method in line for line in lines.values())


def losses(rows):
    """Where a peer is ahead of skflow's defaults."""
    lines = []
    for (name, test), by_method in cells(rows, "bits_per_dim").items():
        peers = {m: values for m, values in by_method.items() if not m.startswith("skflow")}
        best = best_method(peers)
        if best is None or "skflow" not in by_method:
            continue
        difference = np.mean(by_method["skflow"]) - np.mean(peers[best])
        if not difference <= 0:
            lines.append(
                f"- {name}, {test}: {_peers.LABELS[best]}, by {number(difference, 3)} bits/dim"
            )
    text = "\n".join(lines) or "- nowhere in these tables"
    return f"## Where a peer is ahead of skflow's defaults\n\n{text}\n"


# ------------------------------------------------------------------------------------------------
# Command line


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--datasets", nargs="+", default=list(_data.GROUPS), metavar="NAME", help=DATASETS_HELP)
    add(
        "--methods",
        nargs="+",
        default=list(_peers.METHODS),
        choices=_peers.METHODS,
        metavar="NAME",
        help=f"default: all of {', '.join(_peers.METHODS)}",
    )
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--threads", type=int, default=2)
    add("--time-budget", type=int, default=100, help="processor seconds that a peer may train")
    add("--data-home", help="folder of the paper's tables; default: as skflow.datasets")
    add("--output", default="likelihood.csv", help="CSV file, appended to")
    add("--markdown", help="Markdown page to write")
    add("--self-check", action="store_true", help="test the methods instead")
    args = parser.parse_args(argv)

    args.datasets = [n for name in args.datasets for n in _data.GROUPS.get(name, [name])]
    if unknown := set(args.datasets) - set(_data.NAMES):
        parser.error(f"--datasets: {sorted(unknown)} unknown; {DATASETS_HELP}")
    libraries = {"skflow": "skflow", "vine": "pyvinecopulib", "zuko": "zuko", "nflows": "nflows"}
    for prefix, library in libraries.items():
        users = [method for method in args.methods if method.split("-")[0] == prefix]
        if users and importlib.util.find_spec(library) is None:
            parser.error(f"--methods: {users} need {library}, which is not installed")
    return args


def main(argv=None):
    args = parse(argv)
    torch.set_num_threads(args.threads)
    threadpool_limits(args.threads)
    if args.self_check:
        right = [_data.self_check(), _peers.self_check(args.methods, args.time_budget)]
        print("all right" if all(right) else "WRONG")
        return 0 if all(right) else 1
    results = Results(args.output)
    run(args, results)
    if args.markdown:
        # Read again, for the rows of runs side by side.
        Path(args.markdown).write_text(page(Results(args.output)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
