"""The start of linear steps: regressions for columns that nearly determine each other.

Training would take long to find the coefficients of a total and its parts exactly enough. Other
columns start at the identity. A start at their regressions would mix features that the conditioners
should see apart, and was worse on most tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .._core.typing import ArrayLike
from .flow import FlowStack
from .training_data import TrainingData

#: Columns start at regressions if the residual given all others has at most this fraction of the
#: variance.
NEARLY = 0.01
#: The least residual variance of a regression, as a fraction, and its ridge.
LEAST_VARIANCE, RIDGE = 1e-8, 1e-10


def start_stack(
    masks: np.ndarray,
    config: dict[str, Any],
    data: TrainingData,
    generators: Sequence[torch.Generator],
    noise: ArrayLike = 0.0,
) -> FlowStack:
    """Return the stack of structures ``(K, L, d)`` from which a training on ``data`` starts.

    ``config`` are keywords of ``FlowStack``; ``noise`` is as in ``start_linear``.
    """
    stack = FlowStack(masks, **config, device=data.table.device)
    context = data.context
    # a discrete part is 0 or 1, with no place for a kink in between
    real = context is not None and bool(((context != 0) & (context != 1)).any())
    start_linear(stack.initialize(generators, spread=real), data, noise)
    return stack


def start_linear(flow: FlowStack, data: TrainingData, noise: ArrayLike = 0.0) -> None:
    """Start the linear steps of a stack, layer by layer, by mean and covariance of the rows.

    Parameters
    ----------
    flow : FlowStack
        Its linear steps must be the identity.
    data : TrainingData
        Each model starts from its own training rows.
    noise : float or array of shape (K,)
        Standard deviation of the noise added to the rows of each model.
    """
    if not any(layer.linear for layer in flow.layers):
        return
    mean, covariance = _moments(data, flow.n_models)
    n, d = data.rows.shape[1], flow.n_features
    covariance += np.reshape(noise, (-1, 1, 1)) ** 2 * np.eye(d)
    near = _nearly_determined(covariance, n)
    if not near.any():
        return
    # the others become independent columns, whose regressions are the identity
    mean = np.where(near, mean, 0)
    covariance = np.where(near[:, :, None] & near[:, None], covariance, np.eye(d))
    models = np.arange(flow.n_models)[:, None, None]
    for layer, parameters in zip(flow.layers, flow.parameters):
        if parameters.linear is None:
            continue
        places = (models, layer.order[:, :, None], layer.order[:, None])
        own = covariance[places]
        a, b = slice(layer.n_transformed), slice(layer.n_transformed, layer.n_active)
        weight, scale = _regressions(own, a, b, n)
        step = np.tile(np.eye(d), (flow.n_models, 1, 1))
        step[:, a, a] *= scale[:, :, None]
        step[:, a, b] = -scale[:, :, None] * weight
        centre = (step @ np.take_along_axis(mean, layer.order, 1)[:, :, None])[:, :, 0]
        shift = -centre[:, a]
        centre[:, a] = 0
        np.put_along_axis(mean, layer.order, centre, 1)
        covariance[places] = step @ own @ step.transpose(0, 2, 1)
        for start, values in zip(parameters.linear, (weight, np.log(scale), shift)):
            start.copy_(torch.as_tensor(values).view(start.shape))


def _moments(data: TrainingData, n_models: int) -> list[np.ndarray]:
    """Return mean ``(K, d)`` and covariance ``(K, d, d)`` of each model's training rows."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for k, rows in enumerate(data.rows):
        if k and torch.equal(rows, data.rows[k - 1]):
            found.append(found[-1])
            continue
        own, own_weight, _ = data.at(rows[None].to(data.table.device))
        x = own[0].double().cpu().numpy()
        weight = np.ones(len(x)) if own_weight is None else own_weight[0].double().cpu().numpy()
        weight = weight / weight.sum()
        absent = np.isnan(x)  # independent normal noise, as in training
        mean = weight @ np.where(absent, 0, x)
        x = np.where(absent, 0, x - mean)
        covariance = x.T @ (weight[:, None] * x) + np.diag(weight @ (absent * (1 + mean**2)))
        found.append((mean, covariance))
    return [
        np.broadcast_to(np.stack(part), (n_models, *part[0].shape)).copy() for part in zip(*found)
    ]


def _nearly_determined(covariance: np.ndarray, n: int) -> np.ndarray:
    """Return which columns ``(K, d)`` are nearly determined by the others, given n rows."""
    d = covariance.shape[1]
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    if n <= 2 * d:
        return np.zeros(variance.shape, dtype=bool)
    tiny = LEAST_VARIANCE * variance[:, :, None] * np.eye(d) + 1e-30 * np.eye(d)
    left = 1 / np.diagonal(np.linalg.inv(covariance + tiny), axis1=1, axis2=2)
    return left * (n / (n - d)) ** 2 < NEARLY * variance


def _regressions(
    covariance: np.ndarray, a: slice, b: slice, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes ``(K, A, B)``, and scales ``(K, A)`` that standardise the residuals.

    With more than twice as many rows as columns, least squares is safe. A ridge would leave a
    little of B in several features of A, and so hide that they determine each other.
    """
    inner = covariance[:, b, b]
    ridge = RIDGE * np.eye(inner.shape[1])
    slopes = np.linalg.solve(inner + ridge, covariance[:, b, a]).transpose(0, 2, 1)
    total = np.diagonal(covariance[:, a, a], axis1=1, axis2=2)
    left = total - (slopes * covariance[:, a, b]).sum(axis=2)
    # of new rows
    left = np.clip(left * (n / (n - inner.shape[1])) ** 2, LEAST_VARIANCE * total, total)
    # rounding may leave a negative variance of a copy
    return slopes, 1 / np.sqrt(np.where(left > 0, left, 1.0))
