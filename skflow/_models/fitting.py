"""The fit of the density of a table, from codes to a mixture, for all estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.deadline import share_of_time, time_limit
from .._core.progress import Progress
from .._core.random import RandomStreams
from .._core.saving import saved_as
from .._nn.recipe import make_plan
from .._nn.settings import training_of
from .._nn.training_data import split_rows
from .._structure.member_masks import choose_masks, stack_top
from .._table.columns import Columns
from .._table.schema import Schema, fit_real_columns
from .chain import Chain, fit_chain
from .density import Density
from .ellipses import COMPLETE, Drawn, effective_rows
from .flow import CrossFit, FlowModel, Variant, cross_fit
from .groups import ComponentFitter
from .mixture import Context, Mixture
from .stacking import fit_mixture, fold_sizes

if TYPE_CHECKING:
    import torch

    from .._nn.training_data import Plan

#: Fraction of the remaining time for the flow; the rest is for the components.
PART_OF_FLOW = 0.5


@saved_as("fit")
@dataclass
class Fit:
    """The result of a fit: the density, how it was made, and the state for a warm start."""

    density: Density
    choices: list[Any]  # the layout's choice for each flow
    n_folds: int  # members that a flow averages
    seed: int
    n_fits: int
    account: dict[str, Any]  # numbers of rows and epochs, the mean log-determinant, held-out scores
    loss_curve: list[float]  # mean over members, by epoch, in the units of the data
    validation_scores: list[float] | None
    n_epochs: int

    @property
    def n_flows(self) -> int:
        return self.density.flow.n_members // self.n_folds

    @property
    def structures(self) -> np.ndarray:
        """Structures of the flows ``(n_flows, 1, L, d)``."""
        return self.density.flow.masks[:: self.n_folds, None]


class Rows:
    """The rows that flows and components are fitted to, complete and standardised.

    ``X`` ``(n, d)`` has codes and numbers, none missing. ``U`` ``(n, r)`` is the standardised real
    part, NaN where it is absent. The copies of an X ``(n, d, n_copies)`` follow each other; the
    ``chain``, the density of the discrete part, is fitted to the first copy. ``log_q``
    ``(n, n_copies)`` are the log-densities with which missing cells were drawn, in the units of the
    data; as an attribute ``(n_copies, n)``, in standardised units, and 0 if nothing was drawn.
    """

    def __init__(
        self,
        X: np.ndarray,
        weight: np.ndarray | None,
        schema: Schema,
        columns: Columns,
        seed: int,
        log_q: np.ndarray | None = None,
    ) -> None:
        self.n_rows, self.weight, self.schema, self.columns = len(X), weight, schema, columns
        self.n_effective, self.streams = effective_rows(weight, len(X)), RandomStreams(seed)
        X = np.moveaxis(np.atleast_3d(X), 2, 0).reshape(-1, X.shape[1])
        self.discrete, self.real = schema.split(X)
        self.U, self.log_det = columns.training_rows(self.real, self.streams)
        self.n_columns = self.U.shape[1] + self.discrete.shape[1]
        self.chain = Chain([])
        if len(schema.sizes):
            open_ended = np.arange(len(schema.sizes)) < len(schema.category_columns)
            first, stream = self.discrete[: self.n_rows], self.streams("discrete")
            self.chain = fit_chain(first, schema.sizes, weight, stream, open_ended)
        self.context = Context.of(schema, self.discrete)
        self.log_q = np.zeros((1, self.n_rows))
        if log_q is not None:
            in_data = self.log_det + self.chain.log_prob(self.discrete)
            self.log_q = log_q.T - in_data.reshape(-1, self.n_rows)

    def density(self, mixture: Mixture) -> Density:
        return Density(self.schema, self.columns, self.chain, mixture)

    @cached_property
    def complete(self) -> np.ndarray:
        """The standardised rows, with normal noise for absent numbers."""
        if self.context is None:
            return self.U
        noise = self.streams("absent").standard_normal(self.U.shape)
        return np.where(np.isnan(self.U), noise, self.U)


def fit_component(
    name: str,
    X: np.ndarray,
    weight: np.ndarray | None,
    schema: Schema,
    rng: np.random.RandomState,
    column_options: dict[str, Any],
    drawn: Drawn = COMPLETE,
) -> Density:
    """Return the density of complete rows whose real part has a component alone.

    X is ``(n, d)``, or ``(n, d, n_copies)`` without a discrete part. With a discrete part there is
    a component for each group of rows. ``column_options`` are those of ``fit_real_columns``.
    """
    columns = fit_real_columns(np.atleast_3d(X)[:, :, 0], schema, weight, **column_options)
    rows = Rows(X, weight, schema, columns, rng.randint(2**31 - 1))
    fitter = ComponentFitter(rows.complete, rows.context, weight, drawn=drawn)
    component = fitter.fit(slice(None), rng, [name])
    return rows.density(Mixture({"flow": None, **component}, np.array([0.0, 1.0])))


def fit_density(
    params: Any,
    layout: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    schema: Schema,
    columns: Columns,
    *,
    seed: int,
    previous: Fit | None = None,
    progress: Any = Progress,
    served: Callable[[Fit], Any] | None = None,
    log_q: np.ndarray | None = None,
) -> Fit:
    """Fit the density of a table without missing cells.

    ``params`` has the parameters of ``CouplingFlowDensity`` as attributes. ``X`` is ``(n, d)``, or
    ``(n, d, n_copies)``: copies of the rows with different draws of the missing cells, from a
    density whose logarithm is ``log_q`` ``(n, n_copies)``. Flows are trained on all copies,
    components on the first. A warm start continues from ``previous``. ``served`` turns the ``Fit``
    so far into fitted attributes, for callbacks.
    """
    rows = Rows(X, weight, schema, columns, seed, log_q)
    columns.warn(rows.real[: len(X)], rows.U[: len(X)])
    n_flows = params.n_estimators
    n_folds, fraction = fold_sizes(params, rows.n_effective, rows.U.shape[1], n_flows)
    n_folds = n_folds if previous is None else previous.n_folds
    splits = split_rows(len(X), n_flows * n_folds, fraction, rows.streams)
    turn = 1 if previous is None else previous.n_fits + 1
    plan = make_plan(params, rows, splits, n_folds, turn, progress)
    before = None if previous is None else previous.choices
    choices, kept = choose_masks(plan, layout, params, before, n_folds), None
    structures = stack_top(choices)
    if previous is not None:
        if all(new is old for new, old in zip(choices, previous.choices)):
            structures = previous.structures
        if np.array_equal(structures, previous.structures):
            kept = previous.density.flow

    def so_far(flow: FlowModel) -> Fit:
        density = rows.density(Mixture({"flow": flow}, np.ones(1)))
        return Fit(density, choices, n_folds, seed, turn, {}, [], None, 0)

    with time_limit(share_of_time(1.0 if params.component_weight == 0 else PART_OF_FLOW)):
        trained = cross_fit(
            plan,
            structures,
            [Variant(plan.options.noise)],
            n_folds,
            training_of(params).n_init,
            kept,
            None if served is None else lambda flow: served(so_far(flow)),
        )
    noise = plan.options.noise
    mixture, held_out = fit_mixture(params.component_weight, trained.flow, rows, splits, noise)
    return _told(rows.density(mixture), choices, n_folds, seed, len(X), plan, trained, held_out)


def fit_flows(
    params: Any,
    layout: Any,
    X: np.ndarray,
    schema: Schema,
    columns: Columns,
    splits: tuple[torch.Tensor, torch.Tensor | None],
    *,
    seed: int,
) -> list[Fit]:
    """Train flows alone, side by side, on the splits; return a ``Fit`` for each.

    ``splits`` is a pair of arrays ``(n_splits, m)``: training rows, and rows for early stopping.
    """
    rows = Rows(X, None, schema, columns, seed)
    plan, n_splits = make_plan(params, rows, splits, turn=1), len(splits[0])
    choices = choose_masks(plan, layout, params, n_folds=n_splits)  # once for all splits
    top, variants = stack_top(choices), [Variant(plan.options.noise)]
    trained = cross_fit(plan, top, variants, n_splits, training_of(params).n_init)
    fits = []
    for k in range(n_splits):
        own = trained.take(np.array([k]))
        density = rows.density(Mixture({"flow": own.flow}, np.ones(1)))
        fits.append(_told(density, choices, 1, seed, len(X), plan, own, None))
    return fits


def _told(
    density: Density,
    choices: list[Any],
    n_folds: int,
    seed: int,
    n_rows: int,
    plan: Plan,
    trained: CrossFit,
    held_out: tuple[float, float] | None,
) -> Fit:
    """Return the ``Fit`` of trained members, with curves and scores in the units of the data."""
    data, log_det = trained.data, plan.log_det
    n_epochs = int(trained.n_epochs.max())
    n_planned = -(-plan.options.n_steps // plan.options.steps_per_epoch)
    shift = data.mean(log_det, data.rows)
    losses = trained.loss_curve[:n_epochs].mean(axis=1) - shift
    validation_scores = None
    account = {
        "n_rows": n_rows,
        "n_training": data.rows.shape[1] // data.n_copies,
        "n_epochs": trained.n_planned,
        "limit": "max_iter" if n_planned == trained.n_planned else "max_time",
        "log_det": plan.mean_log_det,
    }
    if trained.validation_curve is not None:
        shift = data.mean(log_det, data.validation_rows)
        validation_scores = (shift - trained.validation_curve[:n_epochs].mean(axis=1)).tolist()
    if held_out is not None:
        account["density"], account["gaussian"] = (float(score + shift) for score in held_out)
    return Fit(
        density,
        choices,
        n_folds,
        seed,
        plan.turn,
        account,
        losses.tolist(),
        validation_scores,
        n_epochs,
    )
