"""Does the model confidence set of structures hold what it promises?

    python examples/paper/confidence_level.py --output examples/paper/confidence_level.json \
        --markdown examples/paper/results_confidence.md

Candidates are pairs of a mask and its complement, in the paper's architecture of two layers. In
every run they are trained on a random half of the rows of a training part and compared on 1000
rows of the other half, with a level of 5 %. Which of them is the best is told by trainings four
times as long on the fit rows of the table, each from three starts, and rows that no run sees.
"""

from functools import partial

import numpy as np
from _flows import SINGLE_LAYER, Given, fit, markdown, recipe, run
from _tables import rows_of

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


def p_values(table, seed, data_home):
    """P-values of the pairs in one run."""
    X, _, _, batch_size = split(table, data_home)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    fitted, tested = order[: len(X) // 2], order[len(X) // 2 :][:N_TESTED]
    found = log_probs(candidates(X.shape[1]), X[fitted], X[tested], batch_size, 100 + seed)
    return {"p_values": np.round(confidence_p_values(-found, random_state=rng), 4).tolist()}


def page(records):
    rows = []
    for table in TABLES:
        best = np.mean(records[f"{table} | truth"]["means"], axis=0).argmax()
        found = [r["p_values"] for key, r in records.items() if key.startswith(f"{table} | run")]
        in_set = np.array(found) >= ALPHA
        sizes = in_set.sum(axis=1)
        row = [table, N_PAIRS, len(found), f"{in_set[:, best].sum()} of {len(found)}"]
        row += [f"{sizes.mean():.1f}", f"{sizes.min()} to {sizes.max()}", in_set[:, 0].sum()]
        rows.append(map(str, row))
    head = ["pairs", "runs", "best of long training in the set", "size of the set, mean"]
    return markdown([*head, "(least to most)", "parity in the set"], rows, "table")


def plan(data_home, _):
    for table in TABLES:
        yield f"{table} | truth", partial(truth, table, data_home)
        for seed in range(N_RUNS):
            yield f"{table} | run | {seed:02d}", partial(p_values, table, seed, data_home)


if __name__ == "__main__":
    run(__doc__, plan, page)
