"""Selection of planted outliers among many rows, and false alarms of the test for a shift.

    python examples/benchmarks/outlier_selection.py

- Selection: 17,000 rows, of which 200 are planted ("global" outliers of Han et al. 2022: uniform
  in the range of each column), are given to ``fit`` as they are, and ``select`` looks for these 200
  at a rate of 0.1: by ranks, and with ``tail=True``. The realised rate is the part of ordinary rows
  among those selected.
- Streams: a detector is fitted to 500 rows and watches 500 others; how often does the evidence of a
  shift, where there is none, reach what it may reach by chance at a level?
"""

import argparse
import warnings

import numpy as np
from _outlier_data import _fetch
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


def planted(X, rng):
    """Rows, the first of which are planted."""
    X = rng.permutation(X)[:N_ROWS].copy()
    X[:N_PLANTED] = rng.uniform(X.min(axis=0), X.max(axis=0), (N_PLANTED, X.shape[1]))
    return X


def selection(X, density, seed):
    """Part of the planted rows that is selected and the realised rate, by ranks and by the tail."""
    X = planted(X, np.random.default_rng(seed))
    detector = FlowOutlierDetector(density, random_state=seed).fit(X)
    result = []
    for tail in (False, True):
        chosen = detector.select(X, fdr=FDR, tail=tail)
        n_false = chosen[N_PLANTED:].sum()
        result += [chosen[:N_PLANTED].mean(), n_false / max(1, chosen.sum())]
    return result


def highest_evidence(X, seed):
    """The highest evidence of a shift in a stream without one."""
    X = np.random.default_rng(seed).permutation(X)[:1000]
    density = make_pipeline(StandardScaler(), GaussianMixture(2, reg_covar=1e-3))
    detector = FlowOutlierDetector(density, random_state=seed).fit(X[:500])
    return detector.shift_evidence(X[500:]).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=["selection", "streams"])
    parser.add_argument("--tables", nargs="+", default=["magic", "turbine"])
    parser.add_argument("--densities", nargs="+", default=["mixture", "default"])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--data-home")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(args.first, args.first + args.draws)
    for table in args.tables:
        X = _fetch(table, args.data_home)[0]
        for name in args.densities if "selection" in args.parts else ():
            found = np.array([selection(X, DENSITIES[name], seed) for seed in seeds])
            shown = " ".join(f"{value:.3f}" for value in found.mean(axis=0))
            print(f"{table}, {name}: selected, realised rate; by ranks, by the tail: {shown}")
        if "streams" in args.parts:
            highest = np.array([highest_evidence(X, seed) for seed in range(args.streams)])
            alarms = [f"{level}: {np.mean(highest >= -np.log10(level)):.3f}" for level in LEVELS]
            print(f"{table}, false alarms in {args.streams} streams: {', '.join(alarms)}")


if __name__ == "__main__":
    main()
