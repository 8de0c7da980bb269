"""Scores of any kind in a common unit, the log-rarity, and their combination.

The log-rarity is the logarithm of the fraction of ordinary rows that are at least as unusual to a
scorer. Beyond all rows it is extrapolated with the slope of the tail. The score of a row is the
logarithm of the weighted harmonic mean of these fractions, the rule of Wilson (2019) for dependent
p-values. It is near the lowest of them, of the scorer to which the row is most unusual, and lower
if several agree.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from .._table.columns import FARTHEST

#: The tail for extrapolation: this fraction of the rows, and at least so many.
TAIL_FRACTION, MIN_TAIL = 0.1, 5


def log_rarity(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the logarithm of the fraction of reference scores that are as low, extrapolated.

    The slope comes from an exponential tail (as in extreme value theory for light tails) with the
    median of the lowest tenth of the reference. Outliers in it hardly change the slope.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    reference : ndarray of shape (m,)
        Ascending scores of ordinary rows.

    Returns
    -------
    log_rarity : ndarray of shape (n,)
        At most 0. The lower, the more unusual.
    """
    values, ranks, start, at_start, slope = _ranked(reference)
    with np.errstate(over="ignore"):
        below = np.minimum((start - np.minimum(scores, start)) / slope, FARTHEST)
    return np.where(scores < start, at_start - below, np.interp(scores, values, ranks))


def score_of_rarity(log_rarity: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return scores ``(n,)`` by the inverse of ``log_rarity``, up to the highest score."""
    values, ranks, start, at_start, slope = _ranked(reference)
    below = start - slope * (at_start - np.minimum(log_rarity, at_start))
    return np.where(log_rarity < at_start, below, np.interp(log_rarity, ranks, values))


def _ranked(reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """Return ascending values, their ranks, and the tail's start, rank there, and slope."""
    values, counts = np.unique(reference, return_counts=True)
    ranks = np.log(np.cumsum(counts)) - np.log(len(reference) + 1)
    n_tail = min(len(reference), max(MIN_TAIL, int(TAIL_FRACTION * len(reference))))
    start = reference[n_tail - 1]
    slope = np.median(start - reference[:n_tail]) / np.log(2) + 1e-9 * (1 + abs(start))
    return values, ranks, start, np.interp(start, values, ranks), slope


def harmonic_mean(log_parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return logarithms ``(n,)`` of harmonic means, from logarithms of the parts ``(k, n)``."""
    log_weights = np.log(weights / weights.sum())
    return -logsumexp(log_weights[:, None] - log_parts, axis=0)
