"""What is fitted once the masks are known: the flows, then the components beside them."""

import math

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._components import (
    estimate_weights,
    fit_components,
    fixed_weights,
    floors,
    least_weights,
)
from ._density import call_in_blocks
from ._progress import Progress
from ._training import Trainer
from ._warnings import warn


def train(flow, options, data, generators, verbose, log_det):
    """Train a stack in place, with what a user is to see of it; returns the ``TrainingResult``.

    ``log_det`` is that of the standardisation ``(n,)``: what is shown is in the units of the data.
    """
    n_epochs = math.ceil(options.n_steps / options.steps_per_epoch)
    progress = Progress(verbose, "fit", n_epochs)
    has_validation = data.validation_rows is not None
    shift = data.mean(log_det, data.rows)
    held_out_shift = data.mean(log_det, data.validation_rows) if has_validation else 0

    def show(loss, validation):
        figures = {"loss": _mean_of_finite(loss) - shift}
        if has_validation:
            figures["validation"] = _mean_of_finite(validation) - held_out_shift
        progress.update(**figures)

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


def _mean_of_finite(values):
    """The mean over models, those that have diverged left out."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else np.nan


def fit_components_and_weights(tail_weight, flow, U, weight, data, streams):
    """Components beside the flow and the weights of all, the flow's first.

    Parameters
    ----------
    tail_weight : "auto" or float
        As in ``CouplingFlowDensity``.
    flow : FlowStack
        The trained members.
    U : ndarray of shape (n, d)
        All rows, in standardised units.
    weight : ndarray of shape (n,) or None
    data : TrainingData
        Says which rows each member has not seen.
    streams : RandomStreams

    Returns
    -------
    components : dict from names to components
    weights : ndarray of shape (1 + n_components,)
    """
    if tail_weight == 0:
        return {}, np.ones(1)
    components = fit_components(U, weight, streams("tails"))
    if tail_weight != "auto":
        return components, fixed_weights(tail_weight)
    if data.validation_rows is None:
        return components, least_weights(U.shape[1])
    log_probs, held_out_weight = _held_out_log_probs(flow, U, weight, data, streams)
    return components, estimate_weights(log_probs, floors(U.shape[1]), held_out_weight)


def _held_out_log_probs(flow, U, weight, data, streams):
    """Log-densities ``(1 + J, n)`` of each member's validation rows, and the rows' weights.

    The flow of the member comes first, then components fitted to its training rows.
    """
    parts = []
    for e, (rows, held_out) in enumerate(zip(data.rows.numpy(), data.validation_rows.numpy())):
        row_weight = None if weight is None else weight[rows]
        components = fit_components(U[rows], row_weight, streams("tails", 1 + e))
        log_probs = [component.log_prob(U[held_out]) for component in components.values()]
        parts.append(np.vstack([call_in_blocks(flow.take(e), "log_prob", U[held_out]), *log_probs]))
    held_out = data.validation_rows.numpy().ravel()
    return np.hstack(parts), None if weight is None else weight[held_out]
