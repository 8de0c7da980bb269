"""Mixtures of ellipses seen from known columns: their marginal, and the others given them.

Both are mixtures of ellipses again (Petersen and Pedersen, *The Matrix Cookbook*; for Student-t
distributions Ding 2016, "On the conditional distribution of the multivariate t distribution"). With
a factor ``F`` of a shape, ``F F' = inverse(shape)``, and its rows ``F_u`` of the unknown columns,
``F_u F_u'`` is the inverse of the conditional shape, and the conditional centre is where the row,
so completed, is nearest to the centre of the ellipse. Rows may have any sets of known columns:
what has to be decomposed is decomposed for all of these sets at once.
"""

import math

import numpy as np
from scipy.special import gammainccinv, logsumexp

from .._core.rows import patterns
from .ellipses import log_radial


class Conditionals:
    """A mixture of ellipses given what is known of rows.

    Parameters
    ----------
    weights : ndarray of shape (k,)
    centres : ndarray of shape (k, d)
    factors : ndarray of shape (k or 1, d, d)
        ``F`` with ``F F' = inverse(shape)``; one alone belongs to all ellipses.
    dof : float
        Degrees of freedom; infinite for normal distributions.
    U : ndarray of shape (n, d)
        Rows; unknown cells may hold anything finite.
    known : ndarray of bool, shape (n, d)

    Attributes
    ----------
    log_prob : ndarray of shape (n,)
        Log-density of the known columns, the marginal.
    """

    def __init__(self, weights, centres, factors, dof, U, known):
        self._known, n_known = known, known.sum(axis=1)
        groups = patterns(known)
        found = np.stack([pattern for pattern, _ in groups])
        # each known column has a row of its own, so that the roots are regular
        own = np.where(found[:, None, :], 0.0, factors.transpose(0, 2, 1)[:, None])
        alone = np.broadcast_to(np.eye(U.shape[1]) * found[:, None], own.shape)
        roots = np.linalg.qr(np.concatenate([own, alone], axis=2), mode="r")
        log_dets = np.log(np.abs(np.diagonal(roots, axis1=2, axis2=3))).sum(axis=2)
        self._roots = np.linalg.inv(roots)  # (k or 1, number of sets, d, d)
        steps = own @ self._roots @ self._roots.transpose(0, 1, 3, 2)
        self._set = np.empty(len(U), dtype=int)
        centred = np.where(known, U - centres[:, None], 0.0)  # (k, n, d)
        for number, (_, rows) in enumerate(groups):
            self._set[rows] = number
            centred[:, rows] -= centred[:, rows] @ factors @ steps[:, number]
        square = ((centred @ factors) ** 2).sum(axis=2)
        whole = np.linalg.slogdet(factors)[1]
        log_prob = log_radial(square, n_known, dof) + whole[:, None] - log_dets[:, self._set]
        joint = np.log(weights / weights.sum())[:, None] + log_prob
        self.log_prob = logsumexp(joint, axis=0)
        self._reached = np.exp(joint - self.log_prob).cumsum(axis=0).T
        self._centres = np.where(known, U, centres[:, None] + centred)
        self._sizes, self._dof = np.ones_like(square), None
        if dof < math.inf:
            self._dof = dof + n_known
            self._sizes = np.sqrt((dof + square) / self._dof)

    def place(self, rows, choice, normal, radius):
        """Rows ``(m, d)`` completed by draws that are made of uniform and normal numbers.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            The numbers of the rows.
        choice : ndarray of shape (m,)
            Uniform in (0, 1); chooses the ellipses.
        normal : ndarray of shape (m, d)
            Standard normal; places within them.
        radius : ndarray of shape (m,)
            Uniform in (0, 1); how far out in a Student-t distribution.
        """
        n_rows, n_ellipses = self._reached.shape
        reached = (self._reached[:, :-1] + np.arange(n_rows)[:, None]).ravel()
        chosen = np.searchsorted(reached, choice + rows) - (n_ellipses - 1) * rows
        chosen = chosen.clip(0, n_ellipses - 1)
        size = self._sizes[chosen, rows]
        if self._dof is not None:
            half = self._dof[rows] / 2
            size = size * np.sqrt(half / gammainccinv(half, radius))
        normal = np.where(self._known[rows], 0.0, normal) * size[:, None]
        sets = self._set[rows] + self._roots.shape[1] * (chosen if len(self._roots) > 1 else 0)
        roots = self._roots.reshape(-1, *self._roots.shape[2:])
        drawn = self._centres[chosen, rows]
        for number, own in _alike(sets):
            drawn[own] += normal[own] @ roots[number].T
        return drawn


def _alike(numbers):
    """Pairs of a number that occurs in ``numbers`` ``(m,)``, and its places."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return zip(found, np.split(order, starts[1:]))
