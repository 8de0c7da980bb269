"""A prediction changes nothing: a fitted estimator is the same before and after every method."""

import pickle
import threading

import numpy as np
import pytest
from every_method import ANSWERS, CASES, FITS, TABLES, answers_of, with_missing
from sklearn.neighbors import KDTree
from test_outlier import Distance, table

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._core.saving import _COUNTS
from skflow._missing.proposal import proposal_of
from skflow.inspection import OutlierReportDisplay, ShiftDisplay


def test_a_tree_counts_where_saving_takes_it_to():
    tree = KDTree(np.random.RandomState(0).normal(size=(100, 2)))
    before = tree.__getstate__()
    tree.query(np.zeros((5, 2)), k=3)
    after = tree.__getstate__()
    changed = [k for k, (one, other) in enumerate(zip(before, after)) if np.any(one != other)]
    assert changed and set(changed) <= {*range(_COUNTS, _COUNTS + 4)}
    assert after[_COUNTS : _COUNTS + 3] == tree.get_tree_stats()


def saved(estimator):
    return pickle.dumps(estimator)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, table", CASES)
def test_no_method_changes_the_estimator(name, table):
    X = TABLES[table]
    fitted = FITS[name](X)
    before, attributes = saved(fitted), set(vars(fitted))
    for call in answers_of(name, table):
        ANSWERS[call](fitted, X)
        assert saved(fitted) == before, call
        assert set(vars(fitted)) == attributes, call


def test_no_tail_and_no_picture_changes_a_detector():
    X = table(1200)
    fitted = FlowOutlierDetector(Distance(), calibration_fraction=0.5, random_state=0).fit(X)
    before = saved(fitted)
    for call in (
        lambda: fitted.pvalue(X, tail=True),
        lambda: fitted.select(X, fdr=0.3, tail=True),
        lambda: fitted.report(X, 2, tail=True),
        lambda: ShiftDisplay.from_estimator(fitted, X),
        lambda: OutlierReportDisplay.from_estimator(fitted, X[:5]),
    ):
        call()
        assert saved(fitted) == before


def test_what_is_kept_for_missing_lives_as_long_as_the_density():
    X = TABLES["plain"]
    density = (
        CouplingFlowDensity(1, max_iter=1, component_weight=0.1, random_state=0).fit(X)._density
    )
    proposal = proposal_of(density)
    assert proposal_of(density) is proposal
    again = pickle.loads(pickle.dumps(density))
    assert proposal_of(again) is not proposal


def test_missing_are_scored_alike_by_many_threads():
    X = with_missing(TABLES["mixed"])
    flow = CouplingFlowDensity(1, max_iter=1, component_weight=0.1, random_state=0).fit(
        TABLES["mixed"]
    )
    expected = pickle.loads(pickle.dumps(flow)).score_samples(X)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(flow.score_samples(X))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for scores in found:
        np.testing.assert_array_equal(scores, expected)
