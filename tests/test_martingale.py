"""Evidence of a shift: false alarms at most as promised, shifts noticed; rows that join."""

import matplotlib
import numpy as np
import pytest
from scipy.stats import binomtest, kstest
from sklearn.ensemble import IsolationForest
from test_outlier import Distance, table

from skflow import FlowOutlierDetector
from skflow._outliers.martingale import evidence, online_pvalues
from skflow.inspection import ShiftDisplay

matplotlib.use("Agg")


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_online_pvalues_are_uniform_also_with_ties(step):
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        scores = rng.standard_normal(60)
        scores = np.round(scores / step) if step else scores
        found.append(online_pvalues(scores[20:], np.sort(scores[:20]), rng))
    assert kstest(np.concatenate(found), "uniform").pvalue > 1e-3
    lag = np.corrcoef(np.array(found)[:, :-1].ravel(), np.array(found)[:, 1:].ravel())[0, 1]
    assert abs(lag) < 0.07  # and independent of each other


def test_pvalues_rank_among_all_before():
    found = online_pvalues(np.array([-9.0, 9.0, -8.0]), np.array([0.0, 1.0]), _NoDraws())
    np.testing.assert_allclose(found, [0.5 / 3, 3.5 / 4, 1.5 / 5])


class _NoDraws:
    def uniform(self, size):
        return np.full(size, 0.5)


def test_false_alarms_are_as_rare_as_promised():
    """300 streams: with few rows set aside, none of the evidence may be due to these."""
    rng, highest = np.random.default_rng(0), []
    for _ in range(300):
        scores = rng.standard_normal(150)
        highest.append(evidence(online_pvalues(scores[30:], np.sort(scores[:30]), rng)).max())
    for level in [0.2, 0.1, 0.05, 0.01]:
        n_alarms = int(np.sum(np.array(highest) >= -np.log10(level)))
        assert binomtest(n_alarms, 300, level, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("shift", ["lower", "higher", "a few far out"])
def test_a_shift_is_noticed(shift):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(300)
    scores += {"lower": -0.8, "higher": 0.8, "a few far out": 0.0}[shift]
    scores[::10] -= 10 * (shift == "a few far out")
    aside = np.sort(rng.standard_normal(1000))
    assert evidence(online_pvalues(scores, aside, rng)).max() > 3


def test_a_detector_says_when_rows_change():
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(1000))
    later = table(400, seed=1)
    later[200:] *= 2
    found = detector.shift_evidence(later)
    assert found[:200].max() < 1 and found[-1] > 5
    np.testing.assert_array_equal(found, detector.shift_evidence(later))
    display = ShiftDisplay.from_estimator(detector, later, times=np.arange(400) + 5)
    assert display.alarm_ == np.argmax(found >= 2)
    assert ShiftDisplay.from_estimator(detector, later[:50]).alarm_ is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"level": 1.0}, "level=1.0"), ({"times": [1]}, "times has 1 values, but X has 5 rows")],
)
def test_what_the_display_refuses(wrong, message):
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(50))
    with pytest.raises(ValueError, match=message):
        ShiftDisplay.from_estimator(detector, table(5), **wrong)
    with pytest.raises(TypeError, match="which IsolationForest does not have. Give it to a Flow"):
        ShiftDisplay.from_estimator(IsolationForest(n_estimators=2).fit(table(5)), table(5))


# ---- rows that join


def test_rows_that_join_are_ranked_among():
    new = table(300, seed=1)
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(100))
    scores = detector.score_samples(new)
    before = detector.calibration_scores_
    detector.partial_fit(new)
    np.testing.assert_array_equal(detector.score_samples(new), scores)  # the density stays
    joined = np.sort(np.concatenate([before, scores]))
    np.testing.assert_array_equal(detector.calibration_scores_, joined)
    assert detector.pvalue(np.full((1, 3), 99.0)) == 1 / (len(joined) + 1)
    outlier = detector.predict(new) == -1
    np.testing.assert_array_equal(outlier, detector.pvalue(new) <= 0.05)


def test_the_first_rows_are_those_of_fit():
    X = table(50)
    first = FlowOutlierDetector(Distance(), contamination=0.1, random_state=0).partial_fit(X)
    offset = first.offset_
    assert first.partial_fit(table(50, seed=1)).offset_ == offset  # it is about the rows of fit
