"""FlowRegressor: the distribution of one or several targets given the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from . import masks
from ._core.checks import name_columns
from ._core.progress import FitProgress
from ._core.random import RandomStreams
from ._core.rows import at, effective_rows, weighted_rows
from ._core.runtime import atomic, check_device, sheltered
from ._core.typing import ArrayLike, MaskLayout, RandomState
from ._density.base import BaseFlowDensity
from ._models.mixture import features_alone
from ._models.stacking import VALIDATION_FRACTION
from ._nn.plan import Plan
from ._nn.recipe import conditional_alpha, flow_config, training_options
from ._nn.settings import TakesTraining, Training, training_of
from ._nn.training_data import training_data
from ._regression.answers import DistributionRegressor
from ._regression.calibration import Calibration
from ._regression.features import fit_features
from ._regression.fitting import fit_targets
from ._regression.mean import fit_out_of_fold
from ._table.bounds import check_bounds
from ._table.columns import constant_columns, fit_columns

if TYPE_CHECKING:
    from typing_extensions import Self

_SHARED = (
    "n_layers coupling n_bins hidden_layer_sizes bounds dequantize "
    "n_estimators training max_iter max_time device verbose random_state"
).split()
#: Rows that "auto" sets aside at least: the fewest that can tell 90 %. More of them cost small
#: tables more than intervals gain.
_LEAST_ASIDE = 9


class FlowRegressor(TakesTraining, DistributionRegressor):
    """Regression that gives the whole distribution of the targets, by conditional flows.

    The density of the targets given the features is that of a flow whose couplings are functions
    of the features [1]_: it may have any shape, several modes and a spread that changes. Several
    flows are averaged as densities, as a mixture with a Student-t around a linear regression that
    gives targets far from all others a low but sane density. Means, quantiles, probabilities and
    draws come from the density; intervals are calibrated, so that their coverage holds however good
    the density is. So are regions of several targets. Features may be missing.

    Parameters
    ----------
    n_layers : int, default=2
        Layers of the flows. For one target, two splines are enough on the tables measured.
    mask_layout : {"parity", "random", "derived", "race", "search"}, array, callable or layout, \
default="derived"
        Which targets a layer transforms and which condition, beside the features, as in
        ``CouplingFlowDensity``. A single target is transformed by every layer.
    coupling : {"spline", "affine"}, default="spline"
        How a layer transforms a target. A single one stays normal with "affine".
    n_bins : int, default=8
        Bins of the spline.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Hidden layers of the networks that make the couplings' parameters of the features.
    bounds : None, pair, list of pairs or dict, default=None
        Ends of the targets' ranges, ``None`` for an open end, as in ``CouplingFlowDensity``: a pair
        such as ``(0, None)`` for all targets, or a list of pairs.
    dequantize : bool, default=False
        Spread the values of targets that lie on a grid (counts, grades) evenly over their cells.
        Densities are then those of the spread values; draws and quantiles are values on the grid.
    n_estimators : int, default=5
        Number of flows (of each kind) whose densities are averaged. They differ in their start and
        their batches.
    mean_estimator : "auto", regressor or None, default="auto"
        A regressor of scikit-learn whose prediction becomes a further feature of two thirds of the
        flows, for targets whose mean trees, say, predict better than networks. "auto" is
        gradient boosting: 300 trees of depth 4, or 200 on histograms beyond 1000 rows. In ``fit``
        every row gets a prediction of a regressor that has not seen it (five folds). A regressor is
        cloned, and sees features and targets in standardised units.
    calibration_fraction : "auto", float or None, default="auto"
        Fraction of the rows set aside to calibrate ``predict_interval``; nothing else uses them.
        "auto" is a tenth, but at least 9 rows, which a coverage of 0.9 needs, and at most a third.
        With None all rows train the flows, and intervals are those of the density.
    training : Training or None, default=None
        Solver, learning rate, weight decay, batch size, validation rows and other options that are
        rarely changed. None is ``Training()``. With its ``noise="auto"`` and
        ``context_noise="auto"``, flows of several kinds are trained side by side: without noise,
        with (0.05, 0.05) on targets and features, and with (0, 0.02) [2]_. Those with (0.05, 0.05)
        do not see the prediction of a ``mean_estimator``, the others do. Held-out rows,
        ``training.validation_fraction`` of those that are not set aside, determine the weight of
        each kind by EM; less than a tenth becomes 0. A number holds for all.
    max_iter : "auto" or float, default="auto"
        Number of epochs. "auto" makes about 5000 steps, but 10 to 120 epochs.
    max_time : float or None, default=None
        Seconds that ``fit`` may take, about: there are fewer trees, and flows train with a shorter
        schedule, so that the result depends on the machine. A ``mean_estimator`` of your own takes
        the time that it takes. None is no limit.
    device : str, default="cpu"
        Where to compute, "cpu" or "cuda".
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Splits, initial parameters, batches, and a ``mean_estimator``. An integer makes ``fit``
        reproducible.

    Attributes
    ----------
    component_weight_ : float
        Weight of the Student-t in the density.
    mean_estimator_ : regressor
        Fitted, in standardised units, to all rows that were not held out, if there is a
        ``mean_estimator``.
    n_iter_ : int
        Number of epochs trained (the most of any flow).
    n_parameters_ : int
        Number of trained parameters of the flows in the density.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X had string names.

    See Also
    --------
    CouplingFlowDensity : The joint density of all columns of a table.
    sklearn.gaussian_process.GaussianProcessRegressor : For few rows and normal noise of one size.

    Notes
    -----
    The density is exact. With one target so are distribution functions and quantiles (up to
    rounding), and means and standard deviations are integrals on a grid. With several, means,
    standard deviations and intervals are those of 256 fixed quasi-random draws of each flow.

    Features farther than a standard deviation beyond the range of the training rows are moved
    there.

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
            Features; nothing needs to be scaled. Columns of a data frame with a dtype of
            categories, text or truth values are categories; one that is not among those of
            ``fit`` says nothing. Missing cells are NaN or None: a number counts as the mean of its
            column, and that it is missing is a feature of its own, if ``fit`` saw it missing.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, real numbers, none of them missing.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; only their ratios matter. Rows of weight 0 are left
            out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X, y, the weights or an argument cannot be used; the sentence says which value, and
            what is allowed. A failed or interrupted ``fit`` leaves the estimator as it was before.
        """
        X, y = self._fit_table(X, "from_dtype", y, ensure_min_samples=2)
        X = self._finite(X, allow_nan=True)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        rows, weight = weighted_rows(np.hstack([X, Y]), sample_weight)
        X, Y = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
        self._n_rows = len(X)
        streams = RandomStreams(int(check_random_state(self.random_state).randint(2**31 - 1)))
        rows, held_out, aside = self._split(len(Y), streams)
        seen = np.sort(np.append(rows, held_out))
        columns = self._target_columns(Y, weight, seen)
        U, log_det = columns.training_rows(Y, streams)
        columns.warn(Y, U)
        context, n_mean = self._fit_context(X, U, weight, seen, rows, streams)
        progress = FitProgress(self, partial(self._table.frame, X), Y)
        plan = self._plan(U, context, weight, rows, held_out, log_det, streams, progress)
        layout = masks.resolve(self.mask_layout)
        self._density, self.n_iter_ = fit_targets(
            self, layout, plan, U, context, weight, columns, n_mean
        )
        progress.close()
        self._calibration = None
        if len(aside):
            scores = self._density.scores(Y[aside], U[aside], context[aside])
            self._calibration = Calibration.of(scores, at(weight, aside))
        return self

    def _target_columns(self, Y, weight, seen):
        """The ``Columns`` of the targets, from rows that are not set aside."""
        check_targets(Y[seen])
        n_targets = Y.shape[1]
        names = np.array(["y"] if n_targets == 1 else [f"y[{j}]" for j in range(n_targets)])
        bounds = check_bounds(self.bounds, n_targets)
        options = dict(dequantize=self.dequantize, bounds=bounds, names=names)
        columns = fit_columns(Y[seen], at(weight, seen), **options)
        columns.bounds.check(Y, names)
        return columns

    def _fit_context(self, X, U, weight, seen, rows, streams):
        """The ``Context`` of all rows, and how many columns of it a mean estimator predicts."""
        self._features = fit_features(X[seen], self._table, at(weight, seen))
        C, n_mean = self._features.forward(X, self._table), 0
        if self.mean_estimator is not None:
            self.mean_estimator_, predicted = fit_out_of_fold(
                self.mean_estimator, C, U, weight, streams("mean"), rows
            )
            C, n_mean = np.hstack([C, predicted]), U.shape[1]
        return features_alone(C, U.shape[1]), n_mean

    def _plan(self, U, context, weight, rows, held_out, log_det, streams, progress):
        """The ``Plan`` of the trainings: all members see the same rows."""
        splits = (torch.from_numpy(part).repeat(self.n_estimators, 1) for part in (rows, held_out))
        device = check_device(self.device)
        data = training_data(U, weight, device, splits, context=context.numbers)
        n_columns, n_context = data.table.shape[1] + data.context.shape[1], data.context.shape[1]
        n_effective = effective_rows(weight, len(U)) * len(rows) / len(U)
        options = training_options(self, len(rows), n_columns, n_effective)
        if training_of(self).alpha == "auto":
            options = replace(options, alpha=conditional_alpha(n_effective, n_columns))
        return Plan(
            data,
            replace(options, noise=0.0),
            flow_config(self) | {"n_context": n_context},
            streams,
            log_det,
            progress=progress,
            device=self.device,
        )

    @property
    def component_weight_(self) -> float:
        return float(self._density.mixture.weights[-1])

    @property
    def n_parameters_(self) -> int:
        return sum(flow.n_parameters for flow, _ in self._density._nn())

    def _split(self, n_rows, streams):
        """Rows to train on, to choose by, and to calibrate with: index arrays.

        They are the same for all members, which are judged together, as they are served.
        """
        is_auto = self.calibration_fraction == "auto"
        n_aside = int(np.ceil((0.1 if is_auto else self.calibration_fraction or 0) * n_rows))
        if is_auto:
            n_aside = max(n_aside, min(_LEAST_ASIDE, n_rows // 3))
        fraction = training_of(self).validation_fraction
        fraction = VALIDATION_FRACTION if fraction == "auto" else fraction
        n_held_out = int(np.ceil(fraction * (n_rows - n_aside)))
        if n_rows - n_aside - n_held_out < 3:
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction!r} and "
                f"training.validation_fraction={fraction} set {n_aside + n_held_out} of n_samples="
                f"{n_rows} rows (of positive weight) aside, which leaves fewer than 3 to fit to. "
                "Give more rows, or lower them."
            )
        order = streams("split").permutation(n_rows)
        aside, held_out, rows = np.split(order, [n_aside, n_aside + n_held_out])
        return rows, held_out, aside


def check_targets(Y):
    """Raise for targets that have no density; ``Y`` are the rows that are not set aside."""
    n_rows, n_targets = Y.shape
    constant = constant_columns(Y)
    if constant.any():
        raise ValueError(
            f"y is constant in column {name_columns(constant, None)}, beside the rows set aside: "
            "there is no distribution to learn. Leave such targets out."
        )
    if n_targets > n_rows:
        raise ValueError(
            f"y has {n_targets} targets in {n_rows} rows (of positive weight, and not set aside), "
            "and a distribution of as many cannot be learned. Give more rows, or fewer targets."
        )
