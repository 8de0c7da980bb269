"""Roots of increasing functions; the quantiles themselves are tested with the regressor."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from skflow._regression.targets import find_root

LEVELS = np.array([[1e-8, 0.3, 0.5], [0.9, 0.999, 1 - 1e-9]])
FUNCTIONS = {
    "normal": (ndtr, ndtri),
    "steep": (lambda u: ndtr(1e6 * (u - 0.1)), lambda p: 0.1 + ndtri(p) / 1e6),
    "flat": (lambda u: ndtr(np.cbrt(u)), lambda p: ndtri(p) ** 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_found(name):
    cdf, quantile = FUNCTIONS[name]
    low, high = np.full(LEVELS.shape, -1e3), np.full(LEVELS.shape, 1e3)
    root = find_root(lambda u, rows: cdf(u) - LEVELS[rows], low, high)
    np.testing.assert_allclose(root, quantile(LEVELS), rtol=1e-4, atol=1e-8)


def test_an_end_that_is_the_root_stays():
    low, high = np.zeros((1, 2)), np.ones((1, 2))
    root = find_root(lambda u, rows: u - np.array([[0.0, 1.0]]), low, high)
    np.testing.assert_array_equal(root, [[0, 1]])
