"""The model confidence set: its level, its power, and what a comparison of densities says."""

import numpy as np
import pytest
from scipy import stats

from skflow import metrics
from skflow._structure.confidence_set import confidence_p_values, mean_interval


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


class Scored:
    """Stands for a fitted density: the rows are its log-densities."""

    def __init__(self, k):
        self.k = k

    def score_samples(self, X):
        return X[:, self.k]


def test_what_a_comparison_says():
    log_probs = -losses(500, [0.0, 0.01, 0.6, -0.8], np.random.default_rng(0))
    names = ["searched", "derived", "random", "parity"]
    named = {name: Scored(k) for k, name in enumerate(names)}
    test = metrics.compare_structures(named, log_probs, random_state=0)
    assert test.names == names and test.n_rows == 500
    assert test.in_set.tolist() == [False, False, False, True]
    assert test.scores == pytest.approx(log_probs.mean(axis=0))
    assert test.differences[0].tolist() == [0, 0, 0]
    said = str(test)
    assert said.startswith("searched on 500 rows: not distinguishable from derived (95 %: -0.")
    assert "nats a row worse than parity (95 %: -0." in said
    assert "nats a row better than random (95 %: 0." in said
    assert said.endswith("May be the best: parity")
    # the same seed, the same test; those of a list have numbers for names
    again = metrics.compare_structures(list(named.values()), log_probs, random_state=0)
    assert np.array_equal(again.p_values, test.p_values)
    assert again.names == ["0", "1", "2", "3"]
    sure = metrics.compare_structures(named, log_probs, alpha=1e-4, random_state=0)
    assert "(99.99 %:" in str(sure)


def test_a_row_of_weight_zero_has_no_say():
    log_probs = -losses(200, [0.0, 0.3], np.random.default_rng(0))
    weight = np.repeat([1.0, 0.0], 100)
    few = metrics.compare_structures([Scored(0), Scored(1)], log_probs[:100], random_state=0)
    all_of_them = metrics.compare_structures(
        [Scored(0), Scored(1)], log_probs, weight, random_state=0
    )
    assert np.array_equal(few.p_values, all_of_them.p_values)
    assert few.n_rows == all_of_them.n_rows == 100


@pytest.mark.parametrize(
    ("estimators", "alpha", "message"),
    [
        ([], 0.05, r"estimators holds 0 densities"),
        ([Scored(0)], 0.05, r"estimators holds 1 densities.*two or more"),
        ([Scored(0), Scored(1)], 1.0, r"alpha=1.0 is not possible.*between 0 and 1"),
        ({"a": Scored(0), "b": Scored(1)}, 0.05, r"b gives 2 of 9 rows no finite log-density"),
    ],
)
def test_what_cannot_be_compared(estimators, alpha, message):
    log_probs = np.zeros((9, 2))
    log_probs[3:5, 1] = -np.inf
    with pytest.raises(ValueError, match=message):
        metrics.compare_structures(estimators, log_probs, alpha=alpha)
