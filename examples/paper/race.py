"""Does the default layout, a race of parity and derived masks, keep the gain without the losses?

    python examples/paper/race.py --output examples/paper/race.json \
        --markdown examples/paper/results_race.md --figure docs/_static/race.svg

Flows of two, four and six layers with each layout, on tables of ``deep_flows.py`` with their
splits: twenty of the paper's architecture, and five of splines, the default flow. Each is trained
as by default, without components. Nats a dimension by which test rows are ahead of parity, flow by
flow with the same split, batches and start, with the standard error. Each flow races for itself.

At two layers of the paper's architecture also searches of the default length, ten on each of a few
tables, of which *wine* has 12 rows that choose.
"""

from functools import partial
from itertools import product

import numpy as np
from _flows import CONDITIONERS, difference, markdown, run
from _tables import BUNDLED, OUTLIERS, PAPER, REGRESSION
from deep_flows import measure

LAYOUTS = {layout: layout for layout in ("parity", "derived", "race")}
TABLES = (*PAPER, *BUNDLED, *OUTLIERS, "optdigits", *REGRESSION)
N_FLOWS = {"single-layer": 20, "spline (64, 64)": 5}  # by conditioner
DEPTHS = (2, 4, 6)
CELLS = list(product(N_FLOWS, DEPTHS))
DRAWN = {("single-layer", 2): "2 simple layers", ("spline (64, 64)", 6): "6 layers of splines"}
SEARCHED = ("wine", "diabetes", "stamps", "glass", "yeast", "breast-cancer", "turbine", "magic")
FAR = ("digits", "optdigits")  # a single row there may be worth thousands of nats


def leads(records, cell, layout):
    """Lead over parity and its standard error ``{table: (lead, error)}``."""
    names = [name for name in TABLES if " | ".join(map(str, (name, *cell))) in records]
    found = [difference(records[f"{n} | {cell[0]} | {cell[1]}"]["nats"], layout) for n in names]
    return {name: (-mean, error) for name, (mean, error) in zip(names, found)}


def told(lead):
    mean, error = lead
    star = "**" if abs(mean) > 2 * error else ""
    return f"{star}{mean + 0.0:+.3f}{star} ({error:.3f})"


def page(records):
    head = [f"{conditioner.split()[0]}, {depth} layers" for conditioner, depth in CELLS]
    of_race, of_derived = (
        [leads(records, cell, layout) for cell in CELLS] for layout in ("race", "derived")
    )
    rows = [
        [name, *(told(cell[name]) if name in cell else "" for cell in of_race)] for name in TABLES
    ]
    for title, cells in (("race", of_race), ("derived", of_derived)):
        near = [[mean for name, (mean, _) in cell.items() if name not in FAR] for cell in cells]
        every = [np.reshape(list(cell.values()), (-1, 2)) for cell in cells]
        behind = [(each[:, 0] < -2 * each[:, 1]).sum() for each in every]
        rows += [
            [f"{title}, mean", *(f"{each[:, 0].mean():+.3f}" for each in every)],
            [f"{title}, mean without {' and '.join(FAR)}", *(f"{np.mean(v):+.3f}" for v in near)],
            [f"{title}, tables behind by two errors", *map(str, behind)],
        ]
    searched = leads(records, ("search", 2), "search")
    shown = markdown(["ahead of parity"], [[n, told(v)] for n, v in searched.items()], "search")
    return f"{markdown(head, rows, 'race')}\n{shown}"


def draw(records, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.5, 7), sharey=True, layout="constrained")
    for ax, (cell, title) in zip(axes, DRAWN.items()):
        for layout, colour, shift in (("derived", "#d98032", 0.17), ("race", "#1f5fa8", -0.17)):
            found = leads(records, cell, layout)
            means, errors = np.array([found[name] for name in sorted(found, reverse=True)]).T
            places = np.arange(len(means)) + shift
            ax.errorbar(means, places, xerr=2 * errors, fmt="o", color=colour, ms=3.5, label=layout)
        ax.axvline(0, color="#9a9a9a", lw=1, zorder=0)
        ax.set_yticks(range(len(found)), sorted(found, reverse=True))
        ax.set_xscale("symlog", linthresh=0.02)
        ax.set_xticks([-1, -0.1, 0, 0.1, 1], ["-1", "-0.1", "0", "0.1", "1"])
        ax.set_xlabel("nats a dimension ahead of parity")
        ax.set_title(title, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    figure.savefig(path)


def plan(data_home, _):
    for (conditioner, depth), name in product(CELLS, TABLES):
        params, n_flows = CONDITIONERS[conditioner], N_FLOWS[conditioner]
        chosen = partial(measure, name, data_home, depth, LAYOUTS, n_flows, **params)
        yield f"{name} | {conditioner} | {depth}", chosen
    for name in SEARCHED:
        layouts, params = ("parity", "search"), CONDITIONERS["single-layer"]
        chosen = partial(measure, name, data_home, 2, dict(zip(layouts, layouts)), 10, **params)
        yield f"{name} | search | 2", chosen


if __name__ == "__main__":
    run(__doc__, plan, page, draw)
