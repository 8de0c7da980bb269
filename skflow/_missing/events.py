"""Probabilities of regions, and rows within them, by importance sampling.

The probability of a region is the integral of the density over it: the mean weight of draws, which
all lie in the region (``within.py``). So a rare region does not need more draws than a common one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .within import N_SETS, Points, Within

if TYPE_CHECKING:
    from .._models.density import Density
    from .regions import Region

#: Numbers of weighted draws, tried in turn until the answer is exact enough.
N_POINTS = (2**12, 2**14, 2**16)
#: Relative and absolute error of a probability that is small enough.
SMALL_RELATIVE, SMALL_ABSOLUTE = 0.01, 0.004


class Probability(NamedTuple):
    """A probability and its standard error.

    Attributes
    ----------
    probability : float
    error : float
        Error of the computation, from independent sets of draws. It does not include how far the
        model is from the truth.
    """

    probability: float
    error: float


def probability(
    density: Density,
    event: Region | Callable[[np.ndarray], np.ndarray],
    given: Region,
    rng: np.random.RandomState,
) -> Probability:
    """Return the ``Probability`` that a row of ``given`` also belongs to ``event``.

    ``given`` is a ``Region``. ``event`` is a ``Region``, or a function that returns for rows in the
    data's units whether they belong to it.
    """
    both = None if callable(event) else given.also(event)
    if both is None and not callable(event):
        return Probability(0.0, 0.0)
    inside = event if callable(event) else event.contains
    of_given, of_both = Within(density, given), both and Within(density, both)
    for n_points in N_POINTS:
        points = of_given.points(n_points, rng)
        found = _share(inside, of_given.rows(points), points.log_weight)
        if of_both and not _is_small(found):
            # draws in both regions, which are as good if the event is rare
            if not of_both.looked(rng).ellipses:
                return Probability(0.0, 0.0)
            log_both = of_both.points(n_points, rng).log_weight
            quotient = _quotient(log_both, points.log_weight)
            if found.probability == 0 or 0 < quotient.error < found.error:
                found = quotient
        if _is_small(found):
            break
    return found


def sample_region(
    density: Density, region: Region, n_samples: int, rng: np.random.RandomState
) -> tuple[np.ndarray, float]:
    """Return rows ``(n_samples, d)`` of a region, in the data's units, and their ESS."""
    within = Within(density, region)
    for n_points in N_POINTS:
        if n_points < min(4 * n_samples, N_POINTS[-1]):
            continue
        points = within.points(n_points, rng)
        share = np.exp(points.log_weight - _peak(points.log_weight))
        share /= share.sum()
        ess = 1 / (share**2).sum()
        if ess >= max(n_samples, 100):
            break
    # systematic resampling: a row is drawn as often as its weight, up to one
    level = (np.arange(n_samples) + rng.uniform(size=n_samples)) / n_samples
    chosen = rng.permutation(np.searchsorted(share.cumsum()[:-1], level, side="right"))
    return within.rows(Points(*(array[chosen] for array in points))), float(ess)


def _is_small(found: Probability) -> bool:
    return 0 < found.error <= min(SMALL_RELATIVE * found.probability, SMALL_ABSOLUTE)


def _share(
    inside: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, log_weight: np.ndarray
) -> Probability:
    """Return the weighted fraction of rows, set by set, for which a function is true."""
    true = np.asarray(inside(rows))
    if true.shape != log_weight.shape or true.dtype != bool:
        raise ValueError(
            f"event returned an array of shape {np.shape(true)} and dtype {true.dtype} for a table "
            f"of {len(log_weight)} rows. Return one boolean for each row."
        )
    weight = np.exp(log_weight - _peak(log_weight)).reshape(N_SETS, -1)
    return _of_sets((weight * true.reshape(N_SETS, -1)).sum(axis=1), weight.sum(axis=1))


def _quotient(log_both: np.ndarray, log_given: np.ndarray) -> Probability:
    """Return the ratio of the probabilities of two regions, from independent draws."""
    peak = max(_peak(log_given), log_both.max())
    both, given = (
        np.exp(log - peak).reshape(N_SETS, -1).sum(axis=1) for log in (log_both, log_given)
    )
    return _of_sets(both, given)


def _of_sets(parts: np.ndarray, wholes: np.ndarray) -> Probability:
    """Return the ratio of sums over sets, and its standard error."""
    value = parts.sum() / wholes.sum()
    residuals = (parts - value * wholes) / wholes.mean()
    error = residuals.std(ddof=1) / np.sqrt(N_SETS)
    return Probability(float(min(value, 1.0)), float(error))


def _peak(log_weight: np.ndarray) -> float:
    """Return the largest logarithm; raise if the region is empty."""
    peak = log_weight.max()
    if not np.isfinite(peak):
        raise ValueError(
            "No row can satisfy given: its ranges hold no possible value, or are so far from the "
            "rows of fit that their probability is 0 to rounding. Widen them."
        )
    return peak
