"""What a conditional density is fitted of: flows at several levels of noise, a guard, weights."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.utils.validation import has_fit_parameter

from .. import masks
from .._densities.density import LOWEST, call_in_blocks
from .._densities.stacking import estimate_weights
from .._densities.weights import at
from .._estimators.fitting import train
from .._estimators.recipe import conditional_alpha, flow_config, training_options
from .._flows.flow import FlowStack
from .._flows.training import make_generators
from .._flows.training_data import TrainingData
from .._structure.member_masks import choose_masks, stack_finalists
from .._support.streams import seeded
from .conditional import LinearGuard

#: Noise on the targets and on the features that "auto" tries, in standard deviations.
NOISE_LEVELS = ((0.0, 0.0), (0.0, 0.02), (0.05, 0.05))
#: The least part of a level of noise in the density; what has less is left out.
LEAST_LEVEL = 0.1
#: The least weight of the guard: a price of as many nats.
LEAST_GUARD = 0.003
#: Folds of the predictions of a ``mean_estimator``.
N_FOLDS = 5


class Trained(NamedTuple):
    """Flows in float64 that were trained on the rows of ``data``, and what they differ in.

    ``level`` ``(K,)`` numbers their levels of noise, which are in ``levels``.
    """

    flow: FlowStack
    data: TrainingData
    level: np.ndarray
    levels: list
    n_epochs: int

    def take(self, models):
        return self._replace(
            flow=self.flow.take(models), data=self.data.take(models), level=self.level[models]
        )


def train_members(params, data, n_effective, streams, progress, log_det):
    """Train every member at every level of noise, side by side, as ``Trained``.

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
    levels = noise_levels(params.noise, params.context_noise)
    n_members, n_finalists = structures.shape[:2]
    level = np.tile(np.arange(len(levels)), n_members * n_finalists)
    noise, context_noise = np.array(levels)[level].T
    options = replace(options, noise=tuple(noise), context_noise=tuple(context_noise))
    stacked = np.repeat(structures, len(levels), axis=1).reshape(-1, *structures.shape[2:])
    generators = make_generators(streams("training").randint(2**31 - 1, size=len(stacked)))
    flow = FlowStack(stacked, **config, device=data.table.device).initialize(generators)
    data = data.repeated(n_finalists * len(levels))
    result = train(flow, options, data, generators, progress, log_det)
    flow = flow.to(dtype=torch.float64, device="cpu")
    scores = _held_out_scores(flow, data).reshape(n_members, n_finalists, len(levels))
    best = np.arange(n_members)[:, None] * n_finalists + scores.argmax(axis=1)
    chosen = (best * len(levels) + np.arange(len(levels))).ravel()
    trained = Trained(flow, data, level, levels, int(result.n_epochs[chosen].max()))
    return trained.take(chosen)


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


def noise_levels(noise, context_noise):
    """Pairs of noise on the targets and on the features to try; a number holds for all."""
    levels = []
    for level in NOISE_LEVELS:
        given = (noise, context_noise)
        level = tuple(b if a == "auto" else float(a) for a, b in zip(given, level))
        if level not in levels:
            levels.append(level)
    return levels


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


def fit_guard_and_weights(trained, U, C, weight):
    """The flows that are kept, a guard, and the parts of all in the density ``(K + 1,)``.

    EM chooses the parts of the levels of noise and of the guard, on the validation rows of each
    member, which neither its flows nor a guard fitted to its training rows has seen. Members share
    evenly what their level has. A level with a small part is left out.
    """
    data, n_levels = trained.data, len(trained.levels)
    held_out = data.validation_rows.numpy()[::n_levels]
    guards = []
    for rows, others in zip(data.rows.numpy()[::n_levels], held_out):
        guard = LinearGuard().fit(U[rows], C[rows], at(weight, rows))
        guards.append(guard.log_prob(U[others], C[others]))
    log_probs = held_out_log_probs(trained.flow, data)
    log_probs = log_probs.reshape(len(held_out), n_levels, -1).swapaxes(0, 1)
    log_probs = np.vstack([log_probs.reshape(n_levels, -1), np.concatenate(guards)])
    row_weight = at(weight, held_out.ravel())
    floors = np.append(np.zeros(n_levels), LEAST_GUARD)
    parts = estimate_weights(log_probs, floors, row_weight)
    kept = parts[:-1] >= min(LEAST_LEVEL, parts[:-1].max())
    parts[:-1][~kept] = 0
    parts /= parts.sum()
    models = np.flatnonzero(kept[trained.level])
    weights = np.append(parts[trained.level[models]] / len(held_out), parts[-1])
    return trained.take(models).flow, LinearGuard().fit(U, C, weight), weights


def fit_out_of_fold(estimator, X, Y, weight, rng):
    """A regressor fitted to all rows, and predictions ``(n, d)`` of ones that had not seen them."""
    estimator = seeded(clone(estimator), rng)
    y = Y[:, 0] if Y.shape[1] == 1 else Y
    weighted = weight is not None and has_fit_parameter(estimator, "sample_weight")
    given = {"sample_weight": weight} if weighted else {}
    folds = KFold(min(N_FOLDS, len(X)), shuffle=True, random_state=rng)
    predicted = cross_val_predict(estimator, X, y, cv=folds, params=given)
    return estimator.fit(X, y, **given), np.reshape(predicted, Y.shape)
