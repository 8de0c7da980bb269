"""p-values below the least rank, from a model of the lowest scores: a generalised Pareto tail.

Above a high threshold the excesses of most distributions are about generalised Pareto (Pickands
1975). Here the excesses are the distances of scores below the lowest tenth of the calibration
scores. This is a model, not a guarantee. It is fitted so that it errs towards large p-values:

- Its shape is at least ``LEAST_SHAPE``, a tail heavier than exponential.
- The farthest quarter of the excesses is censored: outliers among the calibration rows make the
  tail heavier by their number, not by their distance.
- If the tail with a uniform background explains the excesses much better, the excesses of the
  background are treated as outliers, and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar

#: Fraction of the rows in the tail, the least number of them, and the least number of all rows.
PART, LEAST, LEAST_ROWS = 0.1, 50, 500
#: Fraction of the excesses that is censored.
CENSORED = 0.25
LEAST_SHAPE = 0.17
#: A background must raise the log-likelihood by so much.
LEAST_GAIN = 5.0


@dataclass
class Tail:
    """A generalised Pareto tail below ``start``, with the fraction ``part`` of the rows."""

    start: float
    part: float
    shape: float
    scale: float

    def pvalues(self, scores: np.ndarray) -> np.ndarray:
        """Return p-values ``(n,)`` of scores below ``start``."""
        with np.errstate(over="ignore"):
            excess = np.maximum(self.start - scores, 0.0) / self.scale
            return self.part * np.exp(-np.log1p(self.shape * excess) / self.shape)


def fit_tail(calibration_scores: np.ndarray) -> Tail:
    """Return the ``Tail`` of ascending calibration scores, at least ``LEAST_ROWS`` of them."""
    scores = calibration_scores
    n_rows = len(scores)
    if n_rows < LEAST_ROWS:
        raise ValueError(
            f"tail=True needs at least {LEAST_ROWS} calibration rows, but there are {n_rows}. Fit "
            "to more rows, raise calibration_fraction if it sets rows aside, or leave tail=False."
        )
    n_tail = max(LEAST, int(PART * n_rows))
    start = scores[n_tail]
    excess = (start - scores[:n_tail])[::-1]  # ascending
    excess = excess[excess > 0]
    if len(excess) < LEAST // 2:
        raise ValueError(
            "tail=True needs scores that differ, but many of the lowest scores of the "
            "calibration rows are the same. Leave tail=False."
        )
    n_outliers = len(excess) - len(_without_background(excess))
    excess = excess[: len(excess) - n_outliers]
    shape, scale = _fit_pareto(excess, int(CENSORED * len(excess)))
    part = (n_tail - n_outliers + 1) / (n_rows - n_outliers + 1)
    return Tail(float(start), part, shape, scale)


def _fit_pareto(excess: np.ndarray, n_censored: int) -> tuple[float, float]:
    """Return shape and scale by maximum likelihood; the last ascending excesses are censored.

    Given ``t = shape / scale``, the best shape has a closed form (Grimshaw 1993).
    """
    n = len(excess) - n_censored
    counted = np.append(excess[:n], np.full(n_censored, excess[n - 1]))
    mean = counted.sum() / n

    def shape_of(t: float) -> float:
        return max(np.log1p(t * counted).sum() / n, LEAST_SHAPE)

    def loss(log_t: float) -> float:
        t = np.exp(log_t)
        shape, logs = shape_of(t), np.log1p(t * counted)
        return n * np.log(shape / t) + logs.sum() / shape + logs[:n].sum()

    low, high = np.log(LEAST_SHAPE / mean / 10), np.log(1e3 / mean)
    t = np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    return shape_of(t), shape_of(t) / t


def _without_background(excess: np.ndarray) -> np.ndarray:
    """Return ascending excesses without the last ones that belong to a uniform background."""
    top = excess[-1]

    def log_tail(parameters: np.ndarray) -> np.ndarray:
        shape, scale = abs(parameters[1]) + 1e-6, np.exp(parameters[0])
        return -parameters[0] - (1 + 1 / shape) * np.log1p(shape * excess / scale)

    def log_odds(parameters: np.ndarray) -> np.ndarray:  # of the background
        return parameters[2] - np.log(top) - log_tail(parameters)

    def loss(parameters: np.ndarray) -> float:
        return -log_tail(parameters).sum()

    def loss_beside(parameters: np.ndarray) -> float:
        both = log_tail(parameters) + np.logaddexp(0, log_odds(parameters))
        return -(both - np.logaddexp(0, parameters[2])).sum()

    options = {"xatol": 1e-3, "fatol": 1e-3, "maxiter": 600}
    begin = [np.log(np.median(excess) / np.log(2)), 0.1]
    alone = minimize(loss, begin, method="Nelder-Mead", options=options)
    beside = minimize(loss_beside, [*begin, -2.5], method="Nelder-Mead", options=options)
    if alone.fun - beside.fun < LEAST_GAIN:
        return excess
    n_before = np.argmax(np.append(log_odds(beside.x) > 0, True))
    # what leaves hardly any excess is the tail itself, such as that of evenly spread scores
    return excess[:n_before] if n_before >= LEAST // 2 else excess
