"""How many sampled rows nobody would believe: by default, and of the whole density.

For every table and seed a flow is fitted, and 5000 rows are drawn twice. A value is far if it lies
beyond the range of its column among the rows of the fit, widened by a tenth on each side, or is
negative where none of these is. Of a constant column every other value is far.

    python samples.py --seeds 3 --max-iter 10
"""

import argparse
import warnings

import numpy as np
import sklearn.datasets

import skflow.datasets
from skflow import CouplingFlowDensity

N_DRAWS, MOST_ROWS = 5000, 2000
TABLES = "census iris wine diabetes breast_cancer sonar yeast magic turbine digits".split()


def census(rng):
    """Incomes, ages and numbers of persons, as a census has them."""
    age = rng.uniform(18, 90, 2000)
    income = np.exp(rng.normal(10.3, 0.5, 2000) + 0.3 * np.sin(age / 15))
    return np.column_stack([income, age.round(), 1 + rng.poisson(1.4, 2000)])


def table(name):
    if name == "census":
        return census(np.random.RandomState(0))
    load = getattr(sklearn.datasets, f"load_{name}", None)
    load = load or getattr(skflow.datasets, f"fetch_{name}")
    return np.asarray(load().data, dtype=float)


def far_parts(X, drawn):
    """Parts of the values and of the rows that are far."""
    low, high = X.min(axis=0), X.max(axis=0)
    margin = (high - low) / 10
    low = np.where(low >= 0, np.maximum(low - margin, 0), low - margin)
    far = (drawn < low) | (drawn > high + margin)
    return far.mean(), far.any(axis=1).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-iter", type=float, default=10)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of constant columns
    print("| table | rows x columns | values, whole | rows | values, default | rows |")
    print("|---|---|---|---|---|---|")
    for name in arguments.tables:
        found = []
        for seed in range(arguments.seeds):
            X = np.random.RandomState(seed).permutation(table(name))[:MOST_ROWS]
            size = {"n_layers": 4, "max_iter": arguments.max_iter}
            flow = CouplingFlowDensity(**size, dequantize=True, random_state=seed)
            flow.fit(X)
            whole, default = (flow.sample(N_DRAWS, seed, tails=tails) for tails in (True, False))
            found.append([*far_parts(X, whole), *far_parts(X, default)])
        parts = " | ".join(f"{part:.2%}" for part in np.mean(found, axis=0))
        print(f"| {name} | {len(X)} x {X.shape[1]} | {parts} |", flush=True)


if __name__ == "__main__":
    main()
