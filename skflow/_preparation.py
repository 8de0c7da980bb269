"""From what a user passes to what flows can be trained on: rows, columns, units, device, splits."""

import math
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import sklearn
import torch
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight

from ._training import TrainingData

_INSIDE = tuple(str(Path(file).parent) for file in (__file__, sklearn.__file__, joblib.__file__))


def warn(message, category=UserWarning):
    """Warn at the user's line, also where scikit-learn's pipelines and searches lie between."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def weighted_rows(X, sample_weight):
    """The rows of positive weight, and their weights or None."""
    if sample_weight is None:
        return X, None
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    kept = weight > 0
    if kept.sum() < 2:
        raise ValueError(
            f"sample_weight is positive in {kept.sum()} of {len(weight)} rows; at least 2 rows "
            "need a positive weight."
        )
    return X[kept], weight[kept]


def location_and_scale(X, weight, standardize):
    """Mean and standard deviation of the columns, 1 for constant columns."""
    if not standardize:
        return np.zeros(X.shape[1]), np.ones(X.shape[1])
    # in units of the largest value, so that squares neither overflow nor vanish
    size = np.abs(X).max(axis=0)
    size[size == 0] = 1
    unit = X / size
    location = np.average(unit, axis=0, weights=weight)
    scale = np.sqrt(np.average((unit - location) ** 2, axis=0, weights=weight))
    location, scale = location * size, scale * size
    constant = constant_columns(X)
    location[constant], scale[constant] = X[0, constant], 1
    return location, scale


def constant_columns(X):
    rounding = 10 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    return np.ptp(X, axis=0) <= rounding


def fill_constant_columns(table, X, rng, names):
    """Add standard normal noise to constant columns, and warn of what has no density."""
    constant = constant_columns(X)
    if constant.any():
        table[:, constant] += rng.standard_normal((len(table), constant.sum()))
        warn(
            f"{name_columns(constant, names)} constant and has no density. It is modelled as a "
            "normal distribution of variance 1 around its value; leave it out to avoid this.",
        )
    copies = copied_columns(table)
    if copies.any():
        warn(
            f"{name_columns(copies, names)} a copy of another column, perhaps in another unit: the "
            "density is unbounded there and the likelihood means little. Leave the copies out.",
        )


def grid_steps(X):
    """The step of columns whose values lie on a grid with repetitions, 0 for the others.

    Such columns are counts, codes or rounded measurements: at most half as many values as rows,
    all of them whole multiples of the smallest gap apart.
    """
    steps = np.zeros(X.shape[1])
    for j, column in enumerate(X.T):
        values = np.unique(column)
        if 1 < len(values) <= len(column) / 2:
            step = np.diff(values).min()
            multiples = (values - values[0]) / step
            if np.abs(multiples - np.round(multiples)).max() < 1e-3:
                steps[j] = step
    return steps


def warn_of_few_values(X, names):
    """Warn of columns with so few distinct values that a density on them means little."""
    few = np.array([len(np.unique(column)) for column in X.T]) <= len(X) / 20
    few &= ~constant_columns(X)
    if few.any():
        warn(
            f"{name_columns(few, names)} nearly discrete: at most one distinct value in 20 rows. A "
            "density can grow without bound at values that repeat, so likelihoods compare only "
            "between models of the same columns at the same resolution. Set dequantize=True to "
            "spread each value evenly over its cell of the grid, or leave such columns out.",
        )


def copied_columns(table):
    """Which columns are an earlier one up to shift, scale and rounding."""
    if len(table) < 3:  # two rows always lie on a line
        return np.zeros(table.shape[1], dtype=bool)
    with np.errstate(all="ignore"):  # of what overflows, nothing is said
        correlation = np.atleast_2d(np.corrcoef(table, rowvar=False))
    return (np.triu(np.abs(correlation), 1) > 1 - 1e-12).any(axis=0)


def name_columns(selected, names):
    numbers = np.flatnonzero(selected)
    shown = [repr(str(names[i])) if names is not None else str(i) for i in numbers[:10]]
    listed = ", ".join(shown) + (", ..." if len(numbers) > 10 else "")
    return f"Column {listed} is" if len(numbers) == 1 else f"Each of the columns {listed} is"


def is_available(device):
    return torch.device(device).type != "cuda" or torch.cuda.is_available()


def check_device(device):
    try:
        known = torch.device(device)
        if known.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("this machine has no CUDA device that torch can use")
        torch.zeros(1, device=known).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used: {str(error).splitlines()[0]}. Use 'cpu' or, on a "
            "machine with a GPU, 'cuda'."
        ) from None
    return known


def training_data(Z, weight, device, splits):
    """The standardised rows, their weights or None, and splits of them, as ``TrainingData``."""

    def tensor(array):
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    weight = None if weight is None else tensor(weight / weight.mean())
    return TrainingData(tensor(Z), *splits, weight=weight)


def split_rows(n_rows, n_members, validation_fraction, streams):
    """Training and validation rows of the members, each ``(n_members, m)``.

    Without a fraction all rows are trained on, and the validation rows are None.
    """
    if validation_fraction is None:
        return torch.arange(n_rows).repeat(n_members, 1), None
    n_validation = math.ceil(validation_fraction * n_rows)
    if n_rows - n_validation < 2:
        raise ValueError(
            f"early_stopping=True with validation_fraction={validation_fraction} sets "
            f"{n_validation} of n_samples={n_rows} rows (of positive weight) aside, which "
            "leaves fewer than 2 to train on. Give more rows, lower validation_fraction or set "
            "early_stopping=False."
        )
    splits = [
        train_test_split(
            np.arange(n_rows), test_size=n_validation, random_state=streams("split", e)
        )
        for e in range(n_members)
    ]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*splits))
