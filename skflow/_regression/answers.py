"""What a regressor answers that has learned the distribution of its targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._core.checks import (
    FLOATS,
    check_count,
    check_part,
    checked_state,
)
from .._core.progress import CallbackSupportMixin
from .._core.runtime import sheltered
from .._core.saving import PlainState
from .._core.summary import ShowsSummary, by_weight, counted
from .._core.typing import ArrayLike, RandomState
from .._models.mixture import features_alone
from .._nn.blocks import answer_in_parts, parts
from .._table.reading import TableMixin


class DistributionRegressor(
    PlainState, ShowsSummary, TableMixin, CallbackSupportMixin, RegressorMixin, BaseEstimator
):
    """Base of regressors with a density of the targets given the features.

    ``fit`` of a subclass sets ``_features``, ``_density``, ``_calibration`` (or None) and, where
    there is a ``mean_estimator``, ``mean_estimator_``.
    """

    def _context(self, X):
        """What targets are conditional on, from codes of the features."""
        C = self._features.forward(X, self._table)
        if self.mean_estimator is not None:
            C = np.hstack([C, np.reshape(self.mean_estimator_.predict(C), (len(C), -1))])
        return features_alone(C, self._density.n_targets)

    def _checked(self, X):
        check_is_fitted(self)
        return self._finite(self._encode(self._source(X), dtype=FLOATS), allow_nan=True)

    def _checked_pair(self, X, y):
        check_is_fitted(self)
        X, y = self._encode(self._source(X), y, dtype=FLOATS)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if Y.shape[1] != self._density.n_targets:
            raise ValueError(
                f"y has {Y.shape[1]} targets, but fit had {self._density.n_targets}. Give the same."
            )
        return self._finite(X, allow_nan=True), Y

    def _answer(self, function, X, *Y, shape=(), n_values=1):
        """What a function says of contexts (and targets), part by part, ``(n, *shape)``.

        ``n_values`` is how many values of the target it needs for each row.
        """
        width = max(X.shape[1], n_values * self._density.n_targets)
        chosen = parts(len(X), width, self._density.numbers_per_row(n_values))

        def of_part(X, *Y):
            return function(*Y, self._context(X))

        return answer_in_parts(of_part, chosen, X, *Y, shape=shape)

    def _check_one_target(self, method, instead):
        if self._density.n_targets > 1:
            raise ValueError(
                f"{method} is for a single target, but y had {self._density.n_targets} in fit. "
                f"{instead}"
            )

    @sheltered
    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Mean of the targets given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation, too.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
        y_std : ndarray of the same shape
            Only with ``return_std=True``: of the predictive distribution, noise included.
        """
        X, density = self._checked(X), self._density
        moments = self._answer(
            density.moments, X, shape=(2, density.n_targets), n_values=density.n_nodes
        )
        mean, std = (self._shaped(moments[:, k]) for k in (0, 1))
        return (mean, std) if return_std else mean

    def _shaped(self, values):
        return values[:, 0] if self._density.n_targets == 1 else values

    @sheltered
    def predict_quantiles(self, X: ArrayLike, alpha: ArrayLike = 0.5) -> np.ndarray:
        """Quantiles of a single target given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        alpha : float or array-like of shape (n_alphas,), default=0.5
            Levels between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_samples,) or (n_samples, n_alphas)
            Those of the density; only ``predict_interval`` is calibrated.
        """
        X = self._checked(X)
        self._check_one_target("predict_quantiles", "Take quantiles of sample_y(X, n_samples).")
        levels = np.asarray(alpha, dtype=np.float64)
        if levels.ndim > 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(
                f"alpha={alpha!r} is not possible. Give a number in (0, 1), or a list of them."
            )
        wanted, density = np.atleast_1d(levels), self._density
        quantiles = self._answer(
            lambda context: density.quantiles(np.tile(wanted, (len(context), 1)), context),
            X,
            shape=wanted.shape,
            n_values=len(wanted),
        )
        return quantiles if levels.ndim else quantiles[:, 0]

    @sheltered
    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> np.ndarray:
        """Intervals that hold a target with a given probability.

        They reach from the quantile at ``1/2 - q`` to that at ``1/2 + q``. Calibrated, ``q`` is
        such that the intervals of as many of the rows that ``fit`` set aside hold their target:
        split conformal prediction with the distribution function as the score [1]_. A new row
        that is exchangeable with these lies within its interval with at least the given
        probability, however good the density is. With ``calibration_fraction=None``, ``q`` is
        ``coverage / 2``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        coverage : float, default=0.9
            Between 0 and 1. Of several targets, that of each alone.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_targets, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If ``coverage`` is not between 0 and 1, or more than the rows set aside can tell.

        References
        ----------
        .. [1] Chernozhukov, V., Wüthrich, K., Zhu, Y., "Distributional conformal prediction",
           PNAS 118 (48), 2021.
        """
        X, density = self._checked(X), self._density
        half = np.full(density.n_targets, self._up_to(coverage, coverage / 2)[: density.n_targets])
        half = np.clip(half, 1e-12, 0.5 - 1e-12)  # the median's own, or no end at all
        levels = 0.5 + np.outer(half, [-1, 1])
        intervals = self._answer(
            lambda context: density.marginal_quantiles(levels, context),
            X,
            shape=levels.shape,
            n_values=2 if density.n_targets == 1 else density.n_nodes,
        )
        return self._shaped(intervals)

    def _up_to(self, coverage, not_calibrated):
        """Scores that rows have at most with some probability, one of each kind."""
        check_part("coverage", coverage)
        if self._calibration is None:
            return np.array([not_calibrated])
        return self._calibration.bounds(coverage)

    @sheltered
    def in_region(self, X: ArrayLike, y: ArrayLike, coverage: float = 0.9) -> np.ndarray:
        """Whether several targets lie within the region that holds them with a given probability.

        The region of a row is that of the highest density: all targets together whose density
        exceeds a threshold. Calibrated, the regions of as many of the rows that ``fit`` set aside
        hold their targets: split conformal prediction with the probability of all that have a
        higher density as the score [1]_. A new row that is exchangeable with these lies in its
        region with at least the given probability. With ``calibration_fraction=None`` regions are
        those of the density.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            For a picture of a region, the same row as often as there are targets to try.
        y : array-like of shape (n_samples, n_targets)
        coverage : float, default=0.9
            Between 0 and 1.

        Returns
        -------
        inside : ndarray of bool, shape (n_samples,)

        Raises
        ------
        ValueError
            If there is a single target, or ``coverage`` is not between 0 and 1, or more than the
            rows set aside can tell.

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
                "in_region is for several targets, but y had one in fit. Take predict_interval."
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
        """Distribution function of a single target at ``y`` given the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        probability : ndarray of shape (n_samples,)
            That the target is at most ``y``.
        """
        X, Y = self._checked_pair(X, y)
        self._check_one_target("cdf", "Take sample_y(X, n_samples) and count.")
        return self._answer(self._density.cdf, X, Y)

    @sheltered
    def sample_y(
        self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = 0
    ) -> np.ndarray:
        """Draw targets given the features.

        They are draws from the whole density, of which ``score_samples`` is the logarithm, within
        ``bounds`` and on the grid of ``dequantize``, and are not calibrated.

        Parameters
        ----------
        X : array-like of shape (n_samples_X, n_features)
        n_samples : int, default=1
            Draws for each row.
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
        """Log-density of the targets given the features, in the targets' own units.

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

    def _summary_lines(self):
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
            else "none: intervals are those of the density",
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags
