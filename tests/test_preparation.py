"""Rows, columns, units, devices and splits before a fit."""

import numpy as np
import pytest

from skflow import CouplingFlowDensity
from skflow._preparation import (
    grid_steps,
    location_and_scale,
    split_rows,
    training_data,
    weighted_rows,
)
from skflow._streams import RandomStreams


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


def test_every_member_has_a_split_of_its_own():
    rows, held_out = split_rows(21, 3, 0.2, RandomStreams(0))
    assert rows.shape == (3, 16) and held_out.shape == (3, 5)  # rounded up
    for part in np.hstack([rows, held_out]):
        assert sorted(part) == list(range(21))
    assert len(np.unique(np.sort(held_out), axis=0)) == 3
    fewer, _ = split_rows(21, 1, 0.2, RandomStreams(0))
    np.testing.assert_array_equal(fewer[0], rows[0])  # whatever the number of members


def test_without_a_fraction_all_rows_are_trained_on():
    rows, held_out = split_rows(5, 2, None, RandomStreams(0))
    assert rows.tolist() == [[0, 1, 2, 3, 4]] * 2 and held_out is None


def test_too_few_rows_to_split():
    with pytest.raises(ValueError, match=r"validation_fraction=0\.5.*2 of n_samples=3"):
        split_rows(3, 1, 0.5, RandomStreams(0))


def test_weights_in_training_have_mean_one():
    Z, weight = np.ones((4, 2)), np.array([1.0, 2.0, 3.0, 4.0])
    data = training_data(Z, weight, "cpu", split_rows(4, 1, None, RandomStreams(0)))
    np.testing.assert_allclose(data.weight, weight / 2.5)
    assert training_data(Z, None, "cpu", split_rows(4, 1, None, RandomStreams(0))).weight is None
