"""Does the default layout, a race of parity and derived masks, keep the gain without the losses?

    python examples/paper/race.py --output examples/paper/race.json --figure docs/_static/race.svg

The paper's architecture, twenty flows of two layers and eight of four for each layout, on tables of
``deep_flows.py`` with their splits: test nats a dimension less those of parity, flow by flow with
the same split, batches and start, with the standard error. Each flow races for itself.
"""

from functools import partial

import numpy as np
from _flows import SINGLE_LAYER, difference, run
from deep_flows import measure

LAYOUTS = {layout: layout for layout in ("parity", "derived", "race")}
TABLES = (
    *("wine", "breast-cancer", "diabetes", "yeast", "turbine", "magic"),
    *("stamps", "glass", "ionosphere", "breastw", "thyroid"),
)
N_FLOWS = {2: 20, 4: 8}  # by layers


def draw(records, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(N_FLOWS), figsize=(8.5, 4.4), sharey=True, sharex=True, layout="constrained"
    )
    for ax, depth in zip(axes, N_FLOWS):
        nats = {k.split(" | ")[0]: r["nats"] for k, r in records.items() if f"| {depth}" in k}
        names = sorted(nats, reverse=True)
        for layout, colour, shift in (("derived", "#d98032", 0.17), ("race", "#1f5fa8", -0.17)):
            means, errors = np.array([difference(nats[name], layout) for name in names]).T
            places = np.arange(len(names)) + shift
            ax.errorbar(-means, places, xerr=2 * errors, fmt="o", color=colour, ms=4, label=layout)
        ax.axvline(0, color="#9a9a9a", lw=1, zorder=0)
        ax.set_yticks(range(len(names)), names)
        ax.set_xscale("symlog", linthresh=0.02)
        ax.set_xlabel("nats a dimension ahead of parity")
        ax.set_title(f"{depth} simple layers", loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    figure.savefig(path)


def plan(data_home, _):
    for name in TABLES:
        for depth, n_flows in N_FLOWS.items():
            chosen = partial(measure, name, data_home, depth, LAYOUTS, n_flows, **SINGLE_LAYER)
            yield f"{name} | {depth}", chosen


if __name__ == "__main__":
    run(__doc__, plan, draw=draw)
