"""The heavy-tailed component of targets: a Student-t around a linear regression on the features."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import stdtr, stdtrit

from .._core.saving import saved_as
from .._models.components import EllipticalMixture
from .._models.ellipses import precision_factors, shrunk_covariance
from .._models.groups import GroupedComponent, one_group


@saved_as("residual t")
class ResidualT(EllipticalMixture):
    """A Student-t with 5 degrees of freedom: its mean and variance are finite."""

    dof = 5.0
    heavy_tailed = True

    def fit(self, U, weight):
        """Fit to residuals ``(n, d)`` with weights that add up to 1."""
        centre, shape = shrunk_covariance(U, weight)
        least = 1e-6 * np.eye(U.shape[1])  # where y is linear in x
        factor = precision_factors(((1 - 2 / self.dof) * shape + least)[None])
        self.weights, self.centres, self.factors = np.ones(1), centre[None], factor
        return self


@saved_as("regressed t")
class RegressedT(GroupedComponent):
    """A Student-t around a ridge regression, whose location is bounded as the features are."""

    dof = ResidualT.dof

    def location(self, context):
        return self.groups.location(context) + self.members[0].centres[0]

    @property
    def _factor(self):
        return self.members[0].factors[0]

    def cdf(self, U, context):
        """Distribution function of one target, at values ``(n, m)``."""
        return stdtr(self.dof, (U - self.location(context)) * self._factor[0, 0])

    def quantile(self, levels, context):
        """Values ``(n, m)`` of one target at levels ``(n, m)``."""
        return self.location(context) + stdtrit(self.dof, levels) / self._factor[0, 0]

    def place(self, Z, radius, context):
        """Points ``(n, m, d)`` at normal places ``(m, d)`` and chi-square radii ``(m,)``."""
        scaled = Z * np.sqrt(self.dof / radius)[:, None]
        steps = solve_triangular(self._factor, scaled.T, trans="T").T
        return self.location(context)[:, None] + steps


def fit_regressed_t(U, context, weight=None):
    """The ``RegressedT`` of targets ``(n, d)`` given their context, in standardised units."""
    weight = np.ones(len(U)) if weight is None else weight / weight.mean()
    groups = one_group(U, context, weight)
    residuals = U - groups.location(context)
    return RegressedT(groups, [ResidualT().fit(residuals, weight / weight.sum())])
