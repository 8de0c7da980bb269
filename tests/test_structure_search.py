"""``StructureSearchFlow``: Algorithm 1 on real trainings."""

import pickle
import re

import numpy as np
import pytest

from skflow import StructureSearchFlow, Training, masks
from skflow._structure.candidates import CandidateEvaluator
from skflow._structure.search_layout import PAPER_SEARCH


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 6))
    X[:, 3:] += X[:, :3] ** 2
    return X


def search(**params):
    # the lowest cost wins, where there are validation rows, too
    score = "auto" if params.get("early_stopping") is False else "validation"
    return StructureSearchFlow(
        **{
            "candidate_score": score,
            "n_layers": 3,
            "n_search_iter": 12,
            "n_candidate_steps": 4,
            "top_k": 1,
            "coupling": "affine",
            "hidden_layer_sizes": (),
            "max_iter": 2,
            "component_weight": 0,
            "random_state": 0,
            **params,
        }
    )


def best_of(history):
    """The last accepted record: what costs as much as the best replaces it."""
    return [record for record in history if record.accepted][-1]


def assert_same_history(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one.masks, other.masks)
        assert one.accepted == other.accepted
        assert one.cost == pytest.approx(other.cost, rel=1e-5)


MODES = {
    "paper": {
        "training": Training(solver="sgd", learning_rate="cyclic"),
        "early_stopping": False,
        **PAPER_SEARCH,
    },
    "free": {"search_space": "free", "move": "swap"},
    "validation": {"candidate_score": "validation"},
    "start": {"initial_layout": masks.Rule("parity")},
    "spline": {"coupling": "spline", "hidden_layer_sizes": (4,), "n_bins": 4},
    "ensemble": {"training": Training(n_init=2), "candidate_score": "validation"},
}


@pytest.mark.parametrize("mode", MODES)
def test_history_holds_every_iteration_and_the_best_is_kept(X, mode):
    model = search(**MODES[mode]).fit(X)
    history = model.search_history_
    assert [record.iteration for record in history] == list(range(13))
    np.testing.assert_array_equal(history[0].masks, model.initial_masks_)
    assert history[0].accepted
    best = history[0]
    for record in history[1:]:
        assert record.accepted == (record.cost <= best.cost)  # Algorithm 1: ties replace
        best = record if record.accepted else best
        assert record.best_cost == best.cost
        # shuffled masks keep their sizes
        np.testing.assert_array_equal(record.masks.sum(axis=1), model.initial_masks_.sum(axis=1))
    np.testing.assert_array_equal(model.masks_, best.masks)
    assert np.isfinite(model.score(X)) and model.n_iter_ == 2


def test_search_finds_what_conditions_what():
    """x2 = x1^2, the others noise: the layer that moves x2 must see x1, and nothing else counts."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((1000, 4))
    X[:, 1] = X[:, 0] ** 2 + 0.05 * X[:, 1]
    model = StructureSearchFlow(
        n_layers=1,
        n_search_iter=20,
        n_candidate_steps=60,
        candidate_score="validation",
        coupling="affine",
        hidden_layer_sizes=(16,),
        training=Training(learning_rate_init=0.02),
        top_k=1,  # the search alone decides
        max_iter=1,
        component_weight=0,
        random_state=0,
    ).fit(X)
    assert model.masks_[0, 1] and not model.masks_[0, 0]
    costs = [record.best_cost for record in model.search_history_]
    assert costs == sorted(costs, reverse=True)


def test_initial_layout(X):
    pair = np.array([[True, True, True, False, False, False], [False] * 3 + [True] * 3])
    for layout in ("parity", pair, masks.Repeat(pair), lambda *_: pair):
        model = search(n_layers=2, n_search_iter=1, initial_layout=layout).fit(X)
        expected = masks.parity(2, 6) if isinstance(layout, str) else pair
        np.testing.assert_array_equal(model.initial_masks_, expected)


def test_time_limit(X):
    model = search(max_time=1e-9).fit(X)
    assert len(model.search_history_) == 1 and model.search_stop_reason_ == "max_time"
    np.testing.assert_array_equal(model.masks_, model.initial_masks_)
    # the limit is that of a fit, not of a history
    unlimited = model.set_params(max_time=None, warm_start=True).fit(X)
    assert unlimited.search_stop_reason_ == "n_iter"
    assert_same_history(unlimited.search_history_, search().fit(X).search_history_)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_search_iter", 0),
        ("n_candidate_steps", 0),
        ("initial_layout", "spiral"),
    ],
)
def test_bad_parameters(X, name, value):
    with pytest.raises(ValueError, match=rf"{name}.*{re.escape(str(value))}"):
        search(**{name: value}).fit(X)


def test_alternating_space_needs_an_alternating_start(X):
    start = np.array([[True] * 3 + [False] * 3] * 3)
    with pytest.raises(ValueError, match=r"(?s)initial_layout.*not alternating"):
        search(initial_layout=start, search_space="alternating").fit(X)


# ---- interruption


@pytest.fixture
def interrupted(monkeypatch):
    """Raise KeyboardInterrupt instead of the n-th evaluation of candidates."""

    def install(n_calls):
        evaluate, n_left = CandidateEvaluator.__call__, [n_calls]

        def call(self, *args, **kwargs):
            n_left[0] -= 1
            if n_left[0] == 0:
                raise KeyboardInterrupt
            return evaluate(self, *args, **kwargs)

        monkeypatch.setattr(CandidateEvaluator, "__call__", call)

    yield install
    monkeypatch.undo()


def test_interrupted_search_trains_the_best_so_far_and_says_so(X, interrupted):
    whole = search().fit(X).search_history_
    interrupted(3)
    with pytest.warns(UserWarning, match=r"search was interrupted after \d+ iterations"):
        model = search().fit(X)
    history = model.search_history_
    assert 2 < len(history) < 13
    assert model.search_stop_reason_ == "interrupted"
    assert_same_history(history, whole[: len(history)])
    np.testing.assert_array_equal(model.masks_, best_of(history).masks)
    assert np.isfinite(model.score(X)) and model.n_iter_ == 2


def test_interrupted_search_goes_on_with_warm_start(X, interrupted, monkeypatch):
    whole = search().fit(X)
    interrupted(3)
    with pytest.warns(UserWarning, match="interrupted"):
        model = search(warm_start=True).fit(X)
    assert len(model.search_history_) < 13
    monkeypatch.undo()
    model = pickle.loads(pickle.dumps(model)).fit(X)
    assert_same_history(model.search_history_, whole.search_history_)
    np.testing.assert_array_equal(model.masks_, whole.masks_)


def test_warm_start_continues_the_search_where_it_ended(X):
    whole = search(n_search_iter=12).fit(X)
    model = search(n_search_iter=5, warm_start=True).fit(X)
    model.set_params(n_search_iter=12).fit(X)
    assert_same_history(model.search_history_, whole.search_history_)
    np.testing.assert_array_equal(model.masks_, whole.masks_)
    # nothing is left to search: only the training goes on
    history, score = model.search_history_, model.score(X)
    model.set_params(max_iter=20).fit(X)
    assert_same_history(model.search_history_, history)
    assert model.score(X) > score


def test_the_top_structure_that_trains_best_is_kept(X):
    params = {"initial_layout": "derived", "max_iter": 20}
    models = [search(top_k=n, **params).fit(X) for n in (1, 2, 4, 8)]
    # the first structures train alike in all of them, so that more can only be better
    scores = [max(model.validation_scores_) for model in models]
    assert (np.diff(scores) > -1e-5).all() and scores[-1] > scores[0] + 0.01
    best = best_of(models[0].search_history_).masks
    np.testing.assert_array_equal(models[0].masks_, best)
    assert not np.array_equal(models[-1].masks_, best)


def test_paper_search_is_that_of_the_layout():
    assert (
        StructureSearchFlow.paper(2)._layout().get_params()
        == masks.EvolutionarySearch.paper().get_params()
    )
    assert StructureSearchFlow.paper(2, n_search_iter=3).get_params()["n_layers"] == 2


def pairs(n, noise=0.2):
    """Columns 0 and 2 depend on each other, 1 and 3, too; parity has a pair on the same side."""
    X = np.random.default_rng(0).standard_normal((n, 4))
    X[:, 2:] = X[:, :2] + noise * X[:, 2:]
    return X


def test_few_validation_rows_keep_the_start_and_say_so():
    independent = np.random.default_rng(0).standard_normal((130, 6))
    params = {"candidate_score": "auto", "search_space": "free", "n_search_iter": 30}
    with pytest.warns(UserWarning, match=r"keeps its start. What it found by 13 validation rows"):
        model = search(initial_layout="parity", top_k=4, **params).fit(independent)
    np.testing.assert_array_equal(model.masks_, masks.parity(3, 6))
    assert model.search_history_[-1].best_cost < model.search_history_[0].cost


def test_what_is_ahead_of_the_start_is_taken():
    params = {"n_layers": 2, "candidate_score": "auto", "n_candidate_steps": 30, "max_iter": 40}
    model = search(initial_layout="parity", n_search_iter=20, **params).fit(pairs(600))
    first = model.masks_[0]
    assert (first[:2] != first[2:]).all()
    # where the race has found it, the search starts from it
    started = search(n_search_iter=1, **{**params, "max_iter": 60}).fit(pairs(600))
    assert (started.initial_masks_[0, :2] != started.initial_masks_[0, 2:]).all()
