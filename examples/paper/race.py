"""Does the default layout, a race of parity and derived masks, keep the gain without the losses?

    python examples/paper/race.py --output examples/paper/race.json --figure docs/_static/race.svg

The paper's architecture, eight flows for each layout on the tables of ``deep_flows.py``, with their
splits: test nats a dimension less those of parity, flow by flow with the same split, batches and
start, with the standard error. Each flow races for itself.
"""

import argparse
import math
import os
import warnings
from functools import partial

import numpy as np
from _flows import SINGLE_LAYER, Results, bits, fit
from deep_flows import BUNDLED, OUTLIERS, PAPER, split

N_MODELS = 8
LAYOUTS = ("parity", "derived", "race")
DEPTHS = (2, 4)


def measure(name, depth, data_home):
    X, X_test = split(name, data_home)
    nats = {}
    for layout in LAYOUTS:
        model, _ = fit(layout, depth, X, N_MODELS, component_weight=0, **SINGLE_LAYER)
        nats[layout] = (math.log(2) * bits(model, X_test)).round(4).tolist()
    return {"rows": len(X), "columns": X.shape[1], "nats": nats}


def gain(record, layout):
    """By how many nats a dimension a layout is ahead of parity, and the standard error."""
    gains = np.array(record["nats"]["parity"]) - record["nats"][layout]
    return gains.mean(), gains.std(ddof=1) / math.sqrt(len(gains))


def draw(results, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(DEPTHS), figsize=(8.5, 4.4), sharey=True, sharex=True, layout="constrained"
    )
    for ax, depth in zip(axes, DEPTHS):
        records = {k.split(" | ")[0]: r for k, r in results.records.items() if f"| {depth}" in k}
        names = sorted(records, reverse=True)
        for layout, colour, shift in (("derived", "#d98032", 0.17), ("race", "#1f5fa8", -0.17)):
            means, errors = np.array([gain(records[name], layout) for name in names]).T
            places = np.arange(len(names)) + shift
            ax.errorbar(means, places, xerr=2 * errors, fmt="o", color=colour, ms=4, label=layout)
        ax.axvline(0, color="#9a9a9a", lw=1, zorder=0)
        ax.set_yticks(range(len(names)), names)
        ax.set_xscale("symlog", linthresh=0.02)
        ax.set_xlabel("nats a dimension ahead of parity")
        ax.set_title(f"{depth} simple layers", loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA", "."))
    parser.add_argument("--tables", nargs="+", default=[*BUNDLED, *PAPER, *OUTLIERS])
    parser.add_argument("--output", default="race.json", help="JSON file of the results")
    parser.add_argument("--figure", help="picture to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    results = Results(arguments.output)
    for name in arguments.tables:
        for depth in DEPTHS:
            chosen = partial(measure, name, depth, arguments.data_home)
            record = results.get(f"{name} | {depth}", chosen)
            told = [f"{layout} {gain(record, layout)[0]:+.4f}" for layout in LAYOUTS[1:]]
            print(name, depth, *told, flush=True)
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
