"""The summary of a fit says what was fitted, and its numbers are those of the estimator."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    masks,
)

X = load_iris().data
QUICK = dict(n_layers=2, max_iter=3, random_state=0)
ALONE = dict(**QUICK, component_weight=0)


def line(flow, name):
    (found,) = [row for row in flow.summary().splitlines() if row.startswith(f"{name:12}")]
    return found[12:]


def test_needs_a_fit():
    with pytest.raises(NotFittedError):
        CouplingFlowDensity().summary()


def test_rows_and_kinds_of_columns():
    rng = np.random.RandomState(0)
    columns = [rng.normal(size=200), rng.exponential(size=200), rng.poisson(3, 200)]
    table = np.column_stack(columns)
    flow = CouplingFlowDensity(bounds={1: (0, None)}, dequantize=True, **ALONE).fit(table)
    assert "fitted to 200 rows of 3 columns" in flow.summary()
    assert line(flow, "columns") == "1 real, 1 bounded, 1 on a grid"


@pytest.mark.parametrize(
    "layout, words",
    [
        ("parity", "a rule"),
        ("random", "at random"),
        ("derived", "from the data"),
        ("race", "parity, without a race"),
        (masks.parity(2, 4), "as given"),
        (masks.Repeat(), "Repeat"),
    ],
)
def test_where_the_layout_comes_from(layout, words):
    assert words in line(CouplingFlowDensity(mask_layout=layout, **ALONE).fit(X), "layout")


def test_a_search_is_told():
    flow = StructureSearchFlow(n_search_iter=3, n_candidate_steps=3, **ALONE).fit(X)
    assert "3 iterations, ended by 'n_iter'" in line(flow, "layout")
    assert f"{flow.search_history_[-1].best_cost:.3f} at last" in line(flow, "layout")


def test_why_the_training_ended():
    assert "3 epochs, all that" in line(CouplingFlowDensity(**ALONE).fit(X), "training")
    patient = CouplingFlowDensity(
        **{**ALONE, "max_iter": 50}, training=Training(n_iter_no_change=1, tol=1e9)
    )
    assert "of 50 epochs, ended as nothing improved" in line(patient.fit(X), "training")


def test_weights_are_those_of_the_density():
    flow = CouplingFlowDensity(**QUICK).fit(X)
    told = dict(part.rsplit(" ", 1) for part in line(flow, "weights").split(", "))
    assert float(told["flow"]) == pytest.approx(flow.weights_[0], abs=1e-3)
    assert sum(map(float, told.values())) == pytest.approx(1, abs=0.01)


def test_held_out_scores_are_those_of_new_rows():
    rng = np.random.RandomState(0)
    table, new = rng.normal(5, 3, (2, 3000, 2))
    flow = CouplingFlowDensity(**QUICK).fit(table)
    whole, gaussian = map(float, re.findall(r"-?\d+\.\d+", line(flow, "held out"))[:2])
    truth = multivariate_normal([5, 5], 9 * np.eye(2)).logpdf(new).mean()
    assert gaussian == pytest.approx(truth, abs=0.15)
    assert whole == pytest.approx(flow.score(new), abs=0.15)
    assert "one Gaussian is as good" in line(flow, "to try")


@pytest.mark.parametrize("params", [dict(component_weight=0), dict(early_stopping=False)])
def test_no_rows_were_held_out(params):
    assert line(CouplingFlowDensity(**params, **QUICK).fit(X), "held out") == "no rows"


# ---- the other estimators, in the same form

TABLE = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.arange(150) % 3 > 0)


def test_a_detector_says_how_fine_its_p_values_are():
    scorers = [("flow", CouplingFlowDensity(**ALONE)), ("other", CouplingFlowDensity(**ALONE))]
    detector = FlowOutlierDetector(scorers, contamination=0.1, random_state=0).fit(TABLE[:90])
    assert "fitted to 90 rows of 5 columns in " in detector.summary()
    assert line(detector, "columns") == "4 real, 1 category"
    assert line(detector, "scorers") == "flow 0.500, other 0.500"
    assert line(detector, "calibration").startswith("90 rows: p-values from 0.011")
    assert line(detector, "threshold").startswith(f"{detector.offset_:.3f}: ")
    assert "99 calibration rows" in line(detector, "to try")


def test_a_regressor_says_what_its_intervals_can_cover():
    regressor = FlowRegressor(mean_estimator=None, n_estimators=1, max_iter=2, random_state=0)
    regressor.fit(TABLE[["a", "b", "kind"]], TABLE["d"])
    assert "fitted to 150 rows of 3 columns in " in regressor.summary()
    assert line(regressor, "features") == "2 real, 1 category"
    assert line(regressor, "targets") == "1 real"
    assert line(regressor, "calibration") == "15 rows set aside: coverages up to 0.938"
    regressor.set_params(calibration_fraction=None).fit(TABLE[["a"]], TABLE["d"])
    assert line(regressor, "calibration") == "none: intervals are not calibrated"


def test_an_imputer_says_what_was_missing_and_what_fills_it():
    table = TABLE.mask(np.arange(150)[:, None] % 10 == [0, 1, 1, 20, 20])
    table.loc[table.index % 10 == 2, "c"] = None
    imputer = FlowImputer(CouplingFlowDensity(**ALONE), strategy="median", random_state=0)
    imputer.fit(table)
    assert line(imputer, "missing") == "8.0% of the cells, in 3 columns: at most 20.0%, in c"
    assert line(imputer, "filled by") == "the median of 100 draws"
    assert line(imputer, "columns") == line(imputer.density_, "columns") == "4 real, 1 category"


def test_a_notebook_shows_the_summary_below_the_diagram():
    flow = CouplingFlowDensity(**ALONE)
    assert "<pre>CouplingFlowDensity, fitted" not in flow._repr_html_()
    flow.fit(TABLE[["a", "b"]])
    for html in (flow._repr_html_(), flow._repr_mimebundle_()["text/html"]):
        assert html.endswith(f"<pre>{flow.summary()}</pre>".replace("'", "&#x27;"))
