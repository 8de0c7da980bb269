"""Quasi-random numbers: points that fill the unit cube more evenly than random ones."""

from threading import Lock

from scipy.stats import qmc

#: SciPy reads its tables at the first call, which threads disturb in SciPy 1.11.
_ONE_THREAD = Lock()


def sobol(n_points, n_columns, seed=0):
    """Points ``(n_points, n_columns)`` of a scrambled Sobol sequence, a power of 2 of them."""
    with _ONE_THREAD:
        return qmc.Sobol(n_columns, seed=seed).random(n_points)
