"""Predictive distributions of a regressor: densities of rows, quantiles, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.typing import ArrayLike
from ._common import (
    BLACK,
    BLUE,
    GREY,
    LIGHT,
    VERMILLION,
    Display,
    as_numbers,
    labels_of,
    like,
    resolve_features,
)

_ADVICE = "Give a fitted FlowRegressor"


@dataclass(kw_only=True, eq=False, repr=False)
class PredictiveDensityDisplay(Display):
    """Predictive densities of a few rows, with the true targets.

    The curves of the rows lie above one another, scaled to the same height; a mark shows the true
    target.

    Make one by ``from_estimator``.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Values of the target.
    density : ndarray of shape (n_rows, n_points)
        In 1 / units of the target.
    y : ndarray of shape (n_rows,) or None, default=None
        The true targets.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor
    >>> from skflow.inspection import PredictiveDensityDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0)
    >>> regressor = regressor.fit(X[9:], y[9:])
    >>> display = PredictiveDensityDisplay.from_estimator(regressor, X[:4], y[:4])
    >>> display.density.shape
    (4, 400)
    >>> plt.show()
    """

    grid: Any
    density: Any
    y: Any = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_points: int = 400,
        name: str | None = None,
        ax: Any = None,
    ) -> PredictiveDensityDisplay:
        """Compute the densities of rows and draw them.

        Parameters
        ----------
        estimator : object
            A fitted ``FlowRegressor`` of a single target.
        X : array-like of shape (n_rows, n_features)
            A few rows.
        y : array-like of shape (n_rows,), default=None
            The true targets, if known.
        n_points : int, default=400
            Number of grid points.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : PredictiveDensityDisplay
        """
        cls._check(estimator, _ADVICE, "predict_quantiles")
        ends = np.asarray(estimator.predict_quantiles(X, [0.002, 0.998]))
        truth = None if y is None else np.asarray(y, dtype=float)
        low, high = ends.min(), ends.max()
        if truth is not None:
            low, high = min(low, truth.min()), max(high, truth.max())
        grid = np.linspace(low, high, n_points)
        rows = np.repeat(np.arange(len(ends)), n_points)
        repeated = like(np.asarray(X)[rows], X)
        logs = estimator.score_samples(repeated, np.tile(grid, len(ends)))
        density = np.exp(logs).reshape(len(ends), n_points)
        return cls(grid=grid, density=density, y=truth, name=name).plot(ax=ax)

    def _size(self) -> tuple[float, float]:
        return 5, 1 + 0.7 * len(self.density)

    def _draw(self, ax: Any) -> None:
        n_rows = len(self.density)
        for i, density in enumerate(self.density):
            base, height = n_rows - 1 - i, 0.85 * density / density.max()
            ax.fill_between(self.grid, base, base + height, color=BLUE, alpha=0.3, linewidth=0)
            ax.plot(self.grid, base + height, color=BLUE, linewidth=1.2)
            if self.y is not None:
                label = "truth" if i == 0 else None
                ends = [base, base + 0.85]
                ax.plot([self.y[i]] * 2, ends, color=VERMILLION, linewidth=1.8, label=label)
        ax.set(xlabel="target", yticks=np.arange(n_rows), ylabel="row")
        ax.set_yticklabels([str(i) for i in range(n_rows)][::-1])
        if self.y is not None:
            ax.legend(loc="upper right", frameon=False)


@dataclass(kw_only=True, eq=False, repr=False)
class QuantileFanDisplay(Display):
    """Quantiles of a target along one feature, with the others held fixed.

    Bands hold the middle 50, 80 and 95 % of the predictive distribution; the line is the median.

    Make one by ``from_estimator``.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        Feature values.
    quantiles : ndarray of shape (n_points, 7)
        Quantiles at ``QuantileFanDisplay.levels``.
    feature_name : str
        Axis label.
    points : pair of ndarray or None, default=None
        Values of the feature and the target of rows, drawn as dots.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor
    >>> from skflow.inspection import QuantileFanDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0).fit(X, y)
    >>> display = QuantileFanDisplay.from_estimator(regressor, X, "bmi", y)
    >>> display.quantiles.shape
    (60, 7)
    >>> plt.show()
    """

    levels = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)

    values: Any
    quantiles: Any
    feature_name: str
    points: Any = None

    _figsize = (5, 4)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        feature: int | str,
        y: ArrayLike | None = None,
        *,
        n_points: int = 60,
        name: str | None = None,
        ax: Any = None,
    ) -> QuantileFanDisplay:
        """Compute the quantiles along a feature and draw them.

        Parameters
        ----------
        estimator : object
            A fitted ``FlowRegressor`` of a single target.
        X : array-like of shape (n_samples, n_features)
            Rows that set the range of the feature. The others are held at their medians.
        feature : int or str
            Index or name of the feature.
        y : array-like of shape (n_samples,), default=None
            Targets of the rows, drawn as dots. If several features matter, the dots may leave
            the bands, which hold the other features fixed.
        n_points : int, default=60
            Grid points.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : QuantileFanDisplay
        """
        cls._check(estimator, _ADVICE, "predict_quantiles")
        table = as_numbers(X, cls.__name__)
        (column,) = resolve_features([feature], X)
        rows = np.tile(np.median(table, axis=0), (n_points, 1))
        rows[:, column] = np.linspace(table[:, column].min(), table[:, column].max(), n_points)
        quantiles = np.asarray(estimator.predict_quantiles(like(rows, X), list(cls.levels)))
        points = None if y is None else (table[:, column], np.asarray(y, dtype=float))
        display = cls(
            values=rows[:, column],
            quantiles=quantiles,
            feature_name=labels_of(X)[column],
            points=points,
            name=name,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        for k, part in enumerate(("95 %", "80 %", "50 %")):
            low, high = self.quantiles[:, k], self.quantiles[:, -1 - k]
            shade = 0.15 + 0.12 * k
            ax.fill_between(
                self.values, low, high, color=BLUE, alpha=shade, linewidth=0, label=part
            )
        ax.plot(self.values, self.quantiles[:, 3], color=BLUE, linewidth=1.8, label="median")
        if self.points is not None:
            ax.scatter(*self.points, s=8, color=BLACK, alpha=0.5, linewidth=0)
        ax.set(xlabel=self.feature_name, ylabel="target")
        ax.legend(frameon=False)


@dataclass(kw_only=True, eq=False, repr=False)
class CoverageDisplay(Display):
    """Calibration of quantiles and intervals: histogram of ``cdf``, and coverage.

    On the left is the histogram of ``F(y | x)``, which is flat if the density is calibrated; then
    the dashed lines contain a bar with about 95 % probability. A hump means that the distributions
    are too wide, a valley that they are too narrow. On the right is the fraction of targets within
    their intervals, against the nominal coverage.

    Make one by ``from_estimator``.

    Parameters
    ----------
    cdf : ndarray of shape (n_samples,)
        The distribution functions at the targets.
    coverage : ndarray of shape (n_levels,)
        Nominal coverage.
    covered : ndarray of shape (n_levels,)
        Fraction of the targets within their intervals.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (2,)
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from skflow import FlowRegressor
    >>> from skflow.inspection import CoverageDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = FlowRegressor(n_estimators=1, max_iter=10, random_state=0)
    >>> regressor = regressor.fit(X[99:], y[99:])
    >>> display = CoverageDisplay.from_estimator(regressor, X[:99], y[:99])
    >>> display.covered.shape
    (9,)
    >>> plt.show()
    """

    cdf: Any
    coverage: Any
    covered: Any

    _figsize = (8, 3.6)
    _n_axes = 2

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        coverage: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        name: str | None = None,
        ax: Any = None,
    ) -> CoverageDisplay:
        """Compute distribution functions and coverage of rows and draw them.

        Parameters
        ----------
        estimator : object
            A fitted ``FlowRegressor`` of a single target.
        X : array-like of shape (n_samples, n_features)
            Rows that were not fitted.
        y : array-like of shape (n_samples,)
            True targets.
        coverage : sequence of float, default=(0.1, ..., 0.9)
            Nominal coverage.
        name : str or None, default=None
            Title.
        ax : sequence of two matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : CoverageDisplay
        """
        cls._check(estimator, _ADVICE, "predict_interval")
        truth, covered = np.asarray(y, dtype=float), []
        for level in coverage:
            low, high = np.transpose(estimator.predict_interval(X, level))
            covered.append(np.mean((low <= truth) & (truth <= high)))
        cdf = np.asarray(estimator.cdf(X, y))
        coverage, covered = np.array(coverage), np.array(covered)
        return cls(cdf=cdf, coverage=coverage, covered=covered, name=name).plot(ax)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        n_rows, n_bins = len(self.cdf), int(np.clip(len(self.cdf) // 20, 5, 20))
        left.hist(self.cdf, np.linspace(0, 1, n_bins + 1), density=True, color=BLUE, alpha=0.4)
        margin = 1.96 * np.sqrt((n_bins - 1) / n_rows)
        left.axhline(1, color=GREY, linewidth=1)
        for edge in (1 - margin, 1 + margin):
            left.axhline(edge, color=GREY, linewidth=1, linestyle="--")
        left.set(xlabel="distribution function at the target", ylabel="density", xlim=(0, 1))
        error = 1.96 * np.sqrt(self.coverage * (1 - self.coverage) / n_rows)
        right.fill_between(
            self.coverage, self.coverage - error, self.coverage + error, color=LIGHT, linewidth=0
        )
        right.plot(self.coverage, self.coverage, color=GREY, linewidth=1)
        right.plot(self.coverage, self.covered, color=BLUE, marker="o", markersize=4)
        right.set(xlabel="coverage asked for", ylabel="fraction within intervals")
