"""Locality on tables that are no images: 50 to 166 columns, in order and shuffled.

    python examples/paper/locality.py --output examples/paper/locality.json \
        --markdown examples/paper/results_locality.md

As ``digits.py`` has it, in the paper's architecture: twenty flows of each layout, compared in
pairs; the rows are those of ``sparse_flows.py``. Columns of sonar are the energies of 60
neighbouring frequencies, those of musk 162 distances along rays from a molecule and four more,
those of optdigits 8 x 8 counts of dark pixels, row by row (as in ``digits.py`` without those that
are nearly constant). A layout that is missing has not been run.
"""

import argparse
import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from _flows import SINGLE_LAYER, Results, bits, fit, layout_table
from digits import layout_of
from sparse_flows import split

TABLES = ("sonar", "musk", "optdigits")
LAYOUTS = (
    *("parity", "parity, shuffled", "random, alternating", "random"),
    *("derived", "derived, shuffled", "searched", "searched, shuffled"),
)
DEPTHS, N_MODELS = (2, 4), 20


def measure(table, depth, name, data_home):
    """Nats a dimension on held-out rows, of every flow."""
    X, held_out = split(table, data_home)
    place = np.zeros(X.shape[1])  # no layout asks for rows and columns of an image
    layout, shuffled = layout_of(name, depth, N_MODELS, place, place)
    if shuffled:
        order = np.random.default_rng(1).permutation(X.shape[1])
        X, held_out = X[:, order], held_out[:, order]
    model, seconds = fit(
        layout, depth, X, N_MODELS, max_iter=40, component_weight=0, **SINGLE_LAYER
    )
    nats = np.log(2) * bits(model, held_out)
    return {"nats": nats.round(4).tolist(), "seconds": round(seconds / N_MODELS, 2)}


def page(results):
    records = {}
    for key, record in results.records.items():
        table, depth, name = key.split(" | ")
        records[table, int(depth), name] = record
    cells = [(table, depth) for table in TABLES for depth in DEPTHS]
    cells = [cell for cell in cells if (*cell, "parity") in records]
    return layout_table(records, cells, LAYOUTS)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA", "."))
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--output", default="locality.json", help="JSON file of the results")
    parser.add_argument("--markdown", help="page to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    results = Results(arguments.output)
    for name in LAYOUTS:
        for table in arguments.tables:
            for depth in DEPTHS:
                chosen = (table, depth, name, arguments.data_home)
                record = results.get(f"{table} | {depth} | {name}", partial(measure, *chosen))
                told = f"{np.mean(record['nats']):.4f}, {record['seconds']} s"
                print(f"{table}, {depth} layers, {name}: {told}", flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
