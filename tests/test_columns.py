"""Columns: from the data's units to standardised ones and back."""

import numpy as np
import pytest
from small_flows import flow

from skflow import CouplingFlowDensity
from skflow._core.random import RandomStreams
from skflow._table.columns import FARTHEST, fit_columns, location_and_scale


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e200])
def test_location_and_scale_are_mean_and_deviation_at_any_size(size):
    X = np.random.RandomState(0).normal(3, 2, (100, 2))
    location, scale = location_and_scale(X * size, None, np.zeros(X.shape[1], dtype=bool))
    assert location / size == pytest.approx(X.mean(axis=0))
    assert scale / size == pytest.approx(X.std(axis=0))


def test_weights_count_as_repetitions():
    X = np.random.RandomState(0).normal(size=(20, 3))
    weight = 1 + np.arange(20) % 3
    columns, repeated = fit_columns(X, weight), X.repeat(weight, axis=0)
    assert columns.location == pytest.approx(repeated.mean(axis=0))
    assert columns.scale == pytest.approx(repeated.std(axis=0))


def table():
    rng = np.random.RandomState(0)
    return np.column_stack([rng.normal(5, 2, 100), rng.gamma(1, 3, 100), rng.beta(2, 1, 100)])


OPEN = [-np.inf, -np.inf, -np.inf], [np.inf, np.inf, np.inf]
BOUNDED = [-np.inf, 0.0, 0.0], [np.inf, np.inf, 1.0]


@pytest.mark.parametrize("bounds", [OPEN, BOUNDED], ids=["open", "bounded"])
@pytest.mark.parametrize("standardize", [True, False])
def test_there_and_back_with_the_log_determinant(bounds, standardize):
    X = table()
    columns = fit_columns(X, standardize=standardize, bounds=np.array(bounds))
    U, log_det = columns.forward(X)
    np.testing.assert_allclose(columns.inverse(U), X, rtol=1e-12)
    if standardize:
        np.testing.assert_allclose([U.mean(axis=0), U.std(axis=0)], [[0] * 3, [1] * 3], atol=1e-12)
    h = 1e-6 * X
    slopes = (columns.forward(X + h)[0] - columns.forward(X - h)[0]) / (2 * h)
    np.testing.assert_allclose(log_det, np.log(slopes).sum(axis=1), rtol=1e-6, atol=1e-6)
    trained, its_log_det = columns.training_rows(X, RandomStreams(0))
    np.testing.assert_array_equal(trained, U)
    np.testing.assert_array_equal(its_log_det, log_det)


def test_nothing_finite_leaves_the_range_of_numbers():
    columns = fit_columns(1e-3 * table())
    U, log_det = columns.forward(np.array([[1e306, -1e308, 0.0]]))
    assert np.abs(U).max() == FARTHEST and np.isfinite(log_det).all()
    assert np.isfinite(fit_columns(1e300 * table()).inverse(np.array([[1e308, -1e308, 0]]))).all()


def test_constant_columns_get_noise_and_keep_their_value():
    X = np.hstack([table(), np.full((100, 1), 7.0)])
    columns = fit_columns(X)
    assert columns.location[3] == 7 and columns.scale[3] == 1 and columns.constant[3]
    U, _ = columns.training_rows(X, RandomStreams(0))
    assert U[:, 3].std() == pytest.approx(1, abs=0.3)
    assert (columns.forward(X)[0][:, 3] == 0).all()


def test_grids_are_found_and_nothing_else():
    rng = np.random.RandomState(0)
    n = 500
    X = np.column_stack(
        [
            rng.normal(size=n),  # continuous
            rng.poisson(4, n),  # counts
            5.0 + 2.5 * rng.randint(0, 9, n),  # another step and origin
            np.round(rng.normal(size=n), 1),  # rounded measurements
            rng.choice([0.0, 1.0, np.pi], n),  # few values, no grid
            np.ones(n),  # constant
        ]
    )
    assert fit_columns(X, dequantize=True).step == pytest.approx([0, 1, 2.5, 0.1, 0, 0])


def test_without_dequantize_such_columns_are_named():
    X = np.column_stack([np.random.RandomState(0).normal(size=200), np.arange(200) % 3])
    with pytest.warns(UserWarning, match=r"Column 1 is nearly discrete.*dequantize=True"):
        CouplingFlowDensity(n_layers=2, max_iter=1, component_weight=0).fit(X)


def test_with_dequantize_those_are_named_that_lie_on_no_grid():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.normal(size=200), np.arange(200) % 3, rng.choice([0, 1, 3.3], 200)])
    model = CouplingFlowDensity(n_layers=2, max_iter=1, component_weight=0, dequantize=True)
    with pytest.warns(UserWarning, match=r"Column 2 is nearly.*no grid.*categorical_features"):
        model.fit(X)


def test_columns_beside_categories_are_named_by_their_numbers_in_the_table():
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.choice(2, 60), rng.normal(size=60), np.ones(60)])
    model = flow(categorical_features=[0])
    with pytest.warns(UserWarning, match="Column 2 is constant"):
        model.fit(X)
    with pytest.raises(ValueError, match="beyond the bounds, in column 1"):
        model.set_params(bounds={1: (0, None)}).fit(X)


def test_values_stay_where_rounding_would_leave_the_range_of_numbers():
    X = np.random.default_rng(0).normal(size=(20, 2)) * 1e300
    columns = fit_columns(np.where([True, False], X, np.arange(20)[:, None] % 3), dequantize=True)
    columns.origin[0], columns.step[1] = -1e308, 0.1
    X = np.array([[1.7e308, 0.5], [1e308, -1.7e308]])
    np.testing.assert_array_equal(columns.to_grid(X), X)


def test_numbers_beyond_single_precision_are_refused_beside_absent_ones():
    X = np.array([[1e39, 0.0], [np.nan, 1.0], [0.0, 2.0]])
    columns = fit_columns(np.nan_to_num(X), standardize=False)
    with pytest.raises(ValueError, match="single precision"):
        columns.training_rows(X, RandomStreams(0))
