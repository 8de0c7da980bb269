"""Tables come out as they went in: arrays as arrays, frames as frames of the same kind."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from small_flows import flow as small_flow

from skflow import CouplingFlowDensity, FlowImputer, FlowOutlierDetector
from skflow.inspection import PITDisplay

NAMES = ["length", "width"]
TABLE = pd.DataFrame(np.random.RandomState(0).standard_normal((60, 2)), columns=NAMES)
#: What is asked of which estimator, and the rows that are to come out.
METHODS = {
    "sample": lambda made, X: made.flow.sample(len(X), random_state=0),
    "sample_given": lambda made, X: made.flow.sample_given(X, 1, random_state=0),
    "sample_given of a dict": lambda made, X: made.flow.sample_given({0: 1.0}, len(X)),
    "transform of the imputer": lambda made, X: made.imputer.transform(X),
    "sample of the imputer": lambda made, X: made.imputer.sample(X, 1, random_state=0),
}


def table(container, kind):
    """A table with missing cells; a frame has dtypes and an index of its own."""
    frame = TABLE.astype({"width": "float32"}).set_axis(TABLE.index + 7)
    frame.iloc[::9, 0] = np.nan
    if kind == "mixed":
        frame["colour"] = pd.Categorical(np.where(frame["width"] > 0, "red", "blue"))
    if container == "array":
        return frame.to_numpy(dtype=object if kind == "mixed" else float)
    if container == "polars":
        polars = pytest.importorskip("polars")
        return polars.DataFrame({name: frame[name].tolist() for name in frame.columns})
    return frame


class Made:
    """Estimators that were fitted to a table."""

    def __init__(self, X, kind):
        categories = [2] if kind == "mixed" and isinstance(X, np.ndarray) else "from_dtype"
        flow = small_flow().set_params(categorical_features=categories)
        self.imputer = FlowImputer(flow, n_draws=3, random_state=0).fit(X)
        self.flow = flow.fit(X)


@cache
def made(container, kind):
    return Made(table(container, kind), kind)


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
@pytest.mark.parametrize("container", ["array", "pandas", "polars"])
@pytest.mark.parametrize("method", METHODS)
def test_a_table_comes_out_as_it_went_in(method, container, kind):
    X = table(container, kind)
    if "dict" in method and container != "array":
        ask = made(container, kind).flow.sample_given({"length": 1.0}, len(X))
    else:
        ask = METHODS[method](made(container, kind), X)
    if isinstance(ask, list):
        (ask,) = ask
    if getattr(ask, "ndim", 2) == 3:
        ask = ask[:, :, 0]
    assert type(ask) is type(X) and ask.shape == X.shape
    if container == "array":
        assert ask.dtype == X.dtype
        return
    assert list(ask.columns) == list(X.columns) and list(ask.dtypes) == list(X.dtypes)
    if container == "pandas" and (method == "sample_given" or "imputer" in method):
        assert ask.index.equals(X.index)


@pytest.mark.parametrize("method", ["sample_given", "transform of the imputer"])
@pytest.mark.parametrize("kind", ["numbers", "mixed"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_rows_in_an_array_come_out_in_one_though_fit_had_a_frame(kind, method):
    X = table("array", kind)
    answer = METHODS[method](made("pandas", kind), X)
    assert type(answer) is np.ndarray and answer.dtype == X.dtype


@pytest.mark.parametrize("asked", ["pandas", "polars"])
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output_asks_for_another_kind_of_frame(container, asked):
    frame = pytest.importorskip(asked)
    X, fitted = table(container, "mixed"), made(container, "mixed")
    with config_context(transform_output=asked):
        answers = [METHODS[name](fitted, X) for name in METHODS if "dict" not in name]
        answers.append(fitted.flow.sample_given({"length": 1.0}, 3, return_ess=True)[0])
    for answer in answers:
        answer = answer[0] if isinstance(answer, list) else answer
        assert isinstance(answer, frame.DataFrame) and list(answer.columns) == list(X.columns)
        assert set(answer["colour"].to_list()) <= {"red", "blue"}


def test_an_array_has_no_names_for_a_frame():
    with config_context(transform_output="pandas"):
        assert type(made("array", "numbers").flow.sample(3)) is np.ndarray


@pytest.mark.parametrize("kind", ["numbers", "mixed"])
@pytest.mark.parametrize("container", ["array", "pandas", "polars"])
def test_a_report_is_a_frame_of_pandas_with_the_index_of_the_rows(container, kind):
    X = table(container, "numbers" if container == "array" else kind)
    rows = X[1:9]
    detector = FlowOutlierDetector(small_flow(), random_state=0)
    report = detector.fit(X).report(rows, n=3)
    assert type(report) is pd.DataFrame and set(report.index) <= set(
        getattr(rows, "index", range(8))
    )


def test_displays_draw_from_either():
    flow = small_flow().fit(TABLE)
    with config_context(transform_output="pandas"):
        display = PITDisplay.from_estimator(flow, TABLE, values="density", random_state=0)
    assert display.values.shape == (60, 1)


def test_columns_of_several_levels_come_out_with_them():
    rows = np.random.RandomState(0).normal(size=(20, 3))
    columns = pd.MultiIndex.from_tuples([("size", "width"), ("size", "height"), ("mass", "")])
    table = pd.DataFrame(rows, columns=columns).mask(rows > 1)
    density = CouplingFlowDensity(1, hidden_layer_sizes=(), max_iter=1, early_stopping=False)
    imputer = FlowImputer(density, n_draws=2, random_state=0).fit(table)
    for found in (imputer.transform(table), imputer.density_.sample(2)):
        assert found.columns.equals(columns) and found.columns.nlevels == 2
