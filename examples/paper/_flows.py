"""What the scripts of this folder share: the paper's flow as stacks of models, and results."""

import argparse
import json
import math
import os
import re
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from skflow import CouplingFlowDensity, Training

N_STEPS = 1250  # of the final training
SINGLE_LAYER = {"coupling": "affine", "hidden_layer_sizes": ()}
CONDITIONERS = {
    "single-layer": SINGLE_LAYER,
    "affine (64, 64)": {"coupling": "affine", "hidden_layer_sizes": (64, 64)},
    "spline (64, 64)": {"coupling": "spline", "hidden_layer_sizes": (64, 64)},
}


def epochs(n_rows, batch_size, n_steps=N_STEPS):
    """``max_iter`` of so many optimizer steps."""
    return n_steps / max(1, n_rows // min(batch_size, n_rows))


def recipe(n_rows, batch_size, n_steps=N_STEPS, n_init=1):
    """Training as by default, but for the paper's batches and number of steps, and no tails."""
    n_fitted = n_rows - math.ceil(0.1 * n_rows)
    return {
        "training": Training(batch_size=batch_size, n_iter_no_change=None, n_init=n_init),
        "max_iter": epochs(n_fitted, batch_size, n_steps),
        "component_weight": 0,
    }


def fit(layout, depth, X, n_models, seed=0, **params):
    """Models trained side by side, and the processor seconds; their seeds follow from `seed`.

    Model k of a call has the same split, batches and start as model k of another with this seed,
    so that structures can be compared in pairs.
    """
    start = time.process_time()
    model = CouplingFlowDensity(
        depth, mask_layout=layout, n_estimators=n_models, random_state=seed, **params
    ).fit(X)
    return model, time.process_time() - start


def bits(model, X):
    """Bits per dimension of every single model, in the units of the data.

    As an estimator the models are one density, their average; here each stands for itself, with
    the broad components, if there are any, in the same weights. That is not part of the public
    interface.
    """
    Z = (X - model.location_) / model.scale_
    mixture = model._density.mixture
    flow = mixture.models["flow"]
    singles = [{**mixture.models, "flow": flow.take(k)} for k in range(flow.n_members)]
    log_probs = np.array([replace(mixture, models=models).log_prob(Z) for models in singles])
    log_prob = log_probs.mean(axis=1) - np.log(model.scale_).sum()
    return -log_prob / (X.shape[1] * math.log(2))


def measured(layout, depth, X, X_test, n_models, **params):
    """Nats a dimension on the test rows of every model, and processor seconds of a model."""
    model, seconds = fit(layout, depth, X, n_models, component_weight=0, **params)
    nats = math.log(2) * bits(model, X_test)
    return {"nats": nats.round(4).tolist(), "seconds": round(seconds / n_models, 2)}


def difference(nats, layout):
    """Mean difference of a layout from parity over paired flows, and its standard error."""
    differences = np.subtract(nats[layout], nats["parity"])
    return differences.mean(), differences.std(ddof=1) / math.sqrt(len(differences))


def interval(values, others):
    """The 95 % interval of the mean paired difference, bold where p < 0.01."""
    test = stats.ttest_rel(values, others)
    low, high = test.confidence_interval()
    stars = "**" if test.pvalue < 0.01 else ""
    return f"{stars}{low:+.3f} to {high:+.3f}{stars}"


def markdown(head, rows, first=""):
    """A table with a column of names and such of numbers."""
    head, *rows = (f"| {' | '.join(line)} |\n" for line in ([first, *head], *rows))
    return f"{head}|---|{'---:|' * (head.count('|') - 2)}\n{''.join(rows)}"


def layout_table(records, cells, names):
    """Nats of layouts, as Markdown, with their paired intervals less parity.

    A column for each cell, a pair of a name and a depth, of ``records["name | depth | layout"]``.
    """

    def text(cell, name):
        nats, parity = (records.get(f"{cell} | {n}", {}).get("nats") for n in (name, "parity"))
        if nats is None:
            return ""
        compared = "" if name == "parity" else f" ({interval(nats, parity)})"
        return f"{np.mean(nats):.3f}{compared}"

    cells = {cell: f"{cell.replace(' |', ',')} layers" for cell in cells}
    cells = {cell: title for cell, title in cells.items() if f"{cell} | parity" in records}
    rows = [[name, *(text(cell, name) for cell in cells)] for name in names]
    return markdown(cells.values(), [row for row in rows if any(row[1:])])


class Given:
    """Layout that hands out structures, the next one to each model."""

    def __init__(self, structures):
        self.structures = iter(structures)

    def make(self, n_layers, n_features, *, random_state=None):
        return next(self.structures)


class Results:
    """Records in a JSON file, found again by their keys; an interrupted run goes on there.

    Without a path they are kept in memory.
    """

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        exists = self.path is not None and self.path.exists()
        self.records = json.loads(self.path.read_text(encoding="utf-8")) if exists else {}

    def get(self, key, make):
        """The record of this key, made now and written at once if there is none."""
        if key not in self.records:
            self.records[key] = make()
            if self.path is not None:
                self._write()
        return self.records[key]

    def _write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entries = (f"{json.dumps(key)}: {json.dumps(r)}" for key, r in sorted(self.records.items()))
        self.path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def parser_of(doc):
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = os.environ.get("SKFLOW_DATA")
    parser.add_argument("--data-home", default=home, help="directory of the data, see _tables.py")
    parser.add_argument("--markdown", help="page to write")
    return parser


def run(doc, plan, page=None, draw=None):
    """The command line of a script.

    Parameters
    ----------
    doc : str
    plan : callable
        Of the folder of the data and the records so far; yields keys and functions that measure.
        In what is in the JSON file nothing is run again.
    page, draw : callable
        The page as a string, of the records; and the picture, of the records and a path.
    """
    parser = parser_of(doc)
    parser.add_argument("--output", default=f"{Path(sys.argv[0]).stem}.json", help="JSON file")
    parser.add_argument("--only", default="", help="a regular expression of the keys to run")
    parser.add_argument("--figure", help="picture to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    results = Results(arguments.output)
    for key, measure in plan(arguments.data_home, results.records):
        if re.search(arguments.only, key):
            print(key, str(results.get(key, measure))[:200], flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results.records), encoding="utf-8")
    if arguments.figure:
        draw(results.records, arguments.figure)
