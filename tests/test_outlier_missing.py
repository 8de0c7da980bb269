"""Detectors and rows with missing cells: p-values of what is known, and reasons for it alone."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from test_conformal import Known

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._outliers import scorers

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
    assert detector.pvalue(X)[2] > 0.99
    contributions = detector.explain(X)
    assert (contributions[np.isnan(X)] == 0).all()
    assert contributions[0, :2].max() > 3
    report = detector.report(X, n=1, details=True)
    assert report.column.iloc[0] in ("x0", "x1")
    assert report.reason.iloc[0].endswith("(missing: x2)")
    assert report.score.iloc[0] == detector.score_samples(X).min()


def test_whole_rows_are_scored_as_without_missing_beside_them(detector):
    X = rows(20, seed=2)
    scores = detector.score_samples(X)
    X[::2, 0] = np.nan
    assert detector.score_samples(X)[1::2] == pytest.approx(scores[1::2])


def test_rows_with_missing_take_part_where_they_can(monkeypatch):
    monkeypatch.setattr(scorers, "default_flow", lambda n_rows: FLOW)
    X, few = rows(50), rows(50)
    X[:10, 1], few[:43, 1] = np.nan, np.nan
    detector = FlowOutlierDetector(random_state=0).fit(X)
    assert len(detector.calibration_scores_) == 50
    assert len(detector.densities_["neighbours"][0].rows_) == 48  # 0.05 of 50 are left out
    assert len(detector.densities_["tails"][0].columns_[0]) == 50
    assert len(detector.reference_scores_["flow"]) == 40
    assert len(detector.partial_fit(X).calibration_scores_) == 100
    with pytest.raises(ValueError, match=r"at least 8 are needed.*\(first 1\)"):
        FlowOutlierDetector(random_state=0).fit(few)
    few[:30] = rows(30)
    few[:20, 1] = np.nan
    with pytest.warns(UserWarning, match="Only 17 of 50 rows to fit to have no missing"):
        FlowOutlierDetector(random_state=0).fit(few)


def test_scores_of_rows_with_missing_are_those_of_whole_rows_as_rare():
    """What is missing says nothing here, so that p-values are as even as those of whole rows."""
    levels, pvalues = [0.1, 0.25, 0.5, 0.75], []
    for seed in range(10):
        detector = FlowOutlierDetector(Known(), random_state=seed).fit(rows(400, seed))
        X = rows(500, seed + 100)
        whole, X[:, seed % 3] = detector.pvalue(X), np.nan
        pvalues.append([detector.pvalue(X), whole])
    below = (np.array(pvalues)[..., None] <= levels).mean(axis=(0, 2))
    np.testing.assert_allclose(*below, atol=0.03)
