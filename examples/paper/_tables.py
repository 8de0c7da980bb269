"""The tables of the scripts in this folder, and how they are split.

Those of scikit-learn are always there; the paper's are looked for as ``skflow.datasets`` does,
those of ADBench and UCI as ``outliers/NAME.npz`` (``X``, and ``y`` that marks the outliers, which
are left out) and ``regression/NAME.csv.gz`` in ``--data-home``.
"""

from pathlib import Path

import numpy as np
import sklearn.datasets
from sklearn.model_selection import train_test_split

from skflow import datasets

BUNDLED = ("wine", "breast-cancer", "diabetes", "digits", "iris")
PAPER = ("sonar", "yeast", "turbine", "magic")
OUTLIERS = (
    *("vertebral", "stamps", "glass", "ionosphere", "breastw", "thyroid", "annthyroid"),
    *("cardiotocography", "donors", "fault", "landsat"),
)
MANY_COLUMNS = ("optdigits", "musk")
REGRESSION = ("yacht", "energy", "concrete", "power-plant", "kin8nm", "wine-quality-red")
SPREAD = 0.1


def bundled(name):
    return getattr(sklearn.datasets, f"load_{name.replace('-', '_')}")().data


def load(name, data_home=None):
    """Training rows, test rows, and the batch size of one of the paper's tables."""
    table = getattr(datasets, f"fetch_{name}")(data_home=data_home)
    return table.data[table.train_indices], table.data[table.test_indices], table.batch_size


def rows_of(table, data_home):
    """Training rows, held-out rows and the batch size."""
    if table == "turbine":
        turbine = datasets.fetch_turbine(data_home=data_home)
        X = turbine.data
        return X[turbine.fit_indices], X[turbine.heldout_indices], turbine.batch_size
    if table in PAPER:
        return load(table, data_home)
    X = bundled(table)
    if table == "diabetes":
        X = np.delete(X, 1, axis=1)  # two values have no density
    X, held_out = train_test_split(X, test_size=0.25, random_state=0)
    return X, held_out, 64


def ordinary_rows(name, data_home):
    """The rows of a table but for outliers, of the paper's those of its training part."""
    folder = Path(data_home or ".")
    if name in BUNDLED:
        return bundled(name)
    if name in PAPER:
        table = getattr(datasets, f"fetch_{name}")(data_home=data_home)
        return table.data[table.fit_indices if name == "turbine" else table.train_indices]
    if name in REGRESSION:
        return np.loadtxt(folder / "regression" / f"{name}.csv.gz", delimiter=",", skiprows=1)
    with np.load(folder / "outliers" / f"{name}.npz") as table:
        return table["X"][table["y"] == 0]


def split(name, data_home, n_train=1200, n_test=1500, most_frequent=1.0):
    """Training and test rows, in standard deviations, each value spread by a tenth of one.

    Columns are left out of which one value fills the part ``most_frequent`` of the rows.
    """
    X, rng = ordinary_rows(name, data_home), np.random.default_rng([*name.encode()])
    counts = [np.unique(values, return_counts=True)[1].max() for values in X.T]
    X = rng.permutation(X[:, np.array(counts) < most_frequent * len(X)])
    n_test = min(n_test, len(X) // 3)
    X = X[: n_test + n_train]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Z += SPREAD * rng.standard_normal(Z.shape)
    return Z[n_test:], Z[:n_test]
