from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from skflow._core.quasi_random import sobol


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
