"""What a conditional density is fitted of: flows at several levels of noise, a guard, weights."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from .. import masks
from .._densities.density import LOWEST, average, call_in_blocks
from .._densities.stacking import estimate_weights
from .._densities.weights import at
from .._estimators.fitting import train
from .._estimators.recipe import conditional_alpha, flow_config, training_options
from .._flows.flow import FlowStack
from .._flows.training import make_generators
from .._flows.training_data import TrainingData
from .._structure.member_masks import choose_masks, stack_finalists
from .conditional import ConditionalDensity
from .linear_guard import LinearGuard


class Variant(NamedTuple):
    """What members differ in: noise on targets and features, in standard deviations, and context.

    Without ``sees_mean`` a flow does not see the predictions of the ``mean_estimator``.
    """

    noise: float
    context_noise: float
    sees_mean: bool = False


#: What is tried: without a ``mean_estimator``, and with one.
VARIANTS = (Variant(0, 0), Variant(0, 0.02), Variant(0.05, 0.05))
VARIANTS_OF_MEAN = (Variant(0, 0), Variant(0.05, 0.05), Variant(0, 0, True), Variant(0, 0.02, True))
#: The least part of a variant in the density; what has less is left out.
LEAST_PART = 0.1
#: The least weight of the guard: a price of as many nats.
LEAST_GUARD = 0.003


class Trained(NamedTuple):
    """Flows in float64 that were trained on the rows of ``data``, variant by variant.

    ``variant`` ``(K,)`` are numbers.
    """

    flow: FlowStack
    data: TrainingData
    variant: np.ndarray
    n_epochs: int

    def take(self, models):
        return Trained(
            self.flow.take(models), self.data.take(models), self.variant[models], self.n_epochs
        )


def train_members(params, data, n_effective, streams, progress, log_det, n_mean=0):
    """Train every variant of every member, side by side, as ``Trained``.

    Parameters
    ----------
    params : FlowRegressor
    data : TrainingData
        With a context.
    n_effective : float
        Effective number of the rows of its table.
    streams : RandomStreams
    progress : FitProgress
    log_det : ndarray of shape (n,)
        Of the standardisation of the targets.
    n_mean : int
        Columns of the context, the last, that are predictions of a ``mean_estimator``.
    """
    n_rows, n_context = data.rows.shape[1], data.context.shape[1]
    n_effective *= n_rows / len(data.table)
    options = training_options(params, n_rows, data.table.shape[1] + n_context, n_effective)
    options = replace(options, noise=0.0)
    if params.alpha == "auto":
        alpha = conditional_alpha(n_effective, data.table.shape[1] + n_context)
        options = replace(options, alpha=alpha)
    config = flow_config(params) | {"n_context": n_context}
    structures = _structures(params, data, options, config, streams, progress, log_det)
    variants = variants_of(params.noise, params.context_noise, n_mean > 0)
    n_members, n_finalists = structures.shape[:2]
    n_variants = len(variants)
    variant = np.tile(np.arange(n_variants), n_members * n_finalists)
    noise, context_noise, sees_mean = np.array(variants).T[:, variant]
    options = replace(options, noise=tuple(noise), context_noise=tuple(context_noise))
    stacked = np.repeat(structures, n_variants, axis=1).reshape(-1, *structures.shape[2:])
    seen = np.ones((len(stacked), n_context), dtype=bool)
    seen[sees_mean == 0, n_context - n_mean :] = False
    generators = make_generators(streams("training").randint(2**31 - 1, size=len(stacked)))
    flow = FlowStack(stacked, **config, context_masks=seen, device=data.table.device)
    flow.initialize(generators)
    data = data.repeated(n_finalists * n_variants)
    result = train(flow, options, data, generators, progress, log_det)
    flow = flow.to(dtype=torch.float64, device="cpu")
    scores = _held_out_scores(flow, data).reshape(n_members, n_finalists, n_variants)
    best = np.arange(n_members)[:, None] * n_finalists + scores.argmax(axis=1)
    chosen = (best * n_variants + np.arange(n_variants)).ravel()
    return Trained(flow, data, variant, int(result.n_epochs[chosen].max())).take(chosen)


def _structures(params, data, options, config, streams, progress, log_det):
    """Masks ``(n_members, n_finalists, L, d)``; a single target has nothing to choose."""
    layout, n_members = masks.resolve(params.mask_layout), params.n_estimators
    if data.table.shape[1] == 1:
        return np.ones((n_members, 1, params.n_layers, 1), dtype=bool)
    choices = choose_masks(
        layout,
        params.n_layers,
        params.n_conditioning,
        data,
        options,
        config,
        streams,
        [None] * n_members,
        repeatable=params.random_state is not None,
        progress=progress,
        log_det=data.mean(log_det, data.rows),
    )
    return stack_finalists(choices)


def variants_of(noise, context_noise, has_mean):
    """The variants to try; a number given as noise holds for all."""
    variants = []
    for variant in VARIANTS_OF_MEAN if has_mean else VARIANTS:
        given = {"noise": noise, "context_noise": context_noise}
        given = {name: float(size) for name, size in given.items() if size != "auto"}
        variant = variant._replace(**given)
        if variant not in variants:
            variants.append(variant)
    return variants


def held_out_log_probs(flow, data):
    """Log-densities ``(K, m)`` of the validation rows of each model, without noise."""
    U, C = (part.cpu().numpy().astype(np.float64) for part in (data.table, data.context))
    parts = [
        call_in_blocks(flow.take(k), "log_prob", U[rows], context=C[rows])[0]
        for k, rows in enumerate(data.validation_rows.numpy())
    ]
    return np.nan_to_num(np.stack(parts), nan=LOWEST, neginf=LOWEST)


def _held_out_scores(flow, data):
    """Mean log-density ``(K,)`` of each model's validation rows."""
    weight = at(data.weight, data.validation_rows)
    weight = None if weight is None else weight.cpu().numpy()
    return np.average(held_out_log_probs(flow, data), axis=1, weights=weight)


def fit_mixture(trained, columns, weight, device="cpu"):
    """The flows that are kept and a guard, mixed by EM on the validation rows, as a density.

    Members share evenly what a variant has, and it is their mean that is judged, as it is a mean
    that is served. A variant with a small part is left out.
    """
    data, n_variants = trained.data, trained.variant.max() + 1
    rows, held_out = data.rows[0].numpy(), data.validation_rows[0].numpy()
    U, C = (part.cpu().numpy().astype(np.float64) for part in (data.table, data.context))
    guard = LinearGuard().fit(U[rows], C[rows], at(weight, rows))
    members = held_out_log_probs(trained.flow, data).reshape(-1, n_variants, len(held_out))
    log_probs = np.vstack([average(members), guard.log_prob(U[held_out], C[held_out])])
    floors = np.append(np.zeros(n_variants), LEAST_GUARD)
    parts = estimate_weights(log_probs, floors, at(weight, held_out))
    kept = parts[:-1] >= min(LEAST_PART, parts[:-1].max())
    parts[:-1][~kept] = 0
    parts /= parts.sum()
    models = np.flatnonzero(kept[trained.variant])
    weights = np.append(parts[trained.variant[models]] / len(members), parts[-1])
    return ConditionalDensity(columns, trained.flow.take(models), guard, weights, device)
