"""What is fitted once the masks are known: the flows, then the broad components beside them."""

import math

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._density import Density
from ._preparation import warn
from ._progress import Progress
from ._tails import BroadComponents, estimate_weights, fixed_weights, floors
from ._training import Trainer


def train(flow, options, data, generators, verbose):
    """Train a stack in place, with what a user is to see of it; returns the ``TrainingResult``."""
    n_epochs = math.ceil(options.n_steps / options.steps_per_epoch)
    progress = Progress(verbose, "fit", n_epochs)

    def show(loss, validation):
        progress.update(
            loss=loss.min(), validation=None if validation is None else validation.min()
        )

    result = Trainer(flow, options, data, generators, on_epoch=show).fit()
    progress.close()
    if not np.isfinite(result.score).any():
        raise ValueError(
            "Training did not reach a finite likelihood, even with smaller steps. "
            "Set standardize=True, lower learning_rate_init "
            f"(now {options.learning_rate_init}), or look for huge values in X."
        )
    if result.n_recoveries.any():
        warn(
            f"{int(result.n_recoveries.sum())} times the likelihood became infinite or NaN; "
            "training went on from the best state with a smaller step. Lower "
            f"learning_rate_init (now {options.learning_rate_init}) or set standardize=True.",
            ConvergenceWarning,
        )
    return result


def fit_tails(tail_weight, flow, Z, weight, data, streams):
    """Broad components with their weights, or None for a weight of 0.

    Parameters
    ----------
    tail_weight : "auto" or float
        As in ``CouplingFlowDensity``.
    flow : FlowStack
        The trained members.
    Z : ndarray of shape (n, d)
        All rows, in standardised units.
    weight : ndarray of shape (n,) or None
    data : TrainingData
        Says which rows each member has not seen.
    streams : RandomStreams
    """
    if tail_weight == 0:
        return None
    tails = BroadComponents().fit(Z, weight, streams("tails"))
    if tail_weight != "auto":
        tails.weights = fixed_weights(tail_weight)
    elif data.validation_rows is None:
        tails.weights = floors(Z.shape[1])
    else:
        log_probs, held_out_weight = _held_out_log_probs(flow, Z, weight, data, streams)
        tails.weights = estimate_weights(log_probs, floors(Z.shape[1]), held_out_weight)
    return tails


def _held_out_log_probs(flow, Z, weight, data, streams):
    """Log-densities ``(6, n)`` of each member's validation rows, and the rows' weights.

    The flow of the member comes first, then broad components fitted to its training rows.
    """
    parts = []
    for e, (rows, held_out) in enumerate(zip(data.rows.numpy(), data.validation_rows.numpy())):
        row_weight = None if weight is None else weight[rows]
        broad = BroadComponents().fit(Z[rows], row_weight, streams("tails", 1 + e))
        member = Density(location=0.0, scale=1.0, flow=flow.take(e))
        parts.append(
            np.vstack([member.member_log_probs(Z[held_out]), broad.log_probs(Z[held_out])])
        )
    held_out = data.validation_rows.numpy().ravel()
    return np.hstack(parts), None if weight is None else weight[held_out]
