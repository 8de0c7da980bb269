import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid

from skflow import masks as M


def bools(*rows):
    """Write masks as strings of 0 and 1, one for each layer."""
    return np.array([[character == "1" for character in row] for row in rows])


# --- functions


@pytest.mark.parametrize(
    ("n_layers", "n_features", "expected"),
    [
        (2, 4, bools("1010", "0101")),
        (3, 5, bools("10101", "01010", "10101")),
        (1, 2, bools("10")),
        (3, 1, bools("1", "1", "1")),
    ],
)
def test_parity(n_layers, n_features, expected):
    masks = M.parity(n_layers, n_features)
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize(
    ("mask", "n_layers", "expected"),
    [
        ("1100", 4, bools("1100", "0011", "1100", "0011")),
        ("10010", 3, bools("10010", "01101", "10010")),
        ("1", 2, bools("1", "1")),
    ],
)
def test_alternating(mask, n_layers, expected):
    masks = M.alternating(bools(mask)[0], n_layers)
    np.testing.assert_array_equal(masks, expected)
    assert M.is_alternating(masks)


@pytest.mark.parametrize("rows", [("1100", "1010"), ("1100", "0011", "1010"), ("1100", "1100")])
def test_not_alternating(rows):
    assert not M.is_alternating(bools(*rows))


@pytest.mark.parametrize(
    ("n_layers", "expected"),
    [
        (5, bools("110", "001", "110", "001", "110")),
        (2, bools("110", "001")),
        (1, bools("110")),
    ],
)
def test_repeat(n_layers, expected):
    np.testing.assert_array_equal(M.repeat(bools("110", "001"), n_layers), expected)


@pytest.mark.parametrize("n_features", [2, 5, 8])
def test_random_sizes(n_features):
    for n_conditioning in range(1, n_features):
        masks = M.random(20, n_features, n_conditioning, random_state=0)
        assert masks.shape == (20, n_features)
        assert masks.dtype == bool
        assert set((~masks).sum(axis=1)) == {n_conditioning}


def test_random_default_conditions_on_the_smaller_half():
    assert set((~M.random(10, 7, random_state=0)).sum(axis=1)) == {3}
    assert M.random(2, 1, random_state=0).tolist() == [[True], [True]]


def test_random_is_uniform():
    # 10 subsets of size 2 of 5 features, 4000 draws: each count has mean 400 and sd 19.
    masks = M.random(4000, 5, 2, random_state=0)
    subsets, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(subsets) == 10
    assert np.abs(counts - 400).max() < 5 * 19


def test_random_state():
    draw = M.random(6, 9, random_state=3)
    np.testing.assert_array_equal(draw, M.random(6, 9, random_state=3))
    np.testing.assert_array_equal(draw, M.random(6, 9, random_state=np.random.RandomState(3)))
    assert not np.array_equal(draw, M.random(6, 9, random_state=4))
    generator = np.random.default_rng(3)
    first = M.random(6, 9, random_state=generator)
    assert not np.array_equal(first, M.random(6, 9, random_state=generator))
    again = M.random(6, 9, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)


def test_random_leaves_the_global_state_alone():
    before = np.random.get_state()[1].copy()
    M.random(6, 9, random_state=3)
    M.Random().make(6, 9, random_state=3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("n_conditioning", "n_features", "expected"),
    [
        (None, 8, 4),
        (None, 9, 4),
        (None, 2, 1),
        (None, 1, 0),
        (1, 4, 1),
        (np.int32(3), 4, 3),
        (0.25, 8, 2),
        (0.7, 9, 6),
        (0.01, 8, 1),
        (0.99, 8, 7),
        (np.float32(0.5), 10, 5),
        (0.5, 1, 0),
        (0, 1, 0),
    ],
)
def test_n_conditioning(n_conditioning, n_features, expected):
    checked = M.check_n_conditioning(n_conditioning, n_features)
    assert type(checked) is int
    assert checked == expected


@pytest.mark.parametrize("n_conditioning", [0, 6, -1, 0.0, 1.0, 2.5, np.nan, True, "half", [2]])
def test_n_conditioning_out_of_range(n_conditioning):
    with pytest.raises(ValueError, match=r"n_conditioning=.*n_features=6.*from 1 to 5") as error:
        M.check_n_conditioning(n_conditioning, 6)
    assert repr(n_conditioning) in str(error.value)


def test_n_conditioning_of_one_feature():
    with pytest.raises(ValueError, match=r"n_conditioning=2 .*n_features=1.*n_conditioning=None"):
        M.check_n_conditioning(2, 1)


def test_check_masks_returns_a_copy():
    given = bools("110", "001")
    checked = M.check_masks(given, 2, 3)
    np.testing.assert_array_equal(checked, given)
    checked[0, 0] = False
    assert given[0, 0]
    assert M.check_masks([[True, False]], 1, 2).dtype == bool
    assert M.check_masks([[True]], 1, 1).tolist() == [[True]]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (bools("110", "011")[0], r"mask_layout has shape \(3,\).*\(2, 3\) is needed.*one row"),
        (bools("110", "011")[None], r"mask_layout has shape \(1, 2, 3\).*\(2, 3\) is needed"),
        (bools("11", "01"), r"mask_layout has shape \(2, 2\).*\(2, 3\) is needed.*one column"),
        (bools("110"), r"mask_layout has shape \(1, 3\).*\(2, 3\) is needed.*masks\.repeat"),
        ([[True, False], [True]], r"mask_layout cannot be made an array.*shape .*\(2, 3\)"),
        (bools("110", "011").astype(int), r"mask_layout has dtype int64.*\.astype\(bool\)"),
        (bools("110", "011").astype(object), r"mask_layout has dtype object.*\.astype\(bool\)"),
        (bools("110", "000"), r"mask_layout transforms nothing in layer 2 of 2 \(row 1"),
        (bools("111", "011"), r"mask_layout transforms everything in layer 1 of 2 \(row 0"),
    ],
)
def test_check_masks_errors(masks, message):
    with pytest.raises(ValueError, match=message):
        M.check_masks(masks, 2, 3)


def test_one_feature_must_be_transformed():
    with pytest.raises(ValueError, match="transforms nothing in layer 1"):
        M.check_masks([[False]], 1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: M.parity(0, 3), r"n_layers=0 is not possible"),
        (lambda: M.parity(2, True), r"n_features=True is not possible"),
        (lambda: M.random(2.0, 3), r"n_layers=2\.0 is not possible"),
        (lambda: M.random(2, 0), r"n_features=0 is not possible"),
        (lambda: M.alternating(bools("10", "01"), 2), r"mask has shape \(2, 2\).*masks\.repeat"),
        (lambda: M.alternating(bools("11")[0], 2), r"mask transforms everything in layer 1 of 1"),
        (lambda: M.alternating(np.array([1, 0]), 2), r"mask has dtype int64"),
        (lambda: M.repeat(bools("10")[0], 2), r"masks has shape \(2,\).*n_block"),
        (lambda: M.repeat(np.ones((0, 3), bool), 2), r"masks has shape \(0, 3\).*n_block"),
        (lambda: M.repeat(bools("10"), -1), r"n_layers=-1 is not possible"),
        (lambda: M.repeat(bools("10", "00"), 2), r"masks transforms nothing in layer 2"),
    ],
)
def test_function_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- layouts


def halves(n_layers, n_features, random_state):
    return M.alternating(np.arange(n_features) < n_features // 2, n_layers)


# A layout, and what it makes of 3 layers and 5 features with n_conditioning=1 and random_state=0.
LAYOUTS = {
    "parity": (M.Parity(), bools("10101", "01010", "10101")),
    "random": (M.Random(), M.random(3, 5, 1, random_state=0)),
    "random, own size": (M.Random(0.8), M.random(3, 5, 4, random_state=0)),
    "fixed": (M.Fixed(bools("11000", "00110", "01010")), bools("11000", "00110", "01010")),
    "custom": (M.Custom(halves), bools("11000", "00111", "11000")),
    "repeat": (M.Repeat(), M.random(2, 5, 1, random_state=0)[[0, 1, 0]]),
    "repeat, given": (
        M.Repeat(bools("11000", "00110")),
        bools("11000", "00110", "11000"),
    ),
    "search": (M.EvolutionarySearch.paper(), M.random(3, 5, 1, random_state=0)),
    "search, parity": (
        M.EvolutionarySearch(initial_layout="parity"),
        bools("10101", "01010", "10101"),
    ),
    "search, alternating": (
        M.EvolutionarySearch(initial_layout="random"),
        M.alternating(M.random(3, 5, 1, random_state=0)[0], 3),
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout_and_masks(request):
    return LAYOUTS[request.param]


def test_make(layout_and_masks):
    layout, expected = layout_and_masks
    masks = layout.make(3, 5, n_conditioning=1, random_state=0)
    np.testing.assert_array_equal(masks, expected)
    masks[:] = True
    again = layout.make(3, 5, n_conditioning=1, random_state=0)
    np.testing.assert_array_equal(again, expected)


def test_layouts_survive_clone_and_pickle(layout_and_masks):
    layout, expected = layout_and_masks
    for copied in (clone(layout), pickle.loads(pickle.dumps(layout))):
        assert copied is not layout
        assert repr(copied) == repr(layout)
        masks = copied.make(3, 5, n_conditioning=1, random_state=0)
        np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if not name.endswith("given")])
def test_one_feature(name):
    layout, _ = LAYOUTS[name]
    if isinstance(layout, M.Fixed | M.Custom):
        layout = M.Fixed(bools("1", "1", "1"))
    assert layout.make(3, 1, random_state=0).tolist() == [[True], [True], [True]]


def test_arguments_are_stored_untouched():
    masks = [[True, False]]
    assert M.Fixed(masks).masks is masks
    search = M.EvolutionarySearch("many", initial_layout=masks, n_jobs=0)
    assert (search.n_iter, search.n_jobs) == ("many", 0)
    assert search.initial_layout is masks


class Holder(BaseEstimator):
    """Stands for an estimator."""

    def __init__(self, mask_layout="parity"):
        self.mask_layout = mask_layout


def test_parameters_can_be_searched_in_a_grid():
    holder = Holder(M.EvolutionarySearch(initial_layout=M.Random()))
    grid = {"mask_layout__n_iter": [3, 7], "mask_layout__initial_layout__n_conditioning": [2]}
    found = []
    for parameters in ParameterGrid(grid):
        layout = clone(holder).set_params(**parameters).mask_layout
        found.append((layout.n_iter, layout.initial_layout.n_conditioning))
    assert found == [(3, 2), (7, 2)]
    assert holder.mask_layout.n_iter == 200


@pytest.mark.parametrize(
    ("mask_layout", "kind"),
    [
        ("parity", M.Parity),
        ("random", M.Random),
        ("search", M.EvolutionarySearch),
        (bools("10"), M.Fixed),
        ([[True, False]], M.Fixed),
        (halves, M.Custom),
        (lambda n_layers, n_features, random_state: None, M.Custom),
    ],
)
def test_resolve(mask_layout, kind):
    assert type(M.resolve(mask_layout)) is kind


def test_resolve_passes_layouts_through(layout_and_masks):
    layout, _ = layout_and_masks
    assert M.resolve(layout) is layout


@pytest.mark.parametrize("mask_layout", ["pairty", None, 3])
def test_resolve_unknown(mask_layout):
    message = (
        r"mask_layout=.*'parity', 'random', 'derived', 'search'.*boolean array.*function.*layout "
        "object"
    )
    with pytest.raises(ValueError, match=message) as error:
        M.resolve(mask_layout)
    assert repr(mask_layout) in str(error.value)


def test_resolve_class():
    with pytest.raises(ValueError, match=r"mask_layout is the class Random.*Random\(\.\.\.\)"):
        M.resolve(M.Random)


def test_fixed_of_wrong_shape():
    with pytest.raises(ValueError, match=r"mask_layout has shape \(1, 2\).*\(4, 2\)"):
        M.Fixed(bools("10")).make(4, 2)


def test_custom_gets_its_arguments():
    calls = []

    def function(*args):
        calls.append(args)
        return M.random(2, 4, random_state=args[-1])

    made = M.Custom(function).make(2, 4, n_conditioning=1, random_state=5)
    np.testing.assert_array_equal(made, M.random(2, 4, random_state=5))
    ((n_layers, n_features, rng),) = calls
    assert (n_layers, n_features) == (2, 4)
    assert isinstance(rng, np.random.RandomState)


def test_custom_that_returns_rubbish_is_named():
    def no_masks(n_layers, n_features, random_state):
        return None

    with pytest.raises(ValueError, match=r"function no_masks given as mask_layout returned has"):
        M.Custom(no_masks).make(2, 4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_iter": 0}, r"n_iter=0 is not possible\. Give a positive integer\."),
        ({"n_iter": 10.0}, r"n_iter=10\.0 is not possible"),
        ({"n_candidate_steps": -3}, r"n_candidate_steps=-3 is not possible"),
        ({"n_offspring": True}, r"n_offspring=True is not possible"),
        ({"n_candidate_init": 0}, r"n_candidate_init=0 is not possible"),
        ({"n_halvings": 1}, r"n_halvings=1 .*n_offspring=1, which can be halved 0 times"),
        ({"n_halvings": 3, "n_offspring": 7}, r"n_halvings=3 .*halved 2 times"),
        ({"n_halvings": -1}, r"n_halvings=-1 is not possible"),
        ({"move": "jump"}, r"move='jump' is not known\. Use 'shuffle' or 'swap'"),
        ({"n_iter_no_change": 0}, r"n_iter_no_change=0 .*a positive integer or None"),
        ({"candidate_start": "warm"}, r"candidate_start='warm' .*'fresh' or 'inherit'"),
        ({"candidate_score": None}, r"candidate_score=None .*'train_batch' or 'validation'"),
        ({"search_space": ["free"]}, r"search_space=\['free'\] .*'free' or 'alternating'"),
        ({"n_jobs": 0}, r"n_jobs=0 is not possible.*-1 for all"),
        ({"n_jobs": 1.5}, r"n_jobs=1\.5 is not possible"),
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


def test_search_parameters_that_are_allowed():
    M.EvolutionarySearch(
        np.int64(5),
        n_candidate_steps=1,
        n_offspring=4,
        initial_layout=halves,
        candidate_start="inherit",
        candidate_score="validation",
        search_space="alternating",
        n_iter_no_change=10,
        n_jobs=-1,
    ).validate()


def test_chosen_start_is_not_made_alternating():
    given = M.Fixed(bools("1100", "1010"))
    free = M.EvolutionarySearch(initial_layout=given, search_space="free")
    assert free.make(2, 4).tolist() == given.masks.tolist()
    search = M.EvolutionarySearch(initial_layout=given)
    with pytest.raises(ValueError, match=r"(?s)initial_layout=Fixed.*not alternating.*'free'"):
        search.make(2, 4)


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
        "n_offspring": 1,
        "n_halvings": 0,
        "n_candidate_init": 1,
        "move": "shuffle",
        "initial_layout": "random",
        "candidate_start": "fresh",
        "candidate_score": "train_batch",
        "search_space": "free",
        "n_iter_no_change": None,
        "n_jobs": None,
    }
    assert search.get_params() == algorithm_1
