"""Rows of positive weight, and patterns of known cells."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from .typing import ArrayLike


def weighted_rows(
    X: np.ndarray, sample_weight: ArrayLike | None, n_least: int = 2
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the rows of positive weight, and their weights: at most 1, None if equal."""
    if sample_weight is None:
        return X, None
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    # in units of the largest, so that sums do not overflow
    weight = weight / max(weight.max(), np.finfo(float).tiny)
    kept = weight > 0
    if kept.sum() < n_least:
        raise ValueError(
            f"sample_weight is positive in {kept.sum()} of {len(weight)} rows (relative to the "
            f"largest weight); at least {n_least} need a positive weight."
        )
    weight = weight[kept]
    return X[kept], None if (weight == weight[0]).all() else weight


def numbered_patterns(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patterns, masks ``(m, d)``, of rows of ``known`` ``(n, d)``, and which each row has."""
    bits = np.packbits(known, axis=1)
    words = np.zeros((len(bits), 8 * max(1, -(-bits.shape[1] // 8))), np.uint8)
    words[:, : bits.shape[1]] = bits
    words = words.view(">u8").astype(np.uint64)  # numbers sort ten times as fast as masks
    words = words.ravel() if words.shape[1] == 1 else words
    _, first, which = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return known[first], which.ravel()  # NumPy 2.0 gives it a second axis


def patterns(known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of a pattern ``(d,)`` and the indices of the rows of ``known`` with it."""
    if not len(known):
        return []
    found, which = numbered_patterns(known)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(found)))
    return list(zip(found, np.split(order, starts[1:])))
