"""Mixtures of ellipses seen from known columns: their marginal, and the others given them.

Both are mixtures of ellipses again (Petersen and Pedersen, *The Matrix Cookbook*; for Student-t
distributions Ding 2016, "On the conditional distribution of the multivariate t distribution"). With
the known columns first, a factor ``P`` of a shape consists of that of the marginal, ``P[:k, :k]``,
of that of the conditional, ``P[k:, k:]``, and of how its centre goes with what is known.
"""

import math

import numpy as np
from scipy.special import gammainccinv, logsumexp

from .ellipses import log_radial, reordered


class Conditionals:
    """The columns of a mixture of ellipses given some of them.

    Parameters
    ----------
    weights : ndarray of shape (k,)
    centres : ndarray of shape (k, d)
    factors : ndarray of shape (k or 1, d, d)
        Upper triangular ``P`` with ``P P' = inverse(shape)``; one alone belongs to all ellipses.
    dof : float
        Degrees of freedom; infinite for normal distributions.
    known : ndarray of bool, shape (d,)
    """

    def __init__(self, weights, centres, factors, dof, known):
        n_known = known.sum()
        factors = reordered(factors, np.argsort(~known, kind="stable"))
        self.known_factors = factors[:, :n_known, :n_known]
        self.factors = factors[:, n_known:, n_known:]
        self.roots = np.linalg.inv(self.factors)
        self.slopes = -factors[:, :n_known, n_known:] @ self.roots
        self.known_centres, self.centres = centres[:, known], centres[:, ~known]
        self.log_weights, self.dof = np.log(weights / weights.sum()), dof

    def given(self, U):
        """The ``Answers`` to rows ``(n, n_known)`` of the known columns."""
        centred = U - self.known_centres[:, None]  # (k, n, n_known)
        square = ((centred @ self.known_factors) ** 2).sum(axis=2)
        log_dets = np.log(np.diagonal(self.known_factors, axis1=1, axis2=2)).sum(axis=1)
        log_prob = log_radial(square, U.shape[1], self.dof) + log_dets[:, None]
        joint = self.log_weights[:, None] + log_prob
        centres = self.centres[:, None] + centred @ self.slopes
        if self.dof == math.inf:
            return Answers(self, joint, centres, np.ones_like(square), math.inf)
        dof = self.dof + U.shape[1]
        return Answers(self, joint, centres, np.sqrt((self.dof + square) / dof), dof)


class Answers:
    """Of rows of known columns: their density, and mixtures that the other columns are drawn from.

    Attributes
    ----------
    log_prob : ndarray of shape (n,)
        Log-density of the known columns, the marginal.
    log_weights : ndarray of shape (k, n)
        Of the ellipses, given the known columns.
    centres : ndarray of shape (k, n, n_unknown)
    sizes : ndarray of shape (k, n)
        By which the roots of the shapes are multiplied.
    dof : float
        Degrees of freedom.
    """

    def __init__(self, shapes, joint, centres, sizes, dof):
        self.shapes, self.centres, self.sizes, self.dof = shapes, centres, sizes, dof
        self.log_prob = logsumexp(joint, axis=0)
        self.log_weights = joint - self.log_prob

    def sample(self, rng):
        """One draw ``(n, n_unknown)`` for each row."""
        n_rows, n_unknown = self.centres.shape[1:]
        uniform = rng.uniform(size=(n_rows, 2))
        normal = rng.standard_normal((n_rows, 1, n_unknown))
        return self.place(uniform[:, :1], normal, uniform[:, 1:])[:, 0]

    def place(self, choice, normal, radius):
        """Draws ``(n, m, n_unknown)`` made of numbers that are uniform in (0, 1), and normal ones.

        ``choice`` ``(n or 1, m)`` chooses the ellipses, ``normal`` ``(n or 1, m, n_unknown)``
        places within them, and ``radius`` ``(n or 1, m)`` how far out in a Student-t distribution.
        """
        n_rows = self.centres.shape[1]
        cumulative = np.exp(self.log_weights).cumsum(axis=0).T  # (n, k)
        chosen = [
            np.searchsorted(cumulative[i, :-1], choice[i % len(choice)]) for i in range(n_rows)
        ]
        chosen, rows = np.stack(chosen), np.arange(n_rows)[:, None]
        size = self.sizes[chosen, rows]
        if self.dof < math.inf:
            size = size * np.sqrt(self.dof / 2 / gammainccinv(self.dof / 2, radius))
        roots = self.shapes.roots
        roots = roots[chosen if len(roots) > 1 else np.zeros_like(chosen)]
        steps = (normal[:, :, None] @ roots)[:, :, 0]
        return self.centres[chosen, rows] + size[:, :, None] * steps

    def conditional_log_prob(self, draws):
        """Log-density ``(n, m)`` of draws ``(n, m, n_unknown)`` given the known columns."""
        n_rows, n_draws, n_unknown = draws.shape
        factors = self.shapes.factors
        log_dets = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        joint = np.empty((len(self.centres), n_rows, n_draws))
        for k, (centre, size) in enumerate(zip(self.centres, self.sizes)):
            factor, log_det = factors[k % len(factors)], log_dets[k % len(factors)]
            white = ((draws - centre[:, None]).reshape(-1, n_unknown) @ factor) ** 2
            square = white.sum(axis=1).reshape(n_rows, n_draws) / size[:, None] ** 2
            log_prob = log_radial(square, n_unknown, self.dof) + log_det
            joint[k] = log_prob + (self.log_weights[k] - n_unknown * np.log(size))[:, None]
        peak = joint.max(axis=0)
        return np.log(np.exp(joint - peak).sum(axis=0)) + peak
