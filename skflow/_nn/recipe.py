"""The recipe: an estimator's flow and training, given its parameters, and what "auto" means.

The constants were chosen on validation rows of the training parts of magic, turbine, yeast, sonar
and scikit-learn's small tables, never on test rows: long trainings at a high rate with strong
weight decay, which is stronger with few rows and many columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch

from .._core.progress import Progress
from .._core.runtime import check_device
from .couplings import hyperparameters
from .settings import training_of
from .training import TrainingOptions
from .training_data import Plan, training_data

#: Target of optimizer steps, within the bounds on epochs.
N_STEPS = 5000
MIN_EPOCHS, MAX_EPOCHS = 10, 120


def batch_size(n_rows: float) -> int:
    """Return a power of two near ``n_rows / 64``, so that an epoch has about 64 steps.

    At most 1024, and at least 64, as smaller batches hardly save time; 32 for fewer than 256 rows,
    whose epochs would otherwise have one or two steps.
    """
    least = 5 if n_rows < 256 else 6
    return int(2 ** min(10, max(least, round(math.log2(n_rows / 64)))))


def max_iter(
    steps_per_epoch: int, n_folds: int = 1, rows_per_column: float = math.inf, part: float = 1.0
) -> int:
    """Return the epochs of about 5000 steps: at least 10 for large tables, at most 120 for small.

    If the members of a cross-fit are averaged, half of the steps are enough, as members compensate
    each other; still fewer cost likelihood on tables whose columns nearly determine each other.
    Fewer than 3 ``rows_per_column`` reduce the limit of 120: with many columns a flow costs more
    time, and gets less weight beside the components. Batches smaller by a factor ``part`` take that
    fraction of the epochs.
    """
    n_steps = N_STEPS if n_folds == 1 else N_STEPS // 2
    most = math.ceil(part * MAX_EPOCHS * min(1.0, rows_per_column / 3))
    return max(int(part * MIN_EPOCHS), min(most, math.ceil(n_steps / steps_per_epoch)))


def learning_rate_init(solver: str, single_layer: bool) -> float:
    """Return 0.01, or 0.06 with Adam for a single-layer conditioner, which hardly overfits."""
    return 0.06 if solver == "adam" and single_layer else 0.01


def alpha(n_rows: float, n_features: int, solver: str, single_layer: bool) -> float:
    """Return ``0.02 d (15000 / n_rows)^(3/4)``, at most 6; 0 for SGD or single-layer ones."""
    if solver == "sgd" or single_layer:
        return 0.0
    return min(6.0, 0.02 * n_features * (15_000 / n_rows) ** 0.75)


def conditional_alpha(n_rows: float, n_columns: int) -> float:
    """Return ``0.003 (d + c) (15000 / n_rows)^(3/4)``, at most 3, for conditional densities.

    This is a seventh of ``alpha`` of all columns, which was too much on the training parts of
    concrete, energy and yacht.
    """
    return min(3.0, 0.003 * n_columns * (15_000 / n_rows) ** 0.75)


def n_iter_no_change(n_epochs: int) -> int:
    """Return three fifths of the epochs.

    At high rates the score may stagnate for half of a training (as on yeast, whose values repeat)
    and improve when the rates decay.
    """
    return math.ceil(0.6 * n_epochs)


def flow_config(params: Any) -> dict[str, Any]:
    """Return keywords of ``FlowStack``, given the parameters of an estimator."""
    given = params.hidden_layer_sizes
    sizes: tuple[Any, ...] = (given,) if isinstance(given, Integral) else tuple(given)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ValueError(
            f"hidden_layer_sizes={params.hidden_layer_sizes!r} is not possible. Give a tuple of "
            "positive integers, one for each hidden layer, or () for none."
        )
    own = hyperparameters(params.coupling)
    return {
        "coupling": params.coupling,
        "hidden_layer_sizes": sizes,
        "activation": training_of(params).activation,
        "linear": bool(sizes),  # single-layer conditioners are the paper's
        **{name: value for name, value in vars(params).items() if name in own},
    }


def training_options(
    params: Any,
    n_rows: int,
    n_features: int,
    n_effective: float | None = None,
    n_folds: int = 1,
    early_stopping: bool = True,
) -> TrainingOptions:
    """Return ``TrainingOptions``, given the parameters of an estimator and the training rows.

    With weights, "auto" depends on the effective number of rows. ``n_folds`` is the number of
    averaged members of a flow.
    """
    n_effective = n_rows if n_effective is None else n_effective

    def chosen(value: Any, automatic: Any) -> Any:
        return automatic if isinstance(value, str) and value == "auto" else value

    training = training_of(params)
    solver = training.solver
    single_layer = params.coupling == "affine" and not flow_config(params)["hidden_layer_sizes"]
    # Averaged members take as many steps, on batches of half the size. On inner rows of eight
    # tables (two seeds) this was better on seven, by 0.001 to 0.006 nats a dimension, and worse on
    # one, by 0.010. A single flow of a long table loses as much as with half of the steps.
    part = 0.5 if n_folds > 1 and training.batch_size == params.max_iter == "auto" else 1.0
    n_batch = min(chosen(training.batch_size, int(part * batch_size(n_effective))), n_rows)
    steps_per_epoch = max(1, n_rows // n_batch)
    n_most = max_iter(steps_per_epoch, n_folds, n_effective / n_features, part)
    n_epochs = chosen(params.max_iter, n_most)
    patience = chosen(training.n_iter_no_change, n_iter_no_change(n_epochs))
    return TrainingOptions(
        n_steps=max(1, round(n_epochs * steps_per_epoch)),
        steps_per_epoch=steps_per_epoch,
        batch_size=n_batch,
        solver=solver,
        learning_rate=training.learning_rate,
        learning_rate_init=chosen(
            training.learning_rate_init, learning_rate_init(solver, single_layer)
        ),
        alpha=chosen(training.alpha, alpha(n_effective, n_features, solver, single_layer)),
        n_iter_no_change=patience if early_stopping else None,
        tol=training.tol,
        with_replacement=solver == "sgd",
        noise=chosen(training.noise, 0.0),
    )


def make_plan(
    params: Any,
    rows: Any,
    splits: tuple[torch.Tensor, torch.Tensor | None],
    n_folds: int = 1,
    turn: int = 0,
    progress: Callable[..., Any] = Progress,
) -> Plan:
    """Return the ``Plan`` of trainings on splits into training and held-out rows.

    ``params`` are those of an estimator, ``rows`` are ``Rows``. All copies are trained on, in as
    many steps as one: a step takes some rows of all copies.
    """
    (training, held_out), n_rows = splits, rows.n_rows
    n_training, n_copies = training.shape[1], len(rows.U) // n_rows
    every = torch.cat([training + n_rows * k for k in range(n_copies)], 1)
    weight = None if rows.weight is None else np.tile(rows.weight, n_copies)
    numbers = None if rows.context is None else np.asarray(rows.context.numbers)
    device, splits = check_device(params.device), (every, held_out)
    data = training_data(rows.U, weight, device, splits, numbers, n_copies)
    n_effective = rows.n_effective * n_training / n_rows
    size = n_training, rows.n_columns, n_effective, n_folds
    options = training_options(params, *size, early_stopping=held_out is not None)
    config = flow_config(params) | {"n_context": 0 if numbers is None else numbers.shape[1]}
    return Plan(data, options, config, rows.streams, rows.log_det, turn, progress, params.device)
