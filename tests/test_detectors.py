"""Detectors of scikit-learn and PyOD as scorers: the sign of scores, and reasons by a flow."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array
from test_outlier import correlated

from skflow import FlowOutlierDetector
from skflow._outliers.detectors import is_detector, scores_of
from skflow._outliers.fitting import check_pairs


class OfPyOD:
    """A detector as those of PyOD are: more is more unusual, no tags, no ``score_samples``."""

    def __init__(self, contamination=0.1):
        self.contamination = contamination

    def get_params(self, deep=True):
        return {"contamination": self.contamination}

    def set_params(self, **params):
        vars(self).update(params)
        return self

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def decision_function(self, X):
        return np.abs(X - self.mean_).sum(axis=1)


OfPyOD.__module__ = "pyod.models.made_up"


class Decides(OutlierMixin, BaseEstimator):
    """A detector of scikit-learn that has only a ``decision_function``."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def decision_function(self, X):
        return -np.abs(X - self.mean_).sum(axis=1)


X = correlated(300)
FITTED = OfPyOD().fit(X[:100])


@pytest.mark.parametrize(
    "scorer",
    [
        OfPyOD(),
        Decides(),
        IsolationForest(n_estimators=10),
        LocalOutlierFactor(novelty=True),
        make_pipeline(StandardScaler(), Decides()),
        FrozenEstimator(FITTED),
        [("theirs", OfPyOD()), ("forest", IsolationForest(n_estimators=10))],
    ],
    ids=lambda scorer: type(scorer).__name__,
)
def test_far_rows_have_small_pvalues(scorer, monkeypatch):
    # reasons are fitted in a test of their own
    monkeypatch.setattr(FlowOutlierDetector, "_fit_reasons", lambda self, X, rng: None)
    detector = FlowOutlierDetector(scorer, random_state=0).fit(X[100:])
    new = np.vstack([correlated(50, seed=1), np.full((3, 5), 20.0)])
    p = detector.pvalue(new)
    n = len(detector.calibration_scores_)
    assert n == (200 if isinstance(scorer, list) else 40)
    assert (p[50:] == 1 / (n + 1)).all() and p[:50].mean() > 0.3
    assert detector.select(new, fdr=0.5)[50:].all()
    assert (detector.predict(new)[50:] == -1).all()


def test_a_fitted_detector_is_not_fitted_again(monkeypatch):
    monkeypatch.setattr(FlowOutlierDetector, "_fit_reasons", lambda self, X, rng: None)
    detector = FlowOutlierDetector(FrozenEstimator(FITTED), calibration_fraction=1)
    detector.fit(X[100:])
    np.testing.assert_array_equal(
        detector.calibration_scores_, np.sort(-FITTED.decision_function(X[100:]))
    )


def test_reasons_are_those_of_a_flow_beside():
    detector = FlowOutlierDetector(OfPyOD(), random_state=0).fit(X)
    row = X[:1].copy()
    row[0, 1] += 6
    report = detector.report(row)
    assert report.column[0] == "x1" and report.usual_to[0] < row[0, 1]
    density = FlowOutlierDetector([("mixture", _Density()), ("theirs", OfPyOD())], random_state=0)
    assert not hasattr(density.fit(X), "reasons_density_")  # the first one has reasons


class _Density(BaseEstimator):
    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        check_array(X, input_name="X")
        return -(X**2).sum(axis=1)


def test_what_cannot_score_is_refused():
    assert not is_detector(LogisticRegression()) and is_detector(FrozenEstimator(OfPyOD()))
    with pytest.raises(ValueError, match="or be a detector with decision_function"):
        check_pairs([("classifier", LogisticRegression())])
    with pytest.raises(ValueError, match="The 'density' parameter"):
        FlowOutlierDetector(LocalOutlierFactor()).fit(X)  # without novelty=True


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "column, words",
    [(["dog", "cat"] * 20, "categories in column 'b': could not"), ([1.0, np.nan] * 20, "missing")],
)
def test_what_a_detector_cannot_take_is_said_with_a_way_out(several, column, words):
    rows = pd.DataFrame({"a": X[:40, 0], "b": column})
    theirs = LocalOutlierFactor(novelty=True)
    detector = FlowOutlierDetector([("theirs", theirs)] if several else theirs, random_state=0)
    with pytest.raises(ValueError, match=f"LocalOutlierFactor.*{words}.*Encode categories"):
        detector.fit(rows)


def test_missing_cells_that_fit_did_not_have_are_named():
    detector = FlowOutlierDetector(_Density(), random_state=0).fit(X)
    with pytest.raises(ValueError, match="missing cells in column 2: Input X contains NaN"):
        detector.pvalue(np.where(np.arange(5) == 2, np.nan, X[:3]))


@pytest.mark.slow
def test_detectors_of_pyod():
    ecod = pytest.importorskip("pyod.models.ecod").ECOD().fit(X)
    assert is_detector(ecod)
    far = np.full((1, 5), 20.0)
    assert scores_of(ecod, far)[0] < np.min(scores_of(ecod, X))
    assert FlowOutlierDetector(FrozenEstimator(ecod), random_state=0).fit(X).pvalue(far)[0] < 0.05
