"""Rows, columns, units and devices before a fit."""

import numpy as np
import pytest

from skflow import CouplingFlowDensity
from skflow._preparation import grid_steps, location_and_scale, weighted_rows


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e200])
def test_location_and_scale_are_mean_and_deviation_at_any_size(size):
    X = np.random.RandomState(0).normal(3, 2, (100, 2))
    location, scale = location_and_scale(X * size, None, True)
    assert location / size == pytest.approx(X.mean(axis=0))
    assert scale / size == pytest.approx(X.std(axis=0))


def test_weights_count_as_repetitions():
    X = np.random.RandomState(0).normal(size=(20, 3))
    weight = np.arange(20) % 3
    rows, kept = weighted_rows(X, weight)
    repeated = X.repeat(weight, axis=0)
    location, scale = location_and_scale(rows, kept, True)
    assert location == pytest.approx(repeated.mean(axis=0))
    assert scale == pytest.approx(repeated.std(axis=0))


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
    assert grid_steps(X) == pytest.approx([0, 1, 2.5, 0.1, 0, 0])


def test_a_dequantised_density_gives_the_probability_of_each_value():
    rng = np.random.RandomState(0)
    p = np.array([0.1, 0.3, 0.4, 0.2])
    counts = rng.choice(4, 3000, p=p)
    X = np.column_stack([2.0 * counts, rng.normal(size=3000) + counts])
    flow = CouplingFlowDensity(n_layers=4, max_iter=30, dequantize=True, random_state=0).fit(X)
    assert flow.grid_steps_ == pytest.approx([2, 0])
    axis = np.linspace(-8, 12, 801)
    found = [
        np.exp(flow.score_samples(np.column_stack([np.full(801, 2.0 * k), axis]))).sum()
        * (axis[1] - axis[0])
        * 2.0
        for k in range(4)
    ]
    assert found == pytest.approx(p, abs=0.08)
    assert set(flow.sample(500, random_state=0)[:, 0]) <= set(np.arange(-10.0, 20.0, 2.0))


def test_without_dequantize_such_columns_are_named():
    X = np.column_stack([np.random.RandomState(0).normal(size=200), np.arange(200) % 3])
    with pytest.warns(UserWarning, match=r"Column 1 is nearly discrete.*dequantize=True"):
        CouplingFlowDensity(n_layers=2, max_iter=1).fit(X)
