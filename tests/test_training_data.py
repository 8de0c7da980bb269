"""Splits of the rows, and the weights of a training."""

import numpy as np
import pytest

from skflow._core.random import RandomStreams
from skflow._nn.training_data import split_rows, training_data


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


def test_a_mean_over_the_rows_of_all_models_counts_them_by_weight():
    splits = split_rows(4, 2, None, RandomStreams(0))
    values = np.array([1.0, 2.0, 3.0, 4.0])
    data = training_data(np.ones((4, 2)), values, "cpu", splits)
    assert data.mean(values, data.rows) == pytest.approx(3.0)
    assert training_data(np.ones((4, 2)), None, "cpu", splits).mean(values, splits[0]) == 2.5


@pytest.mark.parametrize("n_members, fraction, times", [(5, 0.2, 1), (10, 0.2, 2), (1, 0.1, 1)])
def test_members_take_turns_in_holding_rows_out(n_members, fraction, times):
    rows, held_out = split_rows(43, n_members, fraction, RandomStreams(0))
    assert len(rows) == len(held_out) == n_members
    for seen, unseen in zip(rows.numpy(), held_out.numpy()):
        assert sorted([*seen, *unseen]) == list(range(43))
    counts = np.bincount(held_out.numpy().ravel(), minlength=43)
    if n_members * fraction >= 1:
        # parts have equal sizes, so some rows are held out once more
        assert counts.min() == times and counts.sum() == n_members * held_out.shape[1]
