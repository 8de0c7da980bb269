"""Training as a user sees it: progress, warnings, and what to do when it fails."""

import math
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._flows.training import Trainer
from .._support.warnings import warn


def train(flow, options, data, generators, progress, log_det, served=None):
    """Train a stack in place, with what a user is to see of it; returns the ``TrainingResult``.

    ``progress`` makes that of the loop. ``log_det`` is that of the standardisation ``(n,)``: what
    is shown is in the units of the data. ``served`` turns scores ``(K,)`` of the models into fitted
    attributes, for callbacks that ask for an estimator as it is after an epoch.
    """
    n_epochs = math.ceil(options.n_steps / options.steps_per_epoch)
    loop = progress("fit", n_epochs)
    has_validation = data.validation_rows is not None
    shift = data.mean(log_det, data.rows)
    held_out_shift = data.mean(log_det, data.validation_rows) if has_validation else 0

    def show(loss, validation):
        figures = {"loss": _mean_of_finite(loss) - shift}
        if has_validation:
            figures["validation"] = _mean_of_finite(validation) - held_out_shift
        scores = validation if has_validation else loss
        return loop.update(served and partial(served, scores.copy()), **figures)

    result = Trainer(flow, options, data, generators, on_epoch=show).fit()
    loop.close()
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


def best_starts(scores, n_starts, n_folds):
    """Which starts of a stack are the best, one for each member, by the scores of all.

    The folds of a flow have their structure in common, so they agree on the start.
    """
    means = np.nan_to_num(scores.reshape(-1, n_folds, n_starts).mean(axis=1), nan=np.inf)
    return means.argmin(axis=1).repeat(n_folds) + n_starts * np.arange(len(scores) // n_starts)


def _mean_of_finite(values):
    """The mean over models, those that have diverged left out."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else np.nan
