"""The model confidence set: its level, its power, and what a test of a search says."""

import numpy as np
import pytest
from scipy import stats

from skflow._structure.confidence_set import confidence_p_values, judge, mean_interval


def losses(n_rows, shifts, rng, spread=0.3):
    """Losses that have most of their noise in common, as those of models on the same rows."""
    common = rng.normal(size=(n_rows, 1))
    return common + spread * rng.standard_t(5, size=(n_rows, len(shifts))) + np.array(shifts)


def test_equal_models_stay_together():
    rng, alpha, n_runs = np.random.default_rng(0), 0.1, 150
    kept = [
        (confidence_p_values(losses(200, np.zeros(6), rng), None, 300, rng) >= alpha).all()
        for _ in range(n_runs)
    ]
    assert stats.binomtest(sum(kept), n_runs, 1 - alpha).pvalue > 0.001


def test_the_best_stays_and_the_clearly_worse_go():
    rng, n_kept = np.random.default_rng(0), 0
    for _ in range(50):
        p_values = confidence_p_values(losses(300, [0, 0.01, 0.5, 1], rng), None, 200, rng)
        assert (p_values[2:] < 0.05).all()
        n_kept += p_values[0] >= 0.05
    assert n_kept >= 45


def test_two_models_are_a_paired_t_test():
    """With two models the statistic is that of Student's paired test, up to the bootstrap."""
    rng = np.random.default_rng(0)
    drawn = losses(400, [0, 0.06], rng)
    p_values = confidence_p_values(drawn, None, 20_000, rng)
    truth = stats.ttest_rel(*drawn.T).pvalue
    assert p_values.max() == 1 and 0.005 < truth < 0.5
    assert p_values.min() == pytest.approx(truth, rel=0.15)


def test_identical_models_are_never_told_apart():
    column = np.random.default_rng(0).normal(size=(50, 1))
    assert (confidence_p_values(np.repeat(column, 3, axis=1)) > 0.3).all()


def test_a_row_of_weight_two_counts_as_two_rows():
    rng = np.random.default_rng(0)
    drawn = losses(100, [0, 0.3], rng)
    weight = rng.integers(0, 3, 100).astype(float)
    repeated = drawn.repeat(weight.astype(int), axis=0)
    mean, low, high = mean_interval(drawn[:, 1] - drawn[:, 0], weight)
    assert mean == pytest.approx((repeated[:, 1] - repeated[:, 0]).mean())
    assert low < mean < high
    assert confidence_p_values(drawn, weight, 500, rng).argmin() == 1


def test_interval_covers_the_mean():
    rng = np.random.default_rng(0)
    bounds = np.array([mean_interval(rng.exponential(size=300), None, 0.1) for _ in range(400)])
    covered = ((bounds[:, 1] < 1) & (bounds[:, 2] > 1)).sum()
    assert stats.binomtest(int(covered), 400, 0.9).pvalue > 0.001


def test_what_a_test_says():
    rng = np.random.default_rng(0)
    log_probs = -losses(500, [0.0, 0.01, 0.6, -0.8], rng)
    masks = np.zeros((4, 2, 4), dtype=bool)
    sources = ["searched and derived", "searched", "random", "parity"]
    test = judge(log_probs, masks, sources, random_state=rng)
    assert test.beats_chance
    assert test.in_set.tolist() == [False, False, False, True]
    assert test.scores == pytest.approx(log_probs.mean(axis=0))
    assert test.differences[0].tolist() == [0, 0, 0]
    said = str(test)
    assert "500 rows" in said and "the same as derived" in said
    assert "bits a dimension worse than parity (95 %: -0." in said
    assert "bits a dimension better than the best random ones" in said
    assert "1 of 4 structures may be the best" in said
