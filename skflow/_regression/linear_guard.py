"""The guard of a conditional density: heavy tails around a linear regression."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import stdtr, stdtrit

from .._densities.ellipses import log_ellipses, precision_factors, shrunk_covariance
from .._support.saving import saved_as


@saved_as("linear guard")
class LinearGuard:
    """A Student-t with 5 degrees of freedom around a ridge regression on the context.

    Its location is bounded as the context is, its mean and variance are finite.
    """

    dof = 5.0

    def fit(self, U, C, weight=None):
        """Fit to targets ``(n, d)`` and context ``(n, c)``, in standardised units."""
        weight = np.ones(len(U)) if weight is None else weight
        weight = weight / weight.sum()
        design = self._design(C)
        gram = (design * weight[:, None]).T @ design
        ridge = np.diag(np.append(np.full(C.shape[1], 1 / len(U)), 0.0))
        # of collinear columns, too
        self.coefficients = np.linalg.lstsq(
            gram + ridge, (design * weight[:, None]).T @ U, rcond=None
        )[0]
        residuals = U - design @ self.coefficients
        self.offset, shape = shrunk_covariance(residuals, weight)
        least = np.eye(U.shape[1]) * 1e-6  # where y is linear in x
        self.factor = precision_factors(((1 - 2 / self.dof) * shape + least)[None])[0]
        return self

    @staticmethod
    def _design(C):
        return np.column_stack([C, np.ones(len(C))])

    def location(self, C):
        return self._design(C) @ self.coefficients + self.offset

    def log_prob(self, U, C):
        zero = np.zeros((1, U.shape[1]))
        return log_ellipses(U - self.location(C), zero, self.factor[None], self.dof)[0]

    def cdf(self, U, C):
        """Of one target, at values ``(n, m)``."""
        return stdtr(self.dof, (U - self.location(C)) * self.factor[0, 0])

    def quantile(self, levels, C):
        """Of one target: levels ``(n, m)`` to values ``(n, m)``."""
        return self.location(C) + stdtrit(self.dof, levels) / self.factor[0, 0]

    def from_normal(self, Z, radius):
        """Deviations from the location ``(m, d)``, of standard normal ``Z`` and chi-square."""
        scaled = Z * np.sqrt(self.dof / radius)[:, None]
        return solve_triangular(self.factor, scaled.T, trans="T").T
