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

from functools import partial

import numpy as np
from _flows import SINGLE_LAYER, bits, fit, markdown, run
from _tables import split

from skflow import masks

N_MODELS = 3
TABLES = ("turbine", "magic", "digits", "optdigits", "sonar", "ionosphere", "musk")
SHARES = (0.5, 0.25, 0.125, 0.0625)
PLAN = [
    *[("dense", depth, 1.0) for depth in (1, 2, 4, 6, 8)],
    *[("derived, sparse", depth, share) for depth in (4, 8) for share in SHARES],
]
COLOURS = {"dense": "#6b6b6b", "derived, sparse": "#1f5fa8"}


def measure(name, depth, value, data_home):
    """Nats a dimension on the held-out rows, and parameters, of every flow."""
    X, held_out = split(name, data_home, 2000, 1000, most_frequent=0.95)
    layout = masks.Derived(conditioning_share=value)
    params = {**SINGLE_LAYER, "max_iter": 40, "component_weight": 0}
    model = fit(layout, depth, X, N_MODELS, **params)[0]
    nats = np.log(2) * bits(model, held_out)
    return {
        "rows": len(X),
        "columns": X.shape[1],
        "nats": nats.round(4).tolist(),
        "parameters": model.n_parameters_ // N_MODELS,
    }


def gathered(records):
    """Points ``{table: {arm: [(parameters, nats, depth), ...]}}``, by parameters."""
    found = {name: {arm: [] for arm in COLOURS} for name in TABLES}
    for key, record in records.items():
        name, arm, depth, _ = key.split(" | ")
        point = (record["parameters"], float(np.mean(record["nats"])), int(depth))
        found[name][arm].append(point)
    return {n: {arm: sorted(points) for arm, points in arms.items()} for n, arms in found.items()}


def page(records):
    rows = []
    for name, arms in gathered(records).items():
        record, sparse = records[f"{name} | dense | 1 | 1.0"], arms["derived, sparse"]
        size, nats, depth = min(arms["dense"], key=lambda point: point[1])
        as_good = min((point for point in sparse if point[1] <= nats), default=None)
        told = ["none", "", ""]
        if as_good:
            told = [f"{as_good[1]:.3f}", f"{as_good[0]:,}", f"{as_good[0] / size:.0%}"]
        shape = f"{record['rows']} x {record['columns']}"
        best = f"{min(point[1] for point in sparse):.3f}"
        rows.append([name, shape, f"{nats:.3f} ({depth} layers)", f"{size:,}", *told, best])
    head = ["rows x columns", "dense, the best", "its parameters", "sparse, as good"]
    return markdown([*head, "its parameters", "part", "sparse, the best"], rows, "table")


def draw(records, path):
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, axes = plt.subplots(-(-len(TABLES) // 3), 3, figsize=(7.5, 8))
    for ax in axes.flat[len(TABLES) :]:
        ax.set_axis_off()
    for ax, (name, arms) in zip(axes.flat, gathered(records).items()):
        for arm, points in arms.items():
            line = "o-" if arm == "dense" else "o"
            sizes, nats, _ = zip(*points)
            ax.plot(sizes, nats, line, color=COLOURS[arm], label=arm, markersize=4)
        ax.set(xscale="log", xlabel="parameters")
        ax.xaxis.set_minor_formatter(NullFormatter())
        best = min(point[1] for points in arms.values() for point in points)
        ax.set_ylim(best - 0.02, best + 0.25)
        ax.set_title(name, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supylabel("nats a dimension, held out", fontsize=10)
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path)


def plan(data_home, _):
    for arm, depth, value in PLAN:
        for name in TABLES:
            chosen = partial(measure, name, depth, value, data_home)
            yield f"{name} | {arm} | {depth} | {value}", chosen


if __name__ == "__main__":
    run(__doc__, plan, page, draw)
