"""Outlier detection without labels by skflow, PyOD and scikit-learn, on the same rows.

    python examples/benchmarks/outliers.py --output outliers.csv --markdown outliers.md

Every detector is fitted to a part of the rows and scores these and the other rows; only then are
the labels looked at. In the protocol "unsupervised" outliers are among the rows of the fit, in
"one-class" they are not, and in "oddbench" the tables have ordinary rows to fit to and new rows of
their own. A line is appended to the CSV file as soon as it is known. What is in the file is not run
again, so that an interrupted run continues where it stopped. The Markdown page is made of all lines
of the file.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from functools import lru_cache
from itertools import product
from pathlib import Path

import _detectors
import _outlier_data
import numpy as np
import pandas as pd
import torch
from _results import ResultsFile
from likelihood import processor, version_of
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

KEY = ["dataset", "protocol", "method", "seed"]
SETTINGS = ["threads", "time_budget"]
MEASURES = {
    "auroc_new": "area under the ROC curve, new rows",
    "ap_new": "average precision, new rows",
    "auroc_fitted": "area under the ROC curve, rows of the fit",
    "ap_fitted": "average precision, rows of the fit",
}
SIZES = {
    "n_features": "features",
    "n_fitted": "rows of the fit",
    "n_outliers": "outliers",
    "n_new": "new rows",
    "n_new_outliers": "new outliers",
}
FIELDS = [*KEY, *SIZES, *MEASURES, "cpu_seconds", *SETTINGS, "error"]
GROUP_TITLES = {
    "labelled": "labelled tables",
    "classes": "rare classes",
    "local": "planted, local",
    "global": "planted, global",
    "dependency": "planted, dependency",
    "cluster": "planted, cluster",
    "oddbench": "OddBench",
}


# ------------------------------------------------------------------------------------------------
# Measuring


def measure(fitted, new, method, seed, budget):
    """Fit to rows and score them and new ones; both are pairs of rows and marks."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns that are constant, EM that has not converged
        scores = _detectors.METHODS[method](fitted[0], new[0], seed, budget)
    row = {"cpu_seconds": round(time.process_time() - start, 2)}
    for name, (_, marks), score in zip(("fitted", "new"), (fitted, new), scores):
        if not marks.any():  # the rows of the fit in the protocol "one-class"
            continue
        row[f"auroc_{name}"] = roc_auc_score(marks, score)  # raises if a score is not finite
        row[f"ap_{name}"] = average_precision_score(marks, score)
    return row


def run(args, results):
    """All combinations that have no result yet, seed by seed."""
    load_once = lru_cache(maxsize=1)(_outlier_data.load)

    def known(name, protocol, method, seed):
        fitted, new = load_once(name, protocol, seed, args.data_home)
        counts = (size for _, marks in (fitted, new) for size in (len(marks), marks.sum()))
        settings = {setting: getattr(args, setting) for setting in SETTINGS}
        return dict(zip(SIZES, (fitted[0].shape[1], *counts))) | settings

    def measured(name, protocol, method, seed):
        fitted, new = load_once(name, protocol, seed, args.data_home)
        row = measure(fitted, new, method, seed, args.time_budget)
        return row, f"new rows: AUROC {row['auroc_new']:.3f}, AP {row['ap_new']:.3f}"

    loops = product(args.seeds, args.protocols, args.datasets, args.methods)
    jobs = [
        (name, protocol, method, seed)
        for seed, protocol, name, method in loops
        if (name in _outlier_data.ODDBENCH) == (protocol == "oddbench")
    ]
    results.complete(jobs, measured, known)


# ------------------------------------------------------------------------------------------------
# The page


def page(results):
    """The Markdown page of all results in the file."""
    results = results[results.dataset.isin(_outlier_data.NAMES)].copy()
    parts = [environment(results)]
    for protocol in [p for p in _outlier_data.PROTOCOLS if p in set(results.protocol)]:
        part = results[results.protocol == protocol]
        parts += [heading(f"{protocol}: in short"), SUMMARY, summary(part)]
        parts += [heading(f"{protocol}: mean ranks"), RANKS, ranks(part)]
        if "skflow" in set(part.method):
            parts += [heading(f"{protocol}: where peers are ahead of skflow"), losses(part)]
        for measure, title in MEASURES.items():
            if part[measure].notna().any():
                parts += [heading(f"{protocol}: {title}"), table(part, measure, 3)]
        parts += [heading(f"{protocol}: processor seconds to fit and to score")]
        parts += [table(part, "cpu_seconds", 1)]
        parts += [heading(f"{protocol}: sizes of the tables"), sizes(part)]
    return "\n".join(parts)


def heading(title):
    return f"### {title[0].upper()}{title[1:]}\n"


SUMMARY = """\
New rows, mean over the seeds. "Level" is an area under the ROC curve (AUC) within half a point of
KNN's. Seconds are of a processor, to fit and to score.
"""
RANKS = """\
1 is the best of the detectors; the mean over the seeds is ranked, data set by data set.
"""


def group_of(dataset):
    return next(g for g, names in _outlier_data.GROUPS.items() if dataset in names)


def means(results, measure):
    """Mean over the seeds, a data set a line; incomplete combinations are NaN."""
    methods = [method for method in _detectors.METHODS if method in set(results.method)]
    names = [name for name in _outlier_data.NAMES if name in set(results.dataset)]
    return results.pivot_table(index="dataset", columns="method", values=measure).reindex(
        index=names, columns=methods
    )


def summary(results):
    """A detector a line: means over the data sets, and how often it wins or is level with KNN."""
    area = means(results, "auroc_new").dropna(axis=1, how="all")
    complete = area.dropna()
    precision = means(results, "ap_new").loc[complete.index, complete.columns]
    seconds = means(results, "cpu_seconds").loc[complete.index, complete.columns]
    rows = {
        "data sets": complete.notna().sum().map("{:.0f}".format),
        "mean AUC": complete.mean().map("{:.3f}".format),
        "mean rank": complete.rank(axis=1, ascending=False).mean().map("{:.2f}".format),
        "mean average precision": precision.mean().map("{:.3f}".format),
        "first (ties count)": complete.ge(complete.max(axis=1) - 5e-4, axis=0).sum().map(str),
    }
    if "knn" in complete:
        ahead = complete.ge(complete["knn"] - 0.005, axis=0).mean()
        rows["ahead of or level with KNN"] = ahead.map("{:.0%}".format)
        worst = complete.sub(complete["knn"], axis=0).min()
        rows["worst beside KNN"] = worst.map("{:+.3f}".format)
    rows["seconds"] = seconds.mean().map("{:.1f}".format)
    text = pd.DataFrame(rows).rename(index=_detectors.LABELS)
    return markdown(text, "detector", text.eq("none"))


def ranks(results):
    text = []
    for measure, title in MEASURES.items():
        if results[measure].isna().all():
            continue
        ranked = means(results, measure).rank(axis=1, ascending=False)
        by_group = ranked.groupby(ranked.index.map(group_of)).mean()
        by_group = by_group.reindex([g for g in GROUP_TITLES if g in by_group.index])
        by_group.loc["all"] = ranked.mean()
        by_group.index = [GROUP_TITLES.get(group, group) for group in by_group.index]
        by_group = by_group.round(6)  # sums of the same ranks in another order are ties
        bold = by_group.eq(by_group.min(axis=1), axis=0)
        shown = by_group.map("{:.1f}".format).rename(columns=_detectors.LABELS)
        text.append(markdown(shown, title, bold))
    return "\n".join(text)


def table(results, measure, digits):
    mean = means(results, measure)
    error = results.pivot_table(index="dataset", columns="method", values=measure, aggfunc="sem")
    error = error.reindex(index=mean.index, columns=mean.columns)
    text = mean.map(f"{{:.{digits}f}}".format)
    if measure in MEASURES:
        text += error.map(lambda e: "" if np.isnan(e) else f" ± {e:.{digits}f}")
        rounded = mean.round(digits)
        bold = rounded.eq(rounded.max(axis=1), axis=0)
    else:
        bold = mean.isna()
    return markdown(text.rename(columns=_detectors.LABELS), "data set", bold)


def sizes(results):
    """Rows, features and outliers; the same for all seeds."""
    first = results.drop_duplicates("dataset").set_index("dataset")[list(SIZES)].astype(int)
    first = first.reindex([name for name in _outlier_data.NAMES if name in first.index])
    return markdown(first.astype(str).rename(columns=SIZES), "data set", first.isna())


def markdown(text, title, bold):
    text = text.where(~bold.to_numpy(), "**" + text + "**")
    lines = [
        f"| {title} | " + " | ".join(text.columns) + " |",
        "| --- |" + " ---: |" * len(text.columns),
    ]
    lines += [f"| {name} | " + " | ".join(row) + " |" for name, row in zip(text.index, text.values)]
    return "\n".join(lines) + "\n"


def losses(results):
    """Peers that are ahead of skflow, data set by data set."""
    lines = []
    for name, row in means(results, "auroc_new").iterrows():
        peers = row.drop("skflow")
        if peers.max() > row["skflow"]:
            ahead = ", ".join(
                f"{_detectors.LABELS[m]} {v:.3f}"
                for m, v in peers.sort_values(ascending=False).items()
                if v > row["skflow"]
            )
            lines.append(f"- {name} (skflow {row['skflow']:.3f}): {ahead}")
    text = "\n".join(lines) or "- nowhere in these tables"
    return f"By the area under the ROC curve of new rows:\n\n{text}\n"


def environment(results):
    """Machine, versions, and a command that gives these results."""
    packages = ("skflow", "torch", "numpy", "scipy", "scikit-learn", "pyod")
    run, datasets = set(results.dataset), []
    for group, names in _outlier_data.GROUPS.items():
        datasets += [group] if run.issuperset(names) else [f'"{n}"' for n in names if n in run]
    options = {
        "datasets": datasets,
        "protocols": [p for p in _outlier_data.PROTOCOLS if p in set(results.protocol)],
        "methods": [m for m in _detectors.METHODS if m in set(results.method)],
        "seeds": sorted(set(results.seed)),
        "threads": sorted(set(results.threads)),
        "time-budget": sorted(set(results.time_budget)),
    }
    command = " ".join(f"--{k} {' '.join(map(str, values))}" for k, values in options.items())
    return (
        f"- Machine: {processor()}, {os.cpu_count()} cores, {platform.system()}\n"
        f"- Versions: Python {platform.python_version()}, "
        + ", ".join(f"{name} {version_of(name)}" for name in packages)
        + f"\n- Command: `python examples/benchmarks/outliers.py {command}`\n"
    )


# ------------------------------------------------------------------------------------------------
# Command line


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    groups, methods = list(_outlier_data.GROUPS), list(_detectors.METHODS)
    choice = f"groups ({', '.join(groups)}) or names: {'; '.join(_outlier_data.NAMES)}"
    add = parser.add_argument
    add("--datasets", nargs="+", default=groups, metavar="NAME", help=choice)
    add("--methods", nargs="+", default=methods, choices=methods, metavar="NAME")
    protocols = _outlier_data.PROTOCOLS
    add("--protocols", nargs="+", default=protocols, choices=protocols, metavar="NAME")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--threads", type=int, default=1)
    add("--time-budget", type=int, default=5, help="processor seconds of a mixture or kernels")
    add("--data-home", help="folder of the paper's tables; default: as skflow.datasets")
    add("--output", default="outliers.csv", help="CSV file, appended to")
    add("--markdown", help="Markdown page to write")
    args = parser.parse_args(argv)
    args.datasets = [n for name in args.datasets for n in _outlier_data.GROUPS.get(name, [name])]
    if unknown := set(args.datasets) - set(_outlier_data.NAMES):
        parser.error(f"--datasets: {sorted(unknown)} unknown; {choice}")
    return args


def main(argv=None):
    args = parse(argv)
    torch.set_num_threads(args.threads)
    threadpool_limits(args.threads)
    results = ResultsFile(args.output, KEY, FIELDS)
    run(args, results)
    if args.markdown:
        Path(args.markdown).write_text(page(results.read()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
