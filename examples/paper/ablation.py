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
... races, ... inherits
    Of searches that skflow no longer has, as they brought nothing: 22 iterations with four
    offspring that race in two successive halvings, or as "shorter" with parameters inherited from
    the best structure; and three iterations with sixteen offspring that race in three halvings up
    to 200 steps. Their results are kept.

In what is in the JSON file nothing is run again.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _flows import SINGLE_LAYER, Given, Results, bits, fit, interval, recipe, rows_of

from skflow import masks
from skflow._nn import recipe as _recipe
from skflow._nn.training import TrainingOptions
from skflow._nn.training_data import TrainingData
from skflow._structure.candidates import CandidateEvaluator

CONDITIONERS = {
    "single-layer": SINGLE_LAYER,
    "affine (64, 64)": {"coupling": "affine", "hidden_layer_sizes": (64, 64)},
    "spline (64, 64)": {"coupling": "spline", "hidden_layer_sizes": (64, 64)},
}
# Structures, depths and number of models of each part of the page.
ARMS = ("parity", "random", "derived", "search")
ALL_ARMS = (
    *ARMS,
    "search, top 1",
    "search of the paper",
    "best of 200 random",
    "parity, best of 16",
)
# Parameters of searches with a third of the candidates' steps, and with a third of all.
THIRDS = {
    "search, a third: shorter": {"n_candidate_steps": 17},
    "search, a third: fewer": {"n_iter": 67},
    "search, a third: swaps": {"n_iter": 67, "move": "swap"},
    "a third of all: fewer": {"n_iter": 80, "top_k": 2},
}
# Arms of which there are results, and that no longer can be run.
GONE = ("search, a third: races", "search, a third: inherits", "a third of all: races")
REPEATED = ("derived pair, repeated", "pair of the search, repeated")
PLAN = [
    *[("single-layer", table, depth, ALL_ARMS, 20)
      for depth in (2, 4) for table in ("turbine", "magic", "yeast")],
    *[("single-layer", table, depth, (*ARMS, "pair of the search, repeated"), 20)
      for depth in (6, 8) for table in ("turbine", "magic", "yeast")],
    *[("single-layer", table, 4, ("pair of the search, repeated",), 20)
      for table in ("turbine", "magic", "yeast")],
    *[("single-layer", table, depth, ARMS, 20)
      for depth in (2, 4, 6, 8) for table in ("breast-cancer", "diabetes", "wine")],
    *[("single-layer", table, depth, tuple(THIRDS), 20)
      for depth in (2, 4) for table in ("breast-cancer", "diabetes", "wine", "turbine", "magic")],
    *[(conditioner, table, depth, ARMS, 6)
      for conditioner, depth in (("affine (64, 64)", 2), ("affine (64, 64)", 4),
                                 ("spline (64, 64)", 2))
      for table in ("turbine", "magic")],
    *[("spline (64, 64)", table, 4, ("parity", "random", "derived"), 6)
      for table in ("turbine", "magic")],
    *[("single-layer", table, depth, ("derived pair, repeated",), 20)
      for depth in (4, 6, 8)
      for table in ("turbine", "magic", "yeast", "breast-cancer", "diabetes", "wine")],
    *[(conditioner, table, 4, ("derived pair, repeated",), 6)
      for conditioner in ("affine (64, 64)", "spline (64, 64)") for table in ("turbine", "magic")],
]  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tables", nargs="+", help="only these tables")
    add("--conditioners", nargs="+", choices=CONDITIONERS, help="only these conditioners")
    add("--data-home", help="directory of the paper's data, see skflow.datasets")
    add("--output", default="ablation.json", help="JSON file that keeps the results")
    add("--markdown", help="page to write")
    return parser.parse_args()


def best_of_random(X, depth, batch_size, seed, n_candidates=200, n_steps=50):
    """The best of random masks after as short trainings as the search's, on validation rows."""
    rng = np.random.default_rng(seed)
    Z = torch.as_tensor((X - X.mean(axis=0)) / X.std(axis=0), dtype=torch.float32)
    rows = torch.as_tensor(rng.permutation(len(X)))[None]
    n_validation = len(X) // 10
    data = TrainingData(Z, rows[:, n_validation:], rows[:, :n_validation])
    options = TrainingOptions(
        n_steps=n_steps,
        steps_per_epoch=n_steps,
        batch_size=min(batch_size, len(X) - n_validation),
        learning_rate_init=_recipe.learning_rate_init("adam", single_layer=True),
    )
    evaluate = CandidateEvaluator(
        {"coupling": "affine", "hidden_layer_sizes": ()},
        options,
        data,
        score="validation",
    )
    drawn = [masks.random(depth, X.shape[1], random_state=rng) for _ in range(n_candidates)]
    seeds = rng.integers(2**31, size=n_candidates).tolist()
    costs = [
        evaluate(np.stack(drawn[start : start + 16]), seeds[start : start + 16])
        for start in range(0, n_candidates, 16)
    ]
    return drawn[np.concatenate(costs).argmin()]


def layout_of(arm, X, depth, batch_size, n_models, pairs):
    if arm in ("parity", "random", "derived"):
        return arm
    if arm == "parity, best of 16":
        return "parity"
    if arm == "derived pair, repeated":
        return masks.Repeat("derived")
    if arm == "search":
        return masks.EvolutionarySearch()
    if arm in THIRDS:
        return masks.EvolutionarySearch(**{"top_k": 8, **THIRDS[arm]})
    if arm == "search, top 1":
        return masks.EvolutionarySearch(top_k=1)
    if arm == "search of the paper":
        return masks.EvolutionarySearch.paper()
    if arm == "best of 200 random":
        return Given([best_of_random(X, depth, batch_size, seed) for seed in range(n_models)])
    return Given(
        [masks.Repeat(pair).make(depth, X.shape[1]) for pair in np.array(pairs, dtype=bool)]
    )


def measure(conditioner, table, depth, arm, n_models, data_home, pairs=None):
    """Held-out bits of every model, and processor seconds of a model."""
    X, held_out, batch_size = rows_of(table, data_home)
    n_init = 16 if arm == "parity, best of 16" else 1
    params = {**CONDITIONERS[conditioner], **recipe(len(X), batch_size, n_init=n_init)}
    start = time.process_time()
    layout = layout_of(arm, X, depth, batch_size, n_models, pairs)
    model, _ = fit(layout, depth, X, n_models, **params)
    record = {
        "bits": bits(model, held_out).round(4).tolist(),
        "seconds": round((time.process_time() - start) / n_models, 3),
    }
    if arm == "search" and depth == 2:
        record["masks"] = model.masks_.astype(int).tolist()
    return record


def run(arguments, results):
    for conditioner, table, depth, arms, n_models in PLAN:
        if arguments.tables and table not in arguments.tables:
            continue
        if arguments.conditioners and conditioner not in arguments.conditioners:
            continue
        for arm in arms:
            pairs = None
            if arm == "pair of the search, repeated":
                pairs = results.records[f"{conditioner} | {table} | 2 | search"]["masks"]
            key = f"{conditioner} | {table} | {depth} | {arm}"
            chosen = (conditioner, table, depth, arm, n_models, arguments.data_home, pairs)
            record = results.get(key, partial(measure, *chosen))
            mean, deviation = np.mean(record["bits"]), np.std(record["bits"], ddof=1)
            print(f"{key}: {mean:.3f} ± {deviation:.3f}, {record['seconds']} s", flush=True)


# ------------------------------------------------------------------------------------------------
# The page


def page(results):
    records = {tuple(key.split(" | ")): record for key, record in results.records.items()}
    parts = []
    for conditioner in CONDITIONERS:
        for table in ("turbine", "magic", "yeast", "breast-cancer", "diabetes", "wine"):
            found = {
                (int(depth), arm): record
                for (c, t, depth, arm), record in records.items()
                if (c, t) == (conditioner, table)
            }
            if found:
                parts += [f"### {table}, {conditioner}\n", comparison(found)]
    return "\n".join([*parts, "### Fewer steps\n", thirds(records)])


def thirds(records):
    """Mean difference of the searches of fewer steps from the search, with its interval."""
    lines = ["| table, layers | steps | seeds | bits less those of the search | bits |"]
    lines.append("|---|---|---:|---:|---:|")
    for (conditioner, table, depth, arm), record in sorted(records.items()):
        if arm in (*THIRDS, *GONE):
            search = records[conditioner, table, depth, "search"]["bits"]
            values = np.array(record["bits"])
            difference = (values - search).mean()
            named = f"| {table}, {depth} | {arm} | {len(values)} | {difference:+.3f} "
            lines.append(named + f"({interval(values, search)}) | {values.mean():.3f} |")
    return "\n".join(lines) + "\n"


def comparison(found):
    """Mean and deviation of each structure, and its mean difference from parity with an interval.

    The interval is that of Student's t for paired values, 95 %.
    """
    depths = sorted({depth for depth, _ in found})
    present = {arm for _, arm in found}
    arms = [arm for arm in (*ALL_ARMS, *REPEATED) if arm in present]
    lines = [
        "| | " + " | ".join(f"{depth} layers" for depth in depths) + " |",
        "|---|" + "---:|" * len(depths),
    ]
    for arm in arms:
        texts = []
        for depth in depths:
            record = found.get((depth, arm))
            texts.append("" if record is None else cell(record, found[depth, "parity"], arm))
        lines.append(f"| {arm} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def cell(record, parity, arm):
    values = np.array(record["bits"])
    text = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
    if arm == "parity":
        return text
    return f"{text} ({interval(values, parity['bits'])})"


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", ".*nearly discrete")  # yeast; the paper takes it as it is
    results = Results(arguments.output)
    run(arguments, results)
    if arguments.markdown:
        Path(arguments.markdown).write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
