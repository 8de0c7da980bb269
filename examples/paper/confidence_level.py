"""Does the model confidence set of structures hold what it promises?

    python examples/paper/confidence_level.py --output examples/paper/confidence_level.json \
        --markdown examples/paper/results_confidence.md

Candidates are pairs of a mask and its complement, in the paper's architecture of two layers. In
every run they are trained on a random half of the rows of a training part and compared on 1000
rows of the other half, with a level of 5 %. Which of them is the best is told by trainings four
times as long on the fit rows of the table, each from three starts, and rows that no run sees.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
from _flows import SINGLE_LAYER, Given, Results, fit, recipe, rows_of

from skflow import masks
from skflow._structure.confidence_set import confidence_p_values

N_PAIRS, N_RUNS, N_TESTED, ALPHA = 30, 20, 1000, 0.05
TABLES = ("turbine", "magic")


def candidates(n_features):
    """Parity first, then random masks and their complements."""
    firsts = [
        masks.parity(1, n_features)[0],
        *masks.random(N_PAIRS - 1, n_features, random_state=0),
    ]
    return np.stack([masks.alternating(first, 2) for first in firsts])


def log_probs(pairs, X, X_test, batch_size, seed, n_steps=1250):
    """Log-densities ``(n, n_pairs)`` of test rows under flows of the pairs, up to a constant."""
    params = {**SINGLE_LAYER, **recipe(len(X), batch_size, n_steps)}
    model, _ = fit(Given(pairs), 2, X, len(pairs), seed, **params)
    Z = (X_test - model.location_) / model.scale_
    return model._density.flow.log_probs(Z).T


def split(table, data_home):
    """Rows for the runs, rows to train long on, rows to tell the best by, and the batch size."""
    X, held_out, batch_size = rows_of(table, data_home)
    order = np.random.default_rng(0).permutation(len(X))
    n = min(len(X) // 2, 12_000)
    return X[order[:n]], X[order[n : 2 * n]], held_out[:8000], batch_size


def truth(table, data_home):
    """Mean log-densities of the pairs after long trainings, from three starts ``(3, n_pairs)``."""
    _, X, X_test, batch_size = split(table, data_home)
    pairs = candidates(X.shape[1])
    means = [log_probs(pairs, X, X_test, batch_size, s, 5000).mean(axis=0) for s in range(3)]
    return {"means": np.round(means, 5).tolist()}


def run(table, seed, data_home):
    """P-values of the pairs in one run."""
    X, _, _, batch_size = split(table, data_home)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    fitted, tested = order[: len(X) // 2], order[len(X) // 2 :][:N_TESTED]
    found = log_probs(candidates(X.shape[1]), X[fitted], X[tested], batch_size, 100 + seed)
    return {"p_values": np.round(confidence_p_values(-found, random_state=rng), 4).tolist()}


def page(results):
    lines = [
        "| table | pairs | runs | best of long training in the set | size of the set, mean | "
        "(least to most) | parity in the set |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for table in TABLES:
        known = results.records.get(f"{table} | truth")
        keys = [key for key in results.records if key.startswith(f"{table} | run")]
        if known is None or not keys:
            continue
        best = np.mean(known["means"], axis=0).argmax()
        in_set = np.array([results.records[key]["p_values"] for key in keys]) >= ALPHA
        sizes = in_set.sum(axis=1)
        lines.append(
            f"| {table} | {N_PAIRS} | {len(keys)} | {in_set[:, best].sum()} of {len(keys)} | "
            f"{sizes.mean():.1f} | {sizes.min()} to {sizes.max()} | {in_set[:, 0].sum()} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", default=os.environ.get("SKFLOW_DATA"))
    parser.add_argument(
        "--output", default="confidence_level.json", help="JSON file of the results"
    )
    parser.add_argument("--markdown", help="page to write")
    arguments = parser.parse_args()
    results = Results(arguments.output)
    for table in TABLES:
        results.get(f"{table} | truth", partial(truth, table, arguments.data_home))
        for seed in range(N_RUNS):
            made = partial(run, table, seed, arguments.data_home)
            record = results.get(f"{table} | run | {seed:02d}", made)
            n_kept = sum(p >= ALPHA for p in record["p_values"])
            print(f"{table}, run {seed}: {n_kept} in the set", flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
