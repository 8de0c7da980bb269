"""Held-out likelihood against processor time: what longer, deeper, wider or faster trainings buy.

    python examples/benchmarks/time_curve.py --output examples/benchmarks/time_curve.json \
        --figure docs/_static/time_curve.svg --markdown examples/benchmarks/time_curve_results.md

Every line of the figure is a change of ``CouplingFlowDensity``'s defaults, every point a part or
multiple of its epochs; the flow alone is measured, without components beside it. The rows are
training rows: a fifth of the training parts of the paper's *magic* and *turbine* is held out, and a
third of the small tables, whose values are spread by a tenth of the column's standard deviation.
Points are means over seeds, which differ in the split, start and batches. In what is in the JSON
file nothing is run again.
"""

import argparse
import itertools
import json
import math
import os
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import sklearn.datasets

from skflow import CouplingFlowDensity, Training, datasets
from skflow._nn import linear_start as _linear_start
from skflow._nn import recipe as _recipe

LARGE = ("magic", "turbine")
SMALL = ("diabetes", "wine", "breast-cancer", "yeast")
PARTS = (1.0, 0.5, 0.25, 2.0)  # of the epochs
CHANGES = {
    "default": {},
    "4 layers": {"n_layers": 4},
    "hidden layers of 32": {"hidden_layer_sizes": (32, 32)},
    "batches half as large": {"batch_size": 0.5},
    "batches twice as large": {"batch_size": 2.0},
    "rate twice as high": {"learning_rate_init": 0.02},
    "weight decay half as strong": {"alpha": 0.5},
    "weight decay twice as strong": {"alpha": 2.0},
    "no linear steps": {},
    "linear steps start at regressions": {},
}
RELATIVE = ("batch_size", "alpha")  # their values above are multiples of what "auto" is


def rows(table, seed, data_home):
    """Training and held-out rows."""
    rng = np.random.default_rng([seed, *table.encode()])
    if table in LARGE or table == "yeast":
        bunch = getattr(datasets, f"fetch_{table}")(data_home=data_home)
        X = bunch.data[bunch.fit_indices if table == "turbine" else bunch.train_indices]
    else:
        X = getattr(sklearn.datasets, f"load_{table.replace('-', '_')}")().data
    if table == "diabetes":
        X = np.delete(X, 1, axis=1)  # two values have no density
    X = rng.permutation(X)
    if table not in LARGE:
        X = X + 0.1 * X.std(axis=0) * rng.standard_normal(X.shape)
    n_held_out = len(X) // (5 if table in LARGE else 3)
    return X[n_held_out:], X[:n_held_out]


def parameters(change, part, n_rows, n_features):
    """Keywords of the estimator: a change of the defaults, and a part of its epochs."""
    n_fitted = n_rows - math.ceil(0.1 * n_rows)
    automatic = _recipe.training_options(CouplingFlowDensity(), n_fitted, n_features)
    params = dict(CHANGES[change])
    for name in set(RELATIVE) & set(params):
        params[name] = type(getattr(automatic, name))(params[name] * getattr(automatic, name))
    own = Training().get_params()
    training = Training(**{name: params.pop(name) for name in list(params) if name in own})
    n_epochs = automatic.n_steps / automatic.steps_per_epoch
    return {**params, "training": training, "max_iter": part * n_epochs, "component_weight": 0}


def patched(change):
    """The context of changes for which estimators have no parameter."""
    if change == "no linear steps":
        config = _recipe.flow_config
        return mock.patch.object(_recipe, "flow_config", lambda p: config(p) | {"linear": False})
    if change == "linear steps start at regressions":  # of all columns on the others
        return mock.patch.object(_linear_start, "NEARLY", math.inf)
    return nullcontext()


def measure(table, change, part, seed, data_home):
    X, held_out = rows(table, seed, data_home)
    params = parameters(change, part, *X.shape)
    start = time.process_time()
    with patched(change):
        flow = CouplingFlowDensity(random_state=seed, **params).fit(X)
    seconds = time.process_time() - start
    return {"bits": flow.bits_per_dim(held_out), "seconds": seconds, "epochs": flow.n_iter_}


def run(arguments, records):
    wanted = (range(arguments.seeds), arguments.parts, arguments.changes, arguments.tables)
    for seed, part, change, table in itertools.product(*wanted):
        key = f"{table} | {change} | {part} | {seed}"
        if key not in records:
            records[key] = measure(table, change, part, seed, arguments.data_home)
            write(records, arguments.output)
            print(key, records[key], flush=True)


def write(records, path):
    entries = (f"{json.dumps(key)}: {json.dumps(record)}" for key, record in records.items())
    Path(path).write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def curves(records):
    """``{(table, change): {part: (seconds, bits)}}``, means over the seeds that all lines have."""
    grouped = {}
    for key, record in records.items():
        table, change, part, seed = key.split(" | ")
        points = grouped.setdefault((table, change), {}).setdefault(float(part), {})
        points[seed] = record["seconds"], record["bits"]
    means = {}
    for (table, change), parts in grouped.items():
        for part in sorted(parts):
            lines = [line[part] for (t, _), line in grouped.items() if t == table and part in line]
            shared = set.intersection(*map(set, lines))
            if shared:
                mean = np.mean([parts[part][seed] for seed in shared], axis=0)
                means.setdefault((table, change), {})[part] = tuple(mean)
    return means


def page(records):
    parts = sorted({float(key.split(" | ")[2]) for key in records})
    lines = [
        "| table | change | " + " | ".join(f"{part:g} x epochs" for part in parts) + " |",
        "|---|---|" + "---:|" * len(parts),
    ]
    for (table, change), points in curves(records).items():
        cells = [
            f"{points[part][1]:.3f} ({points[part][0]:.1f} s)" if part in points else ""
            for part in parts
        ]
        lines.append(f"| {table} | {change} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(records, path):
    import matplotlib.pyplot as plt

    lines = curves(records)
    tables = list(dict.fromkeys(table for table, _ in lines))
    n_columns = min(3, len(tables))
    figure, axes = plt.subplots(
        math.ceil(len(tables) / n_columns),
        n_columns,
        figsize=(3.6 * n_columns, 3 * math.ceil(len(tables) / n_columns)),
        layout="constrained",
        squeeze=False,
    )
    for table, axis in zip(tables, axes.flat):
        for change, colour in zip(CHANGES, ("black", *plt.cm.tab10.colors)):
            points = lines.get((table, change), {})
            if points:
                seconds, bits = zip(*points.values())
                axis.plot(seconds, bits, ".-", color=colour, label=change, lw=1)
        if 1.0 in lines.get((table, "default"), {}):
            axis.plot(*lines[table, "default"][1.0], "o", color="black", mfc="none", ms=10)
        axis.set(title=table, xscale="log", xlabel="processor seconds", ylabel="bits a dimension")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
    for axis in axes.flat[len(tables) :]:
        axis.set_axis_off()
    drawn = {line.get_label(): line for axis in axes.flat for line in axis.get_lines()}
    named = {change: drawn[change] for change in CHANGES if change in drawn}  # on any table
    figure.legend(named.values(), named, loc="outside lower center", ncols=3)
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", default=[*SMALL, *LARGE])
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--parts", nargs="+", type=float, default=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA"))
    parser.add_argument("--output", default="time_curve.json", help="JSON file of the results")
    parser.add_argument("--figure", help="picture to draw")
    parser.add_argument("--markdown", help="page to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    exists = Path(arguments.output).exists()
    records = json.loads(Path(arguments.output).read_text(encoding="utf-8")) if exists else {}
    run(arguments, records)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(records), encoding="utf-8")
    if arguments.figure:
        draw(records, arguments.figure)


if __name__ == "__main__":
    main()
