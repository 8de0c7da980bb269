"""Predictive distributions on six UCI tables with the published splits.

    python examples/benchmarks/regression.py --output regression.csv --markdown regression.md

The tables and splits are those of Hernández-Lobato and Adams (2015), prepared in the directory
``regression`` of the data (``SKFLOW_DATA``). Every method is fitted to the training rows of a split
and scored once on its test rows. A line is appended to the CSV file as soon as it is known; what is
in the file is not run again, so that an interrupted run continues where it stopped. The Markdown
page is made of all lines of the file.

The target of wine-quality-red is whole numbers. They are spread evenly over their cells of width 1,
the same for all methods, so that a density means something.

With missing features, against an imputer before the same regressor and boosted quantiles:

    python examples/benchmarks/regression.py --missing 0.2 --rows 2000 --splits 2 \\
        --methods skflow imputed quantile-boosting --output regression_missing.csv
"""

import argparse
import os
import platform
import time
import warnings
from itertools import product
from pathlib import Path

import _regressors
import numpy as np
import pandas as pd
from _results import ResultsFile
from likelihood import processor, version_of
from scipy.stats import betabinom
from threadpoolctl import threadpool_limits

DATASETS = ("yacht", "energy", "concrete", "power-plant", "wine-quality-red", "kin8nm")
KEY = ["dataset", "method", "split"]
N_ROWS = dict(zip(DATASETS, (308, 768, 1030, 9568, 1599, 8192)))
MEASURES = {
    "nll": "negative log-likelihood of the test rows, nats a row",
    "crps": "continuous ranked probability score, units of the target",
    "rmse": "root mean squared error",
    "covered": "part of the test rows within their 90 % intervals",
    "length": "mean length of 90 % intervals",
    "fit_seconds": "processor seconds to fit",
    "predict_seconds": "processor seconds to predict",
}
DIGITS = {"covered": 3, "fit_seconds": 1, "predict_seconds": 1, "kin8nm": 3}
FIELDS = [*KEY, "n_test", *MEASURES, "error"]
#: Means over the 20 splits as published. MC dropout, deep ensembles and CARD: Han, Zheng, Zhou,
#: "CARD: Classification and Regression Diffusion Models", NeurIPS 2022, Table 3. NGBoost: Duan et
#: al., "NGBoost: Natural Gradient Boosting for Probabilistic Prediction", ICML 2020.
PUBLISHED = {
    "concrete": (3.21, 2.93, 2.99, 3.04),
    "energy": (1.50, 1.40, 1.12, 0.60),
    "kin8nm": (-1.14, -1.06, -1.31, -0.49),
    "power-plant": (2.90, 2.89, 2.82, 2.79),
    "yacht": (1.73, 1.11, 0.89, 0.20),
}


def data_home():
    """Where the prepared tables are looked for."""
    return os.environ.get("SKFLOW_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"


def load(name, split, home, most_rows=None, missing=0.0):
    """Training and test rows ``(X, y)`` of a split.

    Of at most so many training rows, drawn at random; a part of the cells of the features is
    missing, completely at random.
    """
    folder = Path(home) / "regression"
    table = pd.read_csv(folder / f"{name}.csv.gz").to_numpy(dtype=float)
    if name == "wine-quality-red":
        table[:, -1] += np.random.default_rng(0).uniform(-0.5, 0.5, len(table))
    test = pd.read_csv(folder / f"{name}.test_rows.csv.gz").iloc[:, split].to_numpy(dtype=bool)
    rng = np.random.default_rng(split)
    table[:, :-1][rng.random((len(table), table.shape[1] - 1)) < missing] = np.nan
    train = np.sort(rng.permutation(np.flatnonzero(~test))[:most_rows])
    return [(rows[:, :-1], rows[:, -1]) for rows in (table[train], table[test])]


def measure(method, train, test, seed):
    """Fit to the training rows, score the test rows."""
    X, y = test
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bounds of kernels, nearly discrete targets
        start = time.process_time()
        predict = _regressors.METHODS[method](*train, seed)
        fitted = time.process_time()
        prediction = predict(X)
        log_density = prediction.log_density
        nll = np.nan if log_density is None else -np.mean(log_density(y))
        stop = time.process_time()
    low, high = np.transpose(prediction.interval)
    error = y[:, None] - prediction.quantiles
    pinball = np.maximum(_regressors.LEVELS * error, (_regressors.LEVELS - 1) * error)
    return {
        "n_test": len(y),
        "nll": nll,
        "crps": 2 * pinball.mean(),
        "rmse": np.sqrt(np.mean((prediction.mean - y) ** 2)),
        "covered": np.mean((low <= y) & (y <= high)),
        "length": np.mean(high - low),
        "fit_seconds": fitted - start,
        "predict_seconds": stop - fitted,
    }


def run(args, results):
    """All combinations that have no result yet, split by split."""

    def measured(name, method, split):
        rows = load(name, split, args.data_home, args.rows, args.missing)
        row = measure(method, *rows, split)
        said = f"NLL {row['nll']:.3f}, CRPS {row['crps']:.3f}, covered {row['covered']:.3f}"
        return row, said

    loops = product(range(args.splits), args.datasets, args.methods)
    results.complete([(name, method, split) for split, name, method in loops], measured)


# ------------------------------------------------------------------------------------------------
# The page


def page(results):
    """The Markdown page of all results in the file."""
    results = results[results.error.isna()]
    parts = [environment(results), coverage(results), explained(results)]
    for name, title in MEASURES.items():
        parts += [f"### {title[0].upper()}{title[1:]}\n", table(results, name)]
    return "\n".join(parts)


def coverage(results):
    """How many test rows of all tables and splits lie within their 90 % intervals."""
    results = results.dropna(subset=["covered"])
    covered = results.covered * results.n_test
    sums = covered.groupby(results.method).sum() / results.groupby("method").n_test.sum()
    listed = ", ".join(
        f"{label} {sums[method]:.1%}"
        for method, label in _regressors.LABELS.items()
        if method in sums
    )
    return f"Test rows of all tables and splits within their 90 % intervals: {listed}.\n"


def spread_of_coverage(n_rows, n_test):
    """Mean and standard deviation of the part of test rows that calibrated intervals hold.

    Of ``m`` rows set aside, the k-th score decides, ``k = ceil(0.9 (m + 1))``. If rows are
    exchangeable, the number of test rows within their intervals is beta-binomial, whatever is
    fitted.
    """
    aside = int(np.ceil((n_rows - n_test) / 10))
    k = int(np.ceil(0.9 * (aside + 1)))
    number = betabinom(n_test, k, aside + 1 - k)
    return aside, number.mean() / n_test, number.std() / n_test


def explained(results):
    """Coverage of skflow's intervals, and how many standard errors it is off what is expected."""
    results = results[results.method == "skflow"]
    lines = [
        "| data set | splits | test rows | set aside | expected | of one split | found | errors |",
        "| --- |" + " ---: |" * 7,
    ]
    for name in DATASETS:
        part = results[results.dataset == name]
        if not len(part):
            continue
        n_splits, n_test, found = len(part), int(part.n_test.iloc[0]), part.covered.mean()
        aside, mean, std = spread_of_coverage(N_ROWS[name], n_test)
        error = std / np.sqrt(n_splits)
        lines.append(
            f"| {name} | {n_splits} | {n_test} | {aside} | {mean:.1%} ± {error:.1%} | ± {std:.1%} "
            f"| {found:.1%} | {(found - mean) / error:+.1f} |"
        )
    return "\n".join(lines) + "\n"


def table(results, measure):
    """A data set a line, a method a column: mean over splits and standard error."""
    methods = [method for method in _regressors.METHODS if method in set(results.method)]
    names = [name for name in DATASETS if name in set(results.dataset)]
    grouped = results.groupby(["dataset", "method"])[measure]
    mean, error = (part.unstack().reindex(index=names, columns=methods) for part in
                   (grouped.mean(), grouped.sem()))  # fmt: skip
    counts = grouped.size().unstack().reindex(index=names, columns=methods)
    published = list(zip(*(PUBLISHED.get(name, (np.nan,) * 4) for name in names)))
    labels = [_regressors.LABELS[method] for method in methods]
    header = ["data set", "splits", *labels]
    if measure == "nll":
        header += [f"{name} (published)" for name in ("MC dropout", "deep ensembles", "CARD")]
        header += ["NGBoost (published)"]
    lines = [f"| {' | '.join(header)} |", "| --- |" + " ---: |" * (len(header) - 1)]
    for i, name in enumerate(names):
        digits = DIGITS.get(measure, DIGITS.get(name, 2))
        cells = [name, str(int(counts.loc[name].max()))]
        for method in methods:
            value, spread = mean.loc[name, method], error.loc[name, method]
            text = "–" if np.isnan(value) else f"{value:.{digits}f}"
            fewer = counts.loc[name, method] < counts.loc[name].max()
            text += "" if np.isnan(spread) else f" ± {spread:.{digits}f}"
            n_splits = f"{counts.loc[name, method]:.0f}"
            text += f" ({n_splits} split{'s' * (n_splits != '1')})" if fewer else ""
            cells.append(text)
        if measure == "nll":
            cells += ["–" if np.isnan(c[i]) else f"{c[i]:.2f}" for c in published]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def environment(results):
    """Machine, versions, and commands that give these results."""
    packages = "skflow torch scikit-learn ngboost quantile-forest zuko pyvinecopulib".split()
    methods = [m for m in _regressors.METHODS if m in set(results.method)]
    lines = []
    for name in DATASETS:
        part = results[results.dataset == name]
        if len(part):
            lines.append(f"{name}: {int(part.split.max()) + 1}")
    return (
        f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}; one thread\n"
        f"- Versions: Python {platform.python_version()}, "
        + ", ".join(f"{name} {version_of(name)}" for name in packages)
        + f"\n- Splits: {', '.join(lines)}"
        + "\n- Command: `python examples/benchmarks/regression.py --methods "
        + f"{' '.join(methods)}`, with `--datasets` and `--splits` for as many splits\n"
    )


def parse(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    methods = list(_regressors.METHODS)
    add = parser.add_argument
    add("--datasets", nargs="+", default=DATASETS, choices=DATASETS, metavar="NAME")
    whole = [name for name in methods if name != "imputed"]
    add("--methods", nargs="+", default=whole, choices=methods, metavar="NAME")
    add("--splits", type=int, default=20, help="how many of the published splits")
    add("--rows", type=int, help="training rows at most, drawn at random")
    add("--missing", type=float, default=0.0, help="part of the features' cells that is missing")
    add("--data-home", default=data_home(), help="directory that has the directory 'regression'")
    add("--output", default="regression.csv", help="results, a line each")
    add("--markdown", help="where to write the page")
    return parser.parse_args(argv)


def main():
    args = parse()
    results = ResultsFile(args.output, KEY, FIELDS)
    with threadpool_limits(1):
        run(args, results)
    if args.markdown:
        Path(args.markdown).write_text(page(results.read()), encoding="utf-8")


if __name__ == "__main__":
    main()
