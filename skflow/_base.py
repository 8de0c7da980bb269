"""What all density estimators of the package share, from the data's units to the flow and back."""

import math
import warnings
from numbers import Integral, Real

import numpy as np
import torch
from scipy.special import logsumexp
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

from . import masks
from ._conditioners import ACTIVATIONS
from ._flow import FlowStack
from ._preparation import (
    check_device,
    fill_constant_columns,
    is_available,
    location_and_scale,
    weighted_rows,
)
from ._progress import Progress
from ._search import evolutionary_search
from ._training import (
    SOLVERS,
    CandidateEvaluator,
    Trainer,
    TrainingOptions,
    make_generators,
    widest,
)

_INFERENCE_BLOCK = 2**20  # numbers in the widest tensor of a layer, when scoring


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
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions(set(SOLVERS))],
        "learning_rate": [StrOptions({"one_cycle", "cyclic", "constant"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
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
        continued = self.warm_start and hasattr(self, "_flow")
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if continued and X.shape[1] != self._flow.n_features:
            raise ValueError(
                f"warm_start=True continues a fit on {self._flow.n_features} features, but X has "
                f"{X.shape[1]}. Pass the same features or set warm_start=False."
            )
        if not continued:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._n_fits = 0
        self._n_fits += 1
        X, weight = weighted_rows(X, sample_weight)
        device = check_device(self.device)
        if not continued:
            self.location_, self.scale_ = location_and_scale(X, weight, self.standardize)
        table = (X - self.location_) / self.scale_
        fill_constant_columns(
            table, X, self._rng("constant columns"), getattr(self, "feature_names_in_", None)
        )
        table = torch.as_tensor(table, dtype=torch.float32, device=device)
        if weight is not None:
            weight = torch.as_tensor(weight / weight.mean(), dtype=torch.float32, device=device)
        rows, validation_rows = self._split(len(X), self._rng("split"))
        options = self._training_options(rows.shape[1])
        data = (table, rows, validation_rows, weight)
        structure = self._structure(data, options, continued)
        generators = make_generators(
            self._rng("training", self._n_fits).randint(2**31 - 1, size=self.n_init)
        )
        if continued and np.array_equal(structure, self.masks_):
            flow = self._flow.to(dtype=torch.float32, device=device)
            generators = generators[:1]
        else:
            stacked = np.repeat(structure[np.newaxis], self.n_init, axis=0)
            flow = FlowStack(stacked, **self._flow_config(), device=device)
            flow.initialize(generators)
        self._keep_best(flow, self._train(flow, options, data, generators))

    def _rng(self, purpose, turn=1):
        """The random stream of one purpose, whatever others have drawn."""
        purposes = ("constant columns", "split", "masks", "search", "training")
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

    def _split(self, n_rows, rng):
        """Numbers of the training rows and the validation rows (or None), each ``(1, m)``."""
        if not self.early_stopping:
            return torch.arange(n_rows)[None], None
        n_validation = math.ceil(self.validation_fraction * n_rows)
        if n_rows - n_validation < 2:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction} sets "
                f"{n_validation} of n_samples={n_rows} rows (of positive weight) aside, which "
                "leaves fewer than 2 to train on. Give more rows, lower validation_fraction or set "
                "early_stopping=False."
            )
        parts = train_test_split(np.arange(n_rows), test_size=n_validation, random_state=rng)
        return tuple(torch.from_numpy(part)[None] for part in parts)

    def _training_options(self, n_rows):
        batch_size = min(self.batch_size, n_rows)
        steps_per_epoch = max(1, n_rows // batch_size)
        return TrainingOptions(
            n_steps=max(1, round(self.max_iter * steps_per_epoch)),
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            solver=self.solver,
            learning_rate=self.learning_rate,
            learning_rate_init=self.learning_rate_init,
            alpha=self.alpha,
            n_iter_no_change=self.n_iter_no_change if self.early_stopping else None,
            tol=self.tol,
            with_replacement=self.solver == "sgd",
        )

    def _structure(self, data, options, continued):
        """The masks ``(n_layers, n_features)``: made by the layout, searched, or those in use."""
        layout = self._layout()
        is_search = isinstance(layout, masks.EvolutionarySearch)
        if continued and not (is_search and self._resumes_search):
            return self.masks_
        if is_search:
            layout.validate()
        structure = layout.make(
            self.n_layers,
            self.n_features_in_,
            n_conditioning=self.n_conditioning,
            random_state=self._rng("masks"),
        )
        if not is_search:
            return structure
        history = self.search_history_ if continued else None
        return self._search(layout, structure, data, options, history)

    def _search(self, search, initial_masks, data, options, history):
        """Algorithm 1 on the training rows; sets ``search_history_`` and ``initial_masks_``."""
        table, rows, validation_rows, weight = data
        if search.candidate_score == "validation" and validation_rows is None:
            raise ValueError(
                "candidate_score='validation' needs validation rows: set early_stopping=True, or "
                "candidate_score='train_batch'."
            )
        evaluate = CandidateEvaluator(
            self._flow_config(),
            options.shortened(search.n_candidate_steps),
            table,
            rows,
            validation_rows,
            weight,
            score=search.candidate_score,
            start=search.candidate_start,
        )
        progress = Progress(self.verbose, "search", search.n_iter + 1)
        accepted = [0]

        def show(record):
            accepted[0] += record.accepted
            progress.update(best_cost=record.best_cost, accepted=accepted[0])

        result = evolutionary_search(
            None if history else initial_masks,
            evaluate,
            n_iter=search.n_iter,
            seed=int(self._rng("search").randint(2**31 - 1)),
            search_space=search.search_space,
            n_offspring=search.n_offspring,
            n_iter_no_change=search.n_iter_no_change,
            history=history,
            callback=show,
        )
        progress.close()
        if result.interrupted and self.verbose:
            warnings.warn(
                f"The structure search was interrupted after {len(result.history) - 1} of "
                f"{search.n_iter} iterations. The best structure found so far is trained; "
                "interrupt again to give up the fit.",
                stacklevel=2,
            )
        self.search_history_ = result.history
        self.initial_masks_ = result.initial_masks
        return result.masks

    def _train(self, flow, options, data, generators):
        table, rows, validation_rows, weight = data
        n_epochs = math.ceil(options.n_steps / options.steps_per_epoch)
        progress = Progress(self.verbose, "fit", n_epochs)

        def show(loss, validation):
            progress.update(
                loss=loss.min(), validation=None if validation is None else validation.min()
            )

        trainer = Trainer(
            flow, options, table, rows, validation_rows, weight, generators, on_epoch=show
        )
        result = trainer.fit()
        progress.close()
        if not np.isfinite(result.score).any():
            raise ValueError(
                "Training did not reach a finite likelihood, even with smaller steps. "
                "Set standardize=True, lower learning_rate_init "
                f"(now {self.learning_rate_init}), or look for huge values in X."
            )
        if result.n_recoveries.any():
            warnings.warn(
                f"{int(result.n_recoveries.sum())} times the likelihood became infinite or NaN; "
                "training went on from the best state with a smaller step. Lower "
                f"learning_rate_init (now {self.learning_rate_init}) or set standardize=True.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return result

    def _keep_best(self, flow, result):
        """Set the fitted attributes from the best of the restarts."""
        best = int(np.argmin(result.score))
        shift = np.log(self.scale_).sum()  # standardised units -> the data's
        self._flow = flow.take(best).to(dtype=torch.float64, device="cpu")
        self.masks_ = self._flow.masks[0]
        self.n_iter_ = int(result.n_epochs[best])
        self.loss_curve_ = [float(loss[best] + shift) for loss in result.loss_curve]
        self.loss_curve_ = self.loss_curve_[: self.n_iter_]
        scores = result.validation_curve[: self.n_iter_]
        self.validation_scores_ = [-float(score[best] + shift) for score in scores] or None
        self.n_parameters_ = self._flow.n_parameters
        self._n_features_out = self.n_features_in_

    # ---- inference

    def _blocks(self, X):
        """Blocks of rows as float64 tensors on the device, and the flow there."""
        device = self.device if is_available(self.device) else "cpu"
        flow = self._flow if device == "cpu" else self._flow.to(device=device)
        n_rows = max(1, _INFERENCE_BLOCK // (flow.n_models * widest(flow)))
        for start in range(0, len(X), n_rows):
            yield flow, torch.as_tensor(X[start : start + n_rows], device=device)

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
        """
        return self._score_samples(self._checked(X))

    def _score_samples(self, X):
        parts = []
        for flow, block in self._blocks((X - self.location_) / self.scale_):
            log_prob = flow.log_prob(block).cpu().numpy()
            parts.append(logsumexp(log_prob, axis=0) - math.log(flow.n_models))
        return np.concatenate(parts) - np.log(self.scale_).sum()

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
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r} is not possible. Give an integer >= 1.")
        rng = check_random_state(random_state)
        return self._from_latent(rng.standard_normal((n_samples, self.n_features_in_)))

    def _from_latent(self, Z):
        parts = [flow.inverse(block)[0][0].cpu().numpy() for flow, block in self._blocks(Z)]
        return np.concatenate(parts) * self.scale_ + self.location_

    def transform(self, X):
        """Map rows to the latent space, where the model's density is the standard normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
        """
        X = self._checked(X)
        blocks = self._blocks((X - self.location_) / self.scale_)
        return np.concatenate([flow.forward(block)[0][0].cpu().numpy() for flow, block in blocks])

    def inverse_transform(self, Z):
        """Map points of the latent space to the data's.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float64, input_name="Z")
        if Z.shape[1] != self.n_features_in_:
            raise ValueError(
                f"Z has {Z.shape[1]} features, but the latent space has {self.n_features_in_}."
            )
        return self._from_latent(Z)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float64 in any case
        return tags
