"""What the outlier detector says beside the score: reasons, usual values, and lists.

    python examples/benchmarks/outlier_reasons.py --output outlier_reasons.md

- Reasons: one value of an ordinary new row is moved by four standard deviations, or replaced by
  that of another row that lies far from it; how often is its column the first in the report?
- Usual values: how often the intervals of the report hold the value of an ordinary new row.
- Lists: with 18 such errors among the rows of the fit, how many of the 18 most unusual rows stay
  when a column of three values that says nothing is left out, or when the seed is another.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn.datasets
from _outlier_data import _fetch
from outliers import markdown
from pandas import DataFrame

from skflow import FlowOutlierDetector

MAX_ROWS = 1500


def tables(data_home):
    """Name and rows of the tables, in an order of chance."""
    for name in ("wine", "breast_cancer", "iris", "diabetes"):
        yield name, getattr(sklearn.datasets, f"load_{name}")().data[:, :10]
    for name in ("magic", "turbine", "yeast"):
        yield name, _fetch(name, data_home)[0]


def shuffled(X, rng):
    return rng.permutation(X)[:MAX_ROWS]


def planted(rows, X, rng):
    """Rows with one error each, by size or by another row's value, and their columns."""
    columns = rng.integers(X.shape[1], size=len(rows))
    spread, changed = X.std(axis=0), rows.copy()
    for i, j in enumerate(columns):
        others = rng.permutation(X[:, j])
        far = others[np.abs(others - rows[i, j]) > 2.5 * spread[j]]
        moved = rows[i, j] + rng.choice([-4, 4]) * spread[j]
        changed[i, j] = far[0] if i % 2 and len(far) else moved
    return changed, columns


def reasons(X, rng, seed):
    """Part of planted errors found that are named first, that are found, and coverage."""
    n = min(60, len(X) // 5)
    new, X = X[:n], X[n:]
    detector = FlowOutlierDetector(random_state=seed).fit(X)
    rows, columns = planted(new, X, rng)
    first = detector.explain(rows).argmax(axis=1) == columns
    found = detector.pvalue(rows) <= 0.1
    _, usual = detector._explained(new, 0.9)
    inside = (usual[..., 0] <= new) & (new <= usual[..., 1])
    return [n, first.mean(), first[found].mean(), found.mean(), inside.mean()]


def lists(X, rng, seed):
    """Of the 18 most unusual rows, those that stay: without a column of three values, and, for
    comparison, with another seed."""
    n = min(18, len(X) // 10)
    X[:n] = planted(X[:n], X, rng)[0]
    year = rng.integers(2007, 2010, len(X))
    with_year = np.column_stack([X, year])
    chosen = [
        {*FlowOutlierDetector(random_state=s).fit(table).score_samples(table).argsort()[:n]}
        for table, s in ((X, seed), (with_year, seed), (X, seed + 1))
    ]
    return [f"{len(chosen[0] & other)} of {n}" for other in chosen[1:]]


def part_of_reasons(args):
    names = ["rows", "first", "first, of those found", "found (p <= 0.1)", "coverage of 0.9"]
    rows = {}
    for name, X in tables(args.data_home):
        measured = []
        for seed in range(args.seeds):
            rng = np.random.default_rng(seed)
            measured.append(reasons(shuffled(X, rng), rng, seed))
        mean = np.mean(measured, axis=0)
        rows[name] = [f"{mean[0] * args.seeds:.0f}", *(f"{value:.3f}" for value in mean[1:])]
        print(name, *rows[name], flush=True)
    return DataFrame(rows, index=names).T


def part_of_lists(args):
    rows = {}
    for name, X in tables(args.data_home):
        rng = np.random.default_rng(0)
        rows[name] = lists(shuffled(X, rng), rng, 0)
        print(name, *rows[name], flush=True)
    return DataFrame(rows, index=["stay without the column", "stay with another seed"]).T


PARTS = {"reasons": part_of_reasons, "lists": part_of_lists}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, help="for reasons")
    parser.add_argument("--data-home", help="folder of the paper's tables")
    parser.add_argument("--output", help="Markdown page to write")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # columns of few values, EM that has not converged
    text = []
    for name in args.parts:
        table = PARTS[name](args)
        text += [f"### {name[0].upper()}{name[1:]}\n", markdown(table, "table", table.eq("none"))]
    if args.output:
        Path(args.output).write_text("\n".join(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
