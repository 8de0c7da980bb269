"""Conformal p-values from scores and the scores of calibration rows."""

from __future__ import annotations

import numpy as np
from scipy.stats import false_discovery_control

from .._core.checks import warn
from .tail import fit_tail

#: With contamination="auto", fraction of ordinary rows that may be called outliers.
FALSE_ALARM_RATE = 0.05


def just_below(scores: np.ndarray) -> np.ndarray:
    """Return scores lowered by a rounding error, so that copies of a row tie."""
    return scores - 1e-6 * (1 + np.abs(scores))


def ranks(scores: np.ndarray, calibration_scores: np.ndarray) -> np.ndarray:
    """Return p-values ``(n,)`` of scores: their ranks among ascending calibration scores."""
    n_not_higher = np.searchsorted(just_below(calibration_scores), scores, side="right")
    return (1 + n_not_higher) / (1 + len(calibration_scores))


def tail_pvalues(scores: np.ndarray, calibration_scores: np.ndarray) -> np.ndarray:
    """Return p-values, by a ``Tail`` below the lowest tenth of the calibration scores."""
    tail = fit_tail(calibration_scores)
    found = ranks(scores, calibration_scores)
    return np.where(scores < tail.start, tail.pvalues(scores), found)


def selected(pvalues: np.ndarray, fdr: float) -> np.ndarray:
    """Return which are selected at a false discovery rate (Benjamini and Hochberg 1995)."""
    return false_discovery_control(pvalues, method="bh") <= fdr


def warn_if_too_few(pvalues: np.ndarray, fdr: float, n: int) -> None:
    """Warn if nothing can be selected with so few calibration rows, and how to change that."""
    n_rows, n_least = len(pvalues), int(np.sum(pvalues <= 1 / (n + 1)))
    # so many rows need the least possible p-value for all of them to be selected
    n_least_needed = int(np.ceil(n_rows / (fdr * (n + 1)) - 1e-9))
    if n_least_needed <= max(1, n_least):
        return
    needed = int(np.ceil(n_rows / (fdr * max(1, n_least)) - 1e-9)) - 1
    warn(
        f"Nothing is selected. With {n} calibration rows no p-value is below "
        f"1/{n + 1}. At fdr={fdr}, {n_least_needed} rows would have to be more unusual than "
        f"all of them, and {n_least} of {n_rows} are. To select "
        f"{max(1, n_least)} takes at least {needed} calibration rows (fit to more rows, raise "
        "calibration_fraction if it sets rows aside, or add ordinary rows by partial_fit). Or set "
        "tail=True, which extrapolates p-values by a model; or select from fewer rows."
    )


def threshold(
    contamination: float | str, scores: np.ndarray, calibration_scores: np.ndarray
) -> float:
    """Return ``offset_``, from the scores of all rows and ascending calibration scores."""
    if isinstance(contamination, str):  # "auto"
        # a p-value is at most k / (n + 1) if the score is below the k-th lowest of n
        k = max(1, int(FALSE_ALARM_RATE * (len(calibration_scores) + 1)))
        found = calibration_scores[k - 1]
    else:
        found = np.percentile(scores, 100 * contamination)
    if not np.isfinite(found):
        raise ValueError(
            "The density is zero at so many rows that there is no threshold with "
            f"contamination={contamination!r}. Use a smoother density, or a higher contamination."
        )
    return float(just_below(found))
