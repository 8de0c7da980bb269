"""What the scripts of this folder share: the paper's flow, trained as stacks of models."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import sklearn.datasets
from scipy import stats
from sklearn.model_selection import train_test_split

from skflow import CouplingFlowDensity, Training, datasets

N_STEPS = 1250  # of the final training
SINGLE_LAYER = {"coupling": "affine", "hidden_layer_sizes": ()}


def load(name, data_home=None):
    """Training rows, sets of test rows by name, and the batch size of one of the paper's tables."""
    table = getattr(datasets, f"fetch_{name}")(data_home=data_home)
    tests = {"test": table.data[table.test_indices]}
    return table.data[table.train_indices], tests, table.batch_size


def rows_of(table, data_home):
    """Training rows, held-out rows and the batch size."""
    if table == "turbine":
        turbine = datasets.fetch_turbine(data_home=data_home)
        X = turbine.data
        return X[turbine.fit_indices], X[turbine.heldout_indices], turbine.batch_size
    if table in ("magic", "yeast"):
        X, tests, batch_size = load(table, data_home)
        return X, tests["test"], batch_size
    X = getattr(sklearn.datasets, f"load_{table.replace('-', '_')}")().data
    if table == "diabetes":
        X = np.delete(X, 1, axis=1)  # two values have no density
    X, held_out = train_test_split(X, test_size=0.25, random_state=0)
    return X, held_out, 64


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


def interval(values, others):
    """The 95 % interval of the mean paired difference, bold where p < 0.01."""
    test = stats.ttest_rel(values, others)
    low, high = test.confidence_interval()
    stars = "**" if test.pvalue < 0.01 else ""
    return f"{stars}{low:+.3f} to {high:+.3f}{stars}"


def layout_table(records, cells, names):
    """Nats of layouts, as Markdown, with their paired intervals less parity.

    A column for each cell, a pair of a name and a depth, of ``records[(*cell, layout)]``.
    """
    head = " | ".join(f"{name}, {depth} layers" for name, depth in cells)
    lines = [f"| | {head} |", "|---|" + "---:|" * len(cells)]
    for name in names:
        texts = []
        for cell in cells:
            nats = records.get((*cell, name), {}).get("nats")
            text = "" if nats is None else f"{np.mean(nats):.3f}"
            if text and name != "parity":
                text += f" ({interval(nats, records[(*cell, 'parity')]['nats'])})"
            texts.append(text)
        if any(texts):
            lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


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
