"""Ways to two goals that the default misses: jittered yeast, and the funnel of ten columns.

    python examples/paper/missed_goals.py --output examples/paper/missed_goals.json \
        --markdown examples/paper/results_goals.md

The tables are those of ``examples/benchmarks/likelihood.py``, but no test row is scored.

yeast
    Bits a dimension, with components, of a fifth of the training rows; a mean of three splits.
    Column *erl* is 0.5 or 1, *pox* is 0 but for one row in a hundred. "Gaps closed" moves their
    other values next to the frequent one; with "categories" they are those, and each value is
    spread evenly over its cell of 0.01, as the jitter does; so is the half of the rows of *nuc*
    that share a value, with "categories and spike".
funnel
    Nats a dimension from the truth on 10,000 new rows, flow alone or with components, one draw.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
from _flows import markdown, run

from skflow import CouplingFlowDensity, datasets, masks

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from _data import load

ERL, POX, NUC = 4, 5, 7
CELL, CLOSED = 0.01, 0.02  # of the grid; from value to value where gaps are closed
CATEGORIES = {"categorical_features": [ERL, POX]}
TRUE_MASKS = masks.alternating([False, *[True] * 9], 6)  # the first column conditions the others
WAYS = {
    "yeast": {
        "default": {},
        "16 bins": {"n_bins": 16},
        "5 flows": {"n_estimators": 5},
        "10 layers": {"n_layers": 10},
        "gaps closed": {},
        "categories": CATEGORIES,
        "categories and spike": CATEGORIES,
    },
    "funnel": {
        "flow alone": {"component_weight": 0},
        "flow alone, 16 bins": {"component_weight": 0, "n_bins": 16},
        "flow alone, true masks": {"component_weight": 0, "mask_layout": TRUE_MASKS},
        "flow alone, 3 flows": {"component_weight": 0, "n_estimators": 3},
        "default": {},
        "3 flows": {"n_estimators": 3},
        "flow alone, 216 epochs for 72": {"component_weight": 0, "max_iter": 216},
    },
}


def without_gaps(column, values):
    """Values of a column near some values, which are moved next to each other."""
    nearest = np.abs(column[:, None] - values).argmin(axis=1)
    return column - values[nearest] + CLOSED * nearest


def prepared_yeast(way, data_home):
    """Rows, and what is added to their log-densities for values that were not spread."""
    bunch = datasets.fetch_yeast(data_home=data_home)
    exact, X = bunch.data[bunch.train_indices], load("yeast-jittered", 0, data_home).X_train.copy()
    added = np.zeros(len(X))
    if way == "gaps closed":
        for j in (ERL, POX):
            X[:, j] = without_gaps(X[:, j], np.unique(exact[:, j]))
    if way.startswith("categories"):
        X[:, [ERL, POX]] = exact[:, [ERL, POX]]
        added -= 2 * np.log(CELL)
    if way.endswith("spike"):
        values, counts = np.unique(exact[:, NUC], return_counts=True)
        frequent = exact[:, NUC] == values[counts.argmax()]
        X[frequent, NUC] = exact[frequent, NUC]
        added -= np.log(CELL) * frequent
    return X, added


def yeast(way, data_home):
    X, added = prepared_yeast(way, data_home)
    bits = []
    for seed in range(3):
        held_out, rows = np.split(np.random.default_rng(seed).permutation(len(X)), [len(X) // 5])
        flow = CouplingFlowDensity(random_state=0, **WAYS["yeast"][way]).fit(X[rows])
        log_prob = flow.score_samples(X[held_out]) + added[held_out]
        bits.append(-log_prob.mean() / (X.shape[1] * np.log(2)))
    return {"mean": round(np.mean(bits), 4), "splits": np.round(bits, 4).tolist()}


def funnel(way, _):
    table = load("funnel-10", 77, None)
    X, new = table.X_train, table.tests["test"][:10_000]
    flow = CouplingFlowDensity(random_state=0, **WAYS["funnel"][way]).fit(X)
    gaps = (table.true_log_prob(new) - flow.score_samples(new)) / X.shape[1]
    far = (np.abs((new - X.mean(axis=0)) / X.std(axis=0)) > 5).any(axis=1)
    of_far = round(gaps[far].sum() / len(gaps), 4)
    return {"mean": round(gaps.mean(), 4), "of far rows": of_far, "n_far": int(far.sum())}


def page(records):
    def lines(table, *what):
        found = ((way, records.get(f"{table} | {way}")) for way in WAYS[table])
        return [[way, *(f"{r[w]:.3f}" for w in what)] for way, r in found if r]

    shown = markdown(["bits a dimension"], lines("yeast", "mean"), "yeast, jittered, inner rows")
    head = ["nats a dimension from the truth", "of it beyond 5 standard deviations"]
    return f"{shown}\n{markdown(head, lines('funnel', 'mean', 'of far rows'), 'funnel of ten')}"


def plan(data_home, _):
    for measure in (yeast, funnel):
        for way in WAYS[measure.__name__]:
            yield f"{measure.__name__} | {way}", partial(measure, way, data_home)


if __name__ == "__main__":
    run(__doc__, plan, page)
