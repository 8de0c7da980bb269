"""Ellipses within a box: draws, column by column, and their density.

Let each column of a normal or Student-t distribution lie in a range. Given the columns before it, a
column then has a truncated distribution of one dimension. Draws from these, column by column, are
never rejected, however rare the box is (Geweke 1991; Hajivassiliou and McFadden 1998; a Student-t
distribution gains a degree of freedom with each column). The weight of a draw is the product of the
probabilities of the ranges, and the mean weight is the probability of the box.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, ndtr, ndtri, stdtr, stdtrit

from .._models.ellipses import log_radial, reordered
from .._models.factor_model import square_factor

if TYPE_CHECKING:
    from .._models.components import EllipticalMixture

_TINY = np.finfo(float).tiny


class BoxedEllipses:
    """Ellipses whose first columns are known, and whose others lie in a box.

    Parameters
    ----------
    mixture : EllipticalMixture
        Its ellipses are used one by one; the caller weighs them.
    order : ndarray of int, shape (m,)
        The columns: the known ones, then those in the box. Others are integrated out.
    n_known : int
    """

    def __init__(self, mixture: EllipticalMixture, order: np.ndarray, n_known: int) -> None:
        n_columns = mixture.centres.shape[1]
        rest = np.setdiff1d(np.arange(n_columns), order)
        factors = np.stack([square_factor(factor) for factor in mixture.factors])
        factors = reordered(factors, np.concatenate([order, rest]).astype(int))
        self.factors = factors[:, : len(order), : len(order)]
        self.centres = mixture.centres[:, order]
        self.dof, self.n_known = mixture.dof, n_known

    def draw(
        self, k: int, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return draws ``(n, m)`` of ellipse ``k``, and log-weights ``(n,)``.

        A weight is the density of the known columns times an estimate of the probability of the
        box given them. ``lower``, ``upper`` and ``uniform``, in (0, 1), are ``(n, m - n_known)``.
        """
        centre, factor = self.centres[k], self.factors[k % len(self.factors)]
        n_rows, n_columns = len(known), len(centre)
        whites, log_mass = np.empty((n_rows, n_columns)), np.zeros(n_rows)
        centred, square = np.empty((n_rows, n_columns)), np.zeros(n_rows)
        for j in range(n_columns):
            slope, shift = factor[j, j], centred[:, :j] @ factor[:j, j]
            spread = _spread(square, j, self.dof)
            if j < self.n_known:
                centred[:, j] = known[:, j] - centre[j]
                whites[:, j] = centred[:, j] * slope + shift
                log_mass += _log_density(whites[:, j] / spread, j, self.dof)
                log_mass += np.log(slope) - np.log(spread)
            else:
                low, high = (
                    ((end[:, j - self.n_known] - centre[j]) * slope + shift) / spread
                    for end in (lower, upper)
                )
                place, mass = _between(low, high, uniform[:, j - self.n_known], j, self.dof)
                whites[:, j] = place * spread
                centred[:, j] = (whites[:, j] - shift) / slope
                log_mass += _log(mass)
            square += whites[:, j] ** 2
        return centred + centre, log_mass

    def log_density(self, rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Return log-densities ``(k, n)`` with which ``draw`` draws the rows ``(n, m)``."""
        n_known, (n_ellipses, n_columns) = self.n_known, self.centres.shape
        found = np.zeros((n_ellipses, len(rows)))
        bounded = (np.isfinite(lower) | np.isfinite(upper)).any(axis=0)
        for k, centre in enumerate(self.centres):
            factor = self.factors[k % len(self.factors)]
            whites = (rows - centre) @ factor
            squares = np.cumsum(np.insert(whites**2, 0, 0.0, axis=1), axis=1)
            found[k] = log_radial(squares[:, -1], n_columns, self.dof)
            found[k] -= log_radial(squares[:, n_known], n_known, self.dof)
            found[k] += np.log(np.diag(factor)[n_known:]).sum()
            for own in np.flatnonzero(bounded).tolist():
                j = n_known + own
                spread = _spread(squares[:, j], j, self.dof)
                ends = [
                    (whites[:, j] + (end[:, own] - rows[:, j]) * factor[j, j]) / spread
                    for end in (lower, upper)
                ]
                found[k] -= _log(_mass(*_turned(*ends)[:2], j, self.dof))
        return found


def _spread(square: np.ndarray, n_before: int, dof: float) -> np.ndarray:
    """Return the scale of a white column given ``n_before`` others with this sum of squares."""
    return np.ones_like(square) if dof == math.inf else np.sqrt((dof + square) / (dof + n_before))


def _log_density(z: np.ndarray, n_before: int, dof: float) -> np.ndarray:
    if dof == math.inf:
        return -0.5 * (z**2 + math.log(2 * math.pi))
    dof = dof + n_before
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * math.log(dof * math.pi)
    return constant - (dof + 1) / 2 * np.log1p(z**2 / dof)


def _turned(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirror ranges to the side of 0 where probabilities are small numbers."""
    turn = a > 0
    return np.where(turn, -b, a), np.where(turn, -a, b), turn


def _cdf(z: np.ndarray, n_before: int, dof: float) -> np.ndarray:
    return ndtr(z) if dof == math.inf else stdtr(dof + n_before, z)


def _mass(a: np.ndarray, b: np.ndarray, n_before: int, dof: float) -> np.ndarray:
    return _cdf(b, n_before, dof) - _cdf(a, n_before, dof)


def _between(
    a: np.ndarray, b: np.ndarray, uniform: np.ndarray, n_before: int, dof: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return places in ranges for uniform numbers, and the probabilities of the ranges."""
    a, b, turn = _turned(a, b)
    mass = _mass(a, b, n_before, dof)
    level = np.maximum(_cdf(a, n_before, dof) + uniform * mass, _TINY)
    place = ndtri(level) if dof == math.inf else stdtrit(dof + n_before, level)
    place = np.clip(place, a, b)
    return np.where(turn, -place, place), mass


def _log(mass: np.ndarray) -> np.ndarray:
    """Return logarithms, of at least the smallest positive number."""
    return np.log(np.maximum(mass, _TINY))
