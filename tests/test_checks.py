"""Messages that name the right cause: the columns, the argument, and what to do."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from skflow import (
    CouplingFlowDensity,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
)
from skflow._missing.regions import region_of
from skflow._nn.conditioners import ACTIVATIONS
from skflow._nn.couplings import COUPLINGS
from skflow._nn.optimizers import SCHEDULES, SOLVERS
from skflow._table.bounds import check_bounds
from skflow._table.frames import PandasSource
from skflow._table.table import Table, categorical_columns
from skflow.inspection._common import resolve_features

X = np.random.RandomState(0).standard_normal((40, 3))


def flow(**params):
    return CouplingFlowDensity(1, max_iter=1, component_weight=0, random_state=0, **params)


@pytest.mark.parametrize(
    "values",
    [[pd.Timestamp("2020-01-01")], [b"x"], [{}]],
    ids=["dates", "bytes", "dicts"],
)
def test_columns_without_numbers_are_named(values):
    frame = pd.DataFrame(X.copy(), columns=list("abc"))
    frame["d"] = (values * 40)[:40]
    with pytest.raises(
        (ValueError, TypeError), match="Column 'd' of X does not hold numbers.*leave such columns"
    ):
        flow().fit(frame)
    with pytest.raises((ValueError, TypeError), match="Column 3 of X does not hold numbers"):
        flow().fit(frame.to_numpy(dtype=object))


def test_text_in_an_array_is_named():
    table = X.astype(object)
    table[:, 2] = ["u", "v"] * 20
    with pytest.raises(ValueError, match="2 of X does not hold numbers.*categorical_features"):
        flow().fit(table)
    assert np.isfinite(flow(categorical_features=[2]).fit(table).score(table))


def test_infinity_in_features_of_a_regressor_is_located():
    frame = pd.DataFrame(X.copy(), columns=list("abc"))
    frame["d"] = [None, "v"] * 20  # which may be missing
    regressor = FlowRegressor(n_estimators=1, max_iter=1, mean_estimator=None)
    regressor.fit(frame, X[:, 0])
    frame.loc[[1, 5], "b"] = np.inf
    score = partial(regressor.score_samples, y=X[:, 0])
    for ask in (partial(regressor.fit, y=X[:, 0]), regressor.predict, score):
        with pytest.raises(ValueError, match="X contains infinity in 2 of 40 rows, in column 'b'"):
            ask(frame)


@pytest.mark.parametrize(("value", "called"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_what_is_not_finite_is_located(value, called):
    frame = pd.DataFrame(X.copy(), columns=list("abc"))
    model = flow().fit(frame)
    frame.loc[[1, 5], "b"] = value
    detectors = [FlowOutlierDetector(d) for d in (None, flow(), [("flow", flow())])]
    calls = [*(d.fit for d in detectors), flow().fit, model.transform]
    calls = [] if np.isnan(value) else calls
    for call in calls:
        with pytest.raises(ValueError, match=f"X contains {called} in 2 of 40 rows, in column 'b'"):
            call(frame)
    with pytest.raises(ValueError, match=f"X contains {called} in 2 of 40 rows, in column 1"):
        model.inverse_transform(frame.to_numpy())


def test_an_array_as_initial_layout_is_called_so():
    with pytest.raises(ValueError, match=r"initial_layout has shape \(2, 2\)"):
        StructureSearchFlow(initial_layout=np.ones((2, 2), dtype=bool)).fit(X)


@pytest.mark.parametrize("device", ["mps", "meta", "nonsense", "cuda:99"])
def test_devices(device):
    with pytest.raises(ValueError, match=rf"device='{device}' cannot be used: .{{,80}} Use 'cpu'"):
        flow(device=device).fit(X)


@pytest.mark.parametrize("random_state", ["x", -1, 1.5])
def test_random_state_of_sample(random_state):
    with pytest.raises(ValueError, match=rf"random_state={random_state!r} is not possible"):
        flow().fit(X).sample(2, random_state=random_state)


@pytest.mark.parametrize(
    "wanted, told",
    [
        ("pixel_0421", "Did you mean 'pixel_421' or 'pixel_42'"),
        ("weight", "There are 500 columns, from 'pixel_0' to 'pixel_499'."),
        (500, "There are 500 columns, from 'pixel_0' to 'pixel_499'."),
    ],
)
@pytest.mark.parametrize("ask", ["question", "bounds", "categories", "picture"])
def test_a_wrong_name_in_a_wide_table_gets_near_ones_and_the_count(ask, wanted, told):
    names = [f"pixel_{j}" for j in range(500)]
    table = Table(500, {}, "pandas", names, [])
    with pytest.raises(ValueError, match="is no|is not possible") as caught:
        if ask == "question":
            region_of(table, {wanted: 1.0}, "given")
        elif ask == "bounds":
            check_bounds(dict.fromkeys([*names, wanted], (0, 1)), 500, names)
        elif ask == "categories":
            source = PandasSource(pd.DataFrame(np.zeros((2, 500)), columns=names))
            categorical_columns(source, [*names, wanted])
        else:
            resolve_features([wanted], pd.DataFrame(np.zeros((2, 500)), columns=names))
    assert told in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("argument", "table"),
    [
        ("coupling", COUPLINGS),
        ("activation", ACTIVATIONS),
        ("solver", SOLVERS),
        ("learning_rate", SCHEDULES),
    ],
)
def test_estimators_offer_what_the_table_holds(argument, table):
    constraints = CouplingFlowDensity._parameter_constraints | Training._parameter_constraints
    (options,) = constraints[argument]
    assert options.options == set(table)
