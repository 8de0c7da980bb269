"""Locality: does parity win where neighbouring columns are alike, and what finds that by itself?

    python examples/paper/digits.py --output examples/paper/digits.json \
        --markdown examples/paper/results_digits.md --figure docs/_static/digits.svg

The digits of scikit-learn, 8 x 8 pixels spread evenly over their 17 levels; pixels that have
fewer than eight of these are left out. The paper's architecture and the default flow
(splines, hidden layers of 64 and 64), without components, 40 epochs, on four fifths of the images;
the others are scored. Flow k of every layout has the same validation rows, start and batches, so
that layouts are compared in pairs.

parity, random, derived, searched
    As the strings of ``mask_layout``; parity by the number of the column.
checkerboard, stripes, halves
    Of the image: neighbours on different sides, neighbours in a row, or the upper and the lower
    half on a side each. Where all pixels were left in, stripes would be parity.
random, alternating
    A random mask and its complement.
..., shuffled
    The columns in a random order: another one for each flow with parity, the same for all with
    layouts that look at the rows.
"""

from functools import partial
from itertools import product

import numpy as np
from _flows import SINGLE_LAYER, Given, layout_table, measured, run
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skflow import masks

FLOWS = {"paper": SINGLE_LAYER, "default": {}}
N_MODELS = {"paper": 20, "default": 5}
LAYOUTS = (
    *("parity", "parity, shuffled", "checkerboard", "stripes", "halves"),
    *("random, alternating", "random", "derived", "derived, shuffled"),
    *("searched", "searched, shuffled"),
)
CELLS = [f"{flow} | {depth}" for flow in FLOWS for depth in (2, 4)]
COLOURS = {"in order": "#1f5fa8", "shuffled": "#d98032"}


def images():
    """Spread values ``(n, d)``, and row and column ``(d,)`` of the pixels."""
    X = load_digits().data
    kept = np.array([len(np.unique(values)) >= 8 for values in X.T])
    X = X[:, kept] + np.random.default_rng(0).random((len(X), kept.sum()))
    return X, *np.divmod(np.flatnonzero(kept), 8)


def layout_of(name, depth, n_models, row, column):
    """Layout, and whether the columns are shuffled for it."""
    d, rng = len(row), np.random.default_rng(0)
    kind, *rest = name.split(", ")
    if kind == "parity" and rest:
        orders = [rng.permutation(d) for _ in range(n_models)]
        return Given([masks.parity(depth, d)[:, order] for order in orders]), False
    if kind == "checkerboard":
        return masks.alternating((row + column) % 2 == 0, depth), False
    if kind == "stripes":
        return masks.alternating(column % 2 == 0, depth), False
    if kind == "halves":
        return masks.alternating(row < 4, depth), False
    if kind == "random" and rest:
        firsts = masks.random(n_models, d, random_state=0)
        return Given([masks.alternating(first, depth) for first in firsts]), False
    return {"searched": "search"}.get(kind, kind), bool(rest)


def measure(flow, depth, name):
    """Nats a dimension on the images that nobody saw, of every flow."""
    X, row, column = images()
    layout, shuffled = layout_of(name, depth, N_MODELS[flow], row, column)
    if shuffled:
        X = X[:, np.random.default_rng(1).permutation(X.shape[1])]
    X, X_test = train_test_split(X, test_size=0.2, random_state=0)
    return measured(layout, depth, X, X_test, N_MODELS[flow], max_iter=40, **FLOWS[flow])


def page(records):
    return layout_table(records, CELLS, LAYOUTS)


def draw(records, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(7.5, 6), sharey=True)
    names = LAYOUTS[::-1]
    for ax, cell in zip(axes.flat, CELLS):
        for y, name in enumerate(names):
            if f"{cell} | {name}" in records:
                pair = (records[f"{cell} | {n}"]["nats"] for n in (name, "parity"))
                nats, parity = map(np.array, pair)
                low, high = stats.ttest_rel(nats, parity).confidence_interval()
                colour = COLOURS["shuffled" if "shuffled" in name else "in order"]
                ax.plot(nats.mean() - parity.mean(), y, "o", color=colour)
                if name != "parity":
                    ax.plot([low, high], [y, y], color=colour)
        ax.axvline(0, color="0.7", linewidth=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.set_title(f"{cell.replace(' |', ' flow,')} layers", loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("nats a dimension behind parity", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)


def plan(*_):
    for flow, depth, name in product(FLOWS, (2, 4), LAYOUTS):
        yield f"{flow} | {depth} | {name}", partial(measure, flow, depth, name)


if __name__ == "__main__":
    run(__doc__, plan, page, draw)
