"""Smoothed frequencies against counts by hand and by brute force."""

from itertools import product

import numpy as np
import pytest

from skflow._models.chain import Frequencies

SIZES, N_VALUES = (2, 3), 4


def table(n_rows=80, seed=0):
    """Two given columns and values that depend on both of them."""
    rng = np.random.RandomState(seed)
    X = np.column_stack([rng.choice(size, n_rows) for size in SIZES])
    y = (X[:, 0] + 2 * (X[:, 1] == 2) + (rng.uniform(size=n_rows) < 0.2)) % N_VALUES
    return X, y


def fitted(X, y, concentration=1.0, weight=None, sizes=SIZES, n_values=N_VALUES):
    weight = np.ones(len(y)) if weight is None else weight
    return Frequencies(concentration).fit(X, y, np.array(sizes), n_values, weight)


def interpolated(X, y, weight, concentration, given):
    """The formula of the class, from the longest set of given values to the uniform distribution.

    It counts every row anew and knows nothing of keys.
    """
    own = (X[:, : len(given)] == given).all(axis=1)
    counts = np.array([weight[own & (y == value)].sum() for value in range(N_VALUES)])
    shorter = (
        interpolated(X, y, weight, concentration, given[:-1])
        if given
        else np.full(N_VALUES, 1 / N_VALUES)
    )
    return (counts + concentration * shorter) / (counts.sum() + concentration)


@pytest.mark.parametrize("concentration", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_the_interpolated_counts(concentration, weighted):
    X, y = table()
    weight = np.random.RandomState(1).uniform(0.1, 2, len(y)) if weighted else np.ones(len(y))
    given = np.array(list(product(*map(range, SIZES))))
    found = fitted(X, y, concentration, weight).predict_proba(given)
    truth = [interpolated(X, y, weight, concentration, tuple(row)) for row in given]
    np.testing.assert_allclose(found, truth)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_without_given_columns_it_is_the_mean_of_a_dirichlet_distribution():
    y = np.repeat([0, 1, 3], [5, 2, 1])
    found = fitted(np.empty((8, 0), int), y, 10.0, sizes=[]).predict_proba(np.empty((2, 0), int))
    np.testing.assert_allclose(found, [(np.array([5, 2, 0, 1]) + 10 / 4) / (8 + 10)] * 2)


def test_a_set_that_was_not_seen_is_answered_by_the_shorter_one():
    X, y = table()
    model = fitted(X, y)
    first = fitted(X[:, :1], y, sizes=SIZES[:1]).predict_proba(np.array([[0], [1]]))
    np.testing.assert_allclose(model.predict_proba(np.array([[0, -1], [1, -1]])), first)
    nothing = fitted(X[:, :0], y, sizes=[]).predict_proba(np.empty((2, 0), int))
    np.testing.assert_allclose(model.predict_proba(np.array([[-1, -1], [-1, 2]])), nothing)
    kept = ~((X[:, 0] == 1) & (X[:, 1] == 2))
    shorter = fitted(X[kept, :1], y[kept], sizes=SIZES[:1]).predict_proba(np.array([[1]]))
    unseen = fitted(X[kept], y[kept]).predict_proba(np.array([[1, 2]]))
    np.testing.assert_allclose(unseen, shorter)


def test_sets_of_fewer_than_two_rows_on_average_are_not_counted():
    X, y = table(60)
    names = np.arange(60)[:, None]
    model = fitted(np.hstack([X, names]), y, sizes=[*SIZES, 60])
    given = np.hstack([X, names])
    np.testing.assert_array_equal(model.predict_proba(given), fitted(X, y).predict_proba(X))
    pairs = np.arange(60)[:, None] // 2  # two rows each: these are
    found = fitted(pairs, y, sizes=[30]).predict_proba(pairs)
    assert len(np.unique(found.round(9), axis=0)) > 5


def test_columns_beyond_what_a_number_can_tell_apart_are_left_out():
    """Sets are numbered by an integer of 64 bits, where too many columns would run over."""
    X, y = table(200)
    wide = np.hstack([X[:, :1], np.zeros((200, 39), int)])
    found = fitted(wide, y, sizes=[3] * 40).predict_proba(wide)
    shares = np.array([[np.mean(y[X[:, 0] == x] == v) for v in range(N_VALUES)] for x in (0, 1)])
    np.testing.assert_allclose(found, shares[X[:, 0]], atol=1e-6)  # 30 times interpolated
