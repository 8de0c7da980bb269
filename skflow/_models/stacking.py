"""Which component gets which weight: densities of rows that nothing was fitted to, and EM.

The members of a stack hold out parts of the rows. Where rows are few there are at least five
members and each holds out a fifth, so that every row has a log-density under a flow that was not
trained on it and under components fitted without it. The weights maximise the likelihood of the
held-out rows; then the components are fitted to all rows, and all members are served. (Stacked
density estimation: Smyth and Wolpert 1999.)

A member stops training at the best likelihood of the rows that it holds out, so their densities
are a little too good. The average of the members, which is served, is better than the one that did
not see a row by more than that. On four small tables this was ahead of rows of their own to stop on
by 0.006 nats a dimension (one seed, no more than a hint), as every member then trains on more rows.
"""

import math
from functools import partial

import numpy as np
from scipy.special import logsumexp

from .._core.rows import at, effective_rows
from .._nn.settings import training_of
from .components import FEW_ROWS, HEAVY_TAILED
from .factor_model import is_dense
from .groups import component_fitter
from .mixture import Mixture

#: Members of a small table, each of which holds out one part in as many. They get fewer towards the
#: size from which there is one, so that time does not fall where rows or columns are added: by rows
#: in all, and by numbers in all unless there are so many rows for each column and member.
N_FOLDS = 5
_ROWS, _NUMBERS, _ROWS_A_COLUMN = 6000, 150_000, 4
#: Part of the rows that the members of a long table hold out.
VALIDATION_FRACTION = 0.1

#: Held-out rows that say which components are worth nothing.
LOOKED_AT = 60
_WORTH_FITTING = 0.03  # a weight
_LEAST_WEIGHT = 0.01  # of a component without heavy tails
_STEPS_OF_EM = 300


def fold_sizes(params, n_effective, n_features, n_flows):
    """Members that a flow of an estimator is averaged over, and the part each holds out, or None.

    Folds are for weights that are to be found, on tables of few rows: five of them up to 1200 rows
    and 30,000 numbers. Otherwise a flow is one member. Where there are more columns than such rows,
    beyond 300, log-densities differ so much that one fold finds the weights.
    """
    if not params.early_stopping:
        return 1, None
    fraction = training_of(params).validation_fraction
    if fraction != "auto":
        return 1, fraction
    if params.component_weight != "auto" or n_effective > FEW_ROWS:
        return 1, VALIDATION_FRACTION
    n_folds = 1
    if is_dense(n_effective, n_features):
        by_numbers = _NUMBERS / (n_effective * n_features)
        by_columns = max(by_numbers, n_effective / (n_features * _ROWS_A_COLUMN))
        n_folds = max(1, int(min(N_FOLDS, _ROWS / n_effective, by_columns)))
    return math.ceil(n_folds / n_flows), 1 / N_FOLDS


def fit_mixture(component_weight, flow, U, context, log_q, weight, data, streams, noise=0.0):
    """The mixture of a trained flow and components, with weights from rows that nothing has seen.

    Where cells of the rows were drawn, ``U`` and ``context`` hold copy after copy, which were drawn
    by the log-densities ``log_q`` ``(n_copies, n)``; otherwise ``log_q`` is a single row of 0.
    Components are fitted to the first copy, and held-out rows are judged by what is known of them.
    ``data`` say which rows a member has not seen. Also returns the mean log-densities of the
    held-out rows under the whole density and under one Gaussian, None if there are none.
    """
    if component_weight == 0:
        return Mixture({"flow": flow}, np.ones(1)), None
    n_rows, n_features = log_q.shape[1], U.shape[1]
    weight = np.ones(n_rows) if weight is None else weight
    rows = U[:n_rows], at(context, slice(n_rows)), weight
    rng, scores, fit = streams("tails"), None, component_fitter(*rows)
    if component_weight == "auto" and data.validation_rows is not None:
        components, log_probs = _held_out(
            fit, flow, U, context, log_q, weight, data, streams, noise
        )
        held_out = np.isfinite(log_probs).any(axis=0)
        row_weight, log_probs = weight[held_out], log_probs[:, held_out]
        least = floors({"flow": flow, **components}, n_features)
        weights = estimate_weights(log_probs, least, row_weight)
        names = list(components)
        scores = _held_out_scores(log_probs, weights, names, row_weight)
        kept = [name for name, each in zip(names, weights[1:]) if each > 0]
        if flow.n_members > 1 or effective_rows(weight) <= FEW_ROWS:
            components = fit(*rows, rng, noise, kept)
    else:
        components = fit(*rows, rng, noise, HEAVY_TAILED)
        weights, kept = floors({"flow": flow, **components}, n_features), HEAVY_TAILED
        if component_weight != "auto":
            weights *= component_weight / weights.sum()
        weights[0] = 1 - weights.sum()
    served = {"flow": flow} | {name: components[name] for name in kept}
    return Mixture(served, weights[(weights > 0) | (np.arange(len(weights)) == 0)]), scores


def _held_out_scores(log_probs, weights, names, row_weight):
    some = weights > 0
    whole = logsumexp(log_probs[some] + np.log(weights[some])[:, None], axis=0)
    gaussian = log_probs[1 + names.index("gaussian")]
    return tuple(np.average(values, weights=row_weight) for values in (whole, gaussian))


def floors(models, n_features):
    """The least weights of a dict of models, where weights are chosen from held-out rows.

    Each heavy-tailed component gets 0.002 d, at most 0.03: a price in nats a dimension that does
    not depend on d.
    """
    heavy = [float(model.heavy_tailed) for model in models.values()]
    return np.array(heavy) * min(0.03, 0.002 * n_features)


def _held_out(fit, flow, U, context, log_q, weight, data, streams, noise):
    """What each row is worth under what was not fitted to it: components, and log-densities.

    Most components are worth nothing on most tables. So all of them are fitted to the training
    rows of a few members, and only the others to those of the rest. The log-densities are
    ``(1 + J, n)``, the flow's first: of rows that several members hold out, the log of the mean
    density; of those that none does, minus infinity.
    """
    names, total, times = None, None, np.zeros(len(weight))
    of_flow = _of_known(flow.log_probs, U, context, log_q, data.validation_rows.numpy())
    for e, (rows, held_out) in enumerate(zip(data.rows.numpy(), data.validation_rows.numpy())):
        rng = streams("tails", 1 + e)
        components = fit(U[rows], at(context, rows), weight[rows], rng, noise, names)
        of_all = partial(_log_probs, components.values())
        log_probs = np.vstack([of_flow[e], _of_known(of_all, U, context, log_q, held_out)])
        if total is None:
            total = np.full((len(log_probs), len(weight)), -np.inf)
        total[:, held_out] = np.logaddexp(total[:, held_out], log_probs)
        times[held_out] += 1
        seen = times > 0
        if names is None and seen.sum() >= LOOKED_AT:
            parts = estimate_weights(total[:, seen] - np.log(times[seen]), 0.0, weight[seen])
            kept = parts >= _WORTH_FITTING
            kept |= [True, *(name in (*HEAVY_TAILED, "gaussian") for name in components)]
            total, names = total[kept], [n for n, keep in zip(components, kept[1:]) if keep]
            components = {name: components[name] for name in names}
    return components, total - np.log(np.maximum(times, 1))


def _log_probs(models, U, context):
    return np.stack([model.log_prob(U, context) for model in models])


def _of_known(log_probs, U, context, log_q, rows):
    """Log-densities ``(J, m)`` of what is known of rows, up to what all models have in common.

    ``log_probs(U, context)`` are those ``(J, n)`` of models, each of the same rows ``(m,)`` or of
    its own ``(J, m)``. The mean over copies of the density by that which they were drawn from; of
    rows without missing cells it is the density itself.
    """
    n_copies, n_rows = log_q.shape
    every = rows[..., None, :] + n_rows * np.arange(n_copies)[:, None]
    flat = every.reshape(*rows.shape[:-1], -1)
    found = log_probs(U[flat], at(context, flat))
    log_q = log_q.ravel()[every]
    terms = found.reshape(len(found), n_copies, -1) - log_q
    return logsumexp(terms, axis=1) - math.log(n_copies) + log_q.mean(axis=-2)


def estimate_weights(log_probs, least, weight=None):
    """Weights ``(1 + J,)``, at least ``least``, by EM on the log-densities ``(1 + J, n)`` of rows.

    The flow's are the first. Nothing was fitted to these rows.
    """
    density = np.exp(log_probs - log_probs.max(axis=0))
    row_weight = np.full(density.shape[1], 1.0) if weight is None else weight
    row_weight = row_weight / row_weight.sum()
    # the weights are the least ones, and shares of the rest that EM is free to choose
    shares, rest = np.full(len(density), 1 / len(density)), 1 - np.sum(least)
    for _ in range(_STEPS_OF_EM):
        shares *= density @ (row_weight / ((least + rest * shares) @ density))
        shares /= shares.sum()
    # what hardly counts need not be evaluated with every row
    shares[1:][shares[1:] < _LEAST_WEIGHT] = 0.0
    return least + rest * shares / shares.sum()
