"""FlowRegressor: the distribution of one or several targets given the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._core.checks import FLOATS, check_count, check_part, checked_state
from ._core.progress import CallbackSupportMixin, FitProgress
from ._core.rows import weighted_rows
from ._core.runtime import atomic, sheltered
from ._core.saving import PlainState
from ._core.summary import ShowsSummary, by_weight, counted
from ._core.typing import ArrayLike, MaskLayout, RandomState
from ._density.base import BaseFlowDensity
from ._models.mixture import Context, features_alone
from ._nn.blocks import answer_in_parts, parts
from ._nn.settings import TakesTraining, Training
from ._regression.fitting import fit_targets
from ._table.reading import TableMixin

if TYPE_CHECKING:
    from typing_extensions import Self

_SHARED = (
    "n_layers coupling n_bins hidden_layer_sizes bounds dequantize "
    "n_estimators training max_iter max_time device verbose random_state"
).split()


class FlowRegressor(
    TakesTraining,
    PlainState,
    ShowsSummary,
    TableMixin,
    CallbackSupportMixin,
    RegressorMixin,
    BaseEstimator,
):
    """Regression for the whole distribution of the targets, by conditional flows.

    A flow models the density of the targets given the features; its couplings are functions of the
    features [1]_. The density may have any shape, several modes and a changing spread. The
    densities of several flows are averaged, in a mixture with a Student-t distribution around a
    linear regression, which gives outlying targets a low but sane density. Means, quantiles,
    probabilities and draws come from the density. Intervals, and regions of several targets, are
    calibrated: their coverage holds however good the density is. Features may be missing.

    Parameters
    ----------
    n_layers : int, default=2
        Number of layers of the flows. For one target, two splines are enough on the tables
        measured.
    mask_layout : {"parity", "random", "derived", "race", "search"}, array, callable or layout, \
default="derived"
        Which targets each layer transforms, and on which it is conditional besides the features, as
        in ``CouplingFlowDensity``. A single target is transformed by every layer.
    coupling : {"spline", "affine"}, default="spline"
        How a layer transforms a target. With "affine" the density of a single target is normal.
    n_bins : int, default=8
        Number of bins of the spline.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Hidden layers of the networks that compute the couplings' parameters from the features.
    bounds : None, pair, list of pairs or dict, default=None
        Ends of the targets' ranges, ``None`` for an open end, as in ``CouplingFlowDensity``: a pair
        such as ``(0, None)`` for all targets, or a list of pairs.
    dequantize : bool, default=False
        Whether to spread the values of targets on a grid (counts, grades) evenly over their cells.
        Densities are then of the spread values; draws and quantiles are values on the grid.
    n_estimators : int, default=5
        Number of flows (of each kind) whose densities are averaged. They differ in their start and
        their batches.
    mean_estimator : "auto", regressor or None, default="auto"
        A scikit-learn regressor whose prediction is a further feature of the flows, for targets
        whose mean is better predicted by trees, say, than by networks. "auto" is gradient boosting:
        300 trees of depth 4, or 100 on histograms beyond 1000 rows. In ``fit``, predictions are out
        of fold (five folds). A regressor is cloned, and fitted to features and targets in
        standardised units.
    calibration_fraction : "auto", float or None, default="auto"
        Fraction of the rows set aside to calibrate ``predict_interval`` and ``in_region``; nothing
        else uses them. "auto" is a tenth, but at least 9 rows, which a coverage of 0.9 needs, and
        at most a third. With None, flows train on all rows, and intervals are not calibrated.
    training : Training or None, default=None
        Solver, learning rate, weight decay, batch size, validation rows and other options that are
        rarely changed. None is ``Training()``. With its ``noise="auto"`` and
        ``context_noise="auto"``, flows of several kinds are trained side by side: without noise,
        with noise of 0.02 on the features and, without a ``mean_estimator``, with 0.05 on targets
        and features [2]_. Held-out rows, a fraction ``training.validation_fraction`` of the rows
        that are not set aside, determine the weight of each kind by EM; a weight below a tenth
        becomes 0. A number applies to all flows.
    max_iter : "auto" or float, default="auto"
        Number of epochs. "auto" takes about 5000 steps, but 10 to 120 epochs.
    max_time : float or None, default=None
        Approximate limit of ``fit`` in seconds. There are fewer trees, and flows train with a
        shorter schedule, so the result depends on the machine. The time of a ``mean_estimator``
        other than "auto" is not limited. None means no limit.
    device : str, default="cpu"
        Where to compute, "cpu" or "cuda".
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Random state of splits, initial parameters, batches, and the ``mean_estimator``. An integer
        makes ``fit`` reproducible.

    Attributes
    ----------
    component_weight_ : float
        Weight of the Student-t distribution in the density.
    mean_estimator_ : regressor
        The fitted ``mean_estimator``, if it is not None: in standardised units, on all rows that
        were not held out.
    n_iter_ : int
        Number of epochs trained (the most of any flow).
    n_parameters_ : int
        Number of trained parameters of the flows in the density.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during ``fit``, if X has string names.

    See Also
    --------
    CouplingFlowDensity : The joint density of all columns of a table.
    sklearn.gaussian_process.GaussianProcessRegressor : For few rows and normal noise of one size.

    Notes
    -----
    The density is exact. For one target, distribution functions and quantiles are exact, too (up to
    rounding), and means and standard deviations are integrals on a grid. For several targets,
    means, standard deviations and intervals come from 256 fixed quasi-random draws of each flow.

    Features are clipped to the range of the training rows, widened by one standard deviation.

    References
    ----------
    .. [1] Trippe, B. L., Turner, R. E., "Conditional Density Estimation with Bayesian Normalising
       Flows", arXiv:1802.04908, 2018.
    .. [2] Rothfuss, J., Ferreira, F., Boehm, S., Walther, S., Ulrich, M., Asfour, T., Krause, A.,
       "Noise Regularization for Conditional Density Estimation", arXiv:1907.08982, 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=2, max_iter=20, random_state=0).fit(X, y)
    >>> mean, std = regressor.predict(X[:3], return_std=True)
    >>> regressor.predict_interval(X[:3], coverage=0.9).shape
    (3, 2)
    >>> regressor.sample_y(X[:3], n_samples=10).shape
    (3, 10)
    """

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _parameter_constraints = {
        **{name: BaseFlowDensity._parameter_constraints[name] for name in _SHARED},
        "mask_layout": "no_validation",  # masks.resolve validates it
        "mean_estimator": [HasMethods(["fit", "predict"]), StrOptions({"auto"}), None],
        "calibration_fraction": [
            StrOptions({"auto"}),
            Interval(Real, 0, 1, closed="neither"),
            None,
        ],
    }

    def __init__(
        self,
        n_layers: int = 2,
        *,
        mask_layout: MaskLayout = "derived",
        coupling: str = "spline",
        n_bins: int = 8,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        bounds: Any = None,
        dequantize: bool = False,
        n_estimators: int = 5,
        mean_estimator: Any = "auto",
        calibration_fraction: float | str | None = "auto",
        training: Training | None = None,
        max_iter: float | str = "auto",
        max_time: float | None = None,
        device: str = "cpu",
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_layers = n_layers
        self.mask_layout = mask_layout
        self.coupling = coupling
        self.n_bins = n_bins
        self.hidden_layer_sizes = hidden_layer_sizes
        self.bounds = bounds
        self.dequantize = dequantize
        self.n_estimators = n_estimators
        self.mean_estimator = mean_estimator
        self.calibration_fraction = calibration_fraction
        self.training = training
        self.max_iter = max_iter
        self.max_time = max_time
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the flows by maximum likelihood, and calibrate the intervals.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Features, without scaling or encoding. Columns of a data frame with categories, text or
            booleans are categorical; a category not seen in ``fit`` is ignored. Missing cells are
            NaN or None. A missing number is replaced by a linear regression on the known ones. An
            indicator of missing cells becomes a feature if it is informative about the targets.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, real numbers without missing values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; only their ratios matter. Rows of weight 0 are left
            out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X, y, the weights or a parameter are invalid. A failed or interrupted ``fit`` leaves
            the estimator unchanged.
        """
        X, y = self._fit_table(X, "from_dtype", y, ensure_min_samples=2)
        X = self._finite(X, allow_nan=True)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        rows, weight = weighted_rows(np.hstack([X, Y]), sample_weight)
        X, Y = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
        self._n_rows = len(X)
        progress = FitProgress(self, partial(self._table.frame, X), Y)
        fitted = fit_targets(self, self._table, X, Y, weight, progress)
        progress.close()
        self._features, self._density, self._calibration = fitted[:3]
        self.n_iter_ = fitted.n_epochs
        if fitted.mean is not None:
            self.mean_estimator_ = fitted.mean
        return self

    @property
    def component_weight_(self) -> float:
        return float(self._density.mixture.weights[-1])

    @property
    def n_parameters_(self) -> int:
        return sum(flow.n_parameters for flow, _ in self._density.flows())

    # ---- input

    def _context(self, X: np.ndarray) -> Context:
        """Return the context of the targets from codes of the features."""
        C = self._features.forward(X, self._table)
        if self.mean_estimator is not None:
            C = np.hstack([C, np.reshape(self.mean_estimator_.predict(C), (len(C), -1))])
        return features_alone(C, self._density.n_targets)

    def _checked(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        return self._finite(self._encode(self._source(X), dtype=FLOATS), allow_nan=True)

    def _checked_pair(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self)
        X, y = self._encode(self._source(X), y, dtype=FLOATS)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if Y.shape[1] != self._density.n_targets:
            raise ValueError(
                f"y has {Y.shape[1]} targets, but fit had {self._density.n_targets}. Give as many."
            )
        return self._finite(X, allow_nan=True), Y

    def _answer(
        self,
        function: Callable[..., np.ndarray],
        X: np.ndarray,
        *Y: np.ndarray,
        shape: tuple[int, ...] = (),
        n_values: int = 1,
    ) -> np.ndarray:
        """Return the results ``(n, *shape)`` of a function of contexts (and targets), by parts.

        ``n_values`` is the number of values of the target that it needs for each row.
        """
        width = max(X.shape[1], n_values * self._density.n_targets)
        chosen = parts(len(X), width, self._density.numbers_per_row(n_values))

        def of_part(X: np.ndarray, *Y: np.ndarray) -> np.ndarray:
            return function(*Y, self._context(X))

        return answer_in_parts(of_part, chosen, X, *Y, shape=shape)

    def _check_one_target(self, method: str, instead: str) -> None:
        if self._density.n_targets > 1:
            raise ValueError(
                f"{method} is for a single target, but y had {self._density.n_targets} in fit. "
                f"{instead}"
            )

    # ---- predictions

    @sheltered
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict the mean of the targets given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to also return the standard deviation.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
        y_std : ndarray of the same shape
            Standard deviation of the predictive distribution, including noise. Only with
            ``return_std=True``.
        """
        X, density = self._checked(X), self._density
        moments = self._answer(
            density.moments, X, shape=(2, density.n_targets), n_values=density.n_nodes
        )
        mean, std = (self._shaped(moments[:, k]) for k in (0, 1))
        return (mean, std) if return_std else mean

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0] if self._density.n_targets == 1 else values

    @sheltered
    def predict_quantiles(self, X: ArrayLike, alpha: ArrayLike = 0.5) -> np.ndarray:
        """Predict quantiles of a single target given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        alpha : float or array-like of shape (n_alphas,), default=0.5
            Levels between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_samples,) or (n_samples, n_alphas)
            Quantiles of the density, without calibration (see ``predict_interval``).
        """
        X = self._checked(X)
        self._check_one_target("predict_quantiles", "Use quantiles of sample_y(X, n_samples).")
        levels = np.asarray(alpha, dtype=np.float64)
        if levels.ndim > 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(
                f"alpha={alpha!r} is not possible. Give a number in (0, 1), or a list of them."
            )
        wanted, density = np.atleast_1d(levels), self._density
        quantiles = self._answer(
            lambda context: density.marginal_quantiles(wanted[None], context)[:, 0],
            X,
            shape=wanted.shape,
            n_values=len(wanted),
        )
        return quantiles if levels.ndim else quantiles[:, 0]

    @sheltered
    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> np.ndarray:
        """Predict intervals that contain a target with a given probability.

        An interval extends from the quantile at ``1/2 - q`` to the quantile at ``1/2 + q``.
        Calibration chooses ``q`` such that the intervals contain the target for this fraction of
        the rows that ``fit`` set aside: split conformal prediction with the distribution function
        as the score [1]_. If a new row is exchangeable with these rows, its interval contains the
        target with at least the given probability, however good the density is. With
        ``calibration_fraction=None``, ``q`` is ``coverage / 2``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, default=0.9
            Between 0 and 1. For several targets, the coverage of each alone.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_targets, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If ``coverage`` is not between 0 and 1, or more than the rows set aside allow.

        References
        ----------
        .. [1] Chernozhukov, V., Wüthrich, K., Zhu, Y., "Distributional conformal prediction",
           PNAS 118 (48), 2021.
        """
        X, density = self._checked(X), self._density
        half = np.full(density.n_targets, self._up_to(coverage, coverage / 2)[: density.n_targets])
        half = np.clip(half, 1e-12, 0.5 - 1e-12)  # keeps levels apart, and between 0 and 1
        levels = 0.5 + np.outer(half, [-1, 1])
        intervals = self._answer(
            lambda context: density.marginal_quantiles(levels, context),
            X,
            shape=levels.shape,
            n_values=2 if density.n_targets == 1 else density.n_nodes,
        )
        return self._shaped(intervals)

    def _up_to(self, coverage: float, not_calibrated: float) -> np.ndarray:
        """Return upper bounds of the scores, which hold with probability ``coverage``."""
        check_part("coverage", coverage)
        if self._calibration is None:
            return np.array([not_calibrated])
        return self._calibration.bounds(coverage)

    @sheltered
    def in_region(self, X: ArrayLike, y: ArrayLike, coverage: float = 0.9) -> np.ndarray:
        """Return whether several targets lie in the region of a given probability.

        The region of a row is the set of targets whose joint density exceeds a threshold. The
        threshold is calibrated such that the regions contain the targets for this fraction of the
        rows that ``fit`` set aside: split conformal prediction with the probability of a higher
        density as the score [1]_. If a new row is exchangeable with these rows, its region contains
        the targets with at least the given probability. With ``calibration_fraction=None``, regions
        are not calibrated.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            To plot a region, repeat the same row for all targets to be tried.
        y : array-like of shape (n_samples, n_targets)
        coverage : float, default=0.9
            Between 0 and 1.

        Returns
        -------
        inside : ndarray of bool, shape (n_samples,)

        Raises
        ------
        ValueError
            If there is a single target, or if ``coverage`` is not between 0 and 1, or more than the
            rows set aside allow.

        References
        ----------
        .. [1] Izbicki, R., Shimizu, G., Stern, R. B., "CD-split and HPD-split: Efficient Conformal
           Regions in High Dimensions", JMLR 23 (87), 2022.

        Examples
        --------
        >>> import numpy as np
        >>> from skflow import FlowRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 1))
        >>> Y = np.hstack([X, -X]) + rng.normal(size=(200, 2))
        >>> regressor = FlowRegressor(n_estimators=2, max_iter=20, random_state=0).fit(X, Y)
        >>> regressor.in_region([[0.0], [0.0]], [[0, 0], [5, 5]]).tolist()
        [True, False]
        """
        X, Y = self._checked_pair(X, y)
        if self._density.n_targets == 1:
            raise ValueError(
                "in_region is for several targets, but y had one in fit. Use predict_interval."
            )
        level = self._up_to(coverage, coverage)[-1]
        rows, place = np.unique(X, axis=0, return_inverse=True)
        thresholds = self._answer(
            lambda context: self._density.thresholds(level, context),
            rows,
            n_values=self._density.n_nodes,
        )
        return self._answer(self._density.log_prob, X, Y) >= thresholds[place.ravel()]

    @sheltered
    def cdf(self, X: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Compute the distribution function of a single target at ``y`` given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        probability : ndarray of shape (n_samples,)
            Probability that the target is at most ``y``.
        """
        X, Y = self._checked_pair(X, y)
        self._check_one_target("cdf", "Use sample_y(X, n_samples) and count.")
        return self._answer(self._density.cdf, X, Y)

    @sheltered
    def sample_y(
        self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = 0
    ) -> np.ndarray:
        """Draw targets given the features.

        Draws come from the whole density, whose logarithm ``score_samples`` returns, within
        ``bounds`` and on the grid of ``dequantize``. They are not calibrated.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
        n_samples : int, default=1
            Number of draws for each row.
        random_state : int, RandomState instance or None, default=0

        Returns
        -------
        y_samples : ndarray of shape (n_samples_X, n_samples) or \
(n_samples_X, n_targets, n_samples)
        """
        X, density = self._checked(X), self._density
        check_count("n_samples", n_samples)
        rng = checked_state(random_state)
        drawn = self._answer(
            lambda context: density.draws(n_samples, rng, context),
            X,
            shape=(density.n_targets, n_samples),
            n_values=n_samples,
        )
        return self._shaped(drawn)

    @sheltered
    def score_samples(self, X: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Compute the log-density of the targets given the features, in the targets' units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats.
        """
        X, Y = self._checked_pair(X, y)
        return self._answer(self._density.log_prob, X, Y)

    def _summary_lines(self) -> dict[str, str]:
        density, mixture = self._density, self._density.mixture
        n_categories, aside = len(self._table.categories), self._calibration
        kinds = ["real"] * (self.n_features_in_ - n_categories) + ["category"] * n_categories
        return {
            "features": counted(kinds),
            "targets": counted(density.columns.kinds),
            "flows": f"{density.n_members} of {self.n_layers} {self.coupling} layers, hidden "
            f"layers {self.hidden_layer_sizes}, {self.n_parameters_:,} parameters",
            "training": f"{self.n_iter_} epochs",
            "mean": type(self.mean_estimator_).__name__ if self.mean_estimator is not None else "",
            "weights": by_weight(mixture.models, mixture.weights),
            "calibration": f"{len(aside.scores)} rows set aside: coverages up to "
            f"{aside.reached[-1].min():.3f}"
            if aside
            else "none: intervals are not calibrated",
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags
