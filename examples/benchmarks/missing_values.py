"""Missing cells: marginals and conditionals of known densities, and imputation of real tables.

    python examples/benchmarks/missing_values.py --parts truth real model density \\
        --output missing_values.csv --markdown missing_values.md
    python examples/benchmarks/missing_values.py --parts time --seeds 0 \\
        --methods skflow "chained trees" matching

Truth: a flow is fitted to 20,000 rows of a density whose marginals and conditionals are known.
Events: the same is asked for probabilities of ranges and for draws, given ranges of other columns,
a tenth of which have a probability of 1 in 2000. The truth is known, and so is what is due to the
computation, and what to the density.
Real: cells of whole tables are removed, imputers are fitted to the training rows with their missing
cells, and fill those of test rows; all columns are measured in standard deviations. Draws are
compared with draws and points with points: of methods without draws there is only the latter.
Model: the last column is a target, known everywhere, which trees predict from the others as they
were filled. Density: what is known of test rows, under flows fitted to the rows with missing cells,
to these before there were missing cells, and to those without any. Time: 500 and 5000 rows of 10
columns, 20 % of the cells missing at random, filled with 100 draws; of peers whose
draws are independent runs a few are made, and their time multiplied. A line is appended to
the CSV file as soon as it is known; an interrupted run goes on where it stopped.
"""

import argparse
import os
import platform
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from _imputers import IMPUTERS, chained, matched, whole_rows
from _missing_truths import TRUTHS
from _results import ResultsFile
from likelihood import processor
from scipy.stats import ks_2samp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import ExtraTreesRegressor

from skflow import CouplingFlowDensity, FlowImputer, datasets

KEY = ["part", "dataset", "mechanism", "missing", "method", "seed"]
MEASURES = {
    "full_error": "mean absolute error of the log-density of whole rows, nats",
    "marginal_error": "the same of the known columns, 50 questions",
    "distance": "median Kolmogorov distance of 1000 conditional draws from the truth",
    "event_error": "mean absolute error of the probability of a range given ranges",
    "answer_error": "the same of the computation: from what the fitted density says",
    "rare_error": "as event_error, given ranges of a probability of 1 in 2000",
    "event_within": "part of the probabilities that are within 0.01",
    "answer_within": "part that are within 0.01 of what the fitted density says",
    "density_within": "part for which what the fitted density says is within 0.01",
    "counted_within": "part for which the share among the rows of the fit is within 0.01",
    "family_within": "the same of the likeliest distribution of the family that the rows are from",
    "rmse": "root mean squared error of the points",
    "crps": "continuous ranked probability score of draws, mean over cells",
    "energy": "energy score of draws, mean over rows with missing cells",
    "covered": "part of the cells within their 90 % intervals",
    "r2": "R² of trees that predict the last column from the others, as filled",
    "log_density": "of the known cells of test rows, nats a row",
    "rows": "of the fit",
    "seconds": "processor seconds",
    "clock": "seconds by the clock",
}
FIELDS = [*KEY, *MEASURES, "error"]
LOWER_IS_BETTER = ("crps", "energy", "rmse")
N_QUESTIONS, MOST_ROWS = 50, 3000
PARTS = ("truth", "events", "real", "model", "density", "time")
NOT_FILLED = "not filled"  # the trees of the model take missing cells as they are
WHOLE, WITHOUT = "skflow, before there were missing cells", "skflow, rows without missing cells"
MECHANISMS = ("random", "dependent", "blocks")
# no part of the model: vines fill few patterns of missing cells, chains only rows of their own fit
NO_TRANSFORM = ("vine", "chained trees", "matching")


N_TIMED = 100  # draws
TIMED = {  # what fills a table several times, and how many of the draws are made
    "skflow": (
        lambda X, n, seed: FlowImputer(n_draws=n, random_state=seed).fit_transform(X),
        N_TIMED,
    ),
    "chained trees": (chained, 4),
    "matching": (matched, 4),
}

# ---- truth


def measure_truth(name, component_weight, seed):
    truth, rng = TRUTHS[name], np.random.default_rng(seed)
    X, test = truth.sample(20_000, rng), truth.sample(N_QUESTIONS, rng)
    start = time.process_time()
    flow = CouplingFlowDensity(component_weight=component_weight, random_state=seed).fit(X)
    everything = np.ones(truth.d, dtype=bool)
    exact = np.array([truth.log_prob(x, everything) for x in test])
    full = np.abs(flow.score_samples(test) - exact).mean()
    errors, distances = [], []
    for x in test:
        known, j = truth.question(rng)
        row = np.where(known, x, np.nan)[None]
        errors.append(abs(flow.score_samples(row)[0] - truth.log_prob(x, known)))
        drawn = np.sort(flow.sample_given(row, 1000, random_state=seed)[0, j])
        steps = np.arange(1001) / 1000
        cumulative = truth.cdf(x, known, j)(drawn)
        gaps = np.maximum(cumulative - steps[:-1], steps[1:] - cumulative)
        distances.append(gaps.max())
    return {
        "full_error": full,
        "marginal_error": np.mean(errors),
        "distance": np.median(distances),
        "seconds": time.process_time() - start,
    }


def measure_events(name, seed):
    """Ranges as conditions, one in ten of them with a probability of 1 in 2000, and as events.

    An answer is off because the fitted density is, or because it was computed from too few draws.
    What the fitted density says is the share among many plain draws or, where hardly any of them
    satisfies the condition, a mean of answers from other draws.
    """
    truth, rng = TRUTHS[name], np.random.default_rng(seed)
    X = truth.sample(20_000, rng)
    many = np.concatenate([truth.sample(400_000, rng) for _ in range(10)])
    flow = CouplingFlowDensity(random_state=seed).fit(X)
    plain = flow.sample(2_000_000, tails=True, random_state=seed)
    family = truth.likeliest(X) if hasattr(truth, "likeliest") else None
    seconds, errors, distances = 0.0, [], []
    for k in range(N_QUESTIONS):
        i, other, j = (int(column) for column in rng.permutation(truth.d)[:3])
        given = {i: (np.quantile(many[:, i], 0.9995), np.inf)}
        if k % 10:
            low = np.quantile(many[:, i], rng.uniform(0.0, 0.6))
            high = np.quantile(many[:, other], rng.uniform(0.4, 1.0))
            given = {i: (low, np.inf), other: (-np.inf, high)}
        inside = many[satisfied(many, given), j]
        event = {j: (-np.inf, np.quantile(inside, rng.uniform(0.1, 0.9)))}
        start = time.process_time()
        answer = flow.probability(event, given).probability
        drawn = flow.sample_given(given, 1000, random_state=seed)[:, j]
        seconds += time.process_time() - start
        distances.append(ks_2samp(drawn, inside).statistic)
        fitted = satisfied(plain[satisfied(plain, given)], event)
        if len(fitted) < 40_000:
            fitted = [flow.probability(event, given, k).probability for k in range(1, 5)]
        fitted, exact = np.mean(fitted), truth.within(given | event) / truth.within(given)
        counted = satisfied(X[satisfied(X, given)], event).mean()
        best = family.within(given | event) / family.within(given) if family else np.nan
        errors.append([answer - exact, answer - fitted, fitted - exact, counted - exact])
        errors[-1].append(best - exact)
    errors = np.abs(errors)
    within = dict(zip(("event", "answer", "density", "counted", "family"), (errors < 0.01).mean(0)))
    return {
        "event_error": errors[:, 0].mean(),
        "answer_error": errors[:, 1].mean(),
        "rare_error": errors[::10, 0].mean(),
        **{f"{what}_within": part for what, part in within.items() if what != "family" or family},
        "distance": np.median(distances),
        "seconds": seconds,
    }


def satisfied(rows, ranges):
    """Which rows lie in all ranges, a dict from columns to their ends."""
    inside = [(low <= rows[:, c]) & (rows[:, c] <= high) for c, (low, high) in ranges.items()]
    return np.all(inside, axis=0)


# ---- real tables


def load(name, seed):
    """Standardised training and test rows of a table."""
    bundled = {"breast-cancer": load_breast_cancer, "diabetes": load_diabetes, "wine": load_wine}
    load = bundled[name] if name in bundled else getattr(datasets, f"fetch_{name}")
    X = load().data
    if name == "diabetes":
        X = np.delete(X, 1, axis=1)  # two values have no density, and any interval holds both
    rng = np.random.default_rng(seed)
    X = rng.permutation(X)[:MOST_ROWS]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.split(X, [int(0.7 * len(X))])


def with_missing(X, mechanism, part, rng):
    """The rows with about that part of their cells unknown, but no row entirely."""
    uniform = rng.uniform(size=X.shape)
    if mechanism == "random":
        missing = uniform < part
    elif mechanism == "dependent":  # the larger the first column, the more; that one is known
        rank = X[:, :1].argsort(axis=0).argsort(axis=0) / len(X)
        missing = uniform < np.minimum(2 * part * rank, 0.95)
        missing[:, 0] = False
    else:  # half of the columns at once, next to each other
        n = max(1, X.shape[1] // 2)
        start = rng.integers(X.shape[1] - n + 1, size=(len(X), 1))
        place = np.arange(X.shape[1])
        missing = (
            (rng.uniform(size=(len(X), 1)) < 2 * part) & (place >= start) & (place < start + n)
        )
    whole = missing.all(axis=1)
    missing[whole, rng.integers(X.shape[1], size=whole.sum())] = False
    return np.where(missing, np.nan, X)


def measure_real(name, mechanism, part, method, seed):
    train, test = load(name, seed)
    rng = np.random.default_rng(seed + 1000)
    incomplete_train, incomplete = (with_missing(X, mechanism, part, rng) for X in (train, test))
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        point, draws = IMPUTERS[method](incomplete_train, incomplete, seed)
    found = {"seconds": time.process_time() - start}
    missing = np.isnan(incomplete)
    found["rmse"] = np.sqrt(np.mean((point - test)[missing] ** 2))
    if draws is None:
        return found
    cells, truth = np.sort(draws[missing], axis=1), test[missing]
    n = cells.shape[1]
    spread = (cells * (2 * np.arange(1, n + 1) - n - 1)).sum(axis=1) / (n * (n - 1))
    found["crps"] = (np.abs(cells - truth[:, None]).mean(axis=1) - spread).mean()
    # of draws and a truth that are alike, 90 % lie between these; the default keeps 86.5 % of 50
    low, high = np.quantile(cells, [0.05, 0.95], axis=1, method="weibull")
    found["covered"] = ((low <= truth) & (truth <= high)).mean()
    rows = missing.any(axis=1)
    away = np.linalg.norm(draws[rows] - test[rows][:, :, None], axis=1).mean(axis=1)
    apart = np.linalg.norm(np.diff(draws[rows], axis=2), axis=1).mean(axis=1)
    found["energy"] = (away - apart / 2).mean()
    return found


def measure_model(name, mechanism, part, method, seed):
    train, test = load(name, seed)
    rng = np.random.default_rng(seed + 1000)
    incomplete_train, incomplete = (
        with_missing(X[:, :-1], mechanism, part, rng) for X in (train, test)
    )
    start = time.process_time()
    filled_train, filled = incomplete_train, incomplete
    if method != NOT_FILLED:
        both = np.vstack([incomplete_train, incomplete])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both = IMPUTERS[method](incomplete_train, both, seed, draw=False)[0]
        filled_train, filled = np.split(both, [len(train)])
    found = {"seconds": time.process_time() - start}
    trees = ExtraTreesRegressor(300, min_samples_leaf=3, random_state=seed)
    found["r2"] = trees.fit(filled_train, train[:, -1]).score(filled, test[:, -1])
    return found


def measure_density(name, mechanism, part, method, seed):
    """Log-density of what is known of test rows, by training rows with missing cells or whole."""
    train, test = load(name, seed)
    rng = np.random.default_rng(seed + 1000)
    incomplete_train, incomplete = (with_missing(X, mechanism, part, rng) for X in (train, test))
    start = time.process_time()
    rows = {"skflow": incomplete_train, WHOLE: train, WITHOUT: whole_rows(incomplete_train)}[method]
    density = CouplingFlowDensity(random_state=seed).fit(rows)
    found = {"log_density": density.score(incomplete), "rows": len(rows)}
    return found | {"seconds": time.process_time() - start}


def measure_time(name, missing, method, seed):
    truth, n_rows = name.split(", ")
    rng = np.random.default_rng(seed)
    X = TRUTHS[truth].sample(int(n_rows.removesuffix(" rows")), rng)
    X = with_missing(X, "random", missing, rng)
    fill, n_made = TIMED[method]
    fill(X[:50], 1, seed)  # imports, and what is compiled when first called
    start = time.process_time(), time.perf_counter()
    fill(X, n_made, seed)
    times = np.array([time.process_time() - start[0], time.perf_counter() - start[1]])
    return dict(zip(("seconds", "clock"), times * N_TIMED / n_made))


def measure(part, dataset, mechanism, missing, method, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if part == "truth":
            component_weight = 0 if method == "skflow, flow alone" else "auto"
            found = measure_truth(dataset, component_weight, seed)
        elif part == "events":
            found = measure_events(dataset, seed)
        elif part == "time":
            found = measure_time(dataset, missing, method, seed)
        else:
            of_part = {"real": measure_real, "model": measure_model, "density": measure_density}
            found = of_part[part](dataset, mechanism, missing, method, seed)
    said = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return found, said


def page(results):
    """The results as Markdown."""
    results = results[results.error.isna()]
    lines = [
        "- Command: `python examples/benchmarks/missing_values.py --parts truth real model density "
        "time`,",
        "  with `--datasets`, `--mechanisms`, `--missing` and `--seeds` for as many as there are",
        f"- Machine: {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "- Means over seeds, the best of a line in bold",
        "",
    ]
    tables = {"truth": ["dataset", "method"], "events": ["dataset"], "time": ["dataset", "method"]}
    for part, keys in tables.items():
        rows = results[results.part == part]
        if rows.empty:
            continue
        names = [name for name in MEASURES if rows[name].notna().any()]
        table = rows.groupby(keys)[names].mean().round(3).reset_index()
        table["seeds"] = rows.groupby(keys).size().to_numpy()
        lines += [f"### {part.capitalize()}", ""]
        lines += [f"- {name}: {MEASURES[name]}" for name in names]
        lines += ["", *markdown(table.columns, table.astype(str).to_numpy())]
    for part, name in (
        *(("real", name) for name in ("crps", "energy", "rmse", "covered", "seconds")),
        ("model", "r2"),
        ("density", "log_density"),
    ):
        rows = results[(results.part == part) & results[name].notna()]
        if rows.empty:
            continue
        lines += [f"### {part.capitalize()}: {MEASURES[name]}", "", *compared(rows, name)]
    return "\n".join(lines)


def compared(rows, name):
    """A table of a measure: a line for each setting, a column for each method."""
    means = rows.pivot_table(index=KEY[1:4], columns="method", values=name)
    seeds = rows[rows.method == "skflow"].groupby(KEY[1:4]).seed.nunique()
    methods = [m for m in (*IMPUTERS, NOT_FILLED, WHOLE, WITHOUT) if m in means.columns]
    means = means[methods][means["skflow"].notna()]
    lines = []
    for setting, values in means.iterrows():
        texts = ["" if value != value else f"{value:.3f}" for value in values]
        if name in LOWER_IS_BETTER or name == "r2":
            sign = 1 if name in LOWER_IS_BETTER else -1
            best = int((sign * values).argmin())
            texts[best] = f"**{texts[best]}**"
        lines.append([*map(str, setting), *texts, str(seeds[setting])])
    table = markdown([*KEY[1:4], *methods, "seeds"], lines)
    if name not in LOWER_IS_BETTER:
        return table
    best = means.drop(columns="skflow").min(axis=1)
    first, near = (means["skflow"] < best).sum(), (means["skflow"] <= 1.02 * best).sum()
    said = (
        f"skflow is the best in {first} of {len(means)} settings, and within 2 % of it in {near}."
    )
    return [*table, said, ""]


def markdown(head, rows):
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def jobs(args):
    """What is to be measured, as keys."""
    cells = [args.datasets, args.mechanisms, args.missing]
    methods = {
        "real": args.methods,
        "model": [*(name for name in args.methods if name not in NO_TRANSFORM), NOT_FILLED],
        "density": ["skflow", WHOLE, WITHOUT],
    }
    found = []
    if "truth" in args.parts:
        kinds = ["skflow", "skflow, flow alone"]
        found += product(["truth"], args.truths, ["none"], [0.0], kinds, args.seeds)
    for part in [part for part in methods if part in args.parts]:
        found += [
            key
            for key in product([part], *cells, methods[part], args.seeds)
            if key[2] == "blocks"
            or key[4] != "vine"  # few patterns of missing cells, and whole rows
        ]
    if "events" in args.parts:
        found += product(["events"], args.truths, ["ranges"], [0.0], ["skflow"], args.seeds)
    if "time" in args.parts:
        sizes = ["bent, 500 rows", "bent, 5000 rows"]
        methods = [name for name in args.methods if name in TIMED]
        found += product(["time"], sizes, ["random"], [0.2], methods, args.seeds)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=["truth", "real"])
    add("--truths", nargs="+", choices=TRUTHS, default=list(TRUTHS))
    add("--datasets", nargs="+", default=["magic", "turbine", "wine", "diabetes", "breast-cancer"])
    add("--mechanisms", nargs="+", choices=MECHANISMS, default=MECHANISMS)
    add("--missing", nargs="+", type=float, default=[0.1, 0.3, 0.5])
    add("--methods", nargs="+", choices=IMPUTERS, default=list(IMPUTERS))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--output", default="missing_values.csv")
    add("--markdown")
    args = parser.parse_args()
    results = ResultsFile(args.output, KEY, FIELDS)
    results.complete(jobs(args), measure)
    if args.markdown:
        Path(args.markdown).write_text(page(results.read()), encoding="utf-8")


if __name__ == "__main__":
    main()
