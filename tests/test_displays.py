"""Displays of the detector and of the regressor: their arrays, labels, and what they refuse."""

import numpy as np
import pandas
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from test_reasons import COVARIANCE

from skflow import CouplingFlowDensity, FlowOutlierDetector, FlowRegressor
from skflow.inspection import (
    CoverageDisplay,
    DensityDisplay,
    OutlierReportDisplay,
    PredictiveDensityDisplay,
    QuantileFanDisplay,
    ShiftDisplay,
)

# ---- outliers


@pytest.fixture(scope="module")
def detector():
    X = np.random.default_rng(0).multivariate_normal([0, 0], COVARIANCE, 500)
    X = pandas.DataFrame(np.column_stack([X, X[::-1, 0]]), columns=["a", "b", "c"])
    return FlowOutlierDetector(GaussianMixture(), random_state=0).fit(X)


def test_the_picture_of_a_report(detector):
    rows = pandas.DataFrame({"a": [2.0, 0.0], "b": [-2.0, 0.0], "c": 0.1})
    display = OutlierReportDisplay.from_estimator(detector, rows)
    row = detector.report(rows, n=1, details=True).iloc[0]
    assert display.name == row.reason
    assert display.feature_names[0] == row.column and set(display.feature_names) == {*"abc"}
    assert display.is_reason.tolist() == [True, True, False]
    assert sorted(display.plane_names) == ["a", "b"]
    np.testing.assert_array_equal(display.point, rows[display.plane_names].iloc[0])
    np.testing.assert_allclose(display.usual[0], [row.usual_from, row.usual_to], atol=0.01)
    left, right = display.axes_
    assert [text.get_text() for text in left.get_yticklabels()] == display.feature_names
    assert right.get_ylabel() == row.column
    assert len(OutlierReportDisplay.from_estimator(detector, rows, n_features=1).values) == 1


def test_categories_and_missing_cells_are_drawn():
    rng = np.random.default_rng(0)
    kind = rng.choice(["cat", "dog"], 200)
    X = pandas.DataFrame({"kind": kind, "size": (kind == "dog") + 0.1 * rng.standard_normal(200)})
    X["age"] = rng.standard_normal(200)
    flow = CouplingFlowDensity(2, hidden_layer_sizes=(8,), max_iter=30)
    detector = FlowOutlierDetector(flow, random_state=0).fit(X)
    row = pandas.DataFrame({"kind": ["cat"], "size": [1.0], "age": [np.nan]})
    display = OutlierReportDisplay.from_estimator(detector, row)
    labels = dict(zip(display.plane_names, display.plane_labels))
    assert labels == {"kind": ["cat", "dog"], "size": None}
    assert display.texts[display.feature_names.index("age")] == "missing"


def test_a_single_column_has_no_plane():
    detector = FlowOutlierDetector(GaussianMixture(), random_state=0).fit(np.eye(20)[:, :1])
    assert OutlierReportDisplay.from_estimator(detector, [[5.0]]).plane is None


# ---- predictive distributions

rng = np.random.default_rng(0)
X = pandas.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
y = X["a"] + rng.normal(size=200)
REGRESSOR = FlowRegressor(
    n_estimators=1, max_iter=3, hidden_layer_sizes=(8,), mean_estimator=None, random_state=0
)


@pytest.fixture(scope="module")
def regressor():
    return REGRESSOR.fit(X, y)


def test_densities_are_those_of_the_regressor(regressor):
    display = PredictiveDensityDisplay.from_estimator(regressor, X[:3], y[:3])
    row = np.tile(X.iloc[1], (400, 1))
    density = np.exp(
        regressor.score_samples(pandas.DataFrame(row, columns=X.columns), display.grid)
    )
    np.testing.assert_allclose(display.density[1], density)
    assert len(display.ax_.lines) == 6
    again = display.plot()
    assert again.ax_.get_xlabel() == "target"
    assert len(PredictiveDensityDisplay.from_estimator(regressor, X[:3]).ax_.lines) == 3


def test_fan_along_a_feature(regressor):
    by_name = QuantileFanDisplay.from_estimator(regressor, X, "b", y)
    assert by_name.ax_.get_xlabel() == "b"
    assert (np.diff(by_name.quantiles, axis=1) > 0).all()
    by_number = QuantileFanDisplay.from_estimator(regressor, X, 1, n_points=60)
    np.testing.assert_array_equal(by_name.quantiles, by_number.quantiles)


@pytest.mark.parametrize("display", [QuantileFanDisplay, DensityDisplay])
def test_columns_that_have_no_median_are_named(regressor, display):
    feature = ["a"] if display is QuantileFanDisplay else []
    with pytest.raises(ValueError, match="column 'kind' of X is not numeric. Use PairPlotDisplay"):
        display.from_estimator(regressor, X.assign(kind="dog"), *feature)


def test_coverage_is_what_is_counted(regressor):
    display = CoverageDisplay.from_estimator(regressor, X, y, coverage=[0.5, 0.9], name="title")
    np.testing.assert_array_equal(display.cdf, regressor.cdf(X, y))
    low, high = regressor.predict_interval(X, 0.9).T
    assert display.covered[1] == np.mean((low <= y) & (y <= high))
    assert display.axes_.shape == (2,)


@pytest.mark.parametrize(
    ("display", "args", "advice"),
    [
        (PredictiveDensityDisplay, (X, y), "FlowRegressor"),
        (QuantileFanDisplay, (X, "a"), "FlowRegressor"),
        (CoverageDisplay, (X, y), "FlowRegressor"),
        (OutlierReportDisplay, (X,), "FlowOutlierDetector"),
        (ShiftDisplay, (X,), "FlowOutlierDetector"),
    ],
)
def test_other_estimators_are_refused(display, args, advice):
    for other in (LinearRegression().fit(X, y), IsolationForest(n_estimators=2).fit(X)):
        name = type(other).__name__
        with pytest.raises(TypeError, match=f"{name} does not have. Give .*{advice}"):
            display.from_estimator(other, *args)
