"""Solvers, which act on rows of parameters, and schedules of their rates.

A new solver is a class with ``step`` and ``forget`` and an entry in ``SOLVERS``; a new schedule is
a function and an entry in ``SCHEDULES``. Estimators offer the entries of both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch


class _Solver:
    """Updates ``theta`` ``(K, P)`` in place, whose rows are the parameters of models.

    Parameters
    ----------
    theta : tensor of shape (K, P)
    decay : tensor of shape (K, P) or None
        Decoupled weight decay of each parameter (Loshchilov and Hutter 2019).
    """

    def __init__(self, theta: torch.Tensor, decay: torch.Tensor | None) -> None:
        self.theta, self.decay = theta, decay

    def step(self, gradient: torch.Tensor, rates: torch.Tensor) -> None:
        """Take a step with each model's own rate ``(K, 1)``."""
        raise NotImplementedError

    def forget(self, models: torch.Tensor) -> None:
        """Reset the state of the given rows, as before the first step."""

    def _shrink(self, rates: torch.Tensor) -> None:
        """Apply decay, which never changes a weight's sign, however large the rate."""
        if self.decay is not None:
            self.theta.addcmul_(self.theta, (self.decay * rates).clamp_(max=1), value=-1)


class Adam(_Solver):
    """AdamW (Loshchilov and Hutter 2019)."""

    betas = (0.9, 0.999)
    eps = 1e-8

    def __init__(self, theta: torch.Tensor, decay: torch.Tensor | None) -> None:
        super().__init__(theta, decay)
        self.mean, self.square = torch.zeros_like(theta), torch.zeros_like(theta)
        self.n_steps = 0

    def step(self, gradient: torch.Tensor, rates: torch.Tensor) -> None:
        self.n_steps += 1
        beta1, beta2 = self.betas
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        correction = math.sqrt(1 - beta2**self.n_steps) / (1 - beta1**self.n_steps)
        update = self.mean / self.square.sqrt().add_(self.eps)
        self._shrink(rates)
        self.theta.addcmul_(update, rates, value=-correction)

    def forget(self, models: torch.Tensor) -> None:
        self.mean[models] = 0
        self.square[models] = 0


class SGD(_Solver):
    """Plain stochastic gradient descent, with the same decay."""

    def step(self, gradient: torch.Tensor, rates: torch.Tensor) -> None:
        self._shrink(rates)
        self.theta.addcmul_(gradient, rates, value=-1)


SOLVERS = {"adam": Adam, "sgd": SGD}


# A schedule returns the fraction of the peak rate for a step, given the progress of the training in
# [0, 1) and its number of epochs.


def one_cycle(progress: float, n_epochs: float) -> float:
    """A short rise and a long decay to 0, both cosines (Smith and Topin 2018)."""
    rise = 0.1
    if progress < rise:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / rise))
    return 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


def cyclic(progress: float, n_epochs: float) -> float:
    """The triangular policy of Smith (2017), between 0.1 and 1.

    He advises half-cycles of 2 to 10 epochs, and to stop at the end of a cycle.
    """
    n_cycles = max(1, round(n_epochs / 5))
    phase = (progress * n_cycles) % 1.0
    return 0.1 + 0.9 * (1 - abs(2 * phase - 1))


def constant(progress: float, n_epochs: float) -> float:
    return 1.0


SCHEDULES = {"one_cycle": one_cycle, "cyclic": cyclic, "constant": constant}


def learning_rates(options: Any, n_steps: int | None = None) -> np.ndarray:
    """Return the rates of all steps of a training ``(n_steps,)``."""
    schedule, n_steps = SCHEDULES[options.learning_rate], n_steps or options.n_steps
    n_epochs = n_steps / options.steps_per_epoch
    parts = [schedule(step / n_steps, n_epochs) for step in range(n_steps)]
    return options.learning_rate_init * np.array(parts)
