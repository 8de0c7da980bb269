"""The data that a stack is trained on, and the plan that all trainings of a fit share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._core.checks import warn
from .._core.progress import Progress
from .._core.random import RandomStreams
from .training import Trainer, TrainingOptions


@dataclass(frozen=True)
class TrainingData:
    """The table and the rows that each model of a stack may use.

    Attributes
    ----------
    table : tensor of shape (n, d)
        All rows, in the dtype and on the device of the flow; NaN for absent numbers.
    rows, validation_rows : LongTensor of shape (K or 1, m), on the CPU
        Training and validation rows of each model; the latter may be None.
    weight : tensor of shape (n,) or None
        Weights with mean 1.
    context : tensor of shape (n, c) or None
        Context of the rows.
    n_copies : int
        Copies of the training rows, with other draws of missing cells, that follow each other.
    """

    table: torch.Tensor
    rows: torch.Tensor
    validation_rows: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    context: torch.Tensor | None = None
    n_copies: int = 1

    def at(self, rows):
        """Return copies of the rows ``(K, B, d)`` at indices ``(K, B)``, weights and context."""
        weight = None if self.weight is None else self.weight[rows]
        return _rows_at(self.table, rows), weight, _rows_at(self.context, rows)

    def repeated(self, n_times):
        """Return the data of a stack with every model ``n_times`` side by side."""
        return self.take(np.arange(len(self.rows)).repeat(n_times))

    def take(self, models):
        """Return the data of the given models (a list or an array of indices)."""
        held_out = self.validation_rows
        held_out = None if held_out is None else held_out[models]
        return replace(self, rows=self.rows[models], validation_rows=held_out)

    def mean(self, values, rows):
        """Return the weighted mean of values ``(n,)`` over the rows of all models together."""
        rows = rows.numpy().ravel()
        weight = None if self.weight is None else self.weight.cpu().numpy()[rows]
        return np.average(values[rows], weights=weight)


def _rows_at(table, rows):
    if table is None:
        return None
    return table.index_select(0, rows.flatten()).view(*rows.shape, -1)


def training_data(U, weight, device, splits, context=None, n_copies=1):
    """Return standardised rows, weights, splits and context as ``TrainingData``."""

    def tensor(array):
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    weight = None if weight is None else tensor(weight / weight.mean())
    context = None if context is None else tensor(context)
    return TrainingData(tensor(U), *splits, weight, context, n_copies)


def split_rows(n_rows, n_members, fraction, streams):
    """Return training and held-out rows of the members, each ``(n_members, m)``.

    Each member holds out the next rows of a random order, and after the last row those of another
    order. Without a fraction, all rows are for training and the held-out rows are None.
    """
    if fraction is None:
        return torch.arange(n_rows).repeat(n_members, 1), None
    n_held_out = math.ceil(fraction * n_rows)
    if n_rows - n_held_out < 2:
        raise ValueError(
            f"early_stopping=True with training.validation_fraction={fraction} sets {n_held_out} "
            f"of n_samples={n_rows} rows (of positive weight) aside, which leaves fewer than 2 to "
            "train on. Give more rows, lower training.validation_fraction or set "
            "early_stopping=False."
        )
    rng = streams("split")
    rows, held_out, order, start = [], [], rng.permutation(n_rows), 0
    for _ in range(n_members):
        if start >= n_rows:
            order, start = rng.permutation(n_rows), 0
        held_out.append(order.take(np.arange(start, start + n_held_out), mode="wrap"))
        rows.append(rng.permutation(np.setdiff1d(order, held_out[-1])))
        start += n_held_out
    return torch.from_numpy(np.stack(rows)), torch.from_numpy(np.stack(held_out))


@dataclass(frozen=True)
class Plan:
    """The plan that all trainings of a fit share.

    Attributes
    ----------
    data : TrainingData
        The table, and the rows that each model may use.
    options : TrainingOptions
    config : dict
        Keywords of ``FlowStack``.
    streams : RandomStreams
    log_det : ndarray of shape (n,)
        Log-determinant of the standardisation: add it for log-densities in the units of the data.
    turn : int
        Number of earlier fits of a warm start.
    progress : callable
        Returns the progress of a loop, given a description and the number of steps.
    device : str
        Where trained flows compute.
    """

    data: TrainingData
    options: TrainingOptions
    config: dict
    streams: RandomStreams
    log_det: np.ndarray
    turn: int = 0
    progress: Callable = Progress
    device: str = "cpu"

    @property
    def mean_log_det(self) -> float:
        """The mean over the training rows of all models."""
        return self.data.mean(self.log_det, self.data.rows)

    def train(self, stack, options, data, generators, fitted=None):
        """Train a stack in place; show progress, and warn or raise if training diverges.

        ``fitted`` returns fitted attributes for callbacks, given the scores ``(K,)`` so far.
        """
        loop = self.progress("fit", math.ceil(options.n_steps / options.steps_per_epoch))
        has_validation = data.validation_rows is not None
        shift = data.mean(self.log_det, data.rows)  # progress is shown in the units of the data
        held_out_shift = data.mean(self.log_det, data.validation_rows) if has_validation else 0

        def show(loss, validation):
            figures = {"loss": _mean_of_finite(loss) - shift}
            if has_validation:
                figures["validation"] = _mean_of_finite(validation) - held_out_shift
            scores = validation if has_validation else loss
            return loop.update(fitted and partial(fitted, scores.copy()), **figures)

        result = Trainer(stack, options, data, generators, on_epoch=show).fit()
        loop.close()
        if not np.isfinite(result.score).any():
            raise ValueError(
                "Training did not reach a finite likelihood, even with smaller steps. "
                "Set training.standardize=True, lower training.learning_rate_init "
                f"(now {options.learning_rate_init}), or look for huge values in X."
            )
        if result.n_recoveries.any():
            warn(
                f"The likelihood became infinite or NaN {int(result.n_recoveries.sum())} times; "
                "training continued from the best state with a smaller step. Lower "
                f"training.learning_rate_init (now {options.learning_rate_init}) or set "
                "training.standardize=True.",
                ConvergenceWarning,
            )
        return result


def _mean_of_finite(values):
    """Return the mean over models that have not diverged."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else np.nan
