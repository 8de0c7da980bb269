"""Does it pay to say what the bounds of columns are?

Default flows with and without ``bounds`` on tables with positive columns or fractions, and on two
that are drawn: mean log-density of held-out rows in nats a dimension, which is in the same units
with and without bounds, and the part of 10,000 rows drawn from the density that have a value beyond
them. Splits and fits are paired by seed.

    python examples/benchmarks/bounds.py --seeds 3
"""

import argparse
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import train_test_split

from skflow import CouplingFlowDensity


def tables():
    """Names, rows and bounds; all from public tables that come with scikit-learn, or drawn."""
    rng = np.random.RandomState(0)
    for load in (load_iris, load_wine, load_breast_cancer):
        X = load().data
        # rounded values repeat, where a density can grow without bound
        X = X + rng.uniform(0, 1e-3, X.shape) * X.std(axis=0)
        yield load.__name__.removeprefix("load_"), X, (0, None)
    dependent = rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 4))
    yield "lognormal", np.exp(0.7 * dependent), (0, None)
    common = 1 + rng.uniform(size=(2000, 1))
    yield "exponential", common * rng.exponential(size=(2000, 4)), (0, None)
    yield "fractions", 1 / (1 + np.exp(-dependent)), (0, 1)
    yield "uniform", rng.uniform(size=(2000, 4)), (0, 1)


def measure(X, bounds, seed, **params):
    """Score of held-out rows (nats a dimension), and rows sampled."""
    X_train, X_test = train_test_split(X, test_size=0.2, random_state=seed)
    flow = CouplingFlowDensity(bounds=bounds, random_state=seed, **params).fit(X_train)
    return flow.score(X_test) / X.shape[1], flow.sample(10_000, random_state=seed, tails=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-iter", type=float, help="epochs; the default's number if not given")
    parser.add_argument("--tables", nargs="*", help="names of tables; all if not given")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    params = {} if args.max_iter is None else {"max_iter": args.max_iter}
    print("| table | rows x columns | without | with | difference | outside without | with |")
    print("|---|---|---|---|---|---|---|")
    for name, X, bounds in tables():
        if args.tables and name not in args.tables:
            continue
        scores, outside = [], []
        for seed in range(args.seeds):
            results = [measure(X, given, seed, **params) for given in (None, bounds)]
            scores.append([score for score, _ in results])
            low, high = bounds[0], np.inf if bounds[1] is None else bounds[1]
            outside.append(
                [np.logical_or(low > S, high < S).any(axis=1).mean() for _, S in results]
            )
        without, with_bounds = np.transpose(scores)
        gain = with_bounds - without
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        parts = np.mean(outside, axis=0)
        print(
            f"| {name} | {X.shape[0]} x {X.shape[1]} | {without.mean():.3f} "
            f"| {with_bounds.mean():.3f} | {gain.mean():+.3f} ({error:.3f}) "
            f"| {100 * parts[0]:.1f} % | {100 * parts[1]:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
