"""How much of the gain of a structure search is structure, and when does structure matter?

    python examples/paper/ablation.py --output examples/paper/ablation.json \
        --markdown examples/paper/results_ablation.md

Twenty models of the paper's flow for each structure, trained alike ("recipe" of reproduce.py,
without the broad components), on turbine (rows held out of the training years), magic and yeast
(test rows) and tables bundled with scikit-learn. Model k of every structure has the same training
and validation rows, start and batches, so that the structures are compared in pairs, with
confidence intervals. The structures:

parity, random, derived
    As the strings of ``mask_layout``.
search
    ``masks.EvolutionarySearch()``: 200 candidates of 50 steps, of which the eight best structures
    are trained in full, as many steps again; that with the best validation likelihood is kept.
search, top 1
    The same, but only the structure of the lowest cost is trained in full.
search of the paper
    ``masks.EvolutionarySearch.paper()``: 200 candidates of 50 steps, top 1.
best of 200 random
    As many candidates for as many steps, but random masks that do not descend from each other.
parity, best of 16
    No other masks, but as many steps as the search takes with its top: sixteen trainings of
    parity, of which that with the best validation likelihood is kept.
derived pair, repeated
    ``masks.Repeat("derived")``: the first pair of the derived masks at every depth.
pair of the search, repeated
    The first two layers that the search found at two layers, repeated to the depth.

search, a third: ...
    A third of the search's steps: as many candidates of 17 steps ("shorter"), 67 of 50 steps
    ("fewer"), or the same with swaps for moves ("swaps"). As many top structures, eight.
a third of all: ...
    A third of the steps of search and top structures together: 80 candidates and two of these
    ("fewer").

In what is in the JSON file nothing is run again.
"""

import time
from functools import partial
from itertools import product

import numpy as np
from _flows import CONDITIONERS, Given, bits, fit, interval, markdown, recipe, run
from _tables import rows_of

from skflow import masks

ARMS = ("parity", "random", "derived", "search")
EXTRA_ARMS = ("search, top 1", "search of the paper", "best of 200 random", "parity, best of 16")
ALL_ARMS = (*ARMS, *EXTRA_ARMS)
# Parameters of searches with a third of the candidates' steps, and with a third of all.
THIRDS = {
    "search, a third: shorter": {"n_candidate_steps": 17},
    "search, a third: fewer": {"n_iter": 67},
    "search, a third: swaps": {"n_iter": 67, "move": "swap"},
    "a third of all: fewer": {"n_iter": 80, "top_k": 2},
}
REPEATED = ("derived pair, repeated", "pair of the search, repeated")
PAPER = ("turbine", "magic", "yeast")
BUNDLED = ("breast-cancer", "diabetes", "wine")
TWO = ("turbine", "magic")
# Conditioner, tables, depths, structures, number of models.
PLAN = [
    ("single-layer", PAPER, (2, 4), ALL_ARMS, 20),
    ("single-layer", PAPER, (6, 8), ARMS, 20),
    ("single-layer", PAPER, (4, 6, 8), REPEATED[1:], 20),
    ("single-layer", BUNDLED, (2, 4, 6, 8), ARMS, 20),
    ("single-layer", (*BUNDLED, *TWO), (2, 4), tuple(THIRDS), 20),
    ("affine (64, 64)", TWO, (2, 4), ARMS, 6),
    ("spline (64, 64)", TWO, (2,), ARMS, 6),
    ("spline (64, 64)", TWO, (4,), ARMS[:3], 6),
    ("single-layer", (*PAPER, *BUNDLED), (4, 6, 8), REPEATED[:1], 20),
    ("affine (64, 64)", TWO, (4,), REPEATED[:1], 6),
    ("spline (64, 64)", TWO, (4,), REPEATED[:1], 6),
]


class BestOfRandom(masks.Layout):
    """The best of random masks after as short trainings as the search's, on validation rows."""

    def choose(self, task):
        shape, rng = (task.n_layers, task.n_features), task.random_state
        drawn = np.stack([masks.random(*shape, random_state=rng) for _ in range(200)])
        evaluate = task.make_evaluator(50, score="validation")
        seeds = [task.seed + k for k in range(200)]
        parts = (slice(start, start + 16) for start in range(0, 200, 16))
        costs = np.concatenate([evaluate(drawn[part], seeds[part]) for part in parts])
        return masks.Choice(drawn[costs.argmin()])


def layout_of(arm, depth, pairs):
    if arm in THIRDS:
        return masks.EvolutionarySearch(**{"top_k": 8, **THIRDS[arm]})
    if arm == "pair of the search, repeated":
        pairs = np.array(pairs, dtype=bool)
        return Given([masks.Repeat(pair).make(depth, pairs.shape[2]) for pair in pairs])
    return {
        "parity, best of 16": "parity",
        "derived pair, repeated": masks.Repeat("derived"),
        "best of 200 random": BestOfRandom(),
        "search, top 1": masks.EvolutionarySearch(top_k=1),
        "search of the paper": masks.EvolutionarySearch.paper(),
    }.get(arm, arm)


def measure(conditioner, table, depth, arm, n_models, data_home, pairs=None):
    """Held-out bits of every model, and processor seconds of a model."""
    X, held_out, batch_size = rows_of(table, data_home)
    n_init = 16 if arm == "parity, best of 16" else 1
    params = {**CONDITIONERS[conditioner], **recipe(len(X), batch_size, n_init=n_init)}
    start = time.process_time()
    layout = layout_of(arm, depth, pairs)
    model, _ = fit(layout, depth, X, n_models, **params)
    record = {
        "bits": bits(model, held_out).round(4).tolist(),
        "seconds": round((time.process_time() - start) / n_models, 3),
    }
    if arm == "search" and depth == 2:
        record["masks"] = model.masks_.astype(int).tolist()
    return record


def plan(data_home, records):
    for conditioner, tables, depths, arms, n_models in PLAN:
        for depth, table, arm in product(depths, tables, arms):
            chosen = partial(measure, conditioner, table, depth, arm, n_models, data_home)
            if arm == "pair of the search, repeated":
                pairs = records[f"{conditioner} | {table} | 2 | search"]["masks"]
                chosen = partial(chosen, pairs=pairs)
            yield f"{conditioner} | {table} | {depth} | {arm}", chosen


# ------------------------------------------------------------------------------------------------
# The page


def page(records):
    parts = []
    for conditioner in CONDITIONERS:
        for table in (*PAPER, *BUNDLED):
            found = {
                tuple(key.split(" | ")[2:]): np.array(record["bits"])
                for key, record in records.items()
                if key.startswith(f"{conditioner} | {table} | ")
            }
            if found:
                parts += [f"### {table}, {conditioner}\n", comparison(found)]
    return "\n".join([*parts, "### Fewer steps\n", thirds(records)])


def thirds(records):
    """Mean difference of the searches of fewer steps from the search, with its interval."""
    rows = []
    for key, record in sorted(records.items()):
        *cell, arm = key.split(" | ")
        if arm in THIRDS:
            values = np.array(record["bits"])
            search = records[" | ".join([*cell, "search"])]["bits"]
            difference = f"{(values - search).mean():+.3f} ({interval(values, search)})"
            told = [arm, str(len(values)), difference, f"{values.mean():.3f}"]
            rows.append([", ".join(cell[1:]), *told])
    return markdown(
        ["steps", "seeds", "bits less those of the search", "bits"], rows, "table, layers"
    )


def comparison(found):
    """Mean and deviation of each structure, and its mean difference from parity with an interval.

    The interval is that of Student's t for paired values, 95 %.
    """

    def cell(depth, arm):
        if (depth, arm) not in found:
            return ""
        bits, parity = found[depth, arm], found[depth, "parity"]
        compared = "" if arm == "parity" else f" ({interval(bits, parity)})"
        return f"{bits.mean():.3f} ± {bits.std(ddof=1):.3f}{compared}"

    depths, present = sorted({depth for depth, _ in found}), {arm for _, arm in found}
    arms = [arm for arm in (*ALL_ARMS, *REPEATED) if arm in present]
    rows = [[arm, *(cell(depth, arm) for depth in depths)] for arm in arms]
    return markdown([f"{depth} layers" for depth in depths], rows)


if __name__ == "__main__":
    run(__doc__, plan, page)
