"""Displays of predictive distributions: what is in their arrays, and that they draw."""

import matplotlib
import numpy as np
import pandas
import pytest
from sklearn.linear_model import LinearRegression

from skflow import FlowRegressor
from skflow.inspection import CoverageDisplay, PredictiveDensityDisplay, QuantileFanDisplay

matplotlib.use("agg")
rng = np.random.default_rng(0)
X = pandas.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
y = X["a"] + rng.normal(size=200)
REGRESSOR = FlowRegressor(
    n_estimators=1, max_iter=3, hidden_layer_sizes=(8,), mean_estimator=None, random_state=0
)


@pytest.fixture(scope="module")
def fitted():
    return REGRESSOR.fit(X, y)


def test_densities_are_those_of_the_regressor(fitted):
    display = PredictiveDensityDisplay.from_estimator(fitted, X[:3], y[:3])
    row = np.tile(X.iloc[1], (400, 1))
    density = np.exp(fitted.score_samples(pandas.DataFrame(row, columns=X.columns), display.grid))
    np.testing.assert_allclose(display.density[1], density)
    assert len(display.ax_.lines) == 6
    again = display.plot()
    assert again.ax_.get_xlabel() == "target"
    assert len(PredictiveDensityDisplay.from_estimator(fitted, X[:3]).ax_.lines) == 3


def test_fan_along_a_feature(fitted):
    by_name = QuantileFanDisplay.from_estimator(fitted, X, "b", y)
    assert by_name.ax_.get_xlabel() == "b"
    assert (np.diff(by_name.quantiles, axis=1) > 0).all()
    by_number = QuantileFanDisplay.from_estimator(fitted, X, 1, n_points=60)
    np.testing.assert_array_equal(by_name.quantiles, by_number.quantiles)


def test_coverage_is_what_is_counted(fitted):
    display = CoverageDisplay.from_estimator(fitted, X, y, coverage=[0.5, 0.9], name="title")
    np.testing.assert_array_equal(display.cdf, fitted.cdf(X, y))
    low, high = fitted.predict_interval(X, 0.9).T
    assert display.covered[1] == np.mean((low <= y) & (y <= high))
    assert display.axes_.shape == (2,)


@pytest.mark.parametrize(
    "display", [PredictiveDensityDisplay, CoverageDisplay], ids=lambda one: one.__name__
)
def test_other_regressors_are_refused(display):
    with pytest.raises(TypeError, match="LinearRegression does not have. Give a fitted FlowReg"):
        display.from_estimator(LinearRegression().fit(X, y), X, y)
