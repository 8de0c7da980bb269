"""What all density estimators of the package share, from the data's units to the flow and back."""

import math
from numbers import Integral, Real

import numpy as np
import torch
from joblib import effective_n_jobs
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _recipe, masks
from ._conditioners import ACTIVATIONS
from ._density import Density
from ._flow import FlowStack
from ._preparation import (
    check_device,
    fill_constant_columns,
    grid_steps,
    location_and_scale,
    warn,
    warn_of_few_values,
    weighted_rows,
)
from ._progress import Progress
from ._search import evolutionary_search, stack_bounds
from ._tails import BroadComponents, estimate_weights, fixed_weights, floors
from ._training import (
    SOLVERS,
    CandidateEvaluator,
    Trainer,
    TrainingData,
    TrainingOptions,
    make_generators,
)


class BaseFlowDensity(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator
):
    """Base of the density estimators: everything but where the masks come from.

    A subclass defines the constructor and ``_layout()``, which returns the layout object.
    """

    _parameter_constraints = {
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "n_conditioning": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "coupling": [StrOptions({"spline", "affine"})],
        "n_bins": [Interval(Integral, 2, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "standardize": ["boolean"],
        "dequantize": ["boolean"],
        "tail_weight": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [StrOptions({"one_cycle", "cyclic", "constant"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
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
    _resumes_search = False  # what warm_start does to a search

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the flow by maximum likelihood.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data; nothing needs to be scaled.
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
        before = vars(self).copy()
        try:
            self._fit(X, sample_weight)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        return self

    def _fit(self, X, sample_weight):
        continued = self.warm_start and hasattr(self, "_density")
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        X, weight = weighted_rows(X, sample_weight)
        device = check_device(self.device)
        if continued:
            self._check_continuation(X)
        else:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._n_fits = 0
            self.location_, self.scale_ = location_and_scale(X, weight, self.standardize)
            self.grid_steps_ = grid_steps(X) if self.dequantize else np.zeros(X.shape[1])
            self._origin = X.min(axis=0)
        self._n_fits += 1
        standardized = self._standardized(X)
        data = self._training_data(standardized, weight, device)
        options = self._training_options(data.rows.shape[1], X.shape[1])
        structures = self._structures(data, options, continued)
        kept = continued and np.array_equal(structures, self._density.flow.masks)
        n_init = 1 if kept else self.n_init
        seeds = self._rng("training", self._n_fits).randint(
            2**31 - 1, size=len(structures) * n_init
        )
        generators = make_generators(seeds)
        if kept:
            flow = self._density.flow.to(dtype=torch.float32, device=device)
        else:
            stacked = structures.repeat(n_init, axis=0)
            flow = FlowStack(stacked, **self._flow_config(), device=device).initialize(generators)
        result = self._train(flow, options, data.repeated(n_init), generators)
        self._keep_best(flow, result, n_init)
        self._fit_tails(standardized, weight, data)

    def _standardized(self, X):
        names = getattr(self, "feature_names_in_", None)
        if not self.dequantize:
            warn_of_few_values(X, names)
        # a value on a grid stands for its cell
        spread = self._rng("grid").uniform(-0.5, 0.5, X.shape) * self.grid_steps_
        standardized = (X + spread - self.location_) / self.scale_
        fill_constant_columns(standardized, X, self._rng("constant columns"), names)
        return standardized

    def _training_data(self, standardized, weight, device):
        def tensor(array):
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        return TrainingData(
            tensor(standardized),
            *self._splits(len(standardized)),
            weight=None if weight is None else tensor(weight / weight.mean()),
        )

    def _check_continuation(self, X):
        flow = self._density.flow
        if X.shape[1] != flow.n_features or self.n_estimators != flow.n_models:
            raise ValueError(
                f"warm_start=True continues a fit of n_estimators={flow.n_models} on "
                f"{flow.n_features} features, but n_estimators={self.n_estimators} and X has "
                f"{X.shape[1]} features. Leave them as they were or set warm_start=False."
            )

    def _rng(self, purpose, turn=0):
        """The random stream of one purpose, whatever others have drawn."""
        purposes = ("constant columns", "split", "masks", "search", "training", "tails", "grid")
        key = (purposes.index(purpose), turn)
        return np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence(self._seed, spawn_key=key))
        )

    def _flow_config(self):
        sizes = self.hidden_layer_sizes
        sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
        if not all(isinstance(size, Integral) and size > 0 for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} is not possible. Give a tuple of "
                "positive integers, one for each hidden layer, or () for none."
            )
        return {
            "transform": self.coupling,
            "n_bins": self.n_bins,
            "hidden_layer_sizes": sizes,
            "activation": self.activation,
        }

    def _splits(self, n_rows):
        """Training and validation rows (or None) of the members, each ``(n_estimators, m)``."""
        if not self.early_stopping:
            return torch.arange(n_rows).repeat(self.n_estimators, 1), None
        n_validation = math.ceil(self.validation_fraction * n_rows)
        if n_rows - n_validation < 2:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction} sets "
                f"{n_validation} of n_samples={n_rows} rows (of positive weight) aside, which "
                "leaves fewer than 2 to train on. Give more rows, lower validation_fraction or set "
                "early_stopping=False."
            )
        splits = [
            train_test_split(
                np.arange(n_rows), test_size=n_validation, random_state=self._rng("split", e)
            )
            for e in range(self.n_estimators)
        ]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*splits))

    def _training_options(self, n_rows, n_features):
        def chosen(value, automatic):
            return automatic if isinstance(value, str) and value == "auto" else value

        single_layer = self.coupling == "affine" and not self._flow_config()["hidden_layer_sizes"]
        batch_size = min(chosen(self.batch_size, _recipe.batch_size(n_rows)), n_rows)
        steps_per_epoch = max(1, n_rows // batch_size)
        n_epochs = chosen(self.max_iter, _recipe.max_iter(steps_per_epoch))
        patience = chosen(self.n_iter_no_change, _recipe.n_iter_no_change(n_epochs))
        return TrainingOptions(
            n_steps=max(1, round(n_epochs * steps_per_epoch)),
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            solver=self.solver,
            learning_rate=self.learning_rate,
            learning_rate_init=chosen(
                self.learning_rate_init, _recipe.learning_rate_init(self.solver, single_layer)
            ),
            alpha=chosen(self.alpha, _recipe.alpha(n_rows, n_features, self.solver, single_layer)),
            n_iter_no_change=patience if self.early_stopping else None,
            tol=self.tol,
            with_replacement=self.solver == "sgd",
        )

    def _structures(self, data, options, continued):
        """Masks of the members ``(n_estimators, L, d)``: made, searched, or those in use."""
        layout = self._layout()
        is_search = isinstance(layout, masks.EvolutionarySearch)
        if continued and not (is_search and self._resumes_search):
            return self._density.flow.masks
        # also where the layout ignores it: a wrong value is a mistake all the same
        masks.check_n_conditioning(self.n_conditioning, self.n_features_in_)
        if is_search:
            layout.validate()
        made = [
            layout.make(
                self.n_layers,
                self.n_features_in_,
                n_conditioning=self.n_conditioning,
                random_state=self._rng("masks", e),
                **self._layout_data(layout, data, e),
            )
            for e in range(self.n_estimators)
        ]
        if (np.sum(made, axis=2) != made[0].sum(axis=1)).any():
            raise ValueError(
                "mask_layout gave the members of the ensemble layers that transform different "
                "numbers of features. Let it fix the number in each layer, or set n_estimators=1."
            )
        if not is_search:
            return np.stack(made)
        histories = self._histories if continued else [None] * self.n_estimators
        results = [
            self._search(layout, made[e], data.member(e), options, histories[e], e)
            for e in range(self.n_estimators)
        ]
        self._histories = [result.history for result in results]
        self.search_history_ = results[0].history
        self.initial_masks_ = results[0].initial_masks
        return np.stack([result.masks for result in results])

    def _layout_data(self, layout, data, member):
        """The training rows of a member as a keyword, for layouts that look at them."""
        if not getattr(layout, "needs_data", False):
            return {}
        return {"X": data.table[data.rows[member].to(data.table.device)].cpu().numpy()}

    def _search(self, search, initial_masks, data, options, history, member):
        """Algorithm 1 on the training rows of a member."""
        score = search.candidate_score
        if score == "auto":
            score = "train_batch" if data.validation_rows is None else "validation"
        if score == "validation" and data.validation_rows is None:
            raise ValueError(
                "candidate_score='validation' needs validation rows: set early_stopping=True, or "
                "candidate_score='train_batch'."
            )
        evaluate = CandidateEvaluator(
            self._flow_config(),
            options.shortened(search.n_candidate_steps),
            data,
            score=score,
            start=search.candidate_start,
            n_init=search.n_candidate_init,
            n_jobs=search.n_jobs,
        )
        progress = Progress(self.verbose, "search", search.n_iter + 1)
        accepted = [0]

        def show(record):
            accepted[0] += record.accepted
            progress.update(best_cost=record.best_cost, accepted=accepted[0])

        bounds = stack_bounds(search.n_candidate_init, effective_n_jobs(search.n_jobs))
        result = evolutionary_search(
            None if history else initial_masks,
            evaluate,
            n_iter=search.n_iter,
            seed=int(self._rng("search", member).randint(2**31 - 1)),
            move=search.move,
            search_space=search.search_space,
            n_offspring=search.n_offspring,
            n_halvings=search.n_halvings,
            n_iter_no_change=search.n_iter_no_change,
            history=history,
            min_stack=bounds[0],
            max_stack=bounds[1],
            callback=show,
        )
        progress.close()
        if result.interrupted and self.verbose:
            warn(
                f"The structure search was interrupted after {len(result.history) - 1} of "
                f"{search.n_iter} iterations. The best structure found so far is trained; "
                "interrupt again to give up the fit."
            )
        return result

    def _train(self, flow, options, data, generators):
        n_epochs = math.ceil(options.n_steps / options.steps_per_epoch)
        progress = Progress(self.verbose, "fit", n_epochs)

        def show(loss, validation):
            progress.update(
                loss=loss.min(), validation=None if validation is None else validation.min()
            )

        result = Trainer(flow, options, data, generators, on_epoch=show).fit()
        progress.close()
        if not np.isfinite(result.score).any():
            raise ValueError(
                "Training did not reach a finite likelihood, even with smaller steps. "
                "Set standardize=True, lower learning_rate_init "
                f"(now {options.learning_rate_init}), or look for huge values in X."
            )
        if result.n_recoveries.any():
            warn(
                f"{int(result.n_recoveries.sum())} times the likelihood became infinite or NaN; "
                "training went on from the best state with a smaller step. Lower "
                f"learning_rate_init (now {options.learning_rate_init}) or set standardize=True.",
                ConvergenceWarning,
            )
        return result

    def _keep_best(self, flow, result, n_init):
        """Set the fitted attributes from each member's best restart."""
        scores = result.score.reshape(-1, n_init)
        best = scores.argmin(axis=1) + n_init * np.arange(len(scores))
        flow = flow.take(best).to(dtype=torch.float64, device="cpu")
        self._density = Density(
            self.location_,
            self.scale_,
            flow,
            device=self.device,
            origin=self._origin,
            step=self.grid_steps_,
        )
        self.masks_ = flow.masks[0] if len(best) == 1 else flow.masks
        self.n_parameters_ = flow.n_models * flow.n_parameters
        self.n_iter_ = int(result.n_epochs[best].max())
        shift = np.log(self.scale_).sum()  # standardised units -> the data's
        curves = (result.loss_curve, result.validation_curve)
        losses, scores = (
            [shift + c[best].mean() for c in curve[: self.n_iter_]] for curve in curves
        )
        self.loss_curve_ = [float(loss) for loss in losses]
        self.validation_scores_ = [-float(score) for score in scores] or None
        self._n_features_out = self.n_features_in_

    def _fit_tails(self, Z, weight, data):
        """Mix the flow with the broad components; sets ``tail_weight_``."""
        self.tail_weight_ = 0.0
        if self.tail_weight == 0:
            return
        tails = BroadComponents().fit(Z, weight, self._rng("tails"))
        if self.tail_weight != "auto":
            tails.weights = fixed_weights(self.tail_weight)
        elif data.validation_rows is None:
            tails.weights = floors(Z.shape[1])
        else:
            log_probs, held_out_weight = self._held_out_log_probs(Z, weight, data)
            tails.weights = estimate_weights(log_probs, floors(Z.shape[1]), held_out_weight)
        self._density.tails = tails
        self.tail_weight_ = float(tails.weights.sum())

    def _held_out_log_probs(self, Z, weight, data):
        """Log-densities ``(5, n)`` of each member's validation rows, and the rows' weights.

        The flow of the member comes first, then broad components fitted to its training rows.
        """
        parts = []
        for e, (rows, held_out) in enumerate(zip(data.rows.numpy(), data.validation_rows.numpy())):
            row_weight = None if weight is None else weight[rows]
            broad = BroadComponents().fit(Z[rows], row_weight, self._rng("tails", 1 + e))
            flow = Density(self.location_, self.scale_, self._density.flow.take(e))
            parts.append(
                np.vstack([flow.member_log_probs(Z[held_out]), broad.log_probs(Z[held_out])])
            )
        held_out = data.validation_rows.numpy().ravel()
        return np.hstack(parts), None if weight is None else weight[held_out]

    # ---- inference

    def _checked(self, X):
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False)

    def score_samples(self, X):
        """Log-density of each row, in the data's own units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats. May be positive: a density, unlike a probability, can exceed 1.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with the columns of ``fit``.
        """
        X = self._checked(X)
        return self._density.log_prob(X)

    def score(self, X, y=None, sample_weight=None):
        """Mean log-density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            In nats a row; higher is better.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with the columns of ``fit``.
        """
        log_density = self.score_samples(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, log_density[:, None])
        return float(np.average(log_density, weights=sample_weight))

    def bits_per_dim(self, X, y=None, sample_weight=None):
        """Negative mean log-density in bits a dimension, as Gonsior et al. (2021) report it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        bits_per_dim : float
            ``-score(X) / (n_features * log(2))``; lower is better. It depends on the data's units.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with the columns of ``fit``.
        """
        score = self.score(X, sample_weight=sample_weight)
        return -score / (self.n_features_in_ * math.log(2))

    def sample(self, n_samples=1, random_state=None):
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draw reproducible.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the data's own units.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``n_samples`` is no integer of at least 1.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r} is not possible. Give an integer >= 1.")
        rng = check_random_state(random_state)
        return self._density.sample(n_samples, rng)

    def transform(self, X):
        """Map rows to the latent space, where the model's density is the standard normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with the columns of ``fit``, or if there are
            several members, each with a latent space of its own.
        """
        X = self._checked(X)
        self._check_single("transform")
        return self._density.to_latent(X)[0]

    def inverse_transform(self, X):
        """Map points of the latent space to the data's.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points of the latent space.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            In the data's own units.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with as many columns as ``fit`` had, or if there are
            several members, each with a latent space of its own.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=np.float64, input_name="X")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but the latent space has {self.n_features_in_}."
            )
        self._check_single("inverse_transform")
        return self._density.from_latent(X)[0]

    def _check_single(self, method):
        if self._density.flow.n_models > 1:
            raise ValueError(
                f"{method} needs a single flow, but n_estimators={self.n_estimators} members each "
                "have a latent space of their own. Set n_estimators=1."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float64 in any case
        return tags
