"""What a fitted density says of rows with gaps: NaN means unknown.

The components have closed-form marginals and conditionals, the flows weighted draws. A part of the
mixture counts, given the known columns, as much as its share of their density.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from .._support.warnings import warn
from .importance import CAREFUL, LEAST, weighted_draws
from .patterns import patterns

#: Of the flows, given what is known: below, nothing is said of how good their draws are.
_LEAST_SHARE = 0.1


@dataclass
class _Known:
    """The known columns of rows, in standardised units.

    Attributes
    ----------
    U : ndarray of shape (n, d)
        0 at unknown columns.
    log_det : ndarray of shape (n,)
        Log-determinant of the standardisation of the known columns.
    known : ndarray of bool, shape (n, d)
    """

    U: np.ndarray
    log_det: np.ndarray
    known: np.ndarray


def log_prob_known(density, X):
    """Log-densities ``(n,)`` of the known columns of rows with gaps, in the data's units."""
    missing = np.isnan(X)
    result = np.zeros(len(X))  # of a row of which nothing is known
    whole = ~missing.any(axis=1)
    if whole.any():
        result[whole] = density.log_prob(X[whole])
    partly = ~whole & ~missing.all(axis=1)
    if partly.any():
        rows = _standardised(density.columns, X[partly])
        log_probs, ess = _log_probs(density, rows, np.empty((len(rows.U), 0)))[:2]
        total = logsumexp(log_probs, axis=0)
        _warn_of_few(ess, log_probs[0] - total)
        result[partly] = total + rows.log_det
    return result


def sample_given(density, X, n_samples, rng, effort=CAREFUL):
    """Rows with their unknown cells drawn given the known ones, and how good the draws are.

    Returns
    -------
    drawn : ndarray of shape (n, d, n_samples)
    ess : ndarray of shape (n,)
        Effective number of weighted draws that a row's were chosen from, infinite where they are
        exact.
    """
    density.columns.bounds.check(X, density.columns.names)
    missing = np.isnan(X)
    drawn = np.repeat(X[:, :, None], n_samples, axis=2)
    ess = np.full(len(X), np.inf)
    empty, partly = missing.all(axis=1), missing.any(axis=1) & ~missing.all(axis=1)
    if empty.any():
        rows = density.sample(n_samples * empty.sum(), rng)
        drawn[empty] = rows.reshape(-1, n_samples, X.shape[1]).transpose(0, 2, 1)
    if partly.any():
        rows = _standardised(density.columns, X[partly])
        U, ess[partly] = _draw(density, rows, n_samples, rng, effort)
        found = density.columns.to_grid(density.columns.inverse(U.reshape(-1, X.shape[1])))
        found = found.reshape(U.shape).transpose(0, 2, 1)
        drawn[partly] = np.where(missing[partly, :, None], found, drawn[partly])
    return drawn, ess


def _standardised(columns, X):
    U, log_det, known = np.zeros(X.shape), np.empty(len(X)), ~np.isnan(X)
    for pattern, rows in patterns(known):
        values, log_det[rows] = columns.take(pattern).forward(X[np.ix_(rows, pattern)])
        U[np.ix_(rows, pattern)] = values
    return _Known(U, log_det, known)


def _log_probs(density, rows, choices, seed=0, effort=CAREFUL):
    """Log of weight times density ``(1 + J, n)`` of the known columns under flows and components.

    And of the flows the effective numbers and the draws, as of ``weighted_draws``.
    """
    with np.errstate(divide="ignore"):  # the flow's weight may be 0
        log_weights = np.log(density.weights)[:, None]
    log_probs = np.repeat(log_weights, len(rows.U), axis=1)
    ess, draws = np.full(len(rows.U), np.inf), None
    if density.weights[0] > 0:
        found = weighted_draws(density, rows.U, rows.known, choices, seed, effort)
        log_probs[0] += found.log_prob
        ess, draws = found.ess, found.draws
    for pattern, places in patterns(rows.known):
        U = rows.U[np.ix_(places, pattern)]
        for j, component in enumerate(density.components.values(), start=1):
            log_probs[j, places] += component.conditionals(pattern).given(U).log_prob
    return log_probs, ess, draws


def _draw(density, rows, n_samples, rng, effort):
    """Draws ``(n, n_samples, d)`` in standardised units, and their effective numbers ``(n,)``."""
    choices = rng.uniform(size=(2, len(rows.U), n_samples))
    seed = rng.randint(2**31 - 1)
    log_probs, ess, draws = _log_probs(density, rows, choices[0], seed, effort)
    shares = np.exp(log_probs - logsumexp(log_probs, axis=0))
    if effort is CAREFUL:
        _warn_of_few(ess, np.log(shares[0]))
    if draws is None:
        draws = np.repeat(rows.U[:, None], n_samples, axis=1)
    # which part of the mixture a draw is from; the flows are the first
    part = (choices[1][:, :, None] >= shares.cumsum(axis=0).T[:, None, :-1]).sum(axis=2)
    for pattern, places in patterns(rows.known):
        for j, component in enumerate(density.components.values(), start=1):
            row, draw = np.nonzero(part[places] == j)
            if len(row):
                U = rows.U[np.ix_(places[row], pattern)]
                found = component.conditionals(pattern).given(U).sample(rng)
                draws[(places[row][:, None], draw[:, None], np.flatnonzero(~pattern))] = found
    return draws, ess


def _warn_of_few(ess, log_share):
    few = (ess < LEAST) & (log_share > np.log(_LEAST_SHARE))
    if few.any():
        warn(
            f"The unknown cells of {few.sum()} rows are drawn roughly, and so are the densities of "
            f"what is known there: of {CAREFUL.n_points[-1]} weighted draws fewer than {LEAST} "
            f"count (in the worst row {ess[few].min():.0f}). Such rows are unusual, or have very "
            "many gaps: look at them, or leave out columns that you do not need."
        )
