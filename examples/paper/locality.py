"""Locality on tables that are no images: 50 to 166 columns, in order and shuffled.

    python examples/paper/locality.py --output examples/paper/locality.json \
        --markdown examples/paper/results_locality.md

As ``digits.py`` has it, in the paper's architecture: twenty flows of each layout, compared in
pairs; the rows are those of ``sparse_flows.py``. Columns of sonar are the energies of 60
neighbouring frequencies, those of musk 162 distances along rays from a molecule and four more,
those of optdigits 8 x 8 counts of dark pixels, row by row (as in ``digits.py`` without those that
are nearly constant). A layout that is missing has not been run.
"""

from functools import partial
from itertools import product

import numpy as np
from _flows import SINGLE_LAYER, layout_table, measured, run
from _tables import split
from digits import layout_of

TABLES = ("sonar", "musk", "optdigits")
LAYOUTS = (
    *("parity", "parity, shuffled", "random, alternating", "random"),
    *("derived", "derived, shuffled", "searched", "searched, shuffled"),
)
DEPTHS, N_MODELS = (2, 4), 20


def measure(table, depth, name, data_home):
    """Nats a dimension on held-out rows, of every flow."""
    X, held_out = split(table, data_home, 2000, 1000, most_frequent=0.95)
    place = np.zeros(X.shape[1])  # no layout asks for rows and columns of an image
    layout, shuffled = layout_of(name, depth, N_MODELS, place, place)
    if shuffled:
        order = np.random.default_rng(1).permutation(X.shape[1])
        X, held_out = X[:, order], held_out[:, order]
    return measured(layout, depth, X, held_out, N_MODELS, max_iter=40, **SINGLE_LAYER)


def page(records):
    cells = [f"{table} | {depth}" for table in TABLES for depth in DEPTHS]
    return layout_table(records, cells, LAYOUTS)


def plan(data_home, _):
    for name, table, depth in product(LAYOUTS, TABLES, DEPTHS):
        yield f"{table} | {depth} | {name}", partial(measure, table, depth, name, data_home)


if __name__ == "__main__":
    run(__doc__, plan, page)
