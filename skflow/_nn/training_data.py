"""What a stack of models is trained on, and what all trainings of a fit share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from .._core.progress import Progress
from .._core.random import RandomStreams
from .training import TrainingOptions


@dataclass(frozen=True)
class TrainingData:
    """The table and what each model of a stack may see of it.

    Attributes
    ----------
    table : tensor of shape (n, d)
        All rows, in the dtype and on the device of the flow; NaN where a number is absent.
    rows, validation_rows : LongTensor of shape (K or 1, m), on the CPU
        Which rows each model trains and is validated on; the latter may be None.
    weight : tensor of shape (n,) or None
        Weights with mean 1.
    context : tensor of shape (n, c) or None
        What the density of a row is conditional on.
    """

    table: torch.Tensor
    rows: torch.Tensor
    validation_rows: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    context: torch.Tensor | None = None

    def at(self, rows):
        """Copies of the rows ``(K, B, d)`` at the numbers ``(K, B)``, their weights and context."""
        weight = None if self.weight is None else self.weight[rows]
        return _rows_at(self.table, rows), weight, _rows_at(self.context, rows)

    def member(self, k):
        """What model k sees, as the data of a single model."""
        return self._with_rows(lambda rows: rows[k : k + 1])

    def repeated(self, n_times):
        """The same for a stack that holds every model ``n_times`` side by side."""
        return self._with_rows(lambda rows: rows.repeat_interleave(n_times, dim=0))

    def take(self, models):
        """What the given models see, an index array."""
        return self._with_rows(lambda rows: rows[models])

    def mean(self, values, rows):
        """Weighted mean of values ``(n,)`` over rows of the models, all taken together."""
        rows = rows.numpy().ravel()
        weight = None if self.weight is None else self.weight.cpu().numpy()[rows]
        return np.average(values[rows], weights=weight)

    def _with_rows(self, change):
        validation = self.validation_rows
        return replace(
            self,
            rows=change(self.rows),
            validation_rows=None if validation is None else change(validation),
        )


def _rows_at(table, rows):
    if table is None:
        return None
    return table.index_select(0, rows.flatten()).view(*rows.shape, -1)


def training_data(U, weight, device, splits, context=None):
    """The standardised rows, their weights, splits and context, as ``TrainingData``."""

    def tensor(array):
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    check_single_precision(U)
    weight = None if weight is None else tensor(weight / weight.mean())
    context = None if context is None else tensor(context)
    return TrainingData(tensor(U), *splits, weight=weight, context=context)


def check_single_precision(U):
    """A sentence if rows hold values that a flow cannot be trained on."""
    largest = np.abs(U).max()
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            f"X has values of {largest:.3g}, and a flow is trained in single "
            "precision, up to 3e38. Set training.standardize=True, or give the rows in other units."
        )


def split_rows(n_rows, n_members, fraction, streams):
    """Training and held-out rows of the members, each ``(n_members, m)``.

    Members take turns: each holds out the next rows of a random order, and when all rows have been
    held out, of another one. With a fraction of None all rows are trained on, and the held-out ones
    are None.
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
    """What all trainings of a fit share.

    Attributes
    ----------
    data : TrainingData
        The table, and the rows that each model may see.
    options : TrainingOptions
    config : dict
        Keywords of ``FlowStack``.
    streams : RandomStreams
    log_det : ndarray of shape (n,)
        Of the standardisation, row by row: log-densities plus it are in the units of the data.
    turn : int
        Which fit of a warm start it is.
    progress : callable
        Makes the progress of a loop, from a description and the number of its steps.
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
        """Over the training rows of all models."""
        return self.data.mean(self.log_det, self.data.rows)
