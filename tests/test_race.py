"""The layout ``Race``: the first of some structures, unless held-out rows prove another ahead."""

import numpy as np
import pytest

from skflow import CouplingFlowDensity, masks
from skflow._structure.layouts import take_layout

PAIRS_APART = masks.alternating([True, True, False, False], 2)
SIMPLE = {"coupling": "affine", "hidden_layer_sizes": (), "component_weight": 0}


def pairs(n=600, noise=0.2, seed=0):
    """Columns 0 and 2 depend on each other, 1 and 3, too; parity has a pair on the same side."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    X[:, 2:] = X[:, :2] + noise * X[:, 2:]
    return X


def chosen(X, layouts=("parity", PAIRS_APART), **params):
    race = masks.Race(layouts)
    params = {"max_iter": 60, "random_state": 0, **SIMPLE, **params}
    return CouplingFlowDensity(2, mask_layout=race, **params).fit(X).masks_


def test_it_is_the_default():
    default = CouplingFlowDensity(2, max_iter=60, random_state=0, **SIMPLE).fit(pairs())
    np.testing.assert_array_equal(default.masks_, PAIRS_APART)
    assert "derived, the winner of a race" in default.summary()


def test_a_structure_that_is_ahead_wins():
    np.testing.assert_array_equal(chosen(pairs()), PAIRS_APART)
    # whichever stands first
    np.testing.assert_array_equal(chosen(pairs(), (PAIRS_APART, "parity")), PAIRS_APART)


def test_a_row_that_fits_nowhere_does_not_decide():
    X = pairs()
    X[::100] *= 30
    np.testing.assert_array_equal(chosen(X), PAIRS_APART)


def test_in_doubt_the_first_is_kept():
    independent = np.random.default_rng(0).standard_normal((600, 4))
    np.testing.assert_array_equal(chosen(independent), masks.parity(2, 4))
    np.testing.assert_array_equal(chosen(independent, (PAIRS_APART, "parity")), PAIRS_APART)
    few = pairs(30, noise=1.0)
    np.testing.assert_array_equal(chosen(few), masks.parity(2, 4))


def test_a_training_too_short_for_a_race_is_the_first():
    np.testing.assert_array_equal(chosen(pairs(), max_iter=50), masks.parity(2, 4))


def test_one_held_out_row_tells_nothing():
    np.testing.assert_array_equal(chosen(pairs(10), max_iter=400), masks.parity(2, 4))


def test_without_held_out_rows_and_with_other_sizes_it_is_the_first():
    np.testing.assert_array_equal(chosen(pairs(), early_stopping=False), masks.parity(2, 4))
    three = masks.alternating([True, True, True, False], 2)
    np.testing.assert_array_equal(chosen(pairs(), ("parity", three)), masks.parity(2, 4))


def test_a_warm_start_keeps_its_structure():
    X = pairs()
    flow = CouplingFlowDensity(
        2, mask_layout="race", max_iter=10, warm_start=True, random_state=0, **SIMPLE
    )
    first = flow.fit(X).masks_
    np.testing.assert_array_equal(flow.fit(X[::-1]).masks_, first)


def test_impossible_parameters():
    for race, message in (
        (masks.Race("parity"), "layouts='parity' is not possible. Give a sequence"),
        (masks.Race(()), r"layouts=\(\) is not possible"),
        (masks.Race(("parity", "search")), "'search' is itself a search"),
    ):
        with pytest.raises(ValueError, match=message):
            CouplingFlowDensity(2, mask_layout=race, max_iter=1).fit(pairs())


def test_arrays_lose_columns_wherever_they_race():
    given = [[True, True, False, False], [False, False, True, True]]
    race = take_layout(masks.Race(("parity", given, masks.Repeat(given))), np.arange(4) != 3)
    parity, array, repeat = race.layouts
    assert parity == "parity"
    np.testing.assert_array_equal(array, np.array(given)[:, :3])
    np.testing.assert_array_equal(repeat.base, np.array(given)[:, :3])
