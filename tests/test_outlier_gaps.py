"""Detectors and rows with gaps: p-values of what is known, and reasons for it alone."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from skflow import CouplingFlowDensity, FlowOutlierDetector

FLOW = CouplingFlowDensity(2, hidden_layer_sizes=(8,), max_iter=15, component_weight=0)


def rows(n_rows, seed=0):
    X = np.random.RandomState(seed).standard_normal((n_rows, 3))
    X[:, 1] = X[:, 0] + 0.2 * X[:, 1]
    return X


@pytest.fixture(scope="module", params=["a flow", "several"])
def detector(request):
    several = [("flow", FLOW), ("mixture", GaussianMixture())]
    density = FLOW if request.param == "a flow" else several
    return FlowOutlierDetector(density, random_state=0).fit(rows(300))


def test_a_broken_dependence_is_found_and_named_if_it_is_known(detector):
    X = np.array([[1.5, -1.5, np.nan], [1.5, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    assert (detector.predict(X) == [-1, 1, 1]).all()
    assert detector.pvalue(X)[2] == 1
    contributions = detector.explain(X)
    assert (contributions[np.isnan(X)] == 0).all()
    assert contributions[0, :2].max() > 3
    report = detector.report(X, n=1, details=True)
    assert report.column.iloc[0] in ("x0", "x1")
    assert report.reason.iloc[0].endswith("(missing: x2)")
    assert report.score.iloc[0] == detector.score_samples(X).min()


def test_pvalues_of_rows_with_gaps_are_valid():
    """With one calibration the rate varies around the level; over many it is the level.

    The ranks of new rows among those set aside are even, whatever the density: the rate of one
    detector is of a beta distribution.
    """
    rates, levels, n_set_aside = [], np.array([0.1, 0.3, 0.5]), 60
    quick = CouplingFlowDensity(
        1, coupling="affine", hidden_layer_sizes=(), max_iter=2, component_weight=0
    )
    for seed in range(25):
        detector = FlowOutlierDetector(quick, random_state=seed).fit(rows(300, seed=seed))
        assert len(detector.calibration_scores_) == n_set_aside
        X = rows(500, seed=1000 + seed)
        X[:, 1] = np.nan
        rates.append((detector.pvalue(X)[:, None] <= levels).mean(axis=0))
    due = np.floor(levels * (n_set_aside + 1)) / (n_set_aside + 1)
    error = np.sqrt(due * (1 - due) * (1 / (n_set_aside + 2) + 1 / 500) / 25)
    assert (np.abs(np.mean(rates, axis=0) - due) < 3 * error).all()


def test_whole_rows_are_scored_as_without_gaps_beside_them(detector):
    X = rows(20, seed=2)
    scores = detector.score_samples(X)
    X[::2, 0] = np.nan
    assert detector.score_samples(X)[1::2] == pytest.approx(scores[1::2])


def test_rows_of_the_fit_with_gaps_are_left_out():
    X = rows(40)
    whole = FlowOutlierDetector(FLOW, random_state=0).fit(X)
    gappy = np.vstack([X, [[np.nan] * X.shape[1]]])
    with pytest.warns(UserWarning, match="1 of 41 rows have gaps and are left out"):
        detector = FlowOutlierDetector(FLOW, random_state=0).fit(gappy)
    np.testing.assert_array_equal(detector.calibration_scores_, whole.calibration_scores_)
    with pytest.raises(ValueError, match="X has 1 rows without NaN"):
        FlowOutlierDetector(FLOW).fit(gappy[-2:])
