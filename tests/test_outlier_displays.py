"""Displays of the outlier detector: their arrays, their labels, and what they refuse."""

import matplotlib
import numpy as np
import pandas
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from test_reasons import COVARIANCE

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow.inspection import OutlierReportDisplay

matplotlib.use("Agg")


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


def test_other_estimators_are_refused():
    with pytest.raises(TypeError, match="IsolationForest does not have. Give it to a FlowOutlier"):
        OutlierReportDisplay.from_estimator(
            IsolationForest(n_estimators=2).fit(np.eye(3)), np.eye(3)
        )
