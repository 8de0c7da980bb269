"""The trainer: it fits each model of a stack by maximum likelihood, independently.

Clipping, divergence, best states and early stopping are per model. Rows of ``theta`` are never
mixed, so model k of a stack trains as it would alone with the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from .._core.deadline import clock, time_left
from .._core.runtime import threads_for
from .blocks import blocks, map_blocks
from .flow import FlowStack
from .kernel_training import kernel_training
from .optimizers import SOLVERS, learning_rates

#: Steps after which a training with a deadline first checks the time.
FIRST_STEPS = 5
#: Parts of a block of validation rows, which threads take in turn.
PARTS_OF_BLOCK = 4


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training; lengths are in optimizer steps.

    ``with_replacement`` draws every batch afresh from all rows (the paper) instead of going
    through a new permutation each epoch.

    ``noise`` is the standard deviation of normal noise that is added to the rows, anew at every
    step, in the table's units: a number, or one for each model of the stack. The flow then learns
    the density of the noisy rows, that is, of the data at this resolution (Rothfuss et al. 2019,
    "Noise regularization for conditional density estimation"). Validation rows are noisy, too, so
    that a training stops where this density is best. Their noise is drawn once, so that epochs are
    comparable; scores of models with different noise are not. ``context_noise`` is the same for the
    columns of a context.
    """

    n_steps: int
    steps_per_epoch: int
    batch_size: int
    solver: str = "adam"
    learning_rate: str = "one_cycle"
    learning_rate_init: float = 3e-3
    alpha: float = 0.0
    max_grad_norm: float = 5.0
    n_iter_no_change: int | None = None
    tol: float = 0.0
    with_replacement: bool = False
    noise: Any = 0.0
    context_noise: Any = 0.0

    def shortened(self, n_steps: int) -> TrainingOptions:
        """Return the same training in ``n_steps`` steps of a single epoch, schedule compressed."""
        return replace(self, n_steps=n_steps, steps_per_epoch=n_steps, n_iter_no_change=None)


@dataclass
class TrainingResult:
    """Curves of shape (n_epochs, K) and outcomes of shape (K,), in nats a row.

    ``score`` is the negative log-likelihood of the kept state on the validation rows, or the
    epoch's training loss without such rows; ``last_loss`` is the loss of the last batch before its
    update. ``n_steps`` is the length of the whole schedule.
    """

    n_epochs: np.ndarray
    n_recoveries: np.ndarray
    score: np.ndarray = field(init=False)
    last_loss: np.ndarray = field(init=False)
    loss_curve: list[np.ndarray] = field(default_factory=list)
    validation_curve: list[np.ndarray] = field(default_factory=list)
    n_steps: int = 0


def make_generators(seeds: Sequence[int] | np.ndarray) -> list[torch.Generator]:
    """Return a private generator for each model, given integers."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def draw_batches(
    generators: list[torch.Generator],
    rows: torch.Tensor,
    n_steps: int,
    batch_size: int,
    with_replacement: bool,
) -> torch.Tensor:
    """Draw the row indices of an epoch's batches ``(n_steps, K, batch_size)``, by model."""
    size = n_steps * batch_size
    drawn = []
    for k, generator in enumerate(generators):
        n_rows = rows.shape[1]
        if with_replacement:
            index = torch.randint(n_rows, (size,), generator=generator)
        else:
            n_passes = math.ceil(size / n_rows)
            passes = [torch.randperm(n_rows, generator=generator) for _ in range(n_passes)]
            index = torch.cat(passes)[:size]
        drawn.append(rows[min(k, len(rows) - 1)][index].view(n_steps, batch_size))
    return torch.stack(drawn, 1)


def _noise_sizes(argument: str, noise: float | tuple[float, ...], n_models: int) -> list[float]:
    """Return the noise of every model as a list of numbers."""
    sizes = np.atleast_1d(np.asarray(noise, dtype=float))
    possible = sizes.shape in ((1,), (n_models,)) and np.isfinite(sizes).all()
    if not possible or (sizes < 0).any():
        raise ValueError(
            f"{argument}={noise!r} is not possible for {n_models} models. Give a finite number of "
            "at least 0, in standard deviations of a column, or one for each model."
        )
    return np.broadcast_to(sizes, n_models).tolist()


def add_noise(rows: torch.Tensor, sizes: list[float], generators: list[torch.Generator]) -> None:
    """Add normal noise to rows ``(K, B, d)`` in place: each model's size, from its generator.

    A size of 0 draws nothing, so that a model without noise trains as in a stack without noise.
    """
    for k, (size, generator) in enumerate(zip(sizes, generators)):
        if size > 0:
            noise = torch.randn(rows.shape[1:], generator=generator, dtype=rows.dtype)
            rows[k].add_(noise.to(rows.device), alpha=size)


def fill_absent(rows: torch.Tensor, generators: list[torch.Generator]) -> None:
    """Replace NaN in rows ``(K, B, d)`` with normal noise, in place, by model."""
    for own, generator in zip(rows, generators):
        noise = torch.randn(own.shape, generator=generator, dtype=own.dtype).to(own.device)
        own.copy_(torch.where(own.isnan(), noise, own))


class Noise(NamedTuple):
    """Noise for rows ``(K, B, d)`` and for their context ``(K, B, c)``, or None.

    ``absent`` replaces NaN in rows.
    """

    rows: torch.Tensor | None = None
    context: torch.Tensor | None = None
    absent: torch.Tensor | None = None


NO_NOISE = Noise()


def validation_loss(flow: FlowStack, data: Any, noise: Noise = NO_NOISE) -> np.ndarray:
    """Return the mean negative log-likelihood ``(K,)`` of validation rows, in nats a row.

    ``noise`` is added to these rows and their context.
    """
    rows = data.validation_rows.to(data.table.device)

    def sums(block: slice) -> torch.Tensor:
        x, weight, context = data.at(rows[:, block])
        if noise.absent is not None:
            x = torch.where(x.isnan(), noise.absent[:, block], x)
        if noise.rows is not None:
            x = x + noise.rows[:, block]
        if noise.context is not None:
            context = context + noise.context[:, block]
        log_prob = flow.log_prob(x, context)
        weight = torch.ones_like(log_prob) if weight is None else weight.expand_as(log_prob)
        return torch.stack([log_prob * weight, weight]).sum(2, dtype=torch.float64)

    parts = blocks(rows.shape[1], PARTS_OF_BLOCK * flow.numbers_per_row)
    found: Any = sum(map_blocks(sums, parts))
    total, mass = found
    return (-total / mass).cpu().numpy()


class _Pace:
    """Shortens a training so that its whole schedule ends by the deadline."""

    def __init__(self, options: TrainingOptions, rates: np.ndarray) -> None:
        self.options, self.rates = options, rates
        self.n_done, self.now, self.step = 0, clock(), 0.0

    def trained(self, n_done: int) -> None:
        """Record that the steps of an epoch are done, ``n_done`` in all."""
        before, self.now = self.now, clock()
        step = (self.now - before) / (n_done - self.n_done)
        # the first steps are slow
        self.step = step if self.n_done <= FIRST_STEPS else 0.5 * (self.step + step)
        self.n_done = n_done

    def judged(self) -> np.ndarray:
        """Return the rates of all steps, past and future, that the time allows."""
        before, self.now = self.now, clock()
        judgement = self.now - before
        a_step = self.step + judgement / self.options.steps_per_epoch + 1e-9
        n_more = (time_left() - judgement) / a_step  # the last epoch is validated, too
        n_steps = min(self.options.n_steps, self.n_done + max(0, int(n_more)))
        if n_steps != len(self.rates):
            self.rates = learning_rates(self.options, n_steps)
        return self.rates


class Trainer:
    """Trains a ``FlowStack`` in place.

    Parameters
    ----------
    flow : FlowStack
        Its ``theta`` is the start and, after ``fit``, the kept state.
    options : TrainingOptions
    data : TrainingData
    generators : list of torch.Generator
        Each model's own stream of batches and of noise.
    on_epoch : callable, optional
        Called with ``(loss, validation)`` after each epoch, each ``(K,)`` or None; training stops
        if it returns True.
    """

    def __init__(
        self,
        flow: FlowStack,
        options: TrainingOptions,
        data: Any,
        generators: list[torch.Generator],
        on_epoch: Callable[[np.ndarray, np.ndarray | None], bool | None] | None = None,
    ) -> None:
        self.flow, self.options, self.data = flow, options, data
        self.generators, self.on_epoch = generators, on_epoch
        decay = options.alpha * flow.weight_mask() if options.alpha > 0 else None
        self.optimizer = SOLVERS[options.solver](flow.theta, decay)
        self.rate_scale = torch.ones_like(flow.theta[:, :1])
        self.best_theta = flow.theta.clone()
        self.best_score = np.full(flow.n_models, np.inf)
        self.noise = _noise_sizes("noise", options.noise, flow.n_models)
        self.context_noise = _noise_sizes("context_noise", options.context_noise, flow.n_models)
        if any(self.context_noise) and data.context is None:
            raise ValueError(
                f"context_noise={options.context_noise!r} needs a context. Give one in the "
                "TrainingData, or context_noise=0."
            )
        self.has_absent = bool(torch.isnan(data.table).any())
        self.validation_noise = self._draw_validation_noise()
        self.n_stale = np.zeros(flow.n_models, dtype=int)
        self.stopped = np.zeros(flow.n_models, dtype=bool)
        self.shortened = 1.0  # fraction of the steps that there is time for
        self.kernel_training = kernel_training(self)
        self.result = TrainingResult(
            n_epochs=np.zeros(flow.n_models, dtype=int),
            n_recoveries=np.zeros(flow.n_models, dtype=int),
        )

    def fit(self) -> TrainingResult:
        """Train to the end, or until no model improves; return the ``TrainingResult``."""
        with threads_for(self.options.batch_size * self.flow.numbers_per_row):
            return self._fit()

    def _fit(self) -> TrainingResult:
        options, pace, done = self.options, None, 0
        rates = learning_rates(options)
        if math.isfinite(time_left()):
            pace = _Pace(options, rates)
        while done < len(rates):
            stop = min(done + options.steps_per_epoch, len(rates))
            if pace is not None and not done:
                stop = min(stop, FIRST_STEPS)
            loss = self._epoch(rates[done:stop])
            done = stop
            if pace is not None:
                pace.trained(done)
            self._judge(loss)
            if pace is not None:
                rates = pace.judged()
                self.shortened = len(rates) / options.n_steps
            if self.on_epoch is not None:
                validation = self.result.validation_curve
                if self.on_epoch(loss, validation[-1] if validation else None):
                    break
            if self.stopped.all():
                break
        self.result.n_steps = len(rates)
        self.flow.theta.copy_(self.best_theta)
        self.result.score = self.best_score
        return self.result

    def _draw_validation_noise(self) -> Noise:
        def draw(sizes: list[float], n_columns: int) -> torch.Tensor | None:
            if not any(sizes):
                return None
            noise = self.data.table.new_zeros(len(sizes), rows.shape[1], n_columns)
            add_noise(noise, sizes, self.generators)
            return noise

        rows = self.data.validation_rows
        if rows is None:
            return NO_NOISE
        n_features = self.flow.n_features
        return Noise(
            draw(self.noise, n_features),
            draw(self.context_noise, self.flow.n_context),
            draw([1.0] * self.flow.n_models, n_features) if self.has_absent else None,
        )

    def _epoch(self, rates: np.ndarray) -> np.ndarray:
        """Take the steps of an epoch; return the mean loss ``(K,)`` of its batches."""
        options = self.options
        batches = draw_batches(
            self.generators,
            self.data.rows,
            len(rates),
            options.batch_size,
            options.with_replacement,
        ).to(self.data.table.device)
        if self.kernel_training is not None:
            by_step = self.kernel_training.epoch(batches, rates)
        else:
            by_step = self._steps(batches, rates)
        losses = by_step.double().cpu().numpy()  # the only transfer from a GPU in an epoch
        last, loss = losses[-1], losses.mean(axis=0)
        if self.stopped.any():  # the kernels no longer train these
            last = np.where(self.stopped, self.result.last_loss, last)
            loss = np.where(self.stopped, self.result.loss_curve[-1], loss)
        self.result.last_loss = last
        return loss

    def _steps(self, batches: torch.Tensor, rates: np.ndarray) -> torch.Tensor:
        """Take steps on batches ``(n_steps, K, B)``; return losses ``(n_steps, K)``."""
        losses = []
        for rate, batch in zip(rates.tolist(), batches):
            x, weight, context = self.data.at(batch)
            if self.has_absent:
                fill_absent(x, self.generators)
            add_noise(x, self.noise, self.generators)
            if context is not None:
                add_noise(context, self.context_noise, self.generators)
            loss, gradient = self.flow.loss_and_gradient(x, weight, context)
            losses.append(loss)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient.mul_((self.options.max_grad_norm / (norm + 1e-6)).clamp_(max=1))
            self.optimizer.step(gradient, rate * self.rate_scale)
        return torch.stack(losses)

    def _judge(self, loss: np.ndarray) -> None:
        """Keep improved states, reset diverged models, stop models that do not improve."""
        # A diverged model is NaN in its own row only, so one check at the epoch's end is enough.
        finite = torch.isfinite(self.flow.theta.sum(1)).cpu().numpy() & np.isfinite(loss)
        self.result.loss_curve.append(loss)
        score = loss
        if self.data.validation_rows is not None:
            score = validation_loss(self.flow, self.data, self.validation_noise)
            if self.stopped.any():
                score = np.where(self.stopped, self.result.validation_curve[-1], score)
            self.result.validation_curve.append(score)
            finite &= np.isfinite(score)
        improved = finite & ~self.stopped & (score < self.best_score)
        clearly = improved & (score < self.best_score - self.options.tol)
        self.n_stale = np.where(clearly, 0, self.n_stale + 1)
        self.result.n_epochs += ~self.stopped
        if improved.any():
            models = torch.from_numpy(np.flatnonzero(improved)).to(self.flow.device)
            self.best_theta[models] = self.flow.theta[models]
            self.best_score = np.where(improved, score, self.best_score)
        if not finite.all():
            self._recover(np.flatnonzero(~finite))
        if self.options.n_iter_no_change is not None:
            self.stopped |= self.n_stale >= self.options.n_iter_no_change * self.shortened

    def _recover(self, diverged: np.ndarray) -> None:
        models = torch.from_numpy(diverged).to(self.flow.device)
        self.flow.theta[models] = self.best_theta[models]
        self.rate_scale[models] *= 0.3
        self.optimizer.forget(models)
        self.result.n_recoveries[diverged] += ~self.stopped[diverged]
