"""The data that a stack is trained on, and the plan that all trainings of a fit share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._core.checks import warn
from .._core.progress import Progress
from .._core.random import RandomStreams
from .flow import FlowStack
from .training import Trainer, TrainingOptions, TrainingResult


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

    def at(
        self, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Return copies of the rows ``(K, B, d)`` at indices ``(K, B)``, weights and context."""
        weight = None if self.weight is None else self.weight[rows]
        context = None if self.context is None else _rows_at(self.context, rows)
        return _rows_at(self.table, rows), weight, context

    def repeated(self, n_times: int) -> TrainingData:
        """Return the data of a stack with every model ``n_times`` side by side."""
        return self.take(np.arange(len(self.rows)).repeat(n_times))

    def take(self, models: list[int] | np.ndarray) -> TrainingData:
        """Return the data of the given models (a list or an array of indices)."""
        held_out = self.validation_rows
        held_out = None if held_out is None else held_out[models]
        return replace(self, rows=self.rows[models], validation_rows=held_out)

    def mean(self, values: np.ndarray, rows: Any) -> float:
        """Return the weighted mean of values ``(n,)`` over the rows of all models together."""
        index = rows.numpy().ravel()
        weight = None if self.weight is None else self.weight.cpu().numpy()[index]
        return np.average(values[index], weights=weight)


def _rows_at(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return table.index_select(0, rows.flatten()).view(*rows.shape, -1)


def training_data(
    U: np.ndarray,
    weight: np.ndarray | None,
    device: torch.device | str,
    splits: tuple[torch.Tensor, torch.Tensor | None],
    context: np.ndarray | None = None,
    n_copies: int = 1,
) -> TrainingData:
    """Return standardised rows, weights, splits and context as ``TrainingData``."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    scaled = None if weight is None else tensor(weight / weight.mean())
    numbers = None if context is None else tensor(context)
    return TrainingData(tensor(U), *splits, scaled, numbers, n_copies)


def split_rows(
    n_rows: int, n_members: int, fraction: float | None, streams: RandomStreams
) -> tuple[torch.Tensor, torch.Tensor | None]:
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
    config: dict[str, Any]
    streams: RandomStreams
    log_det: np.ndarray
    turn: int = 0
    progress: Callable[..., Any] = Progress
    device: str = "cpu"

    @property
    def mean_log_det(self) -> float:
        """The mean over the training rows of all models."""
        return self.data.mean(self.log_det, self.data.rows)

    def train(
        self,
        stack: FlowStack,
        options: TrainingOptions,
        data: TrainingData,
        generators: list[torch.Generator],
        fitted: Callable[[np.ndarray], Any] | None = None,
    ) -> TrainingResult:
        """Train a stack in place; show progress, and warn or raise if training diverges.

        ``fitted`` returns fitted attributes for callbacks, given the scores ``(K,)`` so far.
        """
        loop = self.progress("fit", math.ceil(options.n_steps / options.steps_per_epoch))
        held_out = data.validation_rows
        shift = data.mean(self.log_det, data.rows)  # progress is shown in the units of the data
        held_out_shift = 0 if held_out is None else data.mean(self.log_det, held_out)

        def show(loss: np.ndarray, validation: np.ndarray | None) -> bool:
            figures = {"loss": _mean_of_finite(loss) - shift}
            if validation is not None:
                figures["validation"] = _mean_of_finite(validation) - held_out_shift
            scores = loss if validation is None else validation
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


def _mean_of_finite(values: np.ndarray) -> float:
    """Return the mean over models that have not diverged."""
    finite = values[np.isfinite(values)]
    return finite.mean() if len(finite) else np.nan
