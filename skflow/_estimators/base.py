"""How a density estimator of the package is fitted, wherever its masks come from."""

from __future__ import annotations

import time
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from .._densities.bounds import check_bounds, take_bounds
from .._densities.stacking import fit_components_and_weights, fold_sizes
from .._densities.weights import effective_rows, weighted_rows
from .._flows.conditioners import ACTIVATIONS
from .._flows.couplings import COUPLINGS
from .._flows.flow import FlowStack
from .._flows.optimizers import SCHEDULES, SOLVERS
from .._flows.training import make_generators
from .._flows.training_data import split_rows, training_data
from .._gaps.fitting import LEAST_EPOCHS, PART_OF_EPOCHS, fill_gaps, rows_with_values
from .._gaps.questions import sample_given
from .._kinds.kinds import fit_kinds
from .._kinds.parts import GivenDiscrete, NumbersAlone, fit_real_columns
from .._structure.layouts import take_layout, take_n_conditioning
from .._structure.member_masks import choose_masks, describe_search, stack_finalists, stack_starts
from .._support.callbacks import CallbackSupportMixin, FitProgress
from .._support.device import check_device
from .._support.runtime import atomic, sheltered
from .._support.streams import RandomStreams
from .._support.typing import ArrayLike
from .continuation import ANEW, check_unchanged, fixed_parameters
from .fitting import best_starts, train
from .inference import FittedDensity
from .recipe import flow_config, training_options
from .summary import Summarised, account_for

if TYPE_CHECKING:
    from typing_extensions import Self


class BaseFlowDensity(Summarised, CallbackSupportMixin, FittedDensity):
    """Base of the density estimators: everything but where the masks come from.

    A subclass defines the constructor and ``_layout()``, which returns the layout object.
    """

    #: What makes a quick flow of this one, to draw gaps from.
    _quick = {
        **{"n_init": 1, "n_estimators": 1, "validation_fraction": 0.1},
        **{"warm_start": False, "verbose": 0},
    }

    _parameter_constraints = {
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_conditioning": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "coupling": [StrOptions(COUPLINGS.keys())],
        "n_bins": [Interval(Integral, 2, 500, closed="both")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS.keys())],
        "standardize": ["boolean"],
        "categorical_features": "no_validation",  # fit_table says what is allowed
        "handle_unknown": [StrOptions({"rare", "error"})],
        "spikes": ["boolean"],
        "bounds": "no_validation",  # check_bounds says what is allowed
        "dequantize": ["boolean"],
        "noise": [Interval(Real, 0, None, closed="left")],
        "tail_weight": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions(SOLVERS.keys())],
        "learning_rate": [StrOptions(SCHEDULES.keys())],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), StrOptions({"auto"})],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @atomic
    @sheltered
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the flow by maximum likelihood.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training data; nothing needs to be scaled or encoded. NaN (or None) means unknown: gaps
            are drawn from one density after another, each fitted to the rows that the last one has
            filled (stochastic EM); rows of which nothing is known are left out.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; only their ratios matter. Rows of weight 0 are left
            out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X, the weights, the masks or an argument cannot be used; the sentence says which
            value, and what is allowed. A failed or interrupted ``fit`` leaves the estimator as it
            was before.
        """
        self._fit(X, sample_weight)
        return self

    def _take_columns(self, kept, categories, names=None):
        """Set the parameters by column to those of some columns, which a mask ``(d,)`` selects.

        ``categories`` are numbers of the columns that hold categories; the masks of a structure
        are of the others. ``names`` are those of all columns, or None.
        """
        real = np.isin(np.arange(len(kept)), categories, invert=True)
        places = np.cumsum(kept) - 1
        params = self.get_params(deep=False)
        taken = {
            "categorical_features": [int(places[j]) for j in categories if kept[j]] or None,
            "n_conditioning": take_n_conditioning(self.n_conditioning, kept[real]),
        }
        if self.bounds is not None:
            taken["bounds"] = take_bounds(self.bounds, kept, names)
        for name in {"mask_layout", "initial_layout"} & set(params):
            taken[name] = take_layout(params[name], kept[real])
        return self.set_params(**taken)

    def _fit(self, X, sample_weight):
        started = time.perf_counter()
        continued = self.warm_start and hasattr(self, "_density")
        if continued:
            X = self._encode(self._source(X, ANEW), ensure_min_samples=2)
        else:
            X = self._fit_table(X, self.categorical_features, ensure_min_samples=2)
        X, weight = rows_with_values(*weighted_rows(self._finite(X, allow_nan=True), sample_weight))
        if not continued:
            self._kinds = fit_kinds(X, self._table.categories, self.spikes)
        self._fit_rows(X, weight, continued, started)

    def _fit_rows(self, X, weight, continued, started):
        """Fit to an array, of which the kinds of columns are known."""
        device = check_device(self.device)
        known = X if self._kinds is None else self._kinds.split(X)[1]
        if continued:
            check_unchanged(self._fixed, fixed_parameters(self, self._layout()))
            X = self._without_gaps(X, weight)
        else:
            X = self._start(X, weight)
        self._columns = self._columns.spanning(known)
        self._n_fits += 1
        progress = FitProgress(self, partial(self._table.frame, X))
        streams = RandomStreams(self._seed)
        parts = self._parts(X, weight, streams)
        if continued:
            self._columns.bounds.check(parts.real, self._columns.names)
        U, log_det = self._columns.training_rows(parts.real, streams)
        self._warn(parts.real, U)
        n_effective = effective_rows(weight, len(U))
        n_folds, fraction = fold_sizes(self, n_effective, U.shape[1], self.n_estimators)
        self._n_folds = self._n_folds if continued else n_folds
        split = self._split(len(U), fraction, streams)
        data = training_data(U, weight, device, split, context=parts.context)
        n_rows = data.rows.shape[1]
        n_effective *= n_rows / len(U)
        n_columns = U.shape[1] + parts.n_given
        options = training_options(
            self, n_rows, n_columns, n_effective, self._n_folds, self.early_stopping
        )
        structures = self._structures(data, options, parts, streams, continued, progress, log_det)
        kept = continued and np.array_equal(structures, self._masks_in_use())
        previous = self._density.flow if kept else None
        flow, result = self._train(
            structures, previous, options, parts, data, streams, progress, log_det
        )
        best = self._best_starts(result.score)
        flow = flow.take(best).to(dtype=torch.float64, device="cpu")
        self._describe(flow, result, best, data, log_det)
        components, weights, held_out = fit_components_and_weights(
            self.tail_weight,
            flow,
            parts.complete(U),
            weight,
            data,
            streams,
            self.noise,
            parts.fit,
            parts.given,
        )
        self.weights_, self.component_names_ = weights, np.array(["flow", *components])
        self.tail_weight_ = float(weights[1:].sum())
        self._density = parts.density(self._columns, flow, components, weights, self.device)
        self._account = account_for(options, data, log_det, held_out, started)
        progress.close()

    def _start(self, X, weight):
        """What a first fit fixes for those that a warm start adds to it; the rows, filled."""
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._n_fits = 0
        self._fixed = fixed_parameters(self, self._layout())
        named = getattr(self, "feature_names_in_", None)
        options = {
            "standardize": self.standardize,
            "dequantize": self.dequantize,
            "bounds": check_bounds(self.bounds, X.shape[1], named),
            "names": self._table.feature_names,
        }
        X = self._without_gaps(X, weight, options)
        self._columns = fit_real_columns(X, self._kinds, weight, **options)
        return X

    def _without_gaps(self, X, weight, column_options=None):
        """The rows with gaps filled by draws from the density that there is, or from new ones."""
        if not np.isnan(X).any():
            return X
        rng = RandomStreams(self._seed)("gaps", self._n_fits)
        if column_options is None:
            return sample_given(self._density, X, 1, rng)[0][:, :, 0]
        options = training_options(self, *X.shape)
        n_epochs = max(LEAST_EPOCHS, PART_OF_EPOCHS * options.n_steps / options.steps_per_epoch)
        ends = None if self.bounds is None else list(zip(*column_options["bounds"]))
        quick = {**self._quick, "bounds": ends, "max_iter": n_epochs}

        def fit(filled, seed):
            flow = clone(self).set_params(**quick, random_state=seed)
            vars(flow).pop("_skl_callbacks", None)  # they are told of the last fit
            flow._use_table(self._table)
            flow._kinds = self._kinds
            flow._fit_rows(filled, weight, False, time.perf_counter())
            return flow._density

        return fill_gaps(X, self._kinds, weight, rng, fit, column_options)

    def _parts(self, X, weight, streams):
        """The table in two parts, where it has a discrete one."""
        if self._kinds is None:
            return NumbersAlone(X)
        return GivenDiscrete(X, self._kinds, weight, streams)

    def _warn(self, X, U):
        self._columns.warn(X, U)

    def _split(self, n_rows, fraction, streams):
        """Training and validation rows of the members, the folds of a flow side by side."""
        return split_rows(n_rows, self.n_estimators * self._n_folds, fraction, streams)

    def _masks_in_use(self):
        """Those of the flows ``(n_estimators, 1, L, d)``."""
        return self._density.flow.masks[:: self._n_folds, None]

    def _structures(self, data, options, parts, streams, continued, progress, log_det):
        """What the flows may have for masks ``(n_estimators, n_finalists, L, d)``.

        Chosen from what the first fold of each may see; those in use, if a warm start has nothing
        new to choose.
        """
        previous = self._choices if continued else [None] * self.n_estimators
        mean_log_det = data.mean(log_det, data.rows)
        choices = choose_masks(
            self._layout(),
            self.n_layers,
            self.n_conditioning,
            data.first_of_each(self._n_folds),
            options,
            flow_config(self) | parts.flow_config,
            streams,
            previous,
            repeatable=self.random_state is not None,
            log_det=mean_log_det,
            progress=progress,
        )
        if all(new is old for new, old in zip(choices, previous)):
            return self._masks_in_use()
        self._choices = choices
        describe_search(self, choices, mean_log_det)
        return stack_finalists(choices)

    def _train(self, structures, previous, options, parts, data, streams, progress, log_det):
        """Train the members from several starts, or on from a previous stack: flow and result.

        A start is one of a flow's structures, with parameters of its own for each fold. The starts
        of a member stand side by side.
        """
        n_members, n_starts = len(data.rows), structures.shape[1]
        n_starts *= self.n_init if previous is None else 1
        seeds = streams("training", self._n_fits).randint(2**31 - 1, size=n_members * n_starts)
        generators, device = make_generators(seeds), data.table.device
        if previous is None:
            masks = stack_starts(structures, self._n_folds, self.n_init)
            config = flow_config(self) | parts.flow_config
            flow = FlowStack(masks, **config, device=device).initialize(generators)
        else:
            flow = previous.to(dtype=torch.float32, device=device)
        data = data.repeated(n_starts)
        served = partial(self._as_served, flow, parts)
        return flow, train(flow, options, data, generators, progress, log_det, served)

    def _best_starts(self, scores):
        """Numbers of the models that are served: the best start of each flow, by all scores."""
        n_starts = len(scores) // (self.n_estimators * self._n_folds)
        return best_starts(scores, n_starts, self._n_folds)

    def _as_served(self, flow, parts, scores):
        """Attributes that make the estimator one that was fitted so far, for callbacks."""
        members = flow.take(self._best_starts(scores)).to(dtype=torch.float64, device="cpu")
        return {"_density": parts.density(self._columns, members, {}, np.ones(1), self.device)}

    def _describe(self, flow, result, best, data, log_det):
        """Set the fitted attributes that tell of the members and their training."""
        masks = flow.masks[:: self._n_folds]
        self.masks_ = masks[0] if len(masks) == 1 else masks
        self.n_parameters_ = flow.n_models * flow.n_parameters
        self.n_iter_ = int(result.n_epochs[best].max())
        # standardised units -> the data's
        shift, curve = data.mean(log_det, data.rows), result.loss_curve[: self.n_iter_]
        self.loss_curve_ = [float(loss[best].mean() - shift) for loss in curve]
        self.validation_scores_ = None
        if result.validation_curve:
            shift = data.mean(log_det, data.validation_rows)
            curve = result.validation_curve[: self.n_iter_]
            self.validation_scores_ = [float(shift - loss[best].mean()) for loss in curve]
        self._n_features_out = flow.n_features
