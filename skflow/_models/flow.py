"""The flow as a model: the average of the members of a stack; and the training of members.

No other module outside of ``_nn`` deals with stacks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp

from .._core.runtime import is_available
from .._core.saving import saved_as
from .._nn.blocks import over_rows
from .._nn.linear_start import start_stack
from .._nn.row_maps import RowMaps
from .._nn.training import make_generators
from .._nn.training_data import TrainingData
from .mixture import Context, at

if TYPE_CHECKING:
    from .._nn.flow import FlowStack
    from .._nn.training_data import Plan

#: The log-density of a finite row (within its bounds) is at least about this.
LOWEST = -1e300


@saved_as("flow")
class FlowModel:
    """The average of the flows of a stack, which is stored in float64 on the CPU.

    Computations run on ``device``, or on the CPU if it is not available.
    """

    heavy_tailed = False

    def __init__(self, stack: FlowStack, device: str = "cpu") -> None:
        self.stack, self.device = stack, device

    # ---- attributes

    @property
    def n_members(self) -> int:
        return self.stack.n_models

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all members."""
        return self.stack.n_models * self.stack.n_parameters

    @property
    def numbers_per_row(self) -> int:
        """Numbers that a row needs in the widest tensor."""
        return self.stack.numbers_per_row

    @property
    def masks(self) -> np.ndarray:
        """Masks of the members ``(K, L, d)``."""
        return self.stack.masks

    def take(self, members: np.ndarray | int) -> FlowModel:
        """Return the model of some members, given an index or an index array."""
        return FlowModel(self.stack.take(members), self.device)

    # ---- the methods of a model

    def log_prob(self, U: np.ndarray, context: Context | None = None) -> np.ndarray:
        return average(self.log_probs(U, context))

    def sample(
        self, n_samples: int, rng: np.random.RandomState, context: Context | None = None
    ) -> np.ndarray:
        member = rng.choice(self.n_members, n_samples)
        Z = rng.standard_normal((n_samples, self.stack.n_features))
        return self._by_member(member, self.from_latent, Z, context)

    def log_prob_in_turn(self, U: np.ndarray, context: Context | None = None) -> np.ndarray:
        return self.log_prob_of(np.arange(len(U)) % self.n_members, U, context)

    # ---- methods by member

    def log_probs(self, U: np.ndarray, context: Context | None = None) -> np.ndarray:
        """Return log-densities ``(K, n)`` by member of rows ``(n, d)`` or ``(K, n, d)``."""
        # far away they may underflow: use the lowest allowed value
        return np.nan_to_num(self._call("log_prob", U, context), nan=LOWEST, neginf=LOWEST)

    def log_prob_of(
        self, member: np.ndarray, U: np.ndarray, context: Context | None = None
    ) -> np.ndarray:
        """Return log-densities ``(n,)`` of rows, each under one member ``(n,)``, from float32.

        This is for the weights of many draws.
        """
        stack = self.stack.to(dtype=torch.float32)

        def call(U: np.ndarray, context: Context | None) -> np.ndarray:
            arrays = [U] if context is None else [U, context.numbers]
            tensors = [torch.as_tensor(np.asarray(array, np.float32)) for array in arrays]
            return stack.log_prob(*tensors).numpy()

        found = self._by_member(member, call, U, context)
        return np.nan_to_num(found.astype(float), nan=LOWEST, neginf=LOWEST)

    def _by_member(
        self,
        member: np.ndarray,
        call: Callable[[np.ndarray, Context | None], np.ndarray],
        table: np.ndarray,
        context: Context | None,
    ) -> np.ndarray:
        """Return what ``call`` returns for rows ``(n, d)``, each under one member ``(n,)``.

        ``call`` gets the rows of all members stacked, padded with arbitrary rows to equal numbers.
        """
        counts = np.bincount(member, minlength=self.n_members)
        rows = np.zeros((self.n_members, counts.max(initial=0)), dtype=int)
        own = np.arange(rows.shape[1]) < counts[:, None]
        rows[own] = member.argsort(kind="stable")
        found = call(table[rows], at(context, rows))
        ordered = np.empty((len(member), *found.shape[2:]), found.dtype)
        ordered[rows[own]] = found[own]
        return ordered

    def to_latent(self, U: np.ndarray, context: Context | None = None) -> np.ndarray:
        """Return latent points ``(K, n, d)`` of rows."""
        return self._call("forward", U, context)

    def from_latent(self, Z: np.ndarray, context: Context | None = None) -> np.ndarray:
        """Return rows ``(K, n, d)`` of latent points ``(n, d)``, or ``(K, n, d)`` by member."""
        return self._call("inverse", Z, context)

    def row_maps(self, context: Context) -> RowMaps:
        """Return the maps of a single feature given the context of each row, as ``RowMaps``."""
        return RowMaps(self.stack, np.asarray(context.numbers), self.device)

    def _call(self, method: str, rows: np.ndarray, context: Context | None) -> np.ndarray:
        """Return the results of a method of the stack for rows, without log-determinants."""
        stack = self.stack
        if self.device != "cpu" and is_available(self.device):
            stack = stack.to(device=self.device)
        arrays = [rows] if context is None else [rows, context.numbers]

        def call(block: slice) -> np.ndarray:
            parts = (np.asarray(a[..., block, :]) for a in arrays)
            tensors = [torch.as_tensor(part, device=stack.device) for part in parts]
            result = getattr(stack, method)(*tensors)
            return (result[0] if isinstance(result, tuple) else result).cpu().numpy()

        return over_rows(call, rows.shape[-2], self.numbers_per_row, axis=1)


def average(log_probs: np.ndarray) -> np.ndarray:
    """Return the log-density ``(..., n)`` of averaged members, from theirs ``(K, ..., n)``."""
    if len(log_probs) == 1:
        return log_probs[0]
    # the log of a mean of densities, never the mean of logs
    return logsumexp(log_probs, axis=0) - math.log(len(log_probs))


# ---- training


class Variant(NamedTuple):
    """Settings in which flows that are trained side by side may differ.

    Noise is in standard deviations (see ``TrainingOptions``).
    """

    noise: float = 0.0
    context_noise: float = 0.0


class CrossFit(NamedTuple):
    """Flows of a cross-fit: the best start for each split and, within it, each variant."""

    flow: FlowModel
    data: TrainingData  # has the rows that each member has not seen
    variant: np.ndarray  # index for each member
    loss_curve: np.ndarray  # (n_epochs, K), in nats a row, in standardised units
    validation_curve: np.ndarray | None
    n_epochs: np.ndarray
    n_planned: int  # epochs of the schedule that fit into the time

    def take(self, members: np.ndarray) -> CrossFit:
        """Return the cross-fit of some members, given an index array."""
        validation = self.validation_curve
        return CrossFit(
            self.flow.take(members),
            self.data.take(members),
            self.variant[members],
            self.loss_curve[:, members],
            None if validation is None else validation[:, members],
            self.n_epochs[members],
            self.n_planned,
        )


def cross_fit(
    plan: Plan,
    structures: np.ndarray,
    variants: list[Variant],
    n_folds: int = 1,
    n_init: int = 1,
    previous: FlowModel | None = None,
    served: Callable[[FlowModel], Any] | None = None,
) -> CrossFit:
    """Train flows of structures ``(n_flows, n_structures, L, d)`` in one stack: a ``CrossFit``.

    Flows are trained in all variants, ``n_init`` times, on every split of the plan, which has one
    split for each fold of each flow. The best structure and start of each flow is kept, the same
    for all folds. With a ``previous`` ``FlowModel``, training continues from it. ``served`` turns a
    ``FlowModel`` into fitted attributes, for callbacks.
    """
    n_splits, n_variants = len(plan.data.rows), len(variants)
    n_starts = structures.shape[1] * (n_init if previous is None else 1)
    each = n_starts // structures.shape[1] * n_variants
    masks = structures.repeat(n_folds, axis=0).repeat(each, axis=1)
    masks = masks.reshape(-1, *structures.shape[2:])
    seeds = plan.streams("training", plan.turn).randint(2**31 - 1, size=len(masks))
    variant = np.tile(np.arange(n_variants), n_splits * n_starts)
    noise, context_noise = np.array(variants, dtype=float).T[:, variant]
    options = replace(plan.options, noise=tuple(noise), context_noise=tuple(context_noise))
    data, generators = plan.data.repeated(n_starts * n_variants), make_generators(seeds)
    if previous is None:
        stack = start_stack(masks, plan.config, data, generators, noise)
    else:
        stack = previous.stack.to(dtype=torch.float32, device=data.table.device)

    def best(scores: np.ndarray) -> np.ndarray:
        """Return the indices of the models of the best start, from scores ``(K,)`` of all."""
        shape = (n_splits // n_folds, n_folds, n_starts, n_variants)
        means = np.nan_to_num(scores.reshape(shape).mean(axis=1), nan=np.inf)
        start = means.argmin(axis=1).repeat(n_folds, axis=0)  # (n_splits, n_variants)
        start = start + n_starts * np.arange(n_splits)[:, None]
        return (start * n_variants + np.arange(n_variants)).ravel()

    def model(chosen: np.ndarray) -> FlowModel:
        return FlowModel(stack.take(chosen).to(dtype=torch.float64, device="cpu"), plan.device)

    fitted = None if served is None else lambda scores: served(model(best(scores)))
    result = plan.train(stack, options, data, generators, fitted)
    chosen = best(result.score)
    validation = result.validation_curve
    return CrossFit(
        model(chosen),
        data.take(chosen),
        variant[chosen],
        np.stack(result.loss_curve)[:, chosen],
        np.stack(validation)[:, chosen] if validation else None,
        result.n_epochs[chosen],
        -(-result.n_steps // options.steps_per_epoch),
    )
