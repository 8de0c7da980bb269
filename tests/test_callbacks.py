"""Scikit-learn's callbacks, on versions that have them (from 1.9)."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skflow import CouplingFlowDensity, StructureSearchFlow, Training

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")

FAST = {
    "n_layers": 2,
    "max_iter": 4,
    "hidden_layer_sizes": (4,),
    "component_weight": 0,
    "random_state": 0,
}
ESTIMATORS = {
    "flow": CouplingFlowDensity(**FAST),
    "members": CouplingFlowDensity(n_estimators=2, training=Training(n_init=2), **FAST),
    "search": StructureSearchFlow(n_search_iter=3, n_candidate_steps=2, **FAST),
}


class Recorder:
    """Keeps what it is told, and asks to stop after some iterations."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.begun, self.ended, self.torn_down = [], [], 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)
        return self.stop_after is not None and self.ended.count("iteration") >= self.stop_after


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((120, 3))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_task_begins_and_ends(X, name):
    recorder = Recorder()
    flow = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(X)
    assert sorted(recorder.begun) == sorted(recorder.ended)
    n_searched = len(getattr(flow, "search_history_", []))
    assert recorder.ended.count("iteration") == flow.n_iter_ + n_searched
    assert ("search" in recorder.ended) == (name == "search")
    assert recorder.torn_down == 1


@pytest.mark.parametrize("name", ESTIMATORS)
def test_callbacks_change_no_result(X, name):
    heard = clone(ESTIMATORS[name]).set_callbacks(Recorder()).fit(X)
    alone = clone(ESTIMATORS[name]).fit(X)
    np.testing.assert_array_equal(heard.score_samples(X), alone.score_samples(X))


def test_a_callback_can_stop_the_training(X):
    flow = clone(ESTIMATORS["flow"]).set_callbacks(Recorder(stop_after=2)).fit(X)
    assert flow.n_iter_ == 2


def test_a_failed_fit_is_torn_down_and_leaves_nothing(X):
    recorder = Recorder()
    flow = clone(ESTIMATORS["flow"]).set_params(mask_layout=lambda *shape: 1 / 0)
    flow.set_callbacks(recorder)
    with pytest.raises(ZeroDivisionError):
        flow.fit(X)
    assert recorder.torn_down == 1
    assert not hasattr(flow, "masks_") and not hasattr(flow, "_callback_fit_ctx")


def test_scores_of_every_epoch_are_those_of_an_estimator_fitted_so_far(X):
    monitor = callback.ScoringMonitor(scoring={"score": lambda flow, X, y: flow.score(X)})
    flow = CouplingFlowDensity(**FAST).set_callbacks(monitor).fit(X)
    log = monitor.get_logs().data
    scores = [row["score"] for row in log if row["task_name"] == "iteration"]
    assert len(scores) == flow.n_iter_ and scores[-1] > scores[0]
    assert [row["score"] for row in log if row["task_name"] == "fit"] == [flow.score(X)]


def test_in_a_grid_search(X):
    recorder = Recorder()
    grid = GridSearchCV(clone(ESTIMATORS["flow"]).set_callbacks(recorder), {"n_bins": [2, 4]}, cv=2)
    grid.fit(X)
    assert recorder.torn_down == 5 and recorder.ended.count("fit") >= 5


def test_files_of_fitted_estimators_hold_no_callbacks(X):
    flow = clone(ESTIMATORS["flow"]).set_callbacks(Recorder())
    assert hasattr(pickle.loads(pickle.dumps(flow)), "_skl_callbacks")
    flow.fit(X)
    assert not hasattr(pickle.loads(pickle.dumps(flow)), "_skl_callbacks")
