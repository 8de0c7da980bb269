"""Scores of any kind in a common unit, and combined.

The unit is the logarithm of the part of ordinary rows that are as unusual to a scorer, or more.
Where nothing is left to count, that goes on in the slope of the tail. The score of a row is the
logarithm of the weighted harmonic mean of these parts, the rule of Wilson (2019) for p-values that
depend on each other: it is near the lowest of them, where the row is most unusual, and lower if
several agree.
"""

import numpy as np
from scipy.special import logsumexp

from .._table.columns import FARTHEST

#: The tail of a score that is continued: so many of the lowest, and at least so many rows.
TAIL_FRACTION, MIN_TAIL = 0.1, 5


def log_rarity(scores, reference):
    """Logarithm of the part of reference scores that are as low, continued below them.

    The lowest tenth of the reference gives the slope, that of an exponential tail (which extreme
    value theory has for light tails) with the same median; outliers among them hardly move it.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,)
        Ascending, of rows like those that are ordinary.

    Returns
    -------
    log_rarity : ndarray of shape (n,)
        At most 0. The lower, the more unusual.
    """
    values, ranks, start, at_start, slope = _ranked(reference)
    with np.errstate(over="ignore"):
        below = np.minimum((start - np.minimum(scores, start)) / slope, FARTHEST)
    return np.where(scores < start, at_start - below, np.interp(scores, values, ranks))


def score_of_rarity(log_rarity, reference):
    """Scores ``(n,)`` that are so rare: the inverse of ``log_rarity``, up to the highest score."""
    values, ranks, start, at_start, slope = _ranked(reference)
    below = start - slope * (at_start - np.minimum(log_rarity, at_start))
    return np.where(log_rarity < at_start, below, np.interp(log_rarity, ranks, values))


def _ranked(reference):
    """Values, ascending, and their ranks; where the tail starts, the rank there, and its slope."""
    values, counts = np.unique(reference, return_counts=True)
    ranks = np.log(np.cumsum(counts)) - np.log(len(reference) + 1)
    n_tail = min(len(reference), max(MIN_TAIL, int(TAIL_FRACTION * len(reference))))
    start = reference[n_tail - 1]
    slope = np.median(start - reference[:n_tail]) / np.log(2) + 1e-9 * (1 + abs(start))
    return values, ranks, start, np.interp(start, values, ranks), slope


def harmonic_mean(log_parts, weights):
    """Logarithms ``(n,)`` of the harmonic mean of parts, from their logarithms ``(k, n)``."""
    log_weights = np.log(weights / weights.sum())
    return -logsumexp(log_weights[:, None] - log_parts, axis=0)
