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

Of the tables, those of scikit-learn are always there; the paper's are looked for as
``skflow.datasets`` does, those of ADBench and UCI as ``outliers/NAME.npz`` (``X``, and ``y`` that
marks the outliers, which are left out) and ``regression/NAME.csv.gz`` in ``--data-home``. In what
is in the JSON file nothing is run again.
"""

import argparse
import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
from _flows import Results, bits, fit

from skflow import datasets, masks

N_MODELS = 3
N_MODELS_OF_FEW_ROWS = 9
N_TRAIN, N_TEST = 1200, 1500
SPREAD = 0.1
BUNDLED = ("wine", "breast-cancer", "diabetes", "digits")
PAPER = ("sonar", "yeast", "turbine", "magic")
OUTLIERS = (
    *("vertebral", "stamps", "glass", "ionosphere", "breastw", "thyroid", "annthyroid"),
    *("cardiotocography", "donors", "fault", "landsat"),
)
REGRESSION = ("yacht", "energy", "concrete", "power-plant", "kin8nm", "wine-quality-red")


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


def rows(name, data_home):
    """The rows of a table, of the paper's those of its training part."""
    if name in BUNDLED:
        X = getattr(sklearn.datasets, f"load_{name.replace('-', '_')}")().data
    elif name in PAPER:
        table = getattr(datasets, f"fetch_{name}")(data_home=data_home)
        X = table.data[table.fit_indices if name == "turbine" else table.train_indices]
    elif name in OUTLIERS:
        with np.load(Path(data_home, "outliers", f"{name}.npz")) as table:
            X = table["X"][table["y"] == 0]
    else:
        X = np.loadtxt(Path(data_home, "regression", f"{name}.csv.gz"), delimiter=",", skiprows=1)
    return X[:, np.ptp(X, axis=0) > 0]


def split(name, data_home):
    """Training and test rows, spread and in standard deviations."""
    rng = np.random.default_rng([*name.encode()])
    X = rng.permutation(rows(name, data_home))
    n_test = min(N_TEST, len(X) // 3)
    X = X[: n_test + N_TRAIN]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Z += SPREAD * rng.standard_normal(Z.shape)
    return Z[n_test:], Z[:n_test]


def measure(name, data_home):
    """Nats a dimension on the test rows, of every flow of every layout."""
    X, X_test = split(name, data_home)
    record = {"rows": len(X), "columns": X.shape[1], "nats": {}, "seconds": {}}
    n_models = N_MODELS if len(X) >= 500 else N_MODELS_OF_FEW_ROWS
    for layout, made in LAYOUTS.items():
        model, seconds = fit(made, 6, X, n_models, max_iter=30, component_weight=0)
        record["nats"][layout] = (np.log(2) * bits(model, X_test)).round(4).tolist()
        record["seconds"][layout] = round(seconds, 1)
    return record


def page(results):
    others = [layout for layout in LAYOUTS if layout != "parity"]
    lines = [
        "| table | rows x columns | parity | " + " | ".join(others) + " |",
        "|---|---:|---:|" + "---:|" * len(others),
    ]
    means = []
    records = sorted(results.records.items(), key=lambda item: difference(item[1], "derived")[0])
    for name, record in records:
        differences = [difference(record, layout) for layout in others]
        means.append([mean for mean, _ in differences])
        cells = " | ".join(f"{mean:+.3f} ({error:.3f})" for mean, error in differences)
        parity = np.mean(record["nats"]["parity"])
        lines.append(
            f"| {name} | {record['rows']} x {record['columns']} | {parity:.3f} | {cells} |"
        )
    cells = " | ".join(f"**{mean:+.3f}**" for mean in np.mean(means, axis=0))
    lines.append(f"| mean of {len(means)} tables | | | {cells} |")
    cells = " | ".join(f"{n}" for n in (np.array(means) < 0).sum(axis=0))
    lines.append(f"| tables ahead of parity | | | {cells} |")
    return "\n".join(lines) + "\n"


def difference(record, layout):
    """Mean difference from parity over the paired flows, and its standard error."""
    nats = {key: np.array(values) for key, values in record["nats"].items()}
    differences = nats[layout] - nats["parity"]
    return differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA", "."))
    parser.add_argument("--tables", nargs="+", default=[*BUNDLED, *PAPER, *OUTLIERS, *REGRESSION])
    parser.add_argument("--output", default="deep_flows.json", help="JSON file of the results")
    parser.add_argument("--markdown", help="page to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")
    results = Results(arguments.output)
    for name in arguments.tables:
        record = results.get(name, partial(measure, name, arguments.data_home))
        mean, error = difference(record, "derived")
        print(f"{name}: derived less parity {mean:+.4f} ({error:.4f})", flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
