"""Structures as arrays, as ``skflow.masks`` offers them."""

import numpy as np
import pytest

from skflow import masks as M
from skflow._nn.mask_arrays import equal_sizes


def bools(*rows):
    """Write masks as strings of 0 and 1, one for each layer."""
    return np.array([[character == "1" for character in row] for row in rows])


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
        (bools("110"), r"mask_layout has shape \(1, 3\).*\(2, 3\) is needed.*masks\.Repeat"),
        ([[True, False], [True]], r"mask_layout cannot be made an array.*shape .*\(2, 3\)"),
        (bools("110", "011").astype(int), r"mask_layout has dtype int64.*\.astype\(bool\)"),
        (bools("110", "011").astype(object), r"mask_layout has dtype object.*\.astype\(bool\)"),
        (
            bools("110", "000"),
            r"mask_layout transforms nothing in layer 2 .*no entry of row 1",
        ),
        (bools("111", "011"), r"mask_layout transforms everything in layer 1 of 2 \(row 0"),
    ],
)
def test_check_masks_errors(masks, message):
    with pytest.raises(ValueError, match=message):
        M.check_masks(masks, 2, 3)


def test_roles_are_checked():
    roles = [[1, 0, M.IDLE], [0, 1, 1]]
    checked = M.check_masks(roles, 2, 3)
    assert checked.dtype == np.int8 and (checked == roles).all()
    assert (M.Repeat(roles).make(3, 3) == [*roles, roles[0]]).all()
    assert not M.is_alternating(roles)
    with pytest.raises(ValueError, match="values from -1 to 2, but roles are 1"):
        M.check_masks([[2, 0, -1]], 1, 3)
    with pytest.raises(ValueError, match="transforms nothing in layer 1"):
        M.check_masks([[0, 0, -1]], 1, 3)
    with pytest.raises(ValueError, match="mask has idle features"):
        M.alternating([1, 0, -1], 2)


def test_groups_of_equal_sizes():
    masks = np.array([[[1, 0, -1]], [[1, 0, 0]], [[-1, 1, 0]], [[1, 1, 0]]])
    groups = [group.tolist() for group in equal_sizes(masks)]
    assert sorted(groups) == [[0, 2], [1], [3]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: M.parity(0, 3), r"n_layers=0 is not possible"),
        (lambda: M.parity(2, True), r"n_features=True is not possible"),
        (lambda: M.random(2.0, 3), r"n_layers=2\.0 is not possible"),
        (lambda: M.random(2, 0), r"n_features=0 is not possible"),
        (lambda: M.alternating(bools("10", "01"), 2), r"mask has shape \(2, 2\).*masks\.Repeat"),
        (lambda: M.alternating(bools("11")[0], 2), r"mask transforms everything in layer 1 of 1"),
        (lambda: M.alternating(np.array([1, 0]), 2), r"mask has dtype int64"),
        (lambda: M.Repeat(bools("10")).make(2, 2), r"has shape \(1, 2\), but .* \(2, 2\)"),
        (lambda: M.Repeat(bools("10"), 1).make(-1, 2), r"n_layers=-1 is not possible"),
        (lambda: M.Repeat(bools("10", "00")).make(2, 2), r"transforms nothing in layer 2"),
    ],
)
def test_function_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
