"""Smaller flows: held-out likelihood against parameters where some features of a layer are idle.

    python examples/paper/sparse_flows.py --output examples/paper/sparse.json \
        --markdown examples/paper/results_sparse.md --figure docs/_static/sparse.svg

The paper's architecture, three flows for each point, on tables of 10 to 166 columns, of at most
3000 rows; a third is held out (of the paper's tables from their training parts) and each value is
spread by a tenth of its column's standard deviation; columns of which one value fills 95 % are
left out. Trained as the default, without components.

dense
    The derived layout: 1, 2, 4, 6 and 8 layers.
derived, sparse
    ``masks.Derived(conditioning_share=...)`` at 4 and 8 layers: of the conditioning features of a
    layer a half, a quarter, an eighth or a sixteenth condition it, the others are idle.
"""

import argparse
import math
import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from _flows import SINGLE_LAYER, Results, bits, fit
from deep_flows import rows

from skflow import masks

N_MODELS, N_ROWS, SPREAD = 3, 3000, 0.1
TABLES = ("turbine", "magic", "digits", "optdigits", "sonar", "ionosphere", "musk")
SHARES = (0.5, 0.25, 0.125, 0.0625)
PLAN = [
    *[("dense", depth, 1.0) for depth in (1, 2, 4, 6, 8)],
    *[("derived, sparse", depth, share) for depth in (4, 8) for share in SHARES],
]
COLOURS = {"dense": "#6b6b6b", "derived, sparse": "#1f5fa8"}


def table_rows(name, data_home):
    if name in ("optdigits", "musk"):
        with np.load(Path(data_home, "outliers", f"{name}.npz")) as table:
            X = table["X"][table["y"] == 0]
    else:
        X = rows(name, data_home)
    most_frequent = [np.unique(values, return_counts=True)[1].max() for values in X.T]
    return X[:, np.array(most_frequent) < 0.95 * len(X)]


def split(name, data_home):
    """Training and held-out rows, spread and in standard deviations."""
    rng = np.random.default_rng([*name.encode()])
    X = rng.permutation(table_rows(name, data_home))[:N_ROWS]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Z += SPREAD * rng.standard_normal(Z.shape)
    return Z[len(Z) // 3 :], Z[: len(Z) // 3]


def measure(name, depth, value, data_home):
    """Nats a dimension on the held-out rows, and parameters, of every flow."""
    X, held_out = split(name, data_home)
    params = {**SINGLE_LAYER, "max_iter": 40, "component_weight": 0}
    layout = masks.Derived(conditioning_share=value)
    model = fit(layout, depth, X, N_MODELS, **params)[0]
    nats = math.log(2) * bits(model, held_out)
    parameters = model.n_parameters_ / model._density.flow.n_members
    return {
        "rows": len(X),
        "columns": X.shape[1],
        "nats": nats.round(4).tolist(),
        "parameters": round(float(parameters)),
    }


def gathered(results):
    """Points ``{table: {arm: [(parameters, nats, depth, value), ...]}}``, by parameters."""
    found = {}
    for key, record in results.records.items():
        name, arm, depth, value = key.split(" | ")
        point = (record["parameters"], float(np.mean(record["nats"])), int(depth), float(value))
        found.setdefault(name, {}).setdefault(arm, []).append(point)
    return {n: {arm: sorted(points) for arm, points in arms.items()} for n, arms in found.items()}


def page(results):
    found = gathered(results)
    lines = [
        "| table | rows x columns | dense, the best | its parameters | sparse, as good | "
        "its parameters | part | sparse, the best |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(found, key=lambda n: list(TABLES).index(n)):
        arms = found[name]
        sparse = [point for arm, points in arms.items() if arm != "dense" for point in points]
        dense = min(arms["dense"], key=lambda point: point[1])
        as_good = [point for point in sparse if point[1] <= dense[1]]
        chosen = min(as_good, default=None)
        record = next(r for key, r in results.records.items() if key.startswith(f"{name} |"))
        if chosen:
            cells = f"{chosen[1]:.3f} | {chosen[0]:,} | {chosen[0] / dense[0]:.0%}"
        else:
            cells = "none | | "
        lines.append(
            f"| {name} | {record['rows']} x {record['columns']} | {dense[1]:.3f} "
            f"({dense[2]} layers) "
            f"| {dense[0]:,} | {cells} | {min(p[1] for p in sparse):.3f} |"
        )
    return "\n".join(lines) + "\n"


def draw(results, path):
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    found = gathered(results)
    names = [name for name in TABLES if name in found]
    figure, axes = plt.subplots(1, len(names), figsize=(2.3 * len(names), 2.9))
    for ax, name in zip(np.atleast_1d(axes), names):
        for arm, points in found[name].items():
            line = "o-" if arm == "dense" else "o"
            ax.plot(
                [p[0] for p in points],
                [p[1] for p in points],
                line,
                color=COLOURS[arm],
                label=arm,
                markersize=4,
            )
        ax.set(xscale="log", xlabel="parameters")
        ax.xaxis.set_minor_formatter(NullFormatter())
        best = min(point[1] for points in found[name].values() for point in points)
        ax.set_ylim(best - 0.02, best + 0.25)
        ax.set_title(name, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("nats a dimension, held out")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA", "."))
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--arms", nargs="+", default=list(COLOURS), choices=COLOURS)
    parser.add_argument("--output", default="sparse.json", help="JSON file of the results")
    parser.add_argument("--markdown", help="page to write")
    parser.add_argument("--figure", help="picture to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    results = Results(arguments.output)
    for arm, depth, value in PLAN:
        for name in arguments.tables if arm in arguments.arms else ():
            chosen = (name, depth, value, arguments.data_home)
            record = results.get(f"{name} | {arm} | {depth} | {value}", partial(measure, *chosen))
            told = f"{np.mean(record['nats']):.4f}, {record['parameters']:,} parameters"
            print(f"{name}, {arm}, {depth} layers, {value}: {told}", flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
