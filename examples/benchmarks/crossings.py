"""How often calls cross the folders of the package, in what users call most.

    python examples/benchmarks/crossings.py

A call counts where a function of one folder calls one of another (both in the package). Few
crossings mean that a folder does its work and hands on the result, instead of asking back. The
second number counts the pairs of functions that call each other, as if each call took place once.
"""

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris

import skflow
from skflow import CouplingFlowDensity, FlowImputer, FlowOutlierDetector, FlowRegressor

PACKAGE = str(Path(skflow.__file__).parent) + "/"


def room(code):
    """The folder that code belongs to, or None outside of the package."""
    name = code.co_filename
    return name[len(PACKAGE) :].split("/")[0] if name.startswith(PACKAGE) else None


def crossings(function):
    """Counts of calls from one folder to another while a function runs, by pair of functions."""
    found = Counter()

    def notice(frame, event, argument):
        if event != "call":
            return
        own, caller = room(frame.f_code), frame.f_back
        while own and caller is not None and room(caller.f_code) is None:
            caller = caller.f_back  # code of others in between, such as a pool of threads
        if own and caller is not None and room(caller.f_code) != own:
            found[caller.f_code, frame.f_code] += 1

    sys.setprofile(notice)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found


def works():
    """What is counted, by name: small tables, short trainings."""
    rng = np.random.RandomState(0)
    X = load_iris().data
    incomplete = X.copy()
    incomplete[::5, 2] = np.nan
    table = pd.DataFrame(
        {
            "a": rng.standard_normal(400),
            "b": rng.standard_normal(400),
            "kind": rng.choice(list("xyz"), 400),
        }
    )
    quick = CouplingFlowDensity(2, max_iter=3, random_state=0)
    detector = FlowOutlierDetector(random_state=0).fit(table)
    imputer = FlowImputer(quick, random_state=0).fit(incomplete)
    regressor = FlowRegressor(n_estimators=2, max_iter=3, mean_estimator=None, random_state=0)
    flow = CouplingFlowDensity(2, max_iter=3, random_state=0).fit(X)
    return {
        "FlowOutlierDetector.report": lambda: detector.report(table, n=10),
        "FlowImputer.fit": lambda: FlowImputer(quick, random_state=0).fit(incomplete),
        "FlowImputer.transform": lambda: imputer.transform(incomplete),
        "FlowRegressor.fit": lambda: regressor.fit(X[:, :3], X[:, 3]),
        "CouplingFlowDensity.fit": lambda: quick.fit(X),
        "CouplingFlowDensity.score_samples": lambda: flow.score_samples(X),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=0, help="show so many pairs of folders, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, work in works().items():
        found = crossings(work)
        print(f"{name:36} {sum(found.values()):6} {len(found):6}")
        folders = Counter()
        for (caller, called), count in found.items():
            folders[room(caller), room(called)] += count
        for (caller, called), count in folders.most_common(arguments.pairs):
            print(f"    {caller} -> {called}: {count}")


if __name__ == "__main__":
    main()
