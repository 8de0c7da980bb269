"""Random streams that do not disturb each other, and points that fill every cell."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from skflow._core.random import RandomStreams, sobol


def test_a_stream_starts_anew_whatever_was_drawn_before():
    streams = RandomStreams(7)
    first = streams("masks", 1).random_sample(5)
    streams("search").random_sample(100)
    np.testing.assert_array_equal(streams("masks", 1).random_sample(5), first)
    np.testing.assert_array_equal(RandomStreams(7)("masks", 1).random_sample(5), first)


def test_purposes_turns_and_seeds_have_streams_of_their_own():
    keys = [(7, "masks", 0), (7, "masks", 1), (7, "search", 0), (7, "tails", 1), (8, "masks", 0)]
    drawn = np.stack([RandomStreams(seed)(*key).random_sample(2000) for seed, *key in keys])
    correlation = np.corrcoef(drawn)
    assert np.abs(correlation - np.eye(len(keys))).max() < 5 / np.sqrt(2000)


def test_an_unknown_purpose_is_an_error():
    with pytest.raises(ValueError):
        RandomStreams(0)("coffee")


def test_points_fill_every_cell():
    points = sobol(64, 3, seed=1)
    assert points.shape == (64, 3)
    for column in points.T:  # one in each of as many cells
        assert (np.sort((column * 64).astype(int)) == np.arange(64)).all()
    assert (points == sobol(64, 3, seed=1)).all()
    assert (points != sobol(64, 3, seed=2)).any()


def test_threads_get_the_same_points():
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(partial(sobol, 16), range(1, 20)))
    for n_columns, points in enumerate(drawn, start=1):
        assert (points == sobol(16, n_columns)).all()
