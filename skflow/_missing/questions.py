"""What a fitted density says of rows with gaps: NaN means unknown.

The components have closed-form marginals and conditionals, the flows weighted draws. A part of the
mixture counts, given the known columns, as much as its share of their density, and so does a way to
fill in the discrete part of a row, where there is one.
"""

import numpy as np
from scipy.special import logsumexp

from .._core.patterns import patterns
from .._core.warnings import warn
from .._nn.blocks import PART_SIZE, parts
from .cases import answers, count_cases, find_cases
from .importance import CAREFUL, LEAST, weighted_draws

#: Of the flows, given what is known: below, nothing is said of how good their draws are.
_LEAST_SHARE = 0.1
#: Numbers of the cases, and of draws of them, that are answered at once.
MOST_NUMBERS = 2 * PART_SIZE


class RoughRows:
    """Rows that few weighted draws count for, of all parts of a table."""

    def __init__(self):
        self.count, self.worst = 0, np.inf

    def add(self, ess, flow_share):
        few = (ess < LEAST) & (flow_share > _LEAST_SHARE)
        self.count += few.sum()
        self.worst = ess.min(where=few, initial=self.worst)

    def warn(self):
        if self.count:
            warn(
                f"The unknown cells of {self.count} rows are drawn roughly, and so are the "
                f"densities of what is known there: of {CAREFUL.n_points[-1]} weighted draws fewer "
                f"than {LEAST} count (in the worst row {self.worst:.0f}). Such rows are unusual, "
                "or have very many gaps: look at them, or leave out columns that you do not need."
            )


def log_prob_known(density, X, rough):
    """Log-densities ``(n,)`` of the known columns of rows with gaps, in the data's units.

    ``rough`` is told of rows of which they are rough.
    """
    missing = np.isnan(X)
    result = np.zeros(len(X))  # of a row of which nothing is known
    whole = ~missing.any(axis=1)
    if whole.any():
        result[whole] = density.log_prob(X[whole])
    ess, flow_share = np.full(len(X), np.inf), np.zeros(len(X))
    for rows in _blocks(density, X, ~whole & ~missing.all(axis=1), 1, CAREFUL):
        cases = find_cases(density, X[rows], CAREFUL.n_cases)
        log_probs, case_ess, _ = _log_probs(density, cases, np.empty((len(cases.U), 0)))
        result[rows] = cases.total(cases.joint(logsumexp(log_probs, axis=0)))
        ess[rows], flow_share[rows] = _of_rows(cases, log_probs, case_ess)
    rough.add(ess, flow_share)
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
    density.columns.bounds.check(X[:, density.schema.real_columns], density.columns.names)
    missing = np.isnan(X)
    drawn = np.repeat(X[:, :, None], n_samples, axis=2)
    ess, flow_share = np.full(len(X), np.inf), np.zeros(len(X))
    empty = missing.all(axis=1)
    if empty.any():
        rows = density.sample(n_samples * empty.sum(), rng)
        drawn[empty] = rows.reshape(-1, n_samples, X.shape[1]).transpose(0, 2, 1)
    for rows in _blocks(density, X, missing.any(axis=1) & ~empty, n_samples, effort):
        cases = find_cases(density, X[rows], effort.n_cases, unseen=False)
        U, case, ess[rows], flow_share[rows] = _draw(density, cases, n_samples, rng, effort)
        discrete = np.zeros((case.size, 0), dtype=int)
        if cases.context is not None:
            discrete = cases.context.discrete[case.ravel()]
        found = density.to_data(U.reshape(-1, U.shape[2]), discrete)
        found = found.reshape(-1, n_samples, X.shape[1]).transpose(0, 2, 1)
        drawn[rows] = np.where(missing[rows, :, None], found, drawn[rows])
    if effort is CAREFUL:
        rough = RoughRows()
        rough.add(ess, flow_share)
        rough.warn()
    return drawn, ess


def _blocks(density, X, chosen, n_samples, effort):
    """Numbers of the chosen rows, as arrays of so many as are answered at once."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return []
    n_cases = np.ones(len(rows))
    if len(density.schema.sizes):
        n_cases = count_cases(density, X[rows], effort.n_cases)
    block = np.cumsum(n_cases * n_samples * X.shape[1]) // MOST_NUMBERS
    return np.split(rows, np.flatnonzero(np.diff(block)) + 1)


def _log_probs(density, cases, choices, seed=0, effort=CAREFUL):
    """Log of weight times density ``(1 + J, m)`` of the known columns under flows and components.

    And of the flows the effective numbers and the draws, as of ``weighted_draws``. What is said of
    settled cases needs no draws; it stands at the flows, whatever it is of.
    """
    with np.errstate(divide="ignore"):  # the flow's weight may be 0
        log_weights = np.log(density.mixture.weights)[:, None]
    log_probs = np.repeat(log_weights, len(cases.U), axis=1)
    ess, draws = np.full(len(cases.U), np.inf), np.repeat(cases.U[:, None], choices.shape[1], 1)
    settled = cases.settled
    if settled.any():
        log_probs[:, settled] = -np.inf
        log_probs[0, settled] = _settled_log_probs(density, cases.take(settled))
    others = np.flatnonzero(~settled)
    if not len(others):
        return log_probs, ess, draws
    cases = cases.take(others)
    if density.mixture.weights[0] > 0:
        found = weighted_draws(density, cases, choices[others], seed, effort)
        log_probs[0, others] += found.log_prob
        ess[others], draws[others] = found.ess, found.draws
    for j, component in enumerate(density.components(), start=1):
        for own, _, said in answers(component, cases):
            log_probs[j, others[own]] += said.log_prob
    return log_probs, ess, draws


def _settled_log_probs(density, cases):
    """Log-densities ``(m,)`` of cases of which all numbers are known; 0 where none is."""
    log_probs, known = np.zeros(len(cases.U)), cases.known.any(axis=1)
    if known.any():
        cases = cases.take(known)
        log_probs[known] = density.mixture.log_prob(cases.U, cases.context)
    return log_probs


def _of_rows(cases, log_probs, ess):
    """Effective numbers of the flows' draws, and the flows' part in what is not settled ``(n,)``.

    From log-densities ``(1 + J, m)`` and effective numbers ``(m,)`` of the cases.
    """
    log_prob = logsumexp(log_probs, axis=0)
    share = np.exp(log_probs[0] - log_prob)
    if cases.context is None:
        return ess, share
    share = np.where(cases.settled, 0.0, share * cases.shares(cases.joint(log_prob)))
    total = np.bincount(cases.row, share)
    with np.errstate(divide="ignore", invalid="ignore"):
        row_ess = total**2 / np.bincount(cases.row, share**2 / ess)
    return np.where(total > 0, row_ess, np.inf), total


def _draw(density, cases, n_samples, rng, effort):
    """Draws of rows in standardised units, and how good they are.

    Returns
    -------
    U : ndarray of shape (n, n_samples, d)
    case : ndarray of shape (n, n_samples)
        Which case a draw is of.
    ess, flow_share : ndarray of shape (n,)
        Of ``_of_rows``.
    """
    n_rows = cases.row[-1] + 1
    choices = rng.uniform(size=(len(cases.U), n_samples))
    part_choices = rng.uniform(size=(n_rows, n_samples))
    seed = rng.randint(2**31 - 1)
    log_probs, ess, draws = _log_probs(density, cases, choices, seed, effort)
    log_prob = logsumexp(log_probs, axis=0)
    case = _chosen(cases, cases.shares(cases.joint(log_prob)), n_samples, rng)
    # which part of the mixture a draw is from; the flows are the first
    reached = np.exp(log_probs - log_prob).cumsum(axis=0).T[case, :-1]
    part = (part_choices[:, :, None] >= reached).sum(axis=2)
    case = np.broadcast_to(case, part.shape)
    U = draws[case, np.arange(n_samples)]
    _draw_from_components(density, cases, case, part, U, rng)
    row, draw = np.nonzero(~cases.known.any(axis=1)[case])
    if len(row):  # no number is known: any that go with the discrete part
        U[row, draw] = density.mixture.sample(len(row), rng, cases.context[case[row, draw]])
    return U, case, *_of_rows(cases, log_probs, ess)


def _draw_from_components(density, cases, case, part, U, rng):
    """Put draws of the components into those of ``U`` ``(n, n_samples, d)`` that are from one."""
    row, draw = np.nonzero(part)
    part, chosen = part[row, draw], cases.take(case[row, draw])
    for _, alike in patterns(chosen.known):
        for j, component in enumerate(density.components(), start=1):
            mine = alike[part[alike] == j]
            for own, pattern, said in answers(component, chosen.take(mine)):
                places = row[mine[own], None], draw[mine[own], None], np.flatnonzero(~pattern)
                U[places] = said.sample(rng)


def _chosen(cases, shares, n_samples, rng):
    """A case ``(n, n_samples)`` for each draw of a row, by their shares; ``(n, 1)`` if one each."""
    first = np.searchsorted(cases.row, np.arange(cases.row[-1] + 1))
    if cases.context is None:
        return first[:, None]
    reached = shares.cumsum()
    start, last = reached[first] - shares[first], np.append(first[1:], len(shares)) - 1
    level = start + rng.uniform(size=(n_samples, len(first))) * (reached[last] - start)
    return np.searchsorted(reached, level, side="right").clip(first, last).T


def rows_with_gaps(X):
    """Which rows ``(n,)`` of a table have gaps."""
    found = np.empty(len(X), dtype=bool)
    for part in parts(*X.shape):
        found[part] = np.isnan(X[part]).any(axis=1)
    return found
