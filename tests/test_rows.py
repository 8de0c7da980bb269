"""Only ratios of weights matter, and rows are told apart by which of their cells are known."""

import numpy as np
import pytest

from skflow._core.rows import patterns, weighted_rows
from skflow._models.ellipses import effective_rows

X = np.arange(8.0).reshape(4, 2)


def test_equal_weights_are_none():
    for weight in (np.ones(4), np.full(4, 1e-300), np.full(4, 1e308), [3, 3, 3, 3]):
        rows, found = weighted_rows(X, weight)
        assert found is None
        np.testing.assert_array_equal(rows, X)
    assert weighted_rows(X, None)[1] is None


@pytest.mark.parametrize("factor", [1e-300, 0.5, 1e300])
def test_weights_keep_their_ratios_and_rows_without_weight_go(factor):
    rows, found = weighted_rows(X, factor * np.array([1.0, 0.0, 2.0, 4.0]))
    assert found == pytest.approx([0.25, 0.5, 1.0])
    np.testing.assert_array_equal(rows, X[[0, 2, 3]])


def test_too_few_rows_with_weight():
    with pytest.raises(ValueError, match="positive in 1 of 4 rows.*at least 2"):
        weighted_rows(X, [0, 0, 1, 0])
    with pytest.raises(ValueError, match="positive in 0 of 4 rows|at least one non-zero"):
        weighted_rows(X, [0, 0, 0, 0], n_least=1)


def test_effective_rows():
    assert effective_rows(np.repeat([0.1, 0.0], [10, 90])) == pytest.approx(10)
    assert effective_rows(np.full(7, 1e308)) == 7
    assert effective_rows(None, 5) == 5


@pytest.mark.parametrize("n_columns", [0, 3, 8, 70])
def test_patterns_are_in_order_and_each_row_has_one(n_columns):
    known = np.random.RandomState(0).uniform(size=(40, n_columns)) < 0.5
    known[20:] = known[:20]
    known[5, :-1] = known[6, :-1]  # differ at most in the last column
    found = patterns(known)
    masks = [tuple(pattern) for pattern, _ in found]
    assert masks == sorted(set(map(tuple, known)))
    assert sorted(np.concatenate([rows for _, rows in found])) == list(range(40))
    for pattern, rows in found:
        assert (known[rows] == pattern).all() and (np.diff(rows) > 0).all()
