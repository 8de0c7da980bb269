"""What single layouts do with what they are given; ``test_masks.py`` has the table over all."""

import numpy as np
import pytest

from skflow import masks as M


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
