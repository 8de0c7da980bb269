"""Which training-free scores tell a good structure from a bad one?

    python examples/paper/structure_scores.py --output examples/paper/structure_scores.json \
        --markdown examples/paper/results_scores.md

Alternating structures (a mask and its complement) of two layers are trained, all of them, or 120
drawn at random where there are more than 252, and scored without training by several rules. For
each rule: Spearman's correlation of the score with the held-out bits of the trained flows (1 would
be perfect), and the bits of the structure that the rule would choose, beside those of parity, of
the best and of the median structure.
"""

import argparse
import itertools
import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from _flows import Given, Results, bits, fit, recipe, rows_of
from ablation import CONDITIONERS
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


def cut(weights):
    """Dependences that run between the two parts are seen by a coupling: the more the better."""

    def score(mask):
        return -weights[np.ix_(mask, ~mask)].sum()

    return score


def conditional_variance(covariance):
    """The linear part of the code length: half the log-variances of part A given part B."""

    def score(mask):
        a, b = np.flatnonzero(mask), np.flatnonzero(~mask)
        gain = covariance[np.ix_(a, b)] @ np.linalg.inv(covariance[np.ix_(b, b)])
        remaining = covariance[np.ix_(a, a)] - gain @ covariance[np.ix_(b, a)]
        return 0.5 * np.log(np.diag(remaining)).sum()

    return score


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
        "conditional variance, linear": conditional_variance(covariance),
        "cut of correlations": cut(np.abs(covariance)),
        "cut of partial correlations": cut(np.abs(precision / np.outer(scale, scale))),
        "cut of mutual information": cut(mutual_information(Z)),
    }


# ------------------------------------------------------------------------------------------------


def measure(table, conditioner, most, n_steps, n_seeds, data_home):
    """Held-out bits of the trained structures, and their scores."""
    X, held_out, batch_size = rows_of(table, data_home)
    rng = np.random.default_rng(0)
    first = candidates(X.shape[1], most, rng)
    params = {**CONDITIONERS[conditioner], **recipe(len(X), batch_size, n_steps)}
    trained = [
        np.concatenate([train(part, X, held_out, seed, params) for part in chunks(first, 42)])
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


def chunks(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


def train(first, X, held_out, seed, params):
    layout = Given([masks.alternating(mask, 2) for mask in first])
    return bits(fit(layout, 2, X, len(first), seed, **params)[0], held_out)


def page(results):
    parts = []
    for key, record in results.records.items():
        trained = np.array(record["bits"])
        parts += [
            f"### {key.replace(' | ', ', ')}\n",
            f"{len(trained)} structures; parity {trained[0]:.3f}, best {trained.min():.3f}, median "
            f"{np.median(trained):.3f} bits; standard deviation between seeds "
            f"{record['deviation']:.3f}.\n",
            "| score | Spearman's correlation | bits of its choice |",
            "|---|---:|---:|",
        ]
        for name, scores in record["scores"].items():
            correlation = spearmanr(scores, trained).statistic
            parts.append(f"| {name} | {correlation:.2f} | {trained[np.argmin(scores)]:.3f} |")
        parts.append("")
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-home", help="directory of the paper's data, see skflow.datasets")
    parser.add_argument(
        "--output", default="structure_scores.json", help="JSON file of the results"
    )
    parser.add_argument("--markdown", help="page to write")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*nearly discrete")  # yeast; the paper takes it as it is
    results = Results(arguments.output)
    for table, conditioner, *sizes in PLAN:
        key = f"{table} | {conditioner}"
        record = results.get(key, partial(measure, table, conditioner, *sizes, arguments.data_home))
        best = min(
            record["scores"], key=lambda n: -spearmanr(record["scores"][n], record["bits"])[0]
        )
        print(f"{key}: best correlated is {best}", flush=True)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
