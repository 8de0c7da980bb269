"""Roots of many increasing functions at once."""

import numpy as np


def find_root(function, low, high, n_iter=100, tol=1e-9):
    """Where increasing functions are 0, for many at once, between ``low`` and ``high`` ``(n, m)``.

    The Illinois method: secants between ends of different signs, with half of the value at an end
    that stays, and the middle where that does not help: at every fourth step, and from the 40th on.
    ``function(u, rows)`` gets the values ``(r, m)`` of the rows in which one is still open.
    """
    low, high = low.copy(), high.copy()
    rows = np.arange(len(low))
    f_low, f_high = function(low, rows), function(high, rows)
    root = np.where(np.abs(f_low) < np.abs(f_high), low, high)
    last = np.zeros(low.shape)  # the side that moved last
    for i in range(n_iter):
        wide = high - low > tol * (1 + np.abs(low))
        is_open = wide & (f_low < 0) & (f_high > 0)
        rows = np.flatnonzero(is_open.any(axis=1))
        if not len(rows):
            break
        moving, u = is_open[rows], root[rows]
        a, b, fa, fb = (part[rows] for part in (low, high, f_low, f_high))
        secant = np.divide(fb * (b - a), fb - fa, out=(b - a) / 2, where=moving)
        halved = i % 4 == 3 or i >= 40
        u = np.where(moving, (a + b) / 2 if halved else b - secant, u)
        value = function(u, rows)
        root[rows] = u
        below = value < 0
        again = np.where(below, -1, 1) == last[rows]
        up, down = moving & below, moving & ~below
        low[rows], f_low[rows] = np.where(up, u, a), np.where(up, value, fa / (1 + (down & again)))
        high[rows] = np.where(down, u, b)
        f_high[rows] = np.where(down, value, fb / (1 + (up & again)))
        last[rows] = np.where(below, -1, 1)
    return root
