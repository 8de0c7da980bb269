"""Do calibrated intervals of ``FlowRegressor`` hold what they promise, over many fits?

    python examples/benchmarks/interval_coverage.py --datasets yacht energy concrete --fits 60

Of the training rows of the first published split of a table (see ``regression.py``; its test rows
are left alone), a tenth is drawn at random, again and again; a small regressor, with a tree for its
mean that overfits, is fitted to the others, and the tenth's 90 % intervals are counted. If nothing
that is fitted sees the rows that calibrate, the mean is ``k / (m + 1)``, with m such rows and
``k = ceil(0.9 (m + 1))``, and single fits spread about it as beta-binomial numbers do.
"""

import argparse
import warnings

import numpy as np
from regression import DATASETS, data_home, load, spread_of_coverage
from sklearn.tree import DecisionTreeRegressor

from skflow import FlowRegressor


def covered(X, y, seed):
    """Numbers of rows drawn, and the part of them within their intervals, of one fit."""
    order = np.random.default_rng(seed).permutation(len(X))
    new, old = np.split(order, [round(len(X) / 10)])
    small = FlowRegressor(
        n_estimators=1,
        hidden_layer_sizes=(32,),
        max_iter=20,
        mean_estimator=DecisionTreeRegressor(),
        random_state=seed,
    )
    low, high = small.fit(X[old], y[old]).predict_interval(X[new]).T
    return len(new), np.mean((low <= y[new]) & (y[new] <= high))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--datasets", nargs="+", default=("yacht", "energy", "concrete"), choices=DATASETS)
    add("--fits", type=int, default=60)
    add("--data-home", default=data_home())
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in args.datasets:
        (X, y), _ = load(name, 0, args.data_home)
        n_new, parts = zip(*(covered(X, y, seed) for seed in range(args.fits)))
        aside, mean, std = spread_of_coverage(len(X), n_new[0])
        error = np.std(parts, ddof=1) / np.sqrt(args.fits)
        print(
            f"{name}: {np.mean(parts):.1%} +- {error:.1%} (expected {mean:.1%}), single fits "
            f"+- {np.std(parts, ddof=1):.1%} (expected {std:.1%}): {args.fits} fits, "
            f"{n_new[0]} new rows in each, {aside} set aside",
            flush=True,
        )


if __name__ == "__main__":
    main()
