"""Random tables of numbers of any size, and parameters: every case ends well, or with a sentence.

    python tests/fuzz.py --cases 5000 --seed 0

A case is drawn from its number alone, so `--seed N --cases 1` repeats case N. What is fitted has to
give finite scores, samples of the right shape, a way to the latent space, no missing cells where it
fills them, and the same scores after it was saved; or an error that explains itself. Warnings may
only be the package's own.
"""

import argparse
import pickle
import sys
import time
import traceback
import warnings
from collections import Counter

import numpy as np
import pandas as pd

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    masks,
)


def normal(rng, n):
    return rng.standard_normal(n)


COLUMNS = {
    "normal": normal,
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "very heavy tails": lambda rng, n: np.sign(normal(rng, n)) * np.exp(8 * normal(rng, n)),
    "huge": lambda rng, n: 1e300 * normal(rng, n),
    "large": lambda rng, n: 1e30 + 1e20 * normal(rng, n),
    "tiny": lambda rng, n: 1e-300 * normal(rng, n),
    "subnormal": lambda rng, n: 1e-310 * normal(rng, n),
    "far from 0": lambda rng, n: 1e9 + normal(rng, n),
    "constant": lambda rng, n: np.full(n, rng.choice([0.0, 1.0, -3.7, 1e200])),
    "nearly constant": lambda rng, n: 1.0 + 1e-13 * normal(rng, n),
    "one differs": lambda rng, n: np.eye(1, n, n - 1)[0] * 10.0 ** rng.integers(-9, 9),
    "binary": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "counts": lambda rng, n: rng.poisson(3, n).astype(float),
    "rounded": lambda rng, n: np.round(normal(rng, n), 1),
    "positive": lambda rng, n: rng.exponential(1, n),
    "clusters": lambda rng, n: rng.choice([-50.0, 0.0, 50.0], n) + 0.01 * normal(rng, n),
    "mostly zero": lambda rng, n: normal(rng, n) * (rng.random(n) < 0.1),
}
DTYPES = ["float64"] * 4 + ["float32", "float16", "int64", "object", "bool", "uint8"]
CONTAINERS = ["array"] * 3 + ["fortran", "list", "pandas", "polars", "read-only", "strided"]


def draw_table(rng):
    """Rows as an array of float64, before they get another type, and what columns they have."""
    n, d = int(rng.integers(2, 80)), int(rng.integers(1, 7))
    kinds = [str(rng.choice(list(COLUMNS))) for _ in range(d)]
    X = np.column_stack([COLUMNS[kind](rng, n) for kind in kinds])
    if d > 1 and rng.random() < 0.2:  # collinear, copied, or nearly
        with np.errstate(over="ignore"):
            X[:, -1] = X[:, 0] * rng.choice([1.0, -2.5]) + rng.choice([0, 1e-9]) * normal(rng, n)
        kinds[-1] = "copy"
    if rng.random() < 0.1:
        X[:] = X[rng.integers(0, max(1, n // 5), n)]
        kinds.append("repeated rows")
    if rng.random() < 0.05:
        X[rng.integers(n), rng.integers(d)] = rng.choice([np.nan, np.inf, -np.inf])
        kinds.append("a value that is not finite")
    if rng.random() < 0.15:
        X[rng.random(X.shape) < rng.uniform(0, 0.7)] = np.nan
        kinds.append("missing")
    return X, kinds


def as_given(X, dtype, container):
    """The table as a user may pass it."""
    with np.errstate(all="ignore"):
        X = X.astype(dtype)
    if container == "fortran":
        return np.asfortranarray(X)
    if container == "list":
        return X.tolist()
    if container == "strided":
        return np.repeat(X, 2, axis=0)[::2]
    if container == "read-only":
        X.flags.writeable = False
    if container in ("pandas", "polars"):
        library = __import__(container)
        return library.DataFrame({f"column {j}": X[:, j] for j in range(X.shape[1])})
    return X


def with_category(rng, frame):
    """The frame with one more column, of words; now and then with missing cells in it."""
    n = len(frame)
    words = np.asarray([f"word {k}" for k in range(int(rng.integers(1, 8)))], dtype=object)
    column = words[rng.integers(0, len(words), n)]
    if rng.random() < 0.2:
        column[rng.random(n) < 0.2] = None
    if isinstance(frame, pd.DataFrame):
        return frame.assign(word=column)
    return frame.with_columns(__import__("polars").Series("word", column.tolist(), dtype=str))


def numbers_and_missing(X):
    """The cells of a table as numbers, NaN for words, and which of them are missing."""
    cells = pd.DataFrame(np.asarray(X, dtype=object))
    return cells.apply(pd.to_numeric, errors="coerce").to_numpy(float), cells.isna().to_numpy()


PARAMETERS = {
    "n_layers": [1, 2, 3],
    "mask_layout": [
        "parity",
        "derived",
        masks.Repeat("random"),
        *(masks.Rule("random", n) for n in (None, 1, 2, 0.5)),
    ],
    "coupling": ["spline", "affine"],
    "n_bins": [2, 8],
    "hidden_layer_sizes": [(), (8,), (8, 8)],
    "activation": ["relu", "tanh"],
    "dequantize": [False, True],
    "bounds": [None, None, None, (0, None), (None, 1e6), (-10, 10)],
    "component_weight": ["auto", "auto", 0.0, 0.05, 0.99],
    "n_estimators": [1, 1, 3],
    "early_stopping": [True, True, False],
}
TRAINING = {
    "standardize": [True, True, False],
    "n_init": [1, 2],
    "solver": ["adam", "sgd"],
    "learning_rate": ["one_cycle", "cyclic", "constant"],
    "learning_rate_init": ["auto", 1e-4, 1.0, 1e6],
    "alpha": ["auto", 0.0, 100.0],
    "batch_size": ["auto", 1, 7, 1000],
    "validation_fraction": [0.1, 0.5],
    "n_iter_no_change": ["auto", 1, None],
}
SEARCH = {
    "move": ["shuffle", "swap"],
    "initial_layout": ["derived", "random"],
    "search_space": ["free", "alternating"],
}


def draw_estimator(rng):
    def some(table):
        """A few of the parameters, the others by default."""
        chosen = {}
        for name, values in table.items():
            if rng.random() < 0.3:
                chosen[name] = values[rng.integers(len(values))]
        return chosen

    quick = {"max_iter": int(rng.integers(1, 4)), "hidden_layer_sizes": (8,), "n_layers": 2}
    params = {**quick, **some(PARAMETERS), "random_state": int(rng.integers(1000))}
    activation = params.pop("activation", "relu")
    params["training"] = Training(activation=activation, **some(TRAINING))
    which = rng.random()
    if which < 0.1:
        params.pop("mask_layout", None)
        return StructureSearchFlow(n_search_iter=3, n_candidate_steps=2, **params, **some(SEARCH))
    if which > 0.95:
        known = FlowRegressor().get_params()
        return FlowRegressor(**{name: value for name, value in params.items() if name in known})
    flow = CouplingFlowDensity(**params)
    if which < 0.25:
        return FlowOutlierDetector(flow, random_state=0)
    return FlowImputer(flow, n_draws=3, random_state=0) if which < 0.3 else flow


def draw_weights(rng, n):
    if rng.random() < 0.8:
        return None
    kind = rng.integers(4)
    if kind == 0:
        return np.ones(n)
    weights = rng.exponential(1, n) * 10.0 ** rng.choice([-300, 0, 300])
    if kind > 1:
        weights[rng.random(n) < 0.5] = 0
    return weights


class Case:
    """A table, an estimator and weights, drawn from a number; ``told`` says what was drawn."""

    def __init__(self, number):
        rng = np.random.default_rng([2021, number])
        values, self.kinds = draw_table(rng)
        self.estimator = draw_estimator(rng)
        self.dtype, self.container = str(rng.choice(DTYPES)), str(rng.choice(CONTAINERS))
        self.X = as_given(values, self.dtype, self.container)
        if self.container in ("pandas", "polars") and rng.random() < 0.3:
            self.X = with_category(rng, self.X)
            self.kinds.append("words")
        self.y = values[:, -1]  # of a regressor; it may be among the features, too
        self.weights = draw_weights(rng, len(values))
        shown = " ".join(repr(self.estimator).split())
        self.told = f"{self.kinds} {self.dtype} {self.container} {shown}"

    def run(self):
        """``(outcome, finding)``; the finding is None where all is as it should be."""
        leaked = []

        def show(message, category, filename, lineno, file=None, line=None):
            frames = traceback.extract_stack()
            if not any(frame.filename.endswith("skflow/_core/checks.py") for frame in frames):
                leaked.append(f"{category.__name__}: {message} ({filename}:{lineno})")

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show
            try:
                finding = self.check()
                outcome = "result"
            except (ValueError, TypeError) as error:
                outcome, finding = "error", unclear(error)
            except Exception as error:
                outcome, finding = "error", described(error)
        if finding is None and leaked:
            finding = f"leaked {leaked[0]}"
        return outcome, finding

    def _check_regressor(self):
        X, y = self.X, self.y
        regressor = self.estimator.fit(X, y, sample_weight=self.weights)
        answers = {
            "densities": regressor.score_samples(X, y),
            "means": regressor.predict(X),
            "quantiles": regressor.predict_quantiles(X, [0.01, 0.5]),
            "draws": regressor.sample_y(X, 3),
            "probabilities": regressor.cdf(X, y),
        }
        for name, values in answers.items():
            if not np.isfinite(values).all():
                return f"{name} are not finite: {values[~np.isfinite(values)][:3]}"
        again = pickle.loads(pickle.dumps(regressor)).score_samples(X, y)
        return "saving changes scores" if (again != answers["densities"]).any() else None

    def check(self):
        """What is wrong with the result, or None."""
        X, estimator = self.X, self.estimator
        if isinstance(estimator, FlowRegressor):
            return self._check_regressor()
        if isinstance(estimator, FlowOutlierDetector):
            estimator.fit(X)
        else:
            estimator.fit(X, sample_weight=self.weights)
        scores = estimator.score_samples(X)
        fitted = np.ones(len(scores), bool) if self.weights is None else self.weights > 0
        unusable = ~np.isfinite(scores) & fitted  # rows of weight 0 may lie beyond the bounds
        if unusable.any() or np.isnan(scores).any():
            return f"scores are not finite: {scores[~np.isfinite(scores)][:3]}"
        if (pickle.loads(pickle.dumps(estimator)).score_samples(X) != scores).any():
            return "saving changes scores"
        if isinstance(estimator, FlowOutlierDetector):
            contributions = estimator.explain(X[:1])
            unknown = numbers_and_missing(X[:1])[1]
            return None if np.isfinite(contributions[~unknown]).all() else "reasons are not finite"
        if isinstance(estimator, FlowImputer):
            return self._check_filled(estimator.transform(X))
        return self._check_samples() or self._check_latent()

    def _check_filled(self, filled):
        """Where no column is dropped: nothing known is touched, nothing unknown is left."""
        numbers, missing = numbers_and_missing(self.X)
        if missing.all(axis=0).any():
            return None
        after, left = numbers_and_missing(filled)
        known = ~np.isnan(numbers)
        if (after[known] != numbers[known]).any():
            return "filling changes what is known"
        return "filling leaves missing cells" if left.any() else None

    def _check_samples(self):
        drawn = self.estimator.sample(5, random_state=0)
        if drawn.shape != (5, self.estimator.n_features_in_) or numbers_and_missing(drawn)[1].any():
            return f"samples are not whole: {drawn}"
        return None

    def _check_latent(self):
        """A row with missing cells has no latent point; that of any other is finite."""
        if self.estimator.n_estimators > 1:
            return None
        latent, missing = self.estimator.transform(self.X), numbers_and_missing(self.X)[1]
        whole = ~missing.any(axis=1)
        return None if np.isfinite(latent[whole]).all() else "latent points are not finite"


def unclear(error):
    """What is wrong with an error of the right type, or None."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = any(part in last for part in ("/skflow/", "/sklearn/"))
    return None if ours and len(str(error).split()) >= 4 else described(error)


def described(error):
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rsplit('site-packages/', 1)[-1]}:{last.lineno}"
    return f"{type(error).__name__}: {str(error)[:300]} ({where})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    arguments = parser.parse_args()
    started, outcomes, findings = time.time(), Counter(), []
    for number in range(arguments.seed, arguments.seed + arguments.cases):
        case = Case(number)
        outcome, finding = case.run()
        outcomes["finding" if finding else outcome] += 1
        if finding:
            findings.append(number)
            print(f"case {number}: {finding}\n    {case.told}", flush=True)
    counts = ", ".join(f"{count} {outcome}s" for outcome, count in sorted(outcomes.items()))
    print(f"{arguments.cases} cases in {time.time() - started:.0f} s: {counts}")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
