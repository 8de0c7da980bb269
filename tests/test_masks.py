"""All layouts, and those that are made of others: ``Repeat`` and ``EvolutionarySearch``."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from test_structures import bools

from skflow import masks as M


def halves(n_layers, n_features, random_state):
    return M.alternating(np.arange(n_features) < n_features // 2, n_layers)


ONE_EACH = M.Rule("random", n_conditioning=1)
# A layout, and what it makes of 3 layers and 5 features with random_state=0.
LAYOUTS = {
    "parity": (M.Rule("parity"), bools("10101", "01010", "10101")),
    "random": (ONE_EACH, M.random(3, 5, 1, random_state=0)),
    "fixed": (M.Rule(bools("11000", "00110", "01010")), bools("11000", "00110", "01010")),
    "custom": (M.Rule(halves), bools("11000", "00111", "11000")),
    "repeat": (M.Repeat(ONE_EACH), M.random(2, 5, 1, random_state=0)[[0, 1, 0]]),
    "repeat, given": (
        M.Repeat(bools("11000", "00110")),
        bools("11000", "00110", "11000"),
    ),
    "search": (
        M.EvolutionarySearch.paper(initial_layout=ONE_EACH),
        M.random(3, 5, 1, random_state=0),
    ),
    "search, parity": (
        M.EvolutionarySearch(initial_layout="parity"),
        bools("10101", "01010", "10101"),
    ),
    "search, alternating": (
        M.EvolutionarySearch(initial_layout=M.Rule("random", 2)),
        M.alternating(M.random(3, 5, 2, random_state=0)[0], 3),
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout_and_masks(request):
    return LAYOUTS[request.param]


def test_make(layout_and_masks):
    layout, expected = layout_and_masks
    masks = layout.make(3, 5, random_state=0)
    np.testing.assert_array_equal(masks, expected)
    masks[:] = True
    again = layout.make(3, 5, random_state=0)
    np.testing.assert_array_equal(again, expected)


def test_layouts_survive_clone_and_pickle(layout_and_masks):
    layout, expected = layout_and_masks
    for copied in (clone(layout), pickle.loads(pickle.dumps(layout))):
        assert copied is not layout
        assert repr(copied) == repr(layout)
        masks = copied.make(3, 5, random_state=0)
        np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if not name.endswith("given")])
def test_one_feature(name):
    layout, _ = LAYOUTS[name]
    if name in ("fixed", "custom"):
        layout = M.Rule(bools("1", "1", "1"))
    numbers = {key: None for key in layout.get_params() if key.endswith("n_conditioning")}
    layout = clone(layout).set_params(**numbers)
    assert layout.make(3, 1, random_state=0).tolist() == [[True], [True], [True]]


@pytest.mark.parametrize(
    ("mask_layout", "kind"),
    [
        ("parity", M.Rule),
        ("random", M.Rule),
        ("search", M.EvolutionarySearch),
        (bools("10"), M.Rule),
        ([[True, False]], M.Rule),
        (halves, M.Rule),
        (lambda n_layers, n_features, random_state: None, M.Rule),
    ],
)
def test_resolve(mask_layout, kind):
    assert type(M.resolve(mask_layout)) is kind


@pytest.mark.parametrize("mask_layout", ["pairty", None, 3])
def test_resolve_unknown(mask_layout):
    message = (
        r"mask_layout=.*'parity', 'random', 'derived', 'race', 'search'.*boolean array.*function.*"
        "layout object"
    )
    with pytest.raises(ValueError, match=message) as error:
        M.resolve(mask_layout)
    assert repr(mask_layout) in str(error.value)


def test_resolve_class():
    with pytest.raises(ValueError, match=r"mask_layout is the class Derived.*Derived\(\.\.\.\)"):
        M.resolve(M.Derived)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_iter": 0}, r"'n_iter' .*an int in the range \[1, inf\)\. Got 0"),
        ({"n_iter": 10.0}, r"'n_iter' .*an int .*Got 10\.0"),
        ({"n_candidate_steps": -3}, r"'n_candidate_steps' .*Got -3"),
        ({"move": "jump"}, r"'move' .*'shuffle'.*Got 'jump'"),
        ({"top_k": 0}, r"'top_k' .*'auto'.*Got 0"),
        ({"top_k": "all"}, r"'top_k' .*'auto'.*Got 'all'"),
        ({"n_iter_no_change": 0}, r"'n_iter_no_change' .*or None.*Got 0"),
        ({"candidate_score": None}, r"'candidate_score' .*'validation'.*Got None"),
        ({"search_space": ["free"]}, r"'search_space' .*'alternating'.*Got \['free'\]"),
        ({"max_time": 0}, r"'max_time' .*Got 0"),
        ({"checkpoint": 3}, r"'checkpoint' .*Got 3"),
        ({"n_jobs": 0}, r"'n_jobs' .*\(-inf, -1\].*Got 0"),
        ({"n_jobs": 1.5}, r"'n_jobs' .*Got 1\.5"),
        ({"initial_layout": "best"}, r"initial_layout='best' is not known.*'parity'"),
        ({"initial_layout": "search"}, r"initial_layout='search' is itself a search"),
        ({"initial_layout": M.EvolutionarySearch()}, r"initial_layout=Evolutionary.* a search"),
    ],
)
def test_search_parameters(parameters, message):
    search = M.EvolutionarySearch(**parameters)
    with pytest.raises(ValueError, match=message):
        search.validate()
    with pytest.raises(ValueError, match=message):
        search.make(2, 4)


def test_chosen_start_is_not_made_alternating():
    given = M.Rule(bools("1100", "1010"))
    free = M.EvolutionarySearch(initial_layout=given, search_space="free")
    assert free.make(2, 4).tolist() == given.rule.tolist()
    search = M.EvolutionarySearch(initial_layout=given)
    with pytest.raises(ValueError, match=r"(?s)initial_layout=Rule.*not alternating.*'free'"):
        search.make(2, 4)


def test_layouts_of_others_need_not_take_rows():
    class Halves(M.Layout):
        def make(self, n_layers, n_features, *, random_state=None):
            return halves(n_layers, n_features, random_state)

    made_of = M.Repeat(Halves()), M.Race([Halves()]), M.EvolutionarySearch(initial_layout=Halves())
    for layout in made_of:
        np.testing.assert_array_equal(layout.make(4, 4), halves(4, 4, None))


def test_repeat_errors():
    with pytest.raises(ValueError, match=r"block=0 is not possible"):
        M.Repeat(block=0).make(4, 4)
    with pytest.raises(ValueError, match=r"base='search' is itself a search"):
        M.Repeat("search").make(4, 4)


def test_paper_search_is_algorithm_1():
    search = M.EvolutionarySearch.paper(n_iter=7)
    algorithm_1 = {
        "n_iter": 7,
        "n_candidate_steps": 50,
        "move": "shuffle",
        "initial_layout": "random",
        "candidate_score": "train_batch",
        "search_space": "free",
        "top_k": 1,
        "n_iter_no_change": None,
        "max_time": None,
        "checkpoint": None,
        "n_jobs": None,
    }
    assert search.get_params() == algorithm_1


def test_an_array_of_wrong_shape():
    with pytest.raises(ValueError, match=r"mask_layout has shape \(1, 2\).*\(4, 2\)"):
        M.Rule([[True, False]]).make(4, 2)


def test_a_function_gets_its_arguments():
    calls = []

    def function(*args):
        calls.append(args)
        return M.random(2, 4, random_state=args[-1])

    made = M.Rule(function).make(2, 4, random_state=5)
    np.testing.assert_array_equal(made, M.random(2, 4, random_state=5))
    ((n_layers, n_features, rng),) = calls
    assert (n_layers, n_features) == (2, 4)
    assert isinstance(rng, np.random.RandomState)


def test_a_function_that_returns_rubbish_is_named():
    def no_masks(n_layers, n_features, random_state):
        return None

    with pytest.raises(ValueError, match=r"function no_masks given as mask_layout returned has"):
        M.Rule(no_masks).make(2, 4)


def test_a_rule_that_is_none():
    with pytest.raises(ValueError, match=r"rule='spiral' is not known. Use 'parity' or 'random'"):
        M.Rule("spiral").make(2, 4)
