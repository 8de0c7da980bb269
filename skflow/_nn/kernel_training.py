"""Epochs of training by the compiled kernels, with the models of a stack on several threads."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import torch

from .._core.runtime import allowed_threads
from .blocks import map_blocks
from .flow import FlowStack
from .kernels import ROWS_IN_TRAINING, address, native
from .optimizers import SGD, Adam

#: Most numbers of noise that are drawn at once for a model.
NOISE_SIZE = 2**20
#: Parts of an epoch, which threads take in turn, so that five models keep two threads equally busy.
PARTS = 4
#: Most work of a call, parameters times rows: about a tenth of a second, which delays Ctrl-C.
MOST_WORK = 2e9


def kernel_training(trainer: Any) -> KernelTraining | None:
    """Return the ``KernelTraining`` of a ``Trainer``, or None without kernels for all of it."""
    if trainer.flow.kernel is None or type(trainer.optimizer) not in (Adam, SGD):
        return None
    return KernelTraining(trainer)


class KernelTraining:
    """The steps of a ``Trainer``, with its data, generators, noise and optimizer.

    Every model draws the same numbers as with PyTorch, in the same order from its own generator.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer, self._kernel = trainer, trainer.flow.kernel
        self._gradient = torch.empty_like(trainer.flow.theta)
        data, optimizer = trainer.data, trainer.optimizer
        self._table = data.table.contiguous()
        self._weight, self._context = (
            None if part is None else part.contiguous() for part in (data.weight, data.context)
        )
        _check(trainer.flow, data)
        adam = type(optimizer) is Adam
        self._common: dict[str, Any] = {
            "batch_size": trainer.options.batch_size,
            "tile": min(ROWS_IN_TRAINING, trainer.options.batch_size),
            "table": address(self._table),
            "weight": address(self._weight),
            "context": address(self._context),
            "max_grad_norm": trainer.options.max_grad_norm,
            "adam": adam,
            **(dict(zip(("beta1", "beta2"), Adam.betas), eps=Adam.eps) if adam else {}),
        }
        n_models = trainer.flow.n_models
        self._n_threads = min(allowed_threads(), n_models)
        tile = self._common["tile"]
        self._memories = deque(
            self._kernel.memory(tile, training=True) for _ in range(self._n_threads)
        )

    def epoch(self, batches: torch.Tensor, rates: np.ndarray) -> torch.Tensor:
        """Take steps on batches ``(n_steps, K, B)``; return losses ``(n_steps, K)``."""
        n_steps, n_models, _ = batches.shape
        losses = self._table.new_zeros(n_models, n_steps)
        own_rates = np.ascontiguousarray(
            rates * self._trainer.rate_scale.double().numpy(), dtype=np.float64
        )
        waiting = deque((k, 0) for k in np.flatnonzero(~self._trainer.stopped).tolist())

        def work(_: int) -> None:
            memory = self._memories.pop()
            while waiting:
                try:
                    k, start = waiting.popleft()
                except IndexError:  # another thread took the last one
                    break
                stop = min(start + self._part(n_steps), n_steps)
                self._steps(k, slice(start, stop), batches, own_rates, losses, memory)
                if stop < n_steps:
                    waiting.append((k, stop))
            self._memories.append(memory)

        map_blocks(work, range(self._n_threads))
        optimizer = self._trainer.optimizer
        if type(optimizer) is Adam:
            optimizer.n_steps += n_steps
        return losses.T

    def _part(self, n_steps: int) -> int:
        """Return the number of steps of a model in one call."""
        trainer = self._trainer
        most = math.ceil(n_steps / PARTS) if self._n_threads > 1 else n_steps
        work = trainer.flow.n_parameters * trainer.options.batch_size
        most = min(most, max(1, int(MOST_WORK / work)))
        if trainer.has_absent or any(trainer.noise) or any(trainer.context_noise):
            numbers = trainer.options.batch_size * (self._table.shape[1] + trainer.flow.n_context)
            most = min(most, max(1, NOISE_SIZE // numbers))
        return most

    def _steps(
        self,
        k: int,
        part: slice,
        batches: torch.Tensor,
        rates: np.ndarray,
        losses: torch.Tensor,
        memory: torch.Tensor,
    ) -> None:
        trainer, n_steps = self._trainer, part.stop - part.start
        noise = self._noise(k, n_steps)
        optimizer, batches = trainer.optimizer, batches[part]
        adam = type(optimizer) is Adam
        steps = native.Steps(
            **self._common,
            model=k,
            n_steps=n_steps,
            first_step=part.start + (optimizer.n_steps if adam else 0),
            index=address(batches[:, k]),
            index_stride=batches.stride(0),
            **{name: address(numbers) for name, numbers in noise.items()},
            noise_size=trainer.noise[k],
            context_noise_size=trainer.context_noise[k],
            rates=rates[k, part].ctypes.data,
            theta=address(trainer.flow.theta[k]),
            mean=address(optimizer.mean[k]) if adam else None,
            square=address(optimizer.square[k]) if adam else None,
            decay=None if optimizer.decay is None else address(optimizer.decay[k]),
            gradient=address(self._gradient[k]),
            losses=address(losses[k, part]),
            memory=address(memory),
        )
        self._kernel.call("train", steps)

    def _noise(self, k: int, n_steps: int) -> dict[str, torch.Tensor]:
        """Draw standard normal noise of a model's steps, ``(n_steps, B, columns)`` each."""
        trainer, size = self._trainer, self._trainer.options.batch_size
        n_features, n_context = self._table.shape[1], trainer.flow.n_context
        columns = {
            "absent": n_features if trainer.has_absent else 0,
            "noise": n_features if trainer.noise[k] > 0 else 0,
            "context_noise": n_context if trainer.context_noise[k] > 0 else 0,
        }
        noise = {
            name: self._table.new_empty(n_steps, size, count)
            for name, count in columns.items()
            if count
        }
        for step in range(n_steps):
            for numbers in noise.values():
                torch.randn(
                    numbers.shape[1:],
                    generator=trainer.generators[k],
                    dtype=numbers.dtype,
                    out=numbers[step],
                )
        return noise


def _check(flow: FlowStack, data: Any) -> None:
    """Check all that compiled code reads without checks."""
    n_rows = len(data.table)
    shapes = {
        "table": (data.table, (n_rows, flow.n_features)),
        "weight": (data.weight, (n_rows,)),
        "context": (data.context, (n_rows, flow.n_context)),
    }
    for name, (found, shape) in shapes.items():
        if found is not None and (found.shape != shape or found.dtype != flow.theta.dtype):
            raise ValueError(
                f"The {name} of the TrainingData has shape {tuple(found.shape)} in {found.dtype}. "
                f"The flow needs {shape} in {flow.theta.dtype}."
            )
    if data.rows.min() < 0 or data.rows.max() >= n_rows:
        raise ValueError(f"rows of the TrainingData are not all in 0 ... {n_rows - 1}.")
