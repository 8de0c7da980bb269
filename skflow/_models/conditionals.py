"""Marginals of known columns, and conditionals of the others, for mixtures of ellipses.

Both are mixtures of ellipses again (Petersen and Pedersen, *The Matrix Cookbook*; for Student-t
distributions Ding 2016, "On the conditional distribution of the multivariate t distribution"). With
a factor ``F`` of a shape, ``F F' = inverse(shape)``, and its rows ``F_u`` of the unknown columns,
``F_u F_u'`` is the inverse of the conditional shape. The conditional centre completes the row as
near to the centre of the ellipse as possible. Rows may have any sets of known columns; the matrices
of all sets are decomposed at once.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammainccinv, logsumexp

from .._core.rows import numbered_patterns
from .ellipses import BLOCK, log_radial

#: Rows with the same matrix that are multiplied at once.
_PIECE = 8


class Conditionals:
    """A mixture of ellipses given the known cells of rows.

    Parameters
    ----------
    weights : ndarray of shape (k,)
    centres : ndarray of shape (k, d)
    factors : ndarray of shape (k or 1, d, d)
        ``F`` with ``F F' = inverse(shape)``; a single one serves all ellipses.
    dof : float
        Degrees of freedom; infinite for normal distributions.
    U : ndarray of shape (n, d)
        Rows; unknown cells may have any finite values.
    known : ndarray of bool, shape (n, d)

    Attributes
    ----------
    log_prob : ndarray of shape (n,)
        Marginal log-density of the known columns.
    """

    def __init__(
        self,
        weights: np.ndarray,
        centres: np.ndarray,
        factors: np.ndarray,
        dof: float,
        U: np.ndarray,
        known: np.ndarray,
    ) -> None:
        self._known, n_known = known, known.sum(axis=1)
        found, self._set = numbered_patterns(known)
        # known columns get unit rows, so that the roots are regular
        own = np.where(found[:, None, :], 0.0, factors.transpose(0, 2, 1)[:, None])
        alone = np.broadcast_to(np.eye(U.shape[1]) * found[:, None], own.shape)
        roots = np.linalg.qr(np.concatenate([own, alone], axis=2), mode="r")
        log_dets = np.log(np.abs(np.diagonal(roots, axis1=2, axis2=3))).sum(axis=2)
        roots = np.linalg.inv(roots)
        self._turned = roots.transpose(0, 1, 3, 2).copy()  # (k or 1, number of sets, d, d)
        steps = own @ roots @ self._turned
        centred = np.where(known, U - centres[:, None], 0.0)  # (k, n, d)
        white = (centred @ factors).reshape(-1, U.shape[1])
        sets = np.broadcast_to(self._numbers(np.arange(len(centres))[:, None]), centred.shape[:2])
        centred -= _products(white, steps, sets.ravel()).reshape(centred.shape)
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

    def place(
        self, rows: np.ndarray, choice: np.ndarray, normal: np.ndarray, radius: np.ndarray
    ) -> np.ndarray:
        """Return rows ``(m, d)`` completed by draws from uniform and normal numbers.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            The indices of the rows.
        choice : ndarray of shape (m,)
            Uniform in (0, 1); selects the ellipses.
        normal : ndarray of shape (m, d)
            Standard normal; determines the places within them.
        radius : ndarray of shape (m,)
            Uniform in (0, 1); determines the scale of Student-t distributions.
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
        drawn = _products(normal, self._turned, self._numbers(chosen, rows))
        return self._centres[chosen, rows] + drawn

    def _numbers(self, ellipses: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the indices of the matrices of ellipses and rows, by set of known columns."""
        n_factors, n_sets = self._turned.shape[:2]
        return self._set[rows] + (ellipses * n_sets if n_factors > 1 else 0)


def _products(rows: np.ndarray, matrices: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return products ``(m, d)`` of rows with the matrices ``(..., d, d)`` of these indices.

    Rows with the same matrix are multiplied together, in pieces of up to ``_PIECE``, and many such
    pieces at once.
    """
    order = np.argsort(numbers, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    counts = np.diff(first, append=len(rows))
    n_pieces = -(-counts // _PIECE)
    rank = np.arange(len(rows)) - np.repeat(first, counts)
    piece = np.repeat(n_pieces.cumsum() - n_pieces, counts) + rank // _PIECE
    d = rows.shape[1]
    pieces = np.zeros((n_pieces.sum(), _PIECE, d))
    pieces[piece, rank % _PIECE] = rows[order]
    matrices, which = matrices.reshape(-1, d, d), np.repeat(found, n_pieces)
    size = max(1, BLOCK // d**2)
    for start in range(0, len(pieces), size):
        block = slice(start, start + size)
        pieces[block] = pieces[block] @ matrices[which[block]]
    products = np.empty_like(rows)
    products[order] = pieces[piece, rank % _PIECE]
    return products
