"""Selection of planted outliers, false alarms of the test for a shift, and ordinary p-values.

    python examples/benchmarks/outlier_selection.py

- Selection: 17,000 rows, of which 200 are planted ("global" outliers of Han et al. 2022: uniform
  in the range of each column), are given to ``fit`` as they are, and ``select`` looks for these 200
  at a rate of 0.1: by ranks, and with ``tail=True``. The realised rate is the part of ordinary rows
  among those selected. Each seed draws the table, the planted rows and the rows set aside anew. In
  the part "clean", ``fit`` gets one half of the rows without planted ones, and ``select`` the
  other half and all planted ones. What the best threshold finds, of those with a realised rate of
  at most 0.1, takes labels: no p-value of these scores can do better.
- Streams: a detector is fitted to 500 rows and watches 500 others; how often does the evidence of a
  shift, where there is none, reach what it may reach by chance at a level?
- p-values: the default is fitted to rows of a known distribution; what part of new ones has
  p-values of at most a level? With few rows, ties, categories, missing cells (also where values
  decide which are missing), trimming, and outliers among the rows of the fit.

Results are kept in ``outlier_selection.csv``, a line for each draw or stream, and a run goes on
where one has stopped.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _outlier_data import _fetch
from _results import ResultsFile
from scipy.stats import binom
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import FlowOutlierDetector

N_ROWS, N_PLANTED, FDR = 17_000, 200, 0.1
LEVELS = (0.2, 0.1, 0.05, 0.01)
DENSITIES = {
    "mixture": make_pipeline(StandardScaler(), GaussianMixture(4, tol=1e-2, reg_covar=1e-3)),
    "default": None,
}
KEY = ["part", "dataset", "density", "seed"]
MEASURES = ["found_by_ranks", "rate_by_ranks", "found_by_tail", "rate_by_tail", "found_at_best"]
PVALUE_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5)
AT_LEVELS = [f"at_{level}" for level in PVALUE_LEVELS]
FIELDS = [*KEY, *MEASURES, "highest_evidence", *AT_LEVELS, "cpu_seconds", "error"]
#: Rows of the fit, and parameters of the detector.
CASES = {
    "20 rows": (20, {}),
    "100 rows": (100, {}),
    "300 rows": (300, {}),
    "a fifth set aside": (100, {"calibration_fraction": 0.2}),
    "trim=0.1": (100, {"trim": 0.1}),
    "ties": (100, {}),
    "categories": (100, {}),
    "missing cells": (100, {}),
    "large values missing": (100, {}),
    "5 % outliers in the fit": (100, {}),
}
RESULTS = ResultsFile(Path(__file__).with_suffix(".csv"), KEY, FIELDS)


def planted(X, rng):
    """Rows, the first of which are planted."""
    X = rng.permutation(X)[:N_ROWS].copy()
    X[:N_PLANTED] = rng.uniform(X.min(axis=0), X.max(axis=0), (N_PLANTED, X.shape[1]))
    return X


def selection(part, X, density, seed):
    """Part of the planted rows that is selected and the realised rate, by ranks and by the tail."""
    X = planted(X, np.random.default_rng(seed))
    fitted = X
    if part == "clean":
        half = (N_ROWS + N_PLANTED) // 2
        fitted, X = X[half:], X[:half]
    detector = FlowOutlierDetector(DENSITIES[density], random_state=seed).fit(fitted)
    result = []
    for tail in (False, True):
        chosen = detector.select(X, fdr=FDR, tail=tail)
        n_false = chosen[N_PLANTED:].sum()
        result += [chosen[:N_PLANTED].mean(), n_false / max(1, chosen.sum())]
    is_planted = np.argsort(detector.score_samples(X)) < N_PLANTED
    n_found, n_chosen = np.cumsum(is_planted), np.arange(1, len(X) + 1)
    best = n_found[n_found >= (1 - FDR) * n_chosen].max(initial=0) / N_PLANTED
    return dict(zip(MEASURES, np.round([*result, best], 4)))


def stream(X, density, seed):
    """The highest evidence of a shift in a stream without one."""
    X = np.random.default_rng(seed).permutation(X)[:1000]
    density = make_pipeline(StandardScaler(), GaussianMixture(2, reg_covar=1e-3))
    detector = FlowOutlierDetector(density, random_state=seed).fit(X[:500])
    return {"highest_evidence": round(detector.shift_evidence(X[500:]).max(), 4)}


def ordinary(case, n_rows, rng):
    """Rows of a Student-t distribution with dependent columns, changed as the case says."""
    X = rng.standard_t(5, (n_rows, 4))
    X[:, 1] = X[:, 0] + 0.5 * X[:, 1]
    if case == "ties":
        return np.round(X)
    if case == "categories":
        codes = np.where(X[:, 2] > 1, "a", np.where(X[:, 2] > -0.5, "b", "c"))
        return pd.DataFrame(X, columns=list("pqrs")).assign(r=codes)
    if case == "missing cells":
        return np.where(rng.random(X.shape) < 0.1, np.nan, X)
    if case == "large values missing":
        return np.where((X > 1) & (rng.random(X.shape) < 0.5), np.nan, X)
    return X


def pvalues(case, seed):
    """Parts of new ordinary rows with p-values of at most each level."""
    rng, (n_rows, parameters) = np.random.default_rng(seed), CASES[case]
    fitted, new = ordinary(case, n_rows, rng), ordinary(case, 500, rng)
    if case == "5 % outliers in the fit":
        fitted[: n_rows // 20] = rng.uniform(-10, 10, (n_rows // 20, 4))
    found = FlowOutlierDetector(random_state=seed, **parameters).fit(fitted).pvalue(new)
    return {name: np.mean(found <= p + 1e-12) for name, p in zip(AT_LEVELS, PVALUE_LEVELS)}


def show(results):
    """Print means over draws, and the streams that reach a level beside what may do so."""
    for group, lines in results[results.part.isin(["selection", "clean"])].groupby(KEY[:3]):
        means, errors = lines[MEASURES].mean(), lines[MEASURES].sem()
        shown = " | ".join(f"{means[m]:.3f} ± {errors[m]:.3f}" for m in MEASURES)
        print(f"| {', '.join(group)} | {len(lines)} | {shown} |")
    for name, lines in results[results.part == "stream"].groupby("dataset"):
        for level in LEVELS:
            alarms, n = int((lines.highest_evidence >= -np.log10(level)).sum()), len(lines)
            chance = binom.sf(alarms - 1, n, level)
            print(f"{name}, {n} streams: {alarms} alarms at {level} (so many: p = {chance:.2f})")
    for case, lines in results[results.part == "pvalues"].groupby("dataset", sort=False):
        means, errors = lines[AT_LEVELS].mean(), lines[AT_LEVELS].sem()
        shown = " | ".join(f"{means[a]:.3f} ± {errors[a]:.3f}" for a in AT_LEVELS)
        print(f"| {case} | {len(lines)} | {shown} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=["selection", "clean", "stream", "pvalues"])
    parser.add_argument("--tables", nargs="+", default=["magic", "turbine"])
    parser.add_argument("--densities", nargs="+", default=["mixture", "default"])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--fits", type=int, default=100)
    parser.add_argument("--data-home")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = {name: _fetch(name, args.data_home)[0] for name in args.tables}
    loops = {
        "selection": (args.tables, args.densities, range(args.draws)),
        "clean": (args.tables, args.densities, range(args.draws)),
        "stream": (args.tables, ["mixture"], range(args.streams)),
        "pvalues": (args.cases, ["default"], range(args.fits)),
    }
    jobs = [(part, *job) for part in args.parts for job in product(*loops[part])]

    def measure(part, name, density, seed):
        begin = time.process_time()
        if part == "pvalues":
            found = pvalues(name, seed)
        elif part == "stream":
            found = stream(tables[name], density, seed)
        else:
            found = selection(part, tables[name], density, seed)
        return found | {"cpu_seconds": round(time.process_time() - begin, 2)}, ""

    RESULTS.complete(jobs, measure)
    show(RESULTS.read())


if __name__ == "__main__":
    main()
