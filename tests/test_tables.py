"""Tables of every kind, in every container: the same numbers as in the plainest one, or a sentence.

The truth of a dtype is the same table with floats and Python's own text and truth values.
"""

import datetime
import sys
import warnings
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from small_flows import flow

from skflow import FlowImputer, FlowOutlierDetector, FlowRegressor

N = 60
RNG = np.random.RandomState(0)
NUMBER = RNG.standard_normal(N)
OTHER = RNG.standard_normal(N)
SIZE = RNG.randint(0, 40, N)
WORD = [["a", "b", "c"][k] for k in RNG.randint(0, 3, N)]
TRUTH = [bool(k) for k in RNG.randint(0, 2, N)]
SMALL = flow(max_iter=1)


ESTIMATORS = {
    "density": SMALL,
    "detector": FlowOutlierDetector(SMALL, random_state=0),
    "imputer": FlowImputer(SMALL, n_draws=2, random_state=0),
    "regressor": FlowRegressor(n_estimators=1, max_iter=1, mean_estimator=None, random_state=0),
}
TARGET = NUMBER + SIZE / 20 + RNG.standard_normal(N)


def fit(name, X):
    estimator = clone(ESTIMATORS[name])
    return estimator.fit(X, TARGET) if name == "regressor" else estimator.fit(X)


def scores(estimator, X):
    if isinstance(estimator, FlowRegressor):
        return estimator.score_samples(X, TARGET[: len(X)])
    return estimator.score_samples(X)


every_estimator = pytest.mark.parametrize("name", ESTIMATORS)


@pytest.fixture(autouse=True)
def one_round(monkeypatch):
    """It does not matter here what cells are filled with."""
    monkeypatch.setattr("skflow._missing.fitting.N_MIXTURES", 1)


# ---- dtypes


def arrow(type_name, *args):
    """A dtype of pandas that pyarrow holds."""

    def make(values):
        pyarrow = pytest.importorskip("pyarrow")
        made = [getattr(pyarrow, a)() if isinstance(a, str) else a for a in args]
        dtype = pd.ArrowDtype(getattr(pyarrow, type_name)(*made))
        return pd.Series(values, dtype=dtype)

    return make


def as_pandas(dtype):
    return partial(pd.Series, dtype=dtype)


def as_polars(dtype, strict=True):
    return partial(polars.Series, "", dtype=dtype, strict=strict)


PRICE = [Decimal(int(100 * value)).scaleb(-2) for value in OTHER]
DTYPES = {
    # what the column is given as, and what it is: numbers, or categories
    "int8": (as_pandas("int8"), SIZE, False),
    "float32": (as_pandas("float32"), SIZE, False),
    "Int64": (as_pandas("Int64"), SIZE, False),
    "UInt8": (as_pandas("UInt8"), SIZE, False),
    "Float64": (as_pandas("Float64"), OTHER, False),
    "object": (as_pandas(object), SIZE, False),
    "sparse integers": (as_pandas(pd.SparseDtype("int64", 0)), SIZE, False),
    "sparse numbers": (as_pandas(pd.SparseDtype("float64")), OTHER, False),
    "sparse, filled with 1": (as_pandas(pd.SparseDtype("float64", 1.0)), SIZE, False),
    "arrow integers": (arrow("int16"), SIZE, False),
    "arrow numbers": (arrow("float64"), OTHER, False),
    "arrow decimals": (arrow("decimal128", 20, 2), PRICE, False),
    "polars integers": (as_polars(polars.UInt16), SIZE, False),
    "polars numbers": (as_polars(polars.Float32), SIZE, False),
    "polars decimals": (as_polars(polars.Decimal(20, 2)), PRICE, False),
    "polars objects": (as_polars(polars.Object), SIZE.tolist(), False),
    "bool": (as_pandas("bool"), TRUTH, True),
    "boolean": (as_pandas("boolean"), TRUTH, True),
    "objects of truth": (as_pandas(object), TRUTH, True),
    "sparse truth": (as_pandas(pd.SparseDtype(bool, False)), TRUTH, True),
    "str": (as_pandas("str"), WORD, True),
    "string": (as_pandas("string"), WORD, True),
    "object of text": (as_pandas(object), WORD, True),
    "category": (as_pandas("category"), WORD, True),
    "ordered": (as_pandas(pd.CategoricalDtype(["c", "a", "b"], ordered=True)), WORD, True),
    "more than there are": (as_pandas(pd.CategoricalDtype([*"abcdefg"])), WORD, True),
    "category of numbers": (as_pandas("category"), [ord(w) - 90 for w in WORD], True),
    "arrow text": (arrow("string"), WORD, True),
    "arrow large text": (arrow("large_string"), WORD, True),
    "arrow truth": (arrow("bool_"), TRUTH, True),
    "arrow dictionary": (arrow("dictionary", "int32", "string"), WORD, True),
    "polars text": (as_polars(polars.String), WORD, True),
    "polars truth": (as_polars(polars.Boolean), TRUTH, True),
    "polars categories": (as_polars(polars.Categorical), WORD, True),
    "polars enumeration": (as_polars(polars.Enum(["c", "b", "a"])), WORD, True),
    "polars objects of text": (as_polars(polars.Object), WORD, True),
}


ORDERS = {
    "ordered": ["c", "a", "b"],
    "polars enumeration": ["c", "b", "a"],
    "category of numbers": [7, 8, 9],
}


def framed(column):
    """A frame of a column between a number and a word."""
    if isinstance(column, polars.Series):
        return polars.DataFrame({"x": NUMBER, "of dtype": column, "word": WORD})
    return pd.DataFrame({"x": NUMBER, "of dtype": column, "word": WORD})


def case(label):
    make, values, is_category = DTYPES[label]
    try:
        column = make(values)
    except TypeError:
        pytest.skip("this version has no such dtype")
    plain = np.array(list(values), dtype=object if is_category else np.float64)
    order = ORDERS.get(label)
    if order:  # codes follow it, and those of text the alphabet
        plain = np.array([str(order.index(value)) for value in values], dtype=object)
    table = np.empty((N, 3), dtype=object)
    table[:, 0], table[:, 1], table[:, 2] = NUMBER, plain, WORD
    return framed(column), table, is_category


#: Of which more estimators are tried than the density: all read tables by the same function.
SOME = {"UInt8", "sparse integers", "polars decimals", "sparse truth", "string", "ordered"}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (name, label)
        for label in DTYPES
        for name in ESTIMATORS
        if name == "density" or label in SOME
    ],
)
def test_scores_are_those_of_the_plainest_table(name, label):
    frame, table, is_category = case(label)
    if name in ("detector", "regressor"):  # they have no categorical_features
        table = pd.DataFrame({j: list(column) for j, column in enumerate(table.T)})
        table = table.set_axis(frame.columns, axis=1)
        expected = scores(fit(name, table), table)
    else:
        columns = [1, 2] if is_category else [2]
        density = clone(SMALL).set_params(categorical_features=columns)
        if name == "imputer":
            density = FlowImputer(density, n_draws=2, random_state=0)
        expected = scores(density.fit(table), table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(scores(fit(name, frame), frame), expected, rtol=1e-6)


@pytest.mark.parametrize("label", DTYPES)
def test_what_comes_out_is_as_it_went_in(label):
    frame, _, _ = case(label)
    model = fit("density", frame)
    same = model.sample_given(frame, 1, random_state=0)[0]
    drawn = model.sample(20, random_state=0)
    if isinstance(frame, polars.DataFrame):
        kept = frame["of dtype"].to_list() == same["of dtype"].to_list()
        dtypes = (frame.schema, drawn.schema)
        if "objects" in label and not DTYPES[label][2]:  # of which nothing is known
            dtypes = ()
    else:
        kept = frame["of dtype"].tolist() == same["of dtype"].tolist()
        dtypes = list(frame.dtypes), list(drawn.dtypes)
    assert kept
    assert len({str(dtype) for dtype in dtypes}) <= 1 and len(set(map(repr, dtypes))) <= 1
    if DTYPES[label][2]:
        assert set(drawn["of dtype"].to_list()) <= set(frame["of dtype"].to_list())


@pytest.mark.parametrize("label", DTYPES)
def test_missing_of_a_dtype_are_found_and_filled(label):
    frame, _, _ = case(label)
    if isinstance(frame, polars.DataFrame):
        hole = polars.Series([i % 3 == 0 for i in range(N)])
        values = [
            None if empty else value for value, empty in zip(frame["of dtype"].to_list(), hole)
        ]
        column = polars.Series("of dtype", values, dtype=frame["of dtype"].dtype)
        incomplete = frame.with_columns(column)
    else:
        holes = frame["of dtype"].astype(object).mask(np.arange(N) % 3 == 0, None)
        try:
            incomplete = frame.assign(**{"of dtype": holes.astype(frame["of dtype"].dtype)})
        except (ValueError, TypeError):
            pytest.skip("the dtype has no missing value")
        if not incomplete["of dtype"].isna().any():
            pytest.skip("the dtype has no missing value")
    filled = FlowImputer(SMALL, n_draws=2, random_state=0).fit(incomplete).transform(incomplete)
    before, after = frame["of dtype"].to_list(), filled["of dtype"].to_list()
    assert [after[i] for i in range(N) if i % 3] == [before[i] for i in range(N) if i % 3]
    assert not pd.isna(pd.Series(after, dtype=object)).any()


def test_dummies_that_are_sparse():
    frame = pd.get_dummies(pd.DataFrame({"x": NUMBER, "word": WORD}), sparse=True)
    drawn = fit("density", frame).sample(200, random_state=0)
    share = frame.word_a.mean()
    assert drawn.word_a.mean() == pytest.approx(share, abs=0.25) and drawn.word_a.mean() < 0.9
    assert drawn.dtypes.equals(frame.dtypes)


def test_truth_values_beside_categories_may_be_numbers():
    frame = pd.DataFrame({"x": NUMBER, "word": WORD, "truth": TRUTH})
    model = clone(SMALL).set_params(categorical_features=["word"], dequantize=True).fit(frame)
    assert 0.1 < model.sample(200, random_state=0).truth.mean() < 0.9


# ---- missing values


MISSING = {
    "NaN": np.nan,
    "None": None,
    "pandas.NA": pd.NA,
    "NaT": pd.NaT,
    "decimal": Decimal("NaN"),
}


@pytest.fixture(scope="module")
def of_a_incomplete_table():
    """A table with a missing cell in every fourth row, a density of it, and its scores."""
    truth = np.column_stack([NUMBER, SIZE]).astype(float)
    truth[::4, 1] = np.nan
    model = fit("density", truth)
    return truth, model, model.score_samples(truth)


@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("container", ["array", "pandas", "polars", "list"])
def test_what_is_missing_is_so_in_every_container(of_a_incomplete_table, container, value):
    truth, model, expected = of_a_incomplete_table
    cells = truth.astype(object)
    cells[::4, 1] = value
    columns = {"x": cells[:, 0].tolist(), "y": cells[:, 1].tolist()}
    X = {
        "array": lambda: cells,
        "list": cells.tolist,
        "pandas": lambda: pd.DataFrame(columns, dtype=object),
        "polars": lambda: polars.DataFrame(
            {key: polars.Series(column, dtype=polars.Object) for key, column in columns.items()}
        ),
    }[container]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X has feature names")
        np.testing.assert_allclose(model.score_samples(X), expected)


@every_estimator
def test_what_is_masked_is_missing(name):
    table = np.column_stack([NUMBER, SIZE]).astype(float)
    mask = np.zeros(table.shape, dtype=bool)
    mask[::4, 1] = True
    incomplete = np.where(mask, np.nan, table)
    masked = np.ma.MaskedArray(np.where(mask, 1e6, table), mask)
    if name == "regressor":
        model = fit(name, incomplete)
        np.testing.assert_array_equal(fit(name, masked).predict(masked), model.predict(incomplete))
        with pytest.raises(ValueError, match="y contains NaN in 15 of 60 rows"):
            model.fit(table, np.ma.MaskedArray(TARGET, mask[:, 1]))
        return
    model = fit(name, table)
    np.testing.assert_allclose(model.score_samples(masked), model.score_samples(incomplete))
    if name == "imputer":
        np.testing.assert_allclose(model.transform(masked), model.transform(incomplete))
    if name == "density":
        words = np.ma.MaskedArray(table.astype(object), mask)
        np.testing.assert_allclose(model.score_samples(words), model.score_samples(incomplete))


# ---- dates


def _dates():
    days = pd.date_range("2020-01-01", periods=N)
    whole = np.column_stack([days.to_numpy(), days.to_numpy()])
    yield "array of dates", whole
    yield "array of durations", whole - whole[0, 0]
    yield "not a time", np.full((N, 2), "NaT", dtype="datetime64[s]")
    yield "frame of dates", pd.DataFrame({"x": days, "y": days})
    for label, column in {
        "dates": days,
        "with a time zone": days.tz_localize("UTC"),
        "durations": days - days[0],
        "periods": days.to_period("D"),
        "objects": [day.date() for day in days],
        "objects of NumPy": pd.Series(list(days.to_numpy()), dtype=object),
        "times": [datetime.time(minute=i) for i in range(N)],
        "categories": pd.Categorical(days.to_series().dt.normalize().where(days.day < 3, days[0])),
        "nothing but NaT": pd.Series([pd.NaT] * N),
    }.items():
        yield f"pandas {label}", pd.DataFrame({"x": NUMBER, "y": column})
    for label, values in {
        "Datetime": days.to_pydatetime().tolist(),
        "Date": [day.date() for day in days],
        "Duration": [datetime.timedelta(i) for i in range(N)],
        "Time": [datetime.time(minute=i) for i in range(N)],
    }.items():
        yield f"polars {label}", polars.DataFrame({"x": NUMBER, "y": values})
        cells = np.empty((N, 2), dtype=object)
        cells[:, 0], cells[:, 1] = NUMBER, values
        yield f"array of objects, {label}", cells
        yield f"list, {label}", cells.tolist()
    masked = np.ma.MaskedArray(whole, np.zeros(whole.shape, bool))
    yield "masked dates", masked


DATES = dict(_dates())


@pytest.mark.parametrize("table", DATES.values(), ids=DATES)
@every_estimator
def test_dates_are_refused_with_advice(name, table):
    with pytest.raises(ValueError, match=r"of X does not hold numbers.*such as days since"):
        fit(name, table)


@pytest.mark.parametrize("style", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%SZ"])
def test_dates_that_were_read_as_text_are_refused(style):
    days = pd.date_range("2020-01-01", periods=30).strftime(style)
    frame = pd.DataFrame({"x": np.tile(NUMBER, 5), "day": np.tile(days, 10)})
    with pytest.raises(ValueError, match="Column 'day' of X holds dates as text, for instance"):
        fit("density", frame)
    chosen = clone(SMALL).set_params(categorical_features=["day"]).fit(frame)
    assert chosen.columns_["day"] == "category (30)"
    codes = frame.assign(day=frame.day.str.replace("-", "_").str.replace(r"[./]", "_", regex=True))
    assert fit("density", codes).columns_["day"] == "category (30)"
    few = frame[frame.day.isin(frame.day.unique()[:4])]
    assert fit("density", few).columns_["day"] == "category (4)"


def test_dates_of_arrow_are_refused():
    pytest.importorskip("pyarrow")
    for dtype in ("timestamp[s][pyarrow]", "date64[pyarrow]", "duration[s][pyarrow]"):
        frame = pd.DataFrame({"x": NUMBER, "y": pd.Series(np.arange(N), dtype="int64[pyarrow]")})
        frame["y"] = frame.y.astype(dtype)
        with pytest.raises(ValueError, match="Column 'y' of X does not hold numbers"):
            fit("density", frame)


@every_estimator
def test_dates_are_refused_after_numbers_too(name):
    model = fit(name, np.column_stack([NUMBER, SIZE]))
    with pytest.raises(ValueError, match="does not hold numbers"):
        scores(model, DATES["array of dates"])


@pytest.mark.parametrize(
    "y",
    [DATES["array of dates"][:, 0], DATES["frame of dates"].x, DATES["polars Date"]["y"]],
    ids=["array", "pandas", "polars"],
)
def test_targets_are_no_dates(y):
    model = clone(ESTIMATORS["regressor"])
    with pytest.raises(ValueError, match="of y does not hold numbers.*such as days since"):
        model.fit(NUMBER[:, None], y)


# ---- names


def renamed(container, names):
    data = np.column_stack([NUMBER, SIZE, OTHER])
    if container == "polars":
        return polars.DataFrame(dict(zip(names, data.T)))
    frame = pd.DataFrame(data)
    frame.columns = pd.MultiIndex.from_tuples(names) if isinstance(names[0], tuple) else names
    return frame


def with_words(frame):
    """With a category, so that both ways of a table are gone."""
    if isinstance(frame, polars.DataFrame):
        return frame.with_columns(polars.Series(frame.columns[-1], WORD))
    columns = [frame.iloc[:, 0], frame.iloc[:, 1], pd.Series(WORD)]
    return pd.concat(columns, axis=1).set_axis(frame.columns, axis=1)


NAMES = {"text": ["x", "y", "z"], "integers": [3, 1, 2], "tuples": [("a", 1), ("a", 2), ("b", 1)]}
OTHERS = {"text": "new", "integers": 7, "tuples": ("c", 3)}
NAMED = [(c, k) for c in ("pandas", "polars") for k in NAMES if c == "pandas" or k == "text"]


@pytest.mark.parametrize("words", [False, True], ids=["numbers", "words"])
@pytest.mark.parametrize(("container", "kind"), NAMED)
@every_estimator
def test_the_columns_are_those_of_fit(name, container, kind, words):
    names, other = NAMES[kind], OTHERS[kind]
    more = with_words if words else lambda frame: frame
    model = fit(name, more(renamed(container, names)))
    expected = scores(model, more(renamed(container, names)))
    assert np.isfinite(expected).all()
    for wrong, said in {
        (other, *names[1:]): f"unseen at fit time:\n- {other}\n.*now missing:\n- {names[0]}\n",
        (*names[1:], names[0]): "must be in the same order as they were in fit.*in the order",
    }.items():
        with pytest.raises(ValueError, match="(?s)should match.*" + _escaped(said)):
            scores(model, more(renamed(container, list(wrong))))
    fewer = more(renamed(container, names))
    fewer = fewer.iloc[:, :2] if container == "pandas" else fewer[:, :2]
    with pytest.raises(ValueError, match=_escaped(f"now missing:\n- {names[2]}\n")):
        scores(model, fewer)


def _escaped(text):
    return text.replace("(", r"\(").replace(")", r"\)")


def test_more_columns_than_in_fit_are_named():
    model = fit("density", renamed("pandas", NAMES["integers"]))
    with pytest.raises(ValueError, match="unseen at fit time:\n- 9\n.*X has all columns of fit"):
        model.score_samples(renamed("pandas", NAMES["integers"]).assign(**{"9": 0.0}))


@pytest.mark.parametrize("words", [False, True], ids=["numbers", "words"])
@every_estimator
def test_names_that_columns_share_are_named(name, words):
    frame = renamed("pandas", ["x", "y", "z"])
    frame = with_words(frame) if words else frame
    model = fit(name, frame)
    shared = frame.set_axis(["x", "y", "x"], axis=1)
    for call in (partial(fit, name), partial(scores, model)):
        with pytest.raises(ValueError, match="Several columns of X are called 'x'"):
            call(shared)


def test_a_warm_start_needs_the_columns_of_the_last_fit():
    model = clone(SMALL).set_params(warm_start=True).fit(renamed("pandas", ["x", "y", "z"]))
    with pytest.raises(ValueError, match="(?s)should match.*set warm_start=False"):
        model.fit(renamed("pandas", ["y", "x", "z"]))


def test_a_warm_start_needs_the_categories_of_the_last_fit():
    frame = renamed("pandas", ["x", "y", "z"])
    kind = np.resize(["a", "b", "c"], len(frame))
    model = clone(SMALL).set_params(warm_start=True)
    model.fit(frame[kind != "c"].assign(kind=kind[kind != "c"]))
    message = "Column 'kind' of X has categories that the last fit.*set warm_start=False"
    with pytest.raises(ValueError, match=message):
        model.fit(frame.assign(kind=kind))
    of_no_weight = (kind != "c").astype(float)
    model.fit(frame.assign(kind=kind), sample_weight=of_no_weight)


@every_estimator
def test_an_array_after_a_frame_is_taken_with_a_warning(name):
    frame = renamed("pandas", ["x", "y", "z"])
    model, array = fit(name, frame), fit(name, frame.to_numpy())
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = scores(model, frame.to_numpy())
    np.testing.assert_allclose(found, scores(model, frame))
    with pytest.warns(UserWarning, match="X has feature names"):
        np.testing.assert_allclose(scores(array, frame), found)


def test_integer_names_in_a_report():
    frame = renamed("pandas", [2021, 2022, 2023])
    far = frame[:3].copy()
    far[2022] = 1e4
    detector = fit("detector", frame)
    assert detector.report(far).column.tolist() == [2022] * 3
    assert list(fit("density", frame).columns_) == [2021, 2022, 2023]
    with pytest.raises(ValueError, match="infinity in 3 of 3 rows, in column 2021"):
        detector.density_.score_samples(far * np.inf)


# ---- categories

TALL = np.random.RandomState(1).standard_normal(150)


def many_words(n_rows=90):
    return pd.DataFrame(
        {
            "x": np.random.RandomState(0).standard_normal(n_rows),
            "word": pd.Categorical(
                [f"word {i % 18}" for i in range(n_rows)], [f"word {i}" for i in range(300)]
            ),
        }
    )


@every_estimator
def test_the_rule_of_cardinality_counts_what_rows_have(name):
    """Declared categories do not count, nor do the fewer rows of inner fits."""
    frame = many_words()[:N]
    assert np.isfinite(scores(fit(name, frame), frame)).all()
    plain = pd.DataFrame({"x": TALL, "word": [f"{i % 30}" for i in range(150)]})
    if name != "regressor":  # of 150 rows a fifth are 30, of those that inner fits have it is less
        assert np.isfinite(scores(fit(name, plain), plain)).all()


@pytest.mark.slow
def test_inner_fits_of_the_default_detector_do_not_count_again():
    plain = pd.DataFrame({"x": TALL, "word": [f"{i % 30}" for i in range(150)]})
    detector = FlowOutlierDetector(random_state=0).fit(plain)
    assert np.isfinite(detector.score_samples(plain)).all()


@every_estimator
def test_names_of_rows_are_refused_by_all(name):
    frame = pd.DataFrame({"x": NUMBER, "word": [f"row {i}" for i in range(N)]})
    with pytest.raises(ValueError, match="Column 'word' of X has more categories than a fifth"):
        fit(name, frame)


@every_estimator
def test_a_column_of_unseen_categories_is_said_once(name):
    frame = pd.DataFrame({"x": NUMBER, "k": pd.Categorical(SIZE % 3)})
    model = fit(name, frame)
    as_text = frame.assign(k=frame.k.astype(str))
    with pytest.warns(UserWarning, match="No category in column 'k'.* and fit had 0, 1, 2") as w:
        scores(model, as_text)
    assert len(w) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores(model, pd.concat([frame[:1].astype({"k": object}), as_text[1:]]))


def test_numbers_beside_text_in_a_list_are_no_text():
    rows = [[number, int(size) % 3, word] for number, size, word in zip(NUMBER, SIZE, WORD)]
    model = clone(SMALL).set_params(categorical_features=[1, 2]).fit(rows)
    incomplete = [list(row) for row in rows]
    incomplete[0][2] = None  # makes NumPy hold objects
    np.testing.assert_allclose(model.score_samples(incomplete)[1:], model.score_samples(rows)[1:])


# ---- without pandas


class NoPandas:
    """A finder of modules that finds no pandas, as where it is not installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("name", ["density", "detector", "imputer", "regressor"])
@pytest.mark.parametrize("words", [False, True], ids=["numbers", "words"])
def test_polars_needs_no_pandas(name, words, monkeypatch):
    frame = renamed("polars", ["x", "y", "z"])
    frame = with_words(frame) if words else frame
    expected = scores(fit(name, frame), frame)
    for module in [module for module in sys.modules if module.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [NoPandas(), *sys.meta_path])
    model = fit(name, frame)
    np.testing.assert_allclose(scores(model, frame), expected)
    if name == "imputer":
        assert model.transform(frame).shape == frame.shape


def test_any_density_sees_the_frame(monkeypatch):
    """In the container that the detector was given, with real numbers as they are asked about."""

    class Seen(GaussianMixture):
        def score_samples(self, X):
            frames.append(X)
            return super().score_samples(X)

    frames = []
    for container, library in (("pandas", pd), ("polars", polars)):
        frame = renamed(container, ["x", "y", "z"])
        counts = frame.astype({"y": int}) if container == "pandas" else frame.cast({"y": int})
        detector = FlowOutlierDetector(Seen(), random_state=0).fit(counts)
        detector.explain(counts[:1])
        assert all(isinstance(X, library.DataFrame) for X in frames)
        tried = np.concatenate([np.asarray(X["y"]) for X in frames])
        assert (tried != np.round(tried)).any()
        frames.clear()
