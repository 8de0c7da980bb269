"""Does the structure matter for the default flow, six layers of splines with hidden layers?

    python examples/paper/deep_flows.py --output examples/paper/deep_flows.json \
        --markdown examples/paper/results_deep.md

Three flows for each layout and table, of at most 1200 rows, 30 epochs each, without components
beside them; nine where there are fewer than 500 rows, as flows differ more there. Flow k of every
layout has the same rows for validation, start and batches, so that layouts are compared in pairs.
Rows that nobody saw are scored: of the paper's tables a third of the training part, so that no test
row is looked at. Each value is spread by a tenth of its column's standard deviation, as on a grid a
likelihood has no bound.

parity, derived
    As the strings of ``mask_layout``.
one derived pair, repeated
    ``masks.Repeat("derived")``: every pair of layers has the first of the derived pairs.
random pairs
    A random mask and its complement for each pair of layers.

In what is in the JSON file nothing is run again.
"""

from functools import partial

import numpy as np
from _flows import difference, markdown, measured, run
from _tables import BUNDLED, OUTLIERS, PAPER, REGRESSION, split

from skflow import masks


def random_pairs(n_layers, n_features, random_state):
    """A random mask and its complement for each pair of layers."""
    firsts = masks.random((n_layers + 1) // 2, n_features, random_state=random_state)
    return np.concatenate([masks.alternating(first, 2) for first in firsts])[:n_layers]


LAYOUTS = {
    "parity": "parity",
    "random pairs": random_pairs,
    "one derived pair, repeated": masks.Repeat("derived"),
    "derived": "derived",
}


def measure(name, data_home, depth=6, layouts=LAYOUTS, n_models=None, **params):
    """Nats a dimension on the test rows, of every flow of every layout."""
    X, X_test = split(name, data_home)
    n_models = n_models or (3 if len(X) >= 500 else 9)
    record = {"rows": len(X), "columns": X.shape[1], "nats": {}, "seconds": {}}
    for layout, made in layouts.items():
        for key, value in measured(made, depth, X, X_test, n_models, **params).items():
            record[key][layout] = value
    return record


def page(records):
    others = [layout for layout in LAYOUTS if layout != "parity"]

    def compared(record):
        return [difference(record["nats"], layout) for layout in others]

    ordered = sorted(records.items(), key=lambda item: compared(item[1])[-1][0])
    means = np.array([[mean for mean, _ in compared(record)] for record in records.values()])
    rows = [
        [
            name,
            f"{record['rows']} x {record['columns']}",
            f"{np.mean(record['nats']['parity']):.3f}",
            *(f"{mean:+.3f} ({error:.3f})" for mean, error in compared(record)),
        ]
        for name, record in ordered
    ]
    told = [f"**{mean:+.3f}**" for mean in means.mean(axis=0)]
    rows.append([f"mean of {len(means)} tables", "", "", *told])
    rows.append(["tables ahead of parity", "", "", *map(str, (means < 0).sum(axis=0))])
    return markdown(["rows x columns", "parity", *others], rows, "table")


def plan(data_home, _):
    for name in (*BUNDLED, *PAPER, *OUTLIERS, *REGRESSION):
        yield name, partial(measure, name, data_home, max_iter=30)


if __name__ == "__main__":
    run(__doc__, plan, page)
