"""Selection of planted outliers among many rows, and false alarms of the test for a shift.

    python examples/benchmarks/outlier_selection.py

- Selection: 17,000 rows, of which 200 are planted ("global" outliers of Han et al. 2022: uniform
  in the range of each column), are given to ``fit`` as they are, and ``select`` looks for these 200
  at a rate of 0.1: by ranks, and with ``tail=True``. The realised rate is the part of ordinary rows
  among those selected. Each seed draws the table, the planted rows and the rows set aside anew.
- Streams: a detector is fitted to 500 rows and watches 500 others; how often does the evidence of a
  shift, where there is none, reach what it may reach by chance at a level?

Results are kept in ``outlier_selection.csv``, a line for each draw or stream, and a run goes on
where one has stopped.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
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
MEASURES = ["found_by_ranks", "rate_by_ranks", "found_by_tail", "rate_by_tail"]
FIELDS = [*KEY, *MEASURES, "highest_evidence", "cpu_seconds", "error"]
RESULTS = ResultsFile(Path(__file__).with_suffix(".csv"), KEY, FIELDS)


def planted(X, rng):
    """Rows, the first of which are planted."""
    X = rng.permutation(X)[:N_ROWS].copy()
    X[:N_PLANTED] = rng.uniform(X.min(axis=0), X.max(axis=0), (N_PLANTED, X.shape[1]))
    return X


def selection(X, density, seed):
    """Part of the planted rows that is selected and the realised rate, by ranks and by the tail."""
    X = planted(X, np.random.default_rng(seed))
    detector = FlowOutlierDetector(DENSITIES[density], random_state=seed).fit(X)
    result = []
    for tail in (False, True):
        chosen = detector.select(X, fdr=FDR, tail=tail)
        n_false = chosen[N_PLANTED:].sum()
        result += [chosen[:N_PLANTED].mean(), n_false / max(1, chosen.sum())]
    return dict(zip(MEASURES, np.round(result, 4)))


def stream(X, density, seed):
    """The highest evidence of a shift in a stream without one."""
    X = np.random.default_rng(seed).permutation(X)[:1000]
    density = make_pipeline(StandardScaler(), GaussianMixture(2, reg_covar=1e-3))
    detector = FlowOutlierDetector(density, random_state=seed).fit(X[:500])
    return {"highest_evidence": round(detector.shift_evidence(X[500:]).max(), 4)}


def show(results):
    """Print means over draws, and the streams that reach a level beside what may do so."""
    for (name, density), lines in results[results.part == "selection"].groupby(KEY[1:3]):
        means, errors = lines[MEASURES].mean(), lines[MEASURES].sem()
        shown = (f"{means[m]:.3f} ({errors[m]:.3f})" for m in MEASURES)
        print(f"{name}, {density}, {len(lines)} draws: {', '.join(shown)}")
    for name, lines in results[results.part == "stream"].groupby("dataset"):
        for level in LEVELS:
            alarms, n = int((lines.highest_evidence >= -np.log10(level)).sum()), len(lines)
            chance = binom.sf(alarms - 1, n, level)
            print(f"{name}, {n} streams: {alarms} alarms at {level} (so many: p = {chance:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=["selection", "stream"])
    parser.add_argument("--tables", nargs="+", default=["magic", "turbine"])
    parser.add_argument("--densities", nargs="+", default=["mixture", "default"])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--data-home")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = {name: _fetch(name, args.data_home)[0] for name in args.tables}
    jobs = [
        (part, name, density, seed)
        for part in args.parts
        for name in args.tables
        for density in (args.densities if part == "selection" else ["mixture"])
        for seed in range(args.draws if part == "selection" else args.streams)
    ]

    def measure(part, name, density, seed):
        begin = time.process_time()
        found = (selection if part == "selection" else stream)(tables[name], density, seed)
        return found | {"cpu_seconds": round(time.process_time() - begin, 2)}, ""

    RESULTS.complete(jobs, measure)
    show(RESULTS.read())


if __name__ == "__main__":
    main()
