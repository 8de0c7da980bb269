"""The fit and the calibration of the density of targets given features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from sklearn.utils import check_random_state

from .. import masks
from .._core.checks import name_columns, warn_of
from .._core.deadline import share_of_time, time_limit
from .._core.progress import FitProgress
from .._core.random import RandomStreams
from .._core.saving import saved_as
from .._models.fitting import Rows
from .._models.flow import Variant, average, cross_fit
from .._models.mixture import Context, Mixture, at, features_alone
from .._models.stacking import VALIDATION_FRACTION, estimate_weights
from .._nn.recipe import conditional_alpha, make_plan
from .._nn.settings import training_of
from .._nn.training_data import Plan
from .._structure.member_masks import choose_masks, stack_top
from .._table.bounds import check_bounds
from .._table.columns import Columns, constant_columns, fit_columns
from .._table.schema import fit_schema
from .._table.table import Table
from .context import Features, fit_features, fit_out_of_fold
from .targets import TargetDensity, fit_regressed_t

#: Noise on targets and features for each variant of flows. The first is for flows without a mean
#: estimator: with one it gained nothing on eight tables.
VARIANTS = ((0.05, 0.05), (0, 0), (0, 0.02))
#: Least rows that "auto" sets aside: the fewest that calibrate a coverage of 90 %. More rows would
#: cost small tables more than the intervals gain.
LEAST_ASIDE = 9
#: Variants with less weight are left out.
LEAST_WEIGHT = 0.1
SPIKE = (
    "equal to one value in up to {:.0%} of the rows. Draws come near such a value, but are never "
    "equal to it. If no target lies beyond it, set bounds, such as bounds=(0, None) for targets of "
    "at least 0. Otherwise let a classifier predict which targets have it, and fit the others."
)
#: Fraction of the remaining time for training flows; the rest is for weights and calibration.
PART_OF_FLOWS = 0.7
#: Least weight of the heavy-tailed component; it costs as many nats.
LEAST_HEAVY_TAILED = 0.003


@saved_as("calibration")
@dataclass
class Calibration:
    """Conformity scores of rows that a density was not fitted to.

    The score of a target is its distance from the median, in probability: ``|F(y | x) - 1/2|``.
    The last score, of several targets together, is the probability of a higher density (Izbicki,
    Shimizu, Stern, "CD-split and HPD-split", JMLR 23, 2022). Below the lowest density of draws,
    this score increases further as the density falls.

    Attributes
    ----------
    scores : ndarray of shape (n, d) or (n, d + 1)
        Each column of scores, ascending.
    reached : ndarray of the same shape
        Cumulative weight of the rows, as a fraction of all with a new row among them.
    """

    scores: np.ndarray
    reached: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, weight: np.ndarray | None = None) -> Calibration:
        """Return the ``Calibration`` by scores of rows with weights ``(n,)`` or None."""
        weight = np.ones(len(scores)) if weight is None else weight / weight.mean()
        order = scores.argsort(axis=0)
        ordered = np.take_along_axis(scores, order, axis=0)
        return cls(ordered, weight[order].cumsum(axis=0) / (weight.sum() + 1))

    def bounds(self, coverage: float) -> np.ndarray:
        """Return the bounds below which the scores of a new row lie with this probability."""
        place = (self.reached < coverage - 1e-12).sum(axis=0)
        if (place == len(self.scores)).any():
            raise ValueError(
                f"coverage={coverage} is more than the {len(self.scores)} rows set aside in fit "
                f"allow: at most {self.reached[-1].min():.3f}. Lower coverage, raise "
                "calibration_fraction, or set it to None to do without calibration."
            )
        return np.take_along_axis(self.scores, place[None], axis=0)[0]


class Fitted(NamedTuple):
    """The result of a fit; ``mean`` is a regressor or None, ``calibration`` may be None."""

    features: Features
    density: TargetDensity
    calibration: Calibration | None
    mean: Any
    n_epochs: int


def fit_targets(
    params: Any,
    table: Table,
    X: np.ndarray,
    Y: np.ndarray,
    weight: np.ndarray | None,
    progress: FitProgress,
) -> Fitted:
    """Fit the density of targets ``(n, d)`` given the features of a table, and calibrate it.

    ``params`` is a ``FlowRegressor``, X has codes of the ``Table``, and weight may be None.
    """
    seed = int(check_random_state(params.random_state).randint(2**31 - 1))
    training, held_out, aside = split(params, len(Y), RandomStreams(seed))
    seen = np.sort(np.append(training, held_out))
    columns = _target_columns(params, Y, weight, seen)
    rows = Rows(Y, weight, fit_schema(Y, spikes=False), columns, seed)
    columns.warn(Y, rows.U)
    features, mean = fit_features(X[seen], rows.U[seen], table, at(weight, seen)), None
    C = features.forward(X, table)
    if params.mean_estimator is not None:
        own = C, rows.U, weight, rows.streams("mean"), training
        mean, predicted = fit_out_of_fold(params.mean_estimator, *own)
        C = np.hstack([C, predicted])
    rows.context = context = features_alone(C, rows.U.shape[1])
    rows.n_columns += C.shape[1]
    own_rows, others = (
        torch.from_numpy(part).repeat(params.n_estimators, 1) for part in (training, held_out)
    )
    plan = make_plan(params, rows, (own_rows, others), progress=progress)
    options = replace(plan.options, noise=0.0)  # variants have theirs
    if training_of(params).alpha == "auto":
        n_effective = rows.n_effective * len(training) / len(Y)
        options = replace(options, alpha=conditional_alpha(n_effective, rows.n_columns))
    plan = replace(plan, options=options)
    mixture, n_epochs = _fit_mixture(params, plan, rows, context, mean is not None)
    density = TargetDensity(rows.schema, columns, rows.chain, mixture)
    calibration = None
    if len(aside):
        scores = density.scores(Y[aside], rows.U[aside], context[aside])
        calibration = Calibration.of(scores, at(weight, aside))
    return Fitted(features, density, calibration, mean, n_epochs)


def split(
    params: Any, n_rows: int, streams: RandomStreams
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return index arrays of training, validation and calibration rows.

    They are the same for all members, as the average of the members is evaluated.
    """
    fraction = params.calibration_fraction
    is_auto = fraction == "auto"
    n_aside = int(np.ceil((0.1 if is_auto else fraction or 0) * n_rows))
    if is_auto:
        n_aside = max(n_aside, min(LEAST_ASIDE, n_rows // 3))
    fraction = training_of(params).validation_fraction
    fraction = VALIDATION_FRACTION if fraction == "auto" else fraction
    n_held_out = int(np.ceil(fraction * (n_rows - n_aside)))
    if n_rows - n_aside - n_held_out < 3:
        raise ValueError(
            f"calibration_fraction={params.calibration_fraction!r} and "
            f"training.validation_fraction={fraction} set {n_aside + n_held_out} of n_samples="
            f"{n_rows} rows (of positive weight) aside, which leaves fewer than 3 for training. "
            "Give more rows, or lower these fractions."
        )
    order = streams("split").permutation(n_rows)
    aside, held_out, rows = np.split(order, [n_aside, n_aside + n_held_out])
    return rows, held_out, aside


def _target_columns(
    params: Any, Y: np.ndarray, weight: np.ndarray | None, seen: np.ndarray
) -> Columns:
    """Return the ``Columns`` of the targets, from the rows that are not set aside."""
    n_rows, n_targets = Y[seen].shape
    constant = constant_columns(Y[seen])
    if constant.any():
        raise ValueError(
            f"y is constant in column {name_columns(constant, None)}, except in rows set aside: "
            "there is no distribution to learn. Leave such targets out."
        )
    if n_targets > n_rows:
        raise ValueError(
            f"y has {n_targets} targets in {n_rows} rows (of positive weight, and not set aside), "
            "too many to learn their distribution. Give more rows, or fewer targets."
        )
    names = np.array(["y"] if n_targets == 1 else [f"y[{j}]" for j in range(n_targets)])
    bounds = check_bounds(params.bounds, n_targets)
    options = dict(dequantize=params.dequantize, bounds=bounds, names=names)
    columns = fit_columns(Y[seen], at(weight, seen), **options)
    spikes = fit_schema(Y[seen]).spikes
    spiked = ~np.isnan(spikes) & (columns.step == 0) & ~columns.bounds.on_bound(spikes)
    share = (Y[seen] == spikes).mean(axis=0)
    warn_of([(spiked, SPIKE.format(share.max(initial=0, where=spiked)))], names)
    return columns


def _fit_mixture(
    params: Any, plan: Plan, rows: Rows, context: Context, sees_mean: bool
) -> tuple[Mixture, int]:
    """Train all variants of all members side by side, and mix them by held-out rows.

    The members of a variant share its weight evenly; the weight depends on their mean density. A
    variant of little weight is left out. Return the ``Mixture``, and the epochs of the longest
    training.
    """
    options, layout = training_of(params), masks.resolve(params.mask_layout)
    if rows.U.shape[1] == 1:  # nothing to choose
        structures = np.ones((params.n_estimators, 1, params.n_layers, 1), dtype=bool)
    else:
        structures = stack_top(choose_masks(plan, layout, params))
    sizes: list[Any] = [options.noise, options.context_noise]
    variants = [
        Variant(*(own if size == "auto" else size for own, size in zip(kind, sizes)))
        for kind in VARIANTS[sees_mean:]
    ]
    variants = list(dict.fromkeys(variants))  # a number applies to all
    with time_limit(share_of_time(PART_OF_FLOWS)):
        trained = cross_fit(plan, structures, variants, n_init=options.n_init)
    data, U = trained.data, rows.U
    validation_rows = cast(torch.Tensor, data.validation_rows)
    training, held_out = data.rows[0].numpy(), validation_rows[0].numpy()
    component = fit_regressed_t(U[training], context[training], at(rows.weight, training))
    U, context = U[held_out], context[held_out]
    of_members = trained.flow.log_probs(U, context)
    log_probs = [average(of_members[trained.variant == v]) for v in range(len(variants))]
    log_probs.append(component.log_prob(U, context))
    floors = np.append(np.zeros(len(variants)), LEAST_HEAVY_TAILED)
    weights = estimate_weights(np.stack(log_probs), floors, at(rows.weight, held_out))
    kept = np.append(weights[:-1] >= min(LEAST_WEIGHT, weights[:-1].max()), True)
    served = {
        f"flow_{v}": trained.flow.take(np.flatnonzero(trained.variant == v))
        for v in np.flatnonzero(kept[:-1])
    }
    mixture = Mixture({**served, "t": component}, weights[kept] / weights[kept].sum())
    return mixture, int(trained.n_epochs.max())
