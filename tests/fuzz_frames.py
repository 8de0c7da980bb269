"""Frames of any library, dtypes and names beside the plain table of the same values.

The same estimator is fitted to both, with the same seed. Either the frame is refused with a
sentence, or all answers are those of the plain table: a pandas frame of float64, of text and of
truth values, with names ``a``, ``b``, ... . Dates are always refused, and so is, after ``fit``, a
frame with other names or another order. No prediction changes the estimator.
"""

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars
import sklearn
from fuzz_case import Case, unclear
from fuzz_tables import shown

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
)

try:
    import pyarrow
except ImportError:  # its columns are drawn as nullable ones
    pyarrow = None

#: Rows of a table that are asked about.
N_ASKED = 8

# ---- values


def words(rng, n):
    return rng.choice(np.array(["ape", "bee", "cat", "dog"])[: rng.integers(2, 5)], n).astype(
        object
    )


#: How values of each kind of column are drawn. Numbers have four digits, as decimals do.
VALUES = {
    "real": lambda rng, n: rng.normal(size=n).round(4),
    "positive": lambda rng, n: rng.exponential(size=n).round(4),
    "zeros": lambda rng, n: (rng.exponential(size=n) * (rng.random(n) < 0.7)).round(4),
    "spike": lambda rng, n: np.where(rng.random(n) < 0.3, 2.5, rng.normal(size=n).round(4)),
    "count": lambda rng, n: rng.poisson(40, n).astype(float),
    "words": words,
    "truth": lambda rng, n: rng.random(n) < 0.4,
}
NUMBERS = ["real", "positive", "zeros", "spike", "count"]


def draw_columns(rng):
    """Columns of the plain table, and their kinds. The first is real."""
    n, d = int(rng.integers(40, 60)), int(rng.integers(2, 5))
    kinds = ["real", *rng.choice(list(VALUES), d - 1).tolist()]
    if rng.random() < 0.3:
        kinds = ["real", *rng.choice(NUMBERS, d - 1).tolist()]
    return [VALUES[kind](rng, n) for kind in kinds], kinds


# ---- how they are given


def nullable(values, kind):
    names = {"words": "string", "truth": "boolean", "count": "Int64"}
    return pd.array(values, dtype=names.get(kind, "Float64"))


def arrow(values, kind):
    if pyarrow is None:
        return nullable(values, kind)
    names = {"words": "string[pyarrow]", "truth": "bool[pyarrow]", "count": "int32[pyarrow]"}
    return pd.array(values, dtype=names.get(kind, "double[pyarrow]"))


def decimal_arrow(values, kind):
    if kind in ("words", "truth") or pyarrow is None:
        return arrow(values, kind)
    cells = [None if value is None else Decimal(f"{value:.4f}") for value in values]
    return pd.array(cells, dtype=pd.ArrowDtype(pyarrow.decimal128(20, 4)))


def dictionary_arrow(values, kind):
    if kind != "words" or pyarrow is None:
        return arrow(values, kind)
    index = pyarrow.array(values, pyarrow.string()).dictionary_encode()
    return pd.arrays.ArrowExtensionArray(index)


def sparse(values, kind):
    if kind == "words":
        return pd.array(values, dtype=object)
    if kind == "truth" and any(value is None for value in values):
        return nullable(values, kind)
    if any(value is None for value in values):
        return pd.arrays.SparseArray(np.array(values, float))
    types = {"truth": bool, "count": np.int64}
    return pd.arrays.SparseArray(np.array(values, dtype=types.get(kind, float)))


def categorical(values, kind):
    if kind != "words":
        return nullable(values, kind)
    return pd.Categorical(values, sorted({value for value in values if value is not None}))


def objects(values, kind):
    return pd.Series([pd.NA if value is None else value for value in values], dtype=object)


PANDAS = [nullable, arrow, decimal_arrow, dictionary_arrow, sparse, categorical, objects]


def as_polars(values, kind, rng):
    given = [
        value if value is None or kind in ("words", "truth") else float(value) for value in values
    ]
    if kind == "words":
        present = sorted({value for value in values if value is not None})
        return polars.Series(given, dtype=[polars.String, polars.Enum(present)][rng.integers(2)])
    if kind == "truth":
        return polars.Series(given, dtype=polars.Boolean)
    if kind == "count":
        return polars.Series([value if value is None else int(value) for value in given])
    if rng.random() < 0.3:
        cells = [value if value is None else Decimal(f"{value:.4f}") for value in given]
        return polars.Series(cells, dtype=polars.Decimal(20, 4))
    return polars.Series(given, dtype=polars.Float64)


def plain_frame(columns, kinds, names):
    """The frame of float64, text and truth values; None and NaN where a cell is not known."""
    frame = {}
    for j, (values, kind) in enumerate(zip(columns, kinds)):
        if kind in ("words", "truth"):
            known = all(value is not None for value in values)
            frame[j] = pd.Series(list(values), dtype=bool if kind == "truth" and known else object)
        else:
            frame[j] = pd.Series(
                [np.nan if value is None else value for value in values], dtype=float
            )
    return pd.DataFrame(frame).set_axis(names, axis=1)


DATES = {
    "datetime64": lambda n: pd.date_range("2020-01-01", periods=n),
    "timedelta64": lambda n: pd.to_timedelta(np.arange(n), unit="h"),
    "with NaT": lambda n: pd.date_range("2020-01-01", periods=n).where(np.arange(n) != 2),
    "time zone": lambda n: pd.date_range("2020-01-01", periods=n, tz="UTC"),
    "period": lambda n: pd.period_range("2020-01-01", periods=n),
    "arrow": lambda n: (
        pd.date_range("2020-01-01", periods=n)
        if pyarrow is None
        else pd.array(pd.date_range("2020-01-01", periods=n), dtype="timestamp[us][pyarrow]")
    ),
    "objects": lambda n: pd.Series(list(pd.date_range("2020-01-01", periods=n)), dtype=object),
}


# ---- estimators

QUICK = dict(n_layers=1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)


def draw_estimator(rng, kinds):
    bounds = None
    bounded = [j for j, kind in enumerate(kinds) if kind in ("positive", "zeros", "count")]
    if bounded and rng.random() < 0.5:
        bounds = [(0, None) if j in bounded else None for j in range(len(kinds))]
    params = {
        **QUICK,
        "bounds": bounds,
        "spikes": bool(rng.random() < 0.7),
        "dequantize": bool(rng.random() < 0.2),
        "component_weight": [0.0, 0.1, "auto"][rng.integers(3)],
        "training": Training(validation_fraction=0.1),
    }
    which = rng.random()
    if which < 0.15:
        return FlowRegressor(**{**QUICK, "n_estimators": 1, "mean_estimator": None})
    flow = CouplingFlowDensity(**params)
    if which < 0.35:
        options = rng.random(2) < 0.4
        return FlowImputer(
            flow,
            n_draws=2,
            random_state=0,
            add_indicator=bool(options[0]),
            keep_empty_features=bool(options[1]),
        )
    if which < 0.5:
        return FlowOutlierDetector(flow, random_state=0)
    if which < 0.55:
        return StructureSearchFlow(n_search_iter=2, n_candidate_steps=1, **params)
    return flow


class FrameCase(Case):
    """A frame, the plain one of the same values, and an estimator, drawn from a number."""

    def __init__(self, number):
        rng = np.random.default_rng([2026, number])
        columns, self.kinds = draw_columns(rng)
        if rng.random() < 0.12:
            part = rng.uniform(0, 0.3)
            columns = [
                [
                    None if missing else value
                    for value, missing in zip(values, rng.random(len(values)) < part)
                ]
                for values in columns
            ]
        names = list("abcd"[: len(columns)])
        self.plain = plain_frame(columns, self.kinds, names)
        self.estimator = draw_estimator(rng, self.kinds)
        self.output = str(rng.choice(["default", "default", "pandas", "polars"]))
        self.spoiled = None
        if rng.random() < 0.1:
            self._with_dates(rng)
        else:
            self._dressed(columns, rng)
        self.rng = rng
        told = f"{self.kinds} {self.dress} output={self.output}"
        self.told = f"{told} {shown(self.estimator)}"

    def _with_dates(self, rng):
        kind = str(rng.choice(list(DATES)))
        dates, n = DATES[kind], len(self.plain)
        self.dress, self.spoiled = f"dates ({kind})", "dates"
        whole = rng.random() < 0.3
        frame = (
            pd.DataFrame({"a": dates(n), "b": dates(n)}) if whole else self.plain.assign(e=dates(n))
        )
        if rng.random() < 0.2 and kind in ("datetime64", "timedelta64"):
            frame = np.column_stack([np.asarray(dates(n))] * 2)
        elif rng.random() < 0.3 and kind in ("datetime64", "timedelta64", "with NaT"):
            frame = polars.from_pandas(frame.astype({"b": frame["b"].dtype}))
        self.frame = frame

    def _dressed(self, columns, rng):
        numeric = not {"words", "truth"} & set(self.kinds)
        dress = str(
            rng.choice(["pandas"] * 4 + ["polars"] * 2 + ["masked array", "array", "as it is"])
        )
        if dress in ("masked array", "array") and not numeric:
            dress = "pandas"
        self.dress = dress
        if dress == "polars":
            parts = [as_polars(v, k, rng) for v, k in zip(columns, self.kinds)]
            self.frame = polars.DataFrame(dict(zip(self.plain.columns, parts)))
        elif dress in ("masked array", "array"):
            self.frame = self.plain.to_numpy()
            if dress == "masked array":
                missing = np.isnan(self.frame)
                self.frame = np.ma.masked_array(np.where(missing, -999.0, self.frame), missing)
        else:
            makers = [
                plain_column if dress == "as it is" else PANDAS[rng.integers(len(PANDAS))]
                for _ in columns
            ]
            self.dress = [maker.__name__ for maker in makers]
            parts = {
                j: make(list(v), k)
                for j, (make, v, k) in enumerate(zip(makers, columns, self.kinds))
            }
            self.frame = pd.DataFrame(parts).set_axis(self._names(rng), axis=1)
        if isinstance(self.frame, np.ndarray) or rng.random() > 0.2:
            return
        self.spoiled = str(rng.choice(["names", "order", "fewer", "more"]))

    def _names(self, rng):
        d = self.plain.shape[1]
        kind = rng.choice(["text"] * 3 + ["numbers", "shuffled numbers", "repeated", "mixed"])
        self.dress.append(f"names: {kind}")
        return {
            "text": list(self.plain),
            "numbers": list(range(d)),
            "shuffled numbers": rng.permutation(d).tolist(),
            "repeated": ["a"] * d,
            "mixed": [0, *list(self.plain)[1:]],
        }[str(kind)]

    # ---- what has to hold

    def check(self):
        with sklearn.config_context(transform_output=self.output):
            if self.spoiled == "dates":
                return refused(lambda: self._fitted(self.frame), "dates are taken")
            try:
                model = self._fitted(self.plain)
                truth = self._answers(model, self.plain)
            except (ValueError, TypeError) as error:
                finding = unclear(error)
                return finding or refused(
                    lambda: self._answers(self._fitted(self.frame), self.frame),
                    f"the plain table is refused, and this one is not ({error})",
                )
            fitted = self._fitted(self.frame)
            if self.spoiled is not None:
                spoiled = self._other_frame()
                if spoiled is not None:
                    answer = lambda: self._answers(fitted, spoiled)  # noqa: E731
                    return refused(answer, f"a frame with other columns is taken ({self.spoiled})")
            before = pickle.dumps(fitted)
            found = self._answers(fitted, self.frame)
            if pickle.dumps(fitted) != before:
                return "predictions change the estimator"
            again = self._answers(pickle.loads(before), self.frame)
        # frames of whole numbers and of decimals are answered in their own digits
        digits = [0.51 if kind == "count" else 6e-5 for kind in self.kinds]
        return different(found, truth, digits) or different(again, found) or self._sums(model)

    def _fitted(self, X):
        """A new estimator, fitted to a table; the target of a regressor is of the plain one."""
        estimator = sklearn.base.clone(self.estimator)
        if isinstance(estimator, FlowRegressor):
            y = self.plain["a"].fillna(0.0).to_numpy()
            return estimator.fit(X, y)
        return estimator.fit(X)

    def _answers(self, fitted, X):
        """Answers by name, as arrays, for the first rows of a table."""
        X = X[:N_ASKED]
        if isinstance(fitted, FlowRegressor):
            y = self.plain["a"].fillna(0.0).to_numpy()[:N_ASKED]
            return {
                "means": fitted.predict(X),
                "densities": fitted.score_samples(X, y),
                "intervals": fitted.predict_interval(X, coverage=0.5),
            }
        if isinstance(fitted, FlowImputer):
            filled = fitted.transform(X)
            names = fitted.get_feature_names_out()
            answers = {"filled": cells(filled), "drawn": cells(fitted.sample(X, 1))}
            if len(names) != answers["filled"].shape[1]:
                raise AssertionError(f"{len(names)} names of {answers['filled'].shape[1]} columns")
            return answers
        if isinstance(fitted, FlowOutlierDetector):
            report = fitted.report(X, n=1)
            return {
                "scores": fitted.score_samples(X),
                "p-values": fitted.pvalue(X),
                "reasons": fitted.explain(X[:2]),
                "reported": report.pvalue.to_numpy(),
            }
        row = X[:2].copy() if isinstance(X, pd.DataFrame) else X[:2]
        return {
            "scores": fitted.score_samples(X),
            "samples": cells(fitted.sample(4, random_state=0)),
            "given": cells(fitted.sample_given(row, 2, random_state=0)),
            "latent": np.asarray(fitted.transform(X), float),
        }

    def _other_frame(self):
        """The frame with other columns than in fit; None where it would have the same."""
        frame, names = self.frame, list(self.frame.columns)
        if len(set(names)) < len(names):
            return None
        if self.spoiled == "fewer":
            return frame[names[:-1]]
        if self.spoiled == "order":
            return frame[names[::-1]]
        if self.spoiled == "more":
            extra = polars.lit(1.0).alias("more")
            polar = isinstance(frame, polars.DataFrame)
            return frame.with_columns(extra) if polar else frame.assign(more=1.0)
        others = [f"other {name}" if isinstance(name, str) else name + 10 for name in names]
        return (
            frame.rename(dict(zip(names, others)))
            if isinstance(frame, polars.DataFrame)
            else frame.set_axis(others, axis=1)
        )

    def _sums(self, model):
        """The density of a row whose category is not known is the sum over all of them."""
        if not isinstance(model, CouplingFlowDensity) or "words" not in self.kinds:
            return None
        name = self.plain.columns[self.kinds.index("words")]
        row = self.plain.dropna()[:1]
        if not len(row):
            return None
        values = sorted({value for value in self.plain[name] if isinstance(value, str)})
        each = [model.score_samples(row.assign(**{name: v}))[0] for v in [*values, "never seen"]]
        whole = model.score_samples(row.assign(**{name: None}))[0]
        close = np.isclose(np.logaddexp.reduce(each), whole, rtol=1e-6, atol=1e-6)
        return None if close else f"categories add up to {np.logaddexp.reduce(each)}, not {whole}"


def plain_column(values, kind):
    return plain_frame([values], [kind], ["x"])["x"]


def refused(call, finding):
    """None where the call raises a sentence."""
    try:
        call()
    except (ValueError, TypeError) as error:
        return unclear(error)
    return finding


def cells(table):
    """The cells of a table or of several as one array of objects, numbers as float64."""
    if isinstance(table, list):
        return np.stack([cells(one) for one in table], axis=-1)
    if isinstance(table, polars.DataFrame):
        table = np.array(table.rows(), dtype=object)
    array = (
        table.to_numpy(dtype=object)
        if isinstance(table, pd.DataFrame)
        else np.asarray(table, object)
    )
    return np.vectorize(cell, otypes=[object])(array)


def cell(value):
    if value is None or value is pd.NA or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def different(found, expected, digits=()):
    """Where answers differ, in words, or None; cells of a column by no more than its digits."""
    for name, values in expected.items():
        own = found[name]
        if own.shape != values.shape:
            return f"{name} have the shape {own.shape}, not {values.shape}"
        if values.dtype != object and not np.isfinite(own[np.isfinite(values)]).all():
            return f"{name} are not finite"
        most = np.full(values.shape, 1e-9)
        if values.dtype == object:
            for j, size in enumerate(digits):
                most[:, j] = size
        same = np.vectorize(alike, otypes=[bool])(own, values, most)
        if not same.all():
            return f"{name} differ: {own[~same][:3]}, not {values[~same][:3]}"
    return None


def alike(one, other, most):
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-6, atol=most, equal_nan=True))
    return one == other
