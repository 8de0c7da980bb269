"""Scorers beside the flow, against sums and counts that are written out."""

import pickle

import numpy as np
import pytest

from skflow import FlowOutlierDetector
from skflow._outliers import scorers
from skflow._outliers.scorers import Neighbours, Tails


def table(n_rows, seed=0):
    """Two real columns and a category of three codes."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(5, [2, 0.1], (n_rows, 2)), rng.integers(3, size=n_rows)])


def nearness(row, others, X):
    """Of rows of ``table``, by a loop; columns that are NaN in the row are left out."""
    scale = X[:, :2].std(axis=0)
    total = 0.0
    for other in others:
        real = (row[:2] - other[:2]) / scale
        square = np.nansum(real**2) + 2 * (not np.isnan(row[2]) and row[2] != other[2])
        total += (square + 0.01**2) ** -4
    return np.log(total)


def test_neighbours_are_sums_over_all_rows():
    X, rows = table(40), table(7, seed=1)
    fitted = Neighbours((2,)).fit(X)
    expected = [nearness(row, X, X) for row in rows]
    np.testing.assert_allclose(fitted.score_samples(rows), expected)
    rows[::2, 0], rows[1, 2] = np.nan, np.nan
    expected = [nearness(row, X, X) for row in rows]
    np.testing.assert_allclose(fitted.score_samples(rows), expected)


def test_a_row_is_not_its_own_neighbour():
    X = table(40)
    X[5] = X[6]  # the other copy is one
    expected = [nearness(X[i], np.delete(X, i, axis=0), X) for i in range(40)]
    np.testing.assert_allclose(Neighbours((2,)).fit(X).score_samples(X), expected)


def test_missing_cells_of_the_fit_are_at_the_mean_squared_distance():
    X, rows = table(40), table(5, seed=1)
    X[3, 0], X[4, 2], rows[0, 1] = np.nan, np.nan, np.nan
    real, scale = X[:, :2], np.nanstd(X[:, :2], axis=0)
    values = [column[~np.isnan(column)] for column in X.T]
    expected = []
    for row in rows:
        total = 0.0
        for other in X:
            squares = ((row[:2] - other[:2]) / scale) ** 2
            if np.isnan(other[0]):
                squares[0] = np.mean(((row[0] - values[0]) / scale[0]) ** 2)
            differs = np.mean(row[2] != (values[2] if np.isnan(other[2]) else other[2]))
            total += (np.nansum(squares) + 2 * differs + 0.01**2) ** -4
        expected.append(np.log(total))
    fitted = Neighbours((2,)).fit(X)
    np.testing.assert_allclose(fitted.score_samples(rows), expected)
    tails = Tails((2,)).fit(X).score_samples(np.array([[np.nan, real[:, 1].max(), np.nan]]))
    np.testing.assert_allclose(tails, np.log(2 / 41))
    tails = Tails().fit(X).score_samples(np.array([[99.0, np.nan, np.nan]]))
    assert tails == np.log(1 / 40)  # known are 39


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e9, 1e80])
def test_far_rows_are_right(distance):
    X = table(30)
    X[0, 0] += min(distance, 1e9)
    rows = X[:2] + np.array([distance, 1.0, 0.0])
    expected = [nearness(row, X, X) for row in rows] if distance < 1e20 else -np.inf
    found = Neighbours((2,)).fit(X).score_samples(rows)
    assert np.isfinite(found).all() and (found < 0).all()
    if distance < 1e20:
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_neighbours_of_a_long_table_are_a_part_of_it(monkeypatch):
    monkeypatch.setattr(scorers, "MOST_ROWS", 20)
    fitted = Neighbours((2,), random_state=0).fit(table(100))
    assert len(fitted.rows_) == 20
    expected = Neighbours((2,), random_state=0).fit(table(100)).score_samples(table(9, seed=2))
    np.testing.assert_array_equal(fitted.score_samples(table(9, seed=2)), expected)


def test_tails_are_counts():
    X = np.column_stack([[1.0, 2, 2, 3, 9], [0, 0, 0, 1, 2]])
    fitted = Tails((1,)).fit(X)
    rows = np.array([[2, 0], [0, 0], [9, 1], [3, 7], [np.nan, 2], [2, -1]])
    beyond = [[3, 5], [0, 5], [1, 2], [2, 0], [5, 2], [3, 0]]  # of unknown cells nothing is said
    np.testing.assert_allclose(
        fitted.score_samples(rows), np.log((np.array(beyond) + 1) / 6).sum(axis=1)
    )


def test_a_number_among_others_is_rare_where_few_numbers_are_new():
    X = np.column_stack([np.repeat([307.0, 336.0], 50), np.arange(100.0)])
    X[0, 0] = 500.0  # the only row with a number of its own
    fitted = Tails().fit(X)
    found = fitted.score_samples(np.array([[313.0, 50.5], [336.0, 50.5]]))
    among = np.log(50 / 101)  # of the second column, where all numbers differ
    np.testing.assert_allclose(found, [np.log(2 / 101) + among, np.log(52 / 101) + among])
    # a row of fit does not count for itself
    np.testing.assert_allclose(fitted.score_own_rows(X[:1])[0], np.log(1 / 100) + np.log(1 / 100))


def test_rows_with_missing_change_nothing_and_are_remembered(monkeypatch):
    X = table(200)[:, :2]
    detector = FlowOutlierDetector(random_state=0).fit(X)
    before = pickle.dumps(detector)
    rows = np.array([[np.nan, 5.0], [np.nan, 9.0], [5.0, np.nan]])
    scores = detector.score_samples(rows)
    assert scores[1] < scores[0]
    assert pickle.dumps(detector) == before
    asked = []
    count = Neighbours.score_samples
    monkeypatch.setattr(
        Neighbours, "score_samples", lambda self, X: asked.append(len(X)) or count(self, X)
    )
    np.testing.assert_array_equal(detector.score_samples(rows), scores)
    assert sum(asked) == 3
