"""Patterns of missing cells: which columns of a row are known."""

import numpy as np


def patterns(known):
    """Pairs of a pattern, a mask ``(d,)``, and the numbers of the rows of ``known`` ``(n, d)``."""
    if not len(known):
        return []
    found, which = np.unique(known, axis=0, return_inverse=True)
    which = which.ravel()  # NumPy 2.0 gives it a second axis
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(found)))
    return list(zip(found, np.split(order, starts[1:])))
