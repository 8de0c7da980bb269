"""Draws that pool: are 95 % intervals of coefficients from filled tables right, by Rubin's rules?

    python examples/benchmarks/pooling.py --repetitions 200 --output pooling.csv

A table of 250 rows is drawn again and again from a known population, loses cells, is filled
several times, and the regression of the last column on the others is computed from each: estimates
are averaged, and the variance between tables is added to that within (Rubin 1987, with the degrees
of freedom of Barnard and Rubin 1999). Cells are missing the more often the larger the first column,
which is known. Which part of the intervals has the truth within? A line is appended as soon as it
is known; an interrupted run goes on where it stopped.
"""

import argparse
import time
import warnings

import numpy as np
from _imputers import chained, matched
from _results import ResultsFile
from scipy import stats

from skflow import FlowImputer

N_ROWS, N_TABLES, LEVEL = 250, 20, 0.95
SLOPES = np.array([1.0, 0.8, -0.5, 0.3])  # the intercept first
KEY = ["method", "missing", "seed"]
FIELDS = [*KEY, "covered", "width", "width_whole", "seconds", "error"]
METHODS = {  # of a table with missing cells and a seed, filled tables (n, d, N_TABLES)
    "skflow": lambda X, seed: FlowImputer(random_state=seed).fit(X).sample(X, N_TABLES),
    "matching": lambda X, seed: matched(X, N_TABLES, seed),
    "chained trees": lambda X, seed: chained(X, N_TABLES, seed),
}


def population(rng):
    """Three dependent columns, one of them skew, and the target."""
    X = rng.standard_normal((N_ROWS, 3))
    X[:, 1] = 0.6 * X[:, 0] + 0.8 * X[:, 1]
    X[:, 2] = np.exp(0.5 * X[:, 2]) + 0.4 * X[:, 0]
    y = SLOPES[0] + X @ SLOPES[1:] + rng.standard_normal(N_ROWS)
    return np.column_stack([X, y])


def with_missing(table, part, rng):
    rank = table[:, :1].argsort(axis=0).argsort(axis=0) / len(table)
    missing = rng.uniform(size=table.shape) < 2 * part * rank
    missing[:, 0] = False
    return np.where(missing, np.nan, table)


def regression(table):
    """Coefficients of the last column on the others, and the squares of their errors."""
    design = np.column_stack([np.ones(len(table)), table[:, :-1]])
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ table[:, -1]
    residual = table[:, -1] - design @ found
    dof = len(table) - design.shape[1]
    return found, np.diag(inverse) * (residual @ residual / dof)


def pooled(tables):
    """Estimates and half-widths of their intervals, by Rubin's rules."""
    found, within = np.moveaxis([regression(table) for table in tables], 1, 0)
    n_tables, dof = len(tables), len(tables[0]) - found.shape[1]
    between = (1 + 1 / n_tables) * found.var(axis=0, ddof=1)
    total = within.mean(axis=0) + between
    part = between / total
    of_tables = (n_tables - 1) / part**2
    of_rows = (dof + 1) / (dof + 3) * dof * (1 - part)
    dof = 1 / (1 / of_tables + 1 / of_rows)
    return found.mean(axis=0), stats.t.ppf((1 + LEVEL) / 2, dof) * np.sqrt(total)


def measure(method, missing, seed):
    rng = np.random.default_rng(seed)
    whole = population(rng)
    incomplete = with_missing(whole, missing, rng)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tables = np.moveaxis(METHODS[method](incomplete, seed), 2, 0)
    seconds = time.process_time() - start
    estimate, width = pooled(tables)
    variances = regression(whole)[1]
    width_whole = stats.t.ppf((1 + LEVEL) / 2, N_ROWS - len(SLOPES)) * np.sqrt(variances)
    covered = (np.abs(estimate - SLOPES) < width).mean()
    found = {"covered": covered, "width": width.mean(), "width_whole": width_whole.mean()}
    return found | {"seconds": seconds}, f"covered {covered:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--missing", nargs="+", type=float, default=[0.2])
    add("--repetitions", type=int, default=200)
    add("--output", default="pooling.csv")
    args = parser.parse_args()
    results = ResultsFile(args.output, KEY, FIELDS)
    seeds = range(args.repetitions)
    results.complete(
        [(m, part, seed) for seed in seeds for part in args.missing for m in args.methods], measure
    )
    found = results.read()
    found = found[found.error.isna()].groupby(["method", "missing"])
    table = found[["covered", "width", "width_whole", "seconds"]].mean().round(3)
    table["repetitions"] = found.size()
    print(table.to_string())


if __name__ == "__main__":
    main()
