"""Which training-free scores tell a good structure from a bad one?

    python examples/paper/structure_scores.py --output examples/paper/structure_scores.json \
        --markdown examples/paper/results_scores.md

Alternating structures (a mask and its complement) of two layers are trained, all of them, or 120
drawn at random where there are more than 252, and scored without training by several rules. For
each rule: Spearman's correlation of the score with the held-out bits of the trained flows (1 would
be perfect), and the bits of the structure that the rule would choose, beside those of parity, of
the best and of the median structure.
"""

import itertools
import math
from functools import partial

import numpy as np
from _flows import CONDITIONERS, Given, bits, fit, markdown, recipe, run
from _tables import rows_of
from scipy.stats import spearmanr
from sklearn.covariance import ledoit_wolf
from sklearn.feature_selection import mutual_info_regression

from skflow import masks
from skflow._structure.derived import code_length

N_ROWS = 4000  # that a score looks at
# Tables, conditioners, structures at most, training steps and seeds.
PLAN = [
    *[(table, "single-layer", 252, 400, 3)
      for table in ("turbine", "magic", "yeast", "diabetes", "breast-cancer", "wine")],
    *[(table, conditioner, 24, 1250, 2)
      for conditioner in ("affine (64, 64)", "spline (64, 64)") for table in ("turbine", "magic")],
]  # fmt: skip


def candidates(d, most, rng):
    """First masks of the structures; parity's comes first."""
    n_transformed = d - d // 2
    parity = np.arange(d) % 2 == 0
    if math.comb(d, n_transformed) <= 252:
        chosen = itertools.combinations(range(d), n_transformed)
        found = [np.isin(np.arange(d), part) for part in chosen]
    else:
        found = [rng.permutation(d) < n_transformed for _ in range(120)]
    others = [mask for mask in found if not np.array_equal(mask, parity)]
    order = rng.permutation(len(others))[: most - 1]
    return np.array([parity, *(others[i] for i in sorted(order))])


# ------------------------------------------------------------------------------------------------
# Scores: the lower the better


def cut(weights, mask):
    """Dependences that run between the two parts are seen by a coupling: the more the better."""
    return -weights[np.ix_(mask, ~mask)].sum()


def conditional_variance(covariance, mask):
    """The linear part of the code length: half the log-variances of part A given part B."""
    a, b = np.flatnonzero(mask), np.flatnonzero(~mask)
    gain = covariance[np.ix_(a, b)] @ np.linalg.inv(covariance[np.ix_(b, b)])
    remaining = covariance[np.ix_(a, a)] - gain @ covariance[np.ix_(b, a)]
    return 0.5 * np.log(np.diag(remaining)).sum()


def mutual_information(Z):
    """Of pairs of columns, by nearest neighbours (Kraskov et al. 2004), in nats."""
    d = Z.shape[1]
    rows = Z[:1000]
    columns = [mutual_info_regression(rows, rows[:, j], random_state=0) for j in range(d)]
    information = (np.array(columns) + np.array(columns).T) / 2
    np.fill_diagonal(information, 0)
    return information


def scores_of(X, rng):
    """The rules by name."""
    X = X[rng.permutation(len(X))[:N_ROWS]]
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    covariance = ledoit_wolf(Z)[0] + 1e-3 * np.eye(Z.shape[1])
    precision = np.linalg.inv(covariance)
    scale = np.sqrt(np.diag(precision))
    return {
        "code length of two layers (`derived`)": partial(code_length, Z),
        "code length of the first layer": partial(code_length, Z, n_layers=1),
        "code length, each part given the other": lambda mask: (
            code_length(Z, mask, n_layers=1) + code_length(Z, ~mask, n_layers=1)
        ),
        "conditional variance, linear": partial(conditional_variance, covariance),
        "cut of correlations": partial(cut, np.abs(covariance)),
        "cut of partial correlations": partial(cut, np.abs(precision / np.outer(scale, scale))),
        "cut of mutual information": partial(cut, mutual_information(Z)),
    }


# ------------------------------------------------------------------------------------------------


def measure(table, conditioner, most, n_steps, n_seeds, data_home):
    """Held-out bits of the trained structures, and their scores."""
    X, held_out, batch_size = rows_of(table, data_home)
    rng = np.random.default_rng(0)
    first = candidates(X.shape[1], most, rng)
    params = {**CONDITIONERS[conditioner], **recipe(len(X), batch_size, n_steps)}
    parts = [first[start : start + 42] for start in range(0, len(first), 42)]
    trained = [
        np.concatenate([train(part, X, held_out, seed, params) for part in parts])
        for seed in range(n_seeds)
    ]
    rules = scores_of(X, rng)
    return {
        "bits": np.mean(trained, axis=0).round(4).tolist(),
        "deviation": float(np.std(trained, axis=0, ddof=1).mean().round(4)),
        "scores": {
            name: [round(float(rule(mask)), 5) for mask in first] for name, rule in rules.items()
        },
    }


def train(first, X, held_out, seed, params):
    layout = Given([masks.alternating(mask, 2) for mask in first])
    return bits(fit(layout, 2, X, len(first), seed, **params)[0], held_out)


def page(records):
    parts = []
    for table, conditioner, *_ in PLAN:
        record = records[f"{table} | {conditioner}"]
        trained = np.array(record["bits"])
        parts += [
            f"### {table}, {conditioner}\n",
            f"{len(trained)} structures; parity {trained[0]:.3f}, best {trained.min():.3f}, median "
            f"{np.median(trained):.3f} bits; standard deviation between seeds "
            f"{record['deviation']:.3f}.\n",
        ]
        rows = [
            [name, f"{spearmanr(s, trained).statistic:.2f}", f"{trained[np.argmin(s)]:.3f}"]
            for name, s in record["scores"].items()
        ]
        parts.append(markdown(["Spearman's correlation", "bits of its choice"], rows, "score"))
    return "\n".join(parts)


def plan(data_home, _):
    for table, conditioner, *sizes in PLAN:
        yield f"{table} | {conditioner}", partial(measure, table, conditioner, *sizes, data_home)


if __name__ == "__main__":
    run(__doc__, plan, page)
