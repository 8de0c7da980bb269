"""How the density of targets given features is fitted: flows in variants, and a Student-t."""

import numpy as np

from .._core.deadline import share_of_time, time_limit
from .._core.rows import at
from .._models.chain import Chain
from .._models.flow import Variant, cross_fit
from .._models.mixture import Mixture
from .._models.stacking import estimate_weights
from .._nn.settings import training_of
from .._structure.member_masks import choose_masks, stack_top
from .._table.schema import fit_schema
from .heavy_tailed import fit_regressed_t
from .targets import TargetDensity

#: Noise on targets and features, and whether the flow sees the predictions of a mean estimator, if
#: there is one. A kind without both, noise and mean, gained nothing on eight tables.
VARIANTS = ((0.05, 0.05, False), (0, 0, True), (0, 0.02, True))
#: The least weight of a variant; what has less is left out.
LEAST_WEIGHT = 0.1
#: Part of the time that is left which the flows may train for; then they are weighed, calibrated.
PART_OF_FLOWS = 0.7
#: The least weight of the heavy-tailed component: a price of as many nats.
LEAST_HEAVY_TAILED = 0.003


def variants_of(noise, context_noise, n_mean):
    """The ``Variant``s to try; a number given as noise holds for all.

    ``n_mean`` is the number of columns of the context, the last, that a mean estimator predicts.
    """
    variants = []
    for own, own_context, sees_mean in VARIANTS:
        variant = Variant(
            own if noise == "auto" else noise,
            own_context if context_noise == "auto" else context_noise,
            0 if sees_mean else n_mean,
        )
        if variant not in variants:
            variants.append(variant)
    return variants


def fit_targets(params, layout, plan, U, context, weight, columns, n_mean=0):
    """Every variant of every member, trained side by side, and mixed by their held-out rows.

    Members share evenly what a variant has, and it is their mean that is judged, as it is a mean
    that is served. A variant of little weight is left out.

    Parameters
    ----------
    params : FlowRegressor
    layout : layout
    plan : Plan
        All members have the same training and held-out rows.
    U : ndarray of shape (n, d)
        Targets in standardised units.
    context : Context
        Features.
    weight : ndarray of shape (n,) or None
    columns : Columns
        Of the targets.
    n_mean : int
        As of ``variants_of``.

    Returns
    -------
    density : TargetDensity
    n_epochs : int
        Of the longest training.
    """
    training = training_of(params)
    if U.shape[1] == 1:  # there is nothing to choose
        structures = np.ones((params.n_estimators, 1, params.n_layers, 1), dtype=bool)
    else:
        structures = stack_top(choose_masks(plan, layout, params))
    variants = variants_of(training.noise, training.context_noise, n_mean)
    with time_limit(share_of_time(PART_OF_FLOWS)):
        trained = cross_fit(plan, structures, variants, n_init=training.n_init)
    rows, held_out = trained.data.rows[0].numpy(), trained.data.validation_rows[0].numpy()
    flows = [trained.flow.take(np.flatnonzero(trained.variant == v)) for v in range(len(variants))]
    heavy_tailed = fit_regressed_t(U[rows], context[rows], at(weight, rows))
    models = [*flows, heavy_tailed]
    log_probs = np.stack([model.log_prob(U[held_out], context[held_out]) for model in models])
    floors = np.append(np.zeros(len(flows)), LEAST_HEAVY_TAILED)
    weights = estimate_weights(log_probs, floors, at(weight, held_out))
    kept = np.append(weights[:-1] >= min(LEAST_WEIGHT, weights[:-1].max()), True)
    names = [*(f"flow_{v}" for v in range(len(flows))), "t"]
    served = {name: model for name, model, keep in zip(names, models, kept) if keep}
    mixture = Mixture(served, weights[kept] / weights[kept].sum())
    density = TargetDensity(fit_schema(U, spikes=False), columns, Chain([]), mixture)
    return density, int(trained.n_epochs.max())
