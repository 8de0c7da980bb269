"""Are order and parents found where they are known, and what is a right order worth?

    python examples/paper/known_graphs.py --output examples/paper/known_graphs.json \
        --markdown examples/paper/results_graphs.md --figure docs/_static/known_graphs.svg

Tables of 10 to 40 columns whose density is known (see ``_graphs.py``): a funnel, a binary tree
(hierarchy), and random graphs with up to three parents, linear and normal (gaussian) or bent. The
gap is how many nats a row a fitted density is behind the true one, on 4000 rows that nobody saw.

parity, random, derived
    Couplings: the default flow of six layers with these layouts, without components.
random, derived, oracle order
    ``masks.Triangular``: one pass, each feature given all before it; two random orders, averaged.
derived, oracle parents
    The same with the derived order and the parents that are derived for it, or the true ones.
searched order
    The best of sixty short trainings of orders, each the best so far with two features exchanged,
    from the derived order on; only if it is ahead of that beyond noise, cross-validated.
zuko
    Its autoregressive spline flow in a random order (``NSF(d, randperm=True)``, three transforms,
    hidden layers of 64 and 64) as in the benchmark of likelihood, if zuko is installed.

What is known of the derived graph needs no training: the fraction of edges whose effect comes first
in the derived order, and the structural Hamming distance of the derived parents.
"""

import sys
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from _flows import Given, markdown, run
from _graphs import GRAPHS, Graph

from skflow import CouplingFlowDensity, masks
from skflow._structure.race import lead, steps_of_race
from skflow._structure.triangular import parents_of, triangle

N_TEST = 4000
MAX_ITER = {200: 60, 1000: 30, 5000: 10}
COUPLED = ("parity", "random", "derived")
ORDERED = ("random order", "derived order", "oracle order")
SEARCHED = "searched order"
SPARSE = ("derived parents", "oracle parents")
ARMS = (*COUPLED, *ORDERED, SEARCHED, *SPARSE, "zuko")
COLOURS = {10: "#5aa0d8", 20: "#1f5fa8", 40: "#d98032"}
PUBLISHED = {10: 3.3, 20: 9.7}  # other nonlinear graphs, 5000 rows (Wehenkel and Louppe 2021)
TOLD = ("edges turned", "Hamming distance", "edges")


class Table:
    """Training rows, test rows and the truth of a graph."""

    def __init__(self, name, n_columns, n_rows, seed):
        self.graph, self.seed = Graph(name, n_columns, seed), seed
        self.n_columns = n_columns
        self.rng = np.random.default_rng([seed, n_rows])
        self.X = self.graph.draw(n_rows, self.rng)
        self.X_test = self.graph.draw(N_TEST, self.rng)
        self.truth = self.graph.log_prob(self.X_test)
        self.Z = (self.X - self.X.mean(axis=0)) / self.X.std(axis=0)
        self.params = {"max_iter": MAX_ITER[n_rows], "random_state": seed}

    def gap(self, log_prob):
        return round(float((self.truth - log_prob).mean()), 4)


def of_members(table, structures, n_layers):
    """Gaps of flows with the structures, trained side by side."""
    model = CouplingFlowDensity(
        n_layers,
        mask_layout=Given(structures),
        n_estimators=len(structures),
        component_weight=0,
        **table.params,
    ).fit(table.X)
    U, log_det = model._density.columns.forward(table.X_test)
    return [table.gap(parts + log_det) for parts in model._density.flow.log_probs(U)]


def measure_coupled(table):
    shape = (6, table.n_columns)
    structures = [
        masks.parity(*shape),
        np.concatenate(
            [masks.alternating(m, 2) for m in masks.random(3, shape[1], random_state=table.seed)]
        ),
        masks.Derived().make(*shape, random_state=table.seed, X=table.Z),
    ]
    return dict(zip(COUPLED, of_members(table, structures, 6)))


def derived(table, parents):
    layout = masks.Triangular(parents=parents)
    return layout.make(1, table.n_columns, random_state=table.seed, X=table.Z)


def measure_graph(table):
    found, true = parents_of(derived(table, "derived")), table.graph.parents
    place = np.argsort(derived(table, "all")[::-1].argmax(axis=1))
    effect, cause = np.nonzero(true)
    different = found != true
    distance = np.triu(different | different.T).sum()  # a turned edge counts once
    turned = round(float((place[cause] > place[effect]).mean()), 3)
    return dict(zip(TOLD, (turned, int(distance), int(true.sum()))))


def measure_ordered(table):
    orders = [masks.Triangular(order="random") for _ in range(2)]
    orders.append(masks.Triangular(order=table.graph.order))
    made = [layout.make(1, table.n_columns, random_state=s) for s, layout in enumerate(orders)]
    made.insert(2, derived(table, "all"))
    first, second, *others = of_members(table, made, table.n_columns)
    return dict(zip(ORDERED, [(first + second) / 2, *others]))


class SearchedOrder:
    """Layout: a hill climb from the structure of an order."""

    def __init__(self, start, n_candidates=60, n_steps=50, n_at_once=6):
        self.start, self.n_candidates, self.n_steps = start, n_candidates, n_steps
        self.n_at_once = n_at_once

    def choose(self, task):
        evaluate = task.make_evaluator(self.n_steps, score="validation")
        rng = np.random.default_rng(task.seed)
        seeds = [task.seed] * self.n_at_once  # the same start and batches for all
        best = self.start
        (cost,) = evaluate(best[None], seeds[:1])
        for _ in range(self.n_candidates // self.n_at_once):
            offspring = np.stack([self._exchanged(best, rng) for _ in seeds])
            costs = evaluate(offspring, seeds)
            if costs.min() < cost:
                best, cost = offspring[costs.argmin()], costs.min()
        judge = task.make_evaluator(min(steps_of_race(task), task.n_steps), score="validation")
        entrants = np.stack([self.start, best])
        (_, ahead), (_, noise) = lead(judge.cross_validated(entrants, seeds[:2]))
        return masks.Choice(best if ahead > noise else self.start)

    def _exchanged(self, structure, rng):
        columns = np.arange(structure.shape[1])
        pair = rng.choice(columns, 2, replace=False)
        columns[pair] = columns[pair[::-1]]
        return structure[:, columns]


def measure_searched(table):
    start = derived(table, "all")
    params = table.params | {"component_weight": 0, "mask_layout": SearchedOrder(start)}
    model = CouplingFlowDensity(table.n_columns, **params).fit(table.X)
    gap = table.gap(model.score_samples(table.X_test))
    kept = np.array_equal(model.masks_, start)
    before = gap if kept else of_members(table, [start], table.n_columns)[0]
    return {SEARCHED: gap, "gained by the search": round(before - gap, 4)}


def measure_sparse(table):
    graph = table.graph
    true = triangle(graph.order, [np.flatnonzero(graph.parents[j]) for j in graph.order])
    structures = (derived(table, "derived"), true.astype(np.int8))
    gaps = [of_members(table, [made], table.n_columns)[0] for made in structures]
    return dict(zip(SPARSE, gaps))


def measure_zuko(table):
    sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
    from _peers import Flow, _zuko

    rng = np.random.default_rng(table.seed)
    is_valid = np.isin(np.arange(len(table.X)), rng.permutation(len(table.X))[: len(table.X) // 10])
    peer = Flow(build=_zuko("NSF", randperm=True), seed=table.seed, budget=60)
    return {"zuko": table.gap(peer.fit(table.X, is_valid).score_samples(table.X_test))}


MEASURES = {
    "graph": measure_graph,
    "coupled": measure_coupled,
    "ordered": measure_ordered,
    "searched": measure_searched,
    "sparse": measure_sparse,
    "zuko": measure_zuko,
}


def measure(group, *which):
    start = time.process_time()
    record = MEASURES[group](Table(*which))
    return record | {"seconds": round(time.process_time() - start, 1)}


def gathered(records):
    """Values ``{(graph, columns, rows): {what: {seed: value}}}``."""
    found = {}
    for key, record in records.items():
        name, n_columns, n_rows, seed, _ = key.split(" | ")
        cell = found.setdefault((name, int(n_columns), int(n_rows)), {})
        for what, value in record.items():
            if what != "seconds":
                cell.setdefault(what, {})[int(seed)] = value
    return found


def page(records):
    found = gathered(records)
    parts = []
    for n_columns, n_rows in sorted({cell[1:] for cell in found}):
        cells = [found.get((name, n_columns, n_rows), {}) for name in GRAPHS]
        rows = [
            [arm, *(mean_and_spread(list(cell.get(arm, {}).values())) for cell in cells)]
            for arm in (*ARMS, *TOLD)
        ]
        shown = markdown(GRAPHS, [row for row in rows if any(row[1:])])
        parts.append(f"### {n_columns} columns, {n_rows} rows\n\n{shown}")
    rows = []
    pairs = *((each, "oracle order") for each in ("derived order", SEARCHED)), SPARSE
    for ours, best in pairs:
        shares = np.array([s for cell in found.values() for s in _closed(cell, ours, best)])
        told = f"{np.median(shares):.0%}", f"{np.mean(shares >= 0.5):.0%}", str(len(shares))
        rows.append([f"{ours}, between random order and {best}", *told])
    shown = markdown(["closed, median", "at least half", "tables"], rows)
    return "\n".join([*parts, f"### How much of the gap is closed\n\n{shown}"])


def mean_and_spread(values):
    """Mean over tables, with the standard deviation and the number of tables."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else ""
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} ({len(values)})"


def _closed(cell, ours, best, least=0.2):
    """Part of the gap to a random order that is closed, where there is a gap worth the name."""
    random, derived, oracle = (cell.get(arm, {}) for arm in ("random order", ours, best))
    for seed in random.keys() & derived.keys():
        if random[seed] - oracle[seed] > least:
            yield (random[seed] - derived[seed]) / (random[seed] - oracle[seed])


def draw(records, path):
    import matplotlib.pyplot as plt

    found = gathered(records)
    rows = -(-len(GRAPHS) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7.5, 2.6 * rows + 0.6), layout="constrained")
    for ax, name in zip(axes.flat, GRAPHS):
        for n_columns, colour in COLOURS.items():
            cells = {
                n: found.get((name, n_columns, n), {}).get("Hamming distance") for n in MAX_ITER
            }
            points = [(n, np.mean(list(cell.values()))) for n, cell in cells.items() if cell]
            ax.plot(*zip(*points), "o-", color=colour, label=f"{n_columns} columns", markersize=4)
        ax.set(xscale="log", ylim=(0, None), xlabel="rows")
        ax.set_xticks(list(MAX_ITER), list(MAX_ITER))
        ax.minorticks_off()
        ax.set_title(name, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    for n_columns, distance in PUBLISHED.items():
        ax.plot(5000, distance, "x", color=COLOURS[n_columns], label=f"published, {n_columns}")
    figure.supylabel("structural Hamming distance", fontsize=10)
    handles = ax.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


def plan(*_):
    for n_columns, n_rows, seed in product((10, 20, 40), MAX_ITER, range(3)):
        for name, group in product(GRAPHS, MEASURES):
            chosen = partial(measure, group, name, n_columns, n_rows, seed)
            yield f"{name} | {n_columns} | {n_rows} | {seed} | {group}", chosen


if __name__ == "__main__":
    run(__doc__, plan, page, draw)
