"""Flip bits of saved estimators, one at a time: what loads, and whether it answers otherwise.

    python tests/flip_bits.py --flips 2000 --seed 0

Files are loaded in a process of their own, so that a crash is seen and counted; another process
then goes on with the next bit. The command fails if an altered file gave another answer or a crash.
Errors are counted in two kinds: the sentence of this package, and what the reader of the file says
itself (the unpickler, say), which comes first where the bit is in the frame and not in the content.
"""

import argparse
import collections
import functools
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
)

X = load_iris().data
QUICK = {"n_layers": 2, "max_iter": 2, "hidden_layer_sizes": (8,), "random_state": 0}
SEARCH = {"n_search_iter": 3, "n_candidate_steps": 2}


def incomplete():
    """The rows with a tenth of the cells unknown."""
    return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)


#: For each estimator of the package: a fitted one, and its answer.
ESTIMATORS = {
    "CouplingFlowDensity": (
        lambda: CouplingFlowDensity(**QUICK, component_weight=0.1).fit(X),
        lambda fitted: fitted.score_samples(X),
    ),
    "StructureSearchFlow": (
        lambda: StructureSearchFlow(**QUICK, **SEARCH, component_weight=0).fit(X),
        lambda fitted: fitted.score_samples(X),
    ),
    "FlowRegressor": (
        lambda: FlowRegressor(**QUICK, n_estimators=2).fit(X[:, :3], X[:, 3]),
        lambda fitted: fitted.predict(X[:, :3]),
    ),
    "FlowOutlierDetector": (
        lambda: FlowOutlierDetector(random_state=0).fit(X),
        lambda fitted: fitted.score_samples(X[:20]),
    ),
    "FlowImputer": (
        lambda: FlowImputer(CouplingFlowDensity(**QUICK, component_weight=0.1), random_state=0).fit(
            incomplete()
        ),
        lambda fitted: fitted.transform(incomplete()[:20]),
    ),
}


@functools.cache
def fitted(name):
    return ESTIMATORS[name][0]()


def dumps(estimator, way):
    """The bytes of a file."""
    if way == "pickle":
        return pickle.dumps(estimator)
    import skops.io

    return skops.io.dumps(estimator)


def loads(data, way, trusted):
    """What is in the file."""
    if way == "pickle":
        return pickle.loads(data)
    import skops.io

    return skops.io.loads(data, trusted=trusted)


def trusted_types(data, way):
    """What has to be trusted for this file."""
    if way == "pickle":
        return None
    import skops.io

    return skops.io.get_untrusted_types(data=data)


def outcome(name, way, altered, trusted, expected):
    """What comes of a file: an error's kind, "same" or "other answer"."""
    try:
        answer = ESTIMATORS[name][1](loads(altered, way, trusted))
    except Exception as error:  # whatever the reader says
        return "our sentence" if "is not what was saved" in str(error) else "reader's error"
    same = answer.shape == expected.shape and (answer == expected).all()
    return "same" if same else "other answer"


def flip_in_process(folder, name, way):
    """Outcomes of the flips that are listed, from the first that has none."""
    data = (folder / "data").read_bytes()
    trusted = trusted_types(data, way)
    expected = ESTIMATORS[name][1](loads(data, way, trusted))
    places = np.load(folder / "places.npy")
    warnings.simplefilter("ignore")
    with (folder / "outcomes").open("a") as file:
        for place in places[len((folder / "outcomes").read_text().split("\n")) - 1 :]:
            altered = bytearray(data)
            altered[place // 8] ^= 1 << int(place % 8)
            file.write(outcome(name, way, bytes(altered), trusted, expected) + "\n")
            file.flush()


def flip(name, way, n_flips, seed):
    """How often each outcome came."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        data = dumps(fitted(name), way)
        (folder / "data").write_bytes(data)
        (folder / "outcomes").touch()
        places = np.random.default_rng(seed).integers(8 * len(data), size=n_flips)
        np.save(folder / "places.npy", places)
        while len((folder / "outcomes").read_text().split("\n")) <= n_flips:
            run = subprocess.run(
                [sys.executable, __file__, "--folder", str(folder), "--only", name, "--way", way],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stderr=subprocess.PIPE,
                check=False,
            )
            if run.returncode > 0:
                raise RuntimeError(run.stderr.decode())
            if run.returncode < 0:
                with (folder / "outcomes").open("a") as file:
                    file.write("crash\n")
        return collections.Counter((folder / "outcomes").read_text().split("\n")[:-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=ESTIMATORS)
    parser.add_argument("--way", choices=("pickle", "skops"))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        flip_in_process(args.folder, args.only, args.way)
        sys.exit(0)
    bad = 0
    for name in [args.only] if args.only else ESTIMATORS:
        for way in [args.way] if args.way else ("pickle", "skops"):
            counts = flip(name, way, args.flips, args.seed)
            bad += counts["other answer"] + counts["crash"]
            print(f"{name:20} {way:7} {dict(counts)}", flush=True)
    sys.exit(bad > 0)
