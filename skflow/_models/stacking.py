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
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from .._core.weights import at
from .._nn.settings import training_of
from .components import FEW_ROWS
from .context import Context
from .factor_model import is_dense
from .groups import component_fitter
from .mixture import Mixture

#: Members of a small table, each of which holds out one part in as many.
N_FOLDS = 5
#: Part of the rows that the members of a long table hold out.
VALIDATION_FRACTION = 0.1

_LEAST_WEIGHT = 0.01  # of a component without heavy tails


def fold_sizes(params, n_effective, n_features, n_flows):
    """Members that a flow of an estimator is averaged over, and the part each holds out, or None.

    ``params`` are the parameters of the estimator, which trains ``n_flows``, and ``n_effective`` is
    the (effective) number of rows.
    Folds are for weights that are to be found, on tables of few rows; otherwise a flow is one
    member. Where there are more columns than such rows, beyond 300, log-densities differ so much
    that one fold finds the weights.
    """
    if not params.early_stopping:
        return 1, None
    fraction = training_of(params).validation_fraction
    if fraction != "auto":
        return 1, fraction
    if params.component_weight != "auto" or n_effective > FEW_ROWS:
        return 1, VALIDATION_FRACTION
    n_folds = N_FOLDS if is_dense(n_effective, n_features) else 1
    return math.ceil(n_folds / n_flows), 1 / N_FOLDS


class Copy(NamedTuple):
    """Rows whose missing cells were drawn, one time of several.

    ``log_q`` ``(n,)`` are their log-densities under what they were drawn from, as of ``U``.
    """

    U: np.ndarray
    context: Context | None
    log_q: np.ndarray


def fit_mixture(component_weight, flow, U, context, weight, data, streams, noise=0.0, copies=None):
    """The mixture of a trained flow and components, with weights from rows that nothing has seen.

    Parameters
    ----------
    component_weight : "auto" or float
        As in ``CouplingFlowDensity``.
    flow : FlowModel
        The trained members.
    U : ndarray of shape (n, d)
        All rows, in standardised units, with noise where a number is absent.
    context : Context or None
        Of the rows.
    weight : ndarray of shape (n,) or None
    data : TrainingData
        Says which rows each member has not seen.
    streams : RandomStreams
    noise : float
        As in ``fit_components``.
    copies : list of Copy or None
        Of rows some cells of which were drawn: held-out rows are judged by what is known of them.

    Returns
    -------
    mixture : Mixture
        Of the flow and the components that have a weight.
    held_out : tuple of float or None
        Mean log-densities of the rows that were held out, under the whole density and under one
        Gaussian; None where the weights are not chosen from such rows.
    """
    if component_weight == 0:
        return Mixture({"flow": flow}, np.ones(1)), None
    scores = None
    fit = component_fitter(U, context, weight)
    components = fit(U, context, weight, streams("tails"), noise)
    models = {"flow": flow, **components}
    least = floors(models, U.shape[1])
    if component_weight != "auto":
        weights = _with_rest(least * (component_weight / least.sum()))
    elif data.validation_rows is None:
        weights = _with_rest(least)
    else:
        names = list(components)
        copies = [Copy(U, context, np.zeros(len(U)))] if copies is None else copies
        log_probs = _held_out_log_probs(fit, flow, copies, weight, data, streams, noise, names)
        held_out = np.isfinite(log_probs).any(axis=0)
        row_weight = at(weight, held_out)
        weights = estimate_weights(log_probs[:, held_out], least, row_weight)
        scores = _held_out_scores(log_probs[:, held_out], weights, names, row_weight)
    kept = np.append(True, weights[1:] > 0)
    served = {name: model for (name, model), keep in zip(models.items(), kept) if keep}
    return Mixture(served, weights[kept]), scores


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


def _with_rest(weights):
    weights[0] = 1 - weights[1:].sum()
    return weights


def _held_out_log_probs(fit, flow, copies, weight, data, streams, noise, names):
    """Log-densities ``(1 + J, n)``, of flows first, from what was not fitted to a row.

    Of rows that several members hold out, the log of the mean density; of those that none does,
    minus infinity.
    """
    U, context = copies[0][:2]
    total, times = np.full((1 + len(names), len(U)), -np.inf), np.zeros(len(U))
    for e, (rows, held_out) in enumerate(zip(data.rows.numpy(), data.validation_rows.numpy())):
        rng = streams("tails", 1 + e)
        components = fit(U[rows], at(context, rows), at(weight, rows), rng, noise, names)
        models = [flow.take(e), *components.values()]
        log_probs = _log_probs_of_known(models, copies, held_out)
        total[:, held_out] = np.logaddexp(total[:, held_out], log_probs)
        times[held_out] += 1
    return total - np.log(np.maximum(times, 1))


def _log_probs_of_known(models, copies, rows):
    """Log-densities ``(1 + J, m)`` of what is known of rows, up to what all models have in common.

    The mean over draws of missing cells of the density by that which they were drawn from; of rows
    without any it is the density itself.
    """
    terms = []
    for copy in copies:
        U, context = copy.U[rows], at(copy.context, rows)
        terms.append([model.log_prob(U, context) for model in models] - copy.log_q[rows])
    common = np.mean([copy.log_q[rows] for copy in copies], axis=0)
    return logsumexp(terms, axis=0) - math.log(len(copies)) + common


def estimate_weights(log_probs, least, weight=None, n_iter=300):
    """Weights by EM on rows that nothing was fitted to.

    Parameters
    ----------
    log_probs : ndarray of shape (1 + J, n)
        Log-densities of the rows: the flow first, then the components.
    least : ndarray of shape (1 + J,)
        The least weight of each.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    n_iter : int

    Returns
    -------
    weights : ndarray of shape (1 + J,)
        At least 0; they add up to 1.
    """
    density = np.exp(log_probs - log_probs.max(axis=0))
    row_weight = np.full(density.shape[1], 1.0) if weight is None else weight
    row_weight = row_weight / row_weight.sum()
    parts = np.full(len(density), 1 / len(density))
    for _ in range(n_iter):
        parts = parts * (density @ (row_weight / (parts @ density)))
    # what hardly counts need not be evaluated with every row
    parts[1:][parts[1:] < _LEAST_WEIGHT] = 0.0
    parts = np.maximum(parts, least)
    return parts / parts.sum()
