"""Data and samples, two features at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._support.typing import ArrayLike, RandomState
from ._common import BLACK, BLUE, column_names, new_axes, numbered, resolve_features

if TYPE_CHECKING:
    from typing_extensions import Self


class PairPlotDisplay:
    """Pairs of features: data below the diagonal, samples of the model above it.

    Mirror images of each other are what a good model draws. On the diagonal are the histograms of
    both. The axes follow the data; samples beyond them are not drawn, and the legend says how many
    they are (broad tails draw some). It is recommended to make a display by ``from_estimator`` or
    ``from_samples``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_shown)
        Data, only the features that are shown.
    samples : ndarray of shape (n_drawn, n_shown)
        What the model drew.
    feature_names : list of str
        Names of the features that are shown.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    n_outside_ : int
        Samples beyond the axes in one of the features that are shown.
    axes_ : ndarray of matplotlib Axes, shape (n_shown, n_shown)
        The panels.
    figure_ : matplotlib Figure
        The figure that holds them.

    References
    ----------
    .. [1] Emerson, J. W., et al., "The Generalized Pairs Plot", Journal of Computational and
       Graphical Statistics 22 (2013).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import PairPlotDisplay
    >>> X = load_iris(as_frame=True).data
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=20, random_state=0).fit(X)
    >>> display = PairPlotDisplay.from_estimator(flow, X, features=[0, 2], random_state=0)
    >>> display.feature_names
    ['sepal length (cm)', 'petal length (cm)']
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        X: np.ndarray,
        samples: np.ndarray,
        feature_names: Sequence[str],
        name: str | None = None,
    ) -> None:
        self.X = X
        self.samples = samples
        self.feature_names = feature_names
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        features: Any = None,
        n_samples: int | None = None,
        random_state: RandomState = None,
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows of the data beside samples of a fitted density.

        Parameters
        ----------
        estimator : CouplingFlowDensity or StructureSearchFlow
            A fitted one. For a pipeline, a mixture or any other model use ``from_samples``.
        X : array-like of shape (n_samples, n_features)
            Data.
        features : sequence of int or str, or None, default=None
            Which features to show, by number or, with a data frame, by name. None shows the first
            five.
        n_samples : int or None, default=None
            Number of samples; None draws as many as X has rows.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draw reproducible.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Whose place the panels take; None makes a figure.

        Returns
        -------
        display : PairPlotDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it does not sample in the manner of skflow.
        ValueError
            If a feature is no column of X.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "sample") or not hasattr(estimator, "inverse_transform"):
            raise TypeError(
                f"{cls.__name__}.from_estimator needs a flow, whose sample(n) returns rows, but "
                f"got {type(estimator).__name__}. Draw rows yourself and use "
                f"{cls.__name__}.from_samples(X, samples)."
            )
        n_samples = len(np.asarray(X)) if n_samples is None else n_samples
        samples = estimator.sample(n_samples, random_state=random_state)
        return cls.from_samples(X, samples, features=features, name=name, ax=ax)

    @classmethod
    def from_samples(
        cls,
        X: ArrayLike,
        samples: ArrayLike,
        *,
        features: Any = None,
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows of the data beside other rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. The columns' names, if it has any, label the axes.
        samples : array-like of shape (n_drawn, n_features)
            What to compare them with.
        features : sequence of int or str, or None, default=None
            Which features to show, by number or, with a data frame, by name. None shows the first
            five.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Whose place the panels take; None makes a figure.

        Returns
        -------
        display : PairPlotDisplay

        Raises
        ------
        ValueError
            If the two have different numbers of columns, or a feature is no column of X.
        """
        names, X, samples = column_names(X), np.asarray(X, float), np.asarray(samples, float)
        if samples.ndim != 2 or samples.shape[1] != X.shape[1]:
            raise ValueError(
                f"samples has shape {samples.shape}, but X has {X.shape[1]} columns. Give samples "
                "of the same columns."
            )
        features = range(min(5, X.shape[1])) if features is None else features
        columns = resolve_features(features, names, X.shape[1])
        labels = numbered(names, X.shape[1])
        display = cls(
            X=X[:, columns],
            samples=samples[:, columns],
            feature_names=[labels[j] for j in columns],
            name=name,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Whose place the panels take; None makes a figure.

        Returns
        -------
        display : PairPlotDisplay
            The object itself.
        """
        n = len(self.feature_names)
        caller, side = f"{type(self).__name__}.plot", min(10.0, max(4.5, 1.0 + 1.75 * n))
        ax = new_axes(caller, ax, (side, side))
        limits = [_limits(column) for column in self.X.T]
        low, high = np.transpose(limits)
        outside = ((self.samples < low) | (self.samples > high)).any(axis=1)
        self.n_outside_, self.figure_ = int(outside.sum()), ax.figure
        ax.set_axis_off()
        n_lines = (1 if n > 2 else 2) + (self.name is not None)
        head = 0.05 + 0.25 * n_lines  # inches
        above, below = ax.get_subplotspec().subgridspec(2, 1, height_ratios=[head, side])
        self.axes_ = below.subgridspec(n, n).subplots(squeeze=False)
        for row in range(n):
            for column in range(n):
                self._draw(self.axes_[row, column], row, column, limits)
        self._legend(self.figure_.add_subplot(above))
        return self

    def _draw(self, panel, row, column, limits):
        panel.set_xlim(limits[column])
        if row == column:
            bins = np.linspace(*limits[row], 25)
            for rows, style in ((self.X, {"color": BLACK, "alpha": 0.3}), (self.samples, {})):
                if not style:
                    style = {"color": BLUE, "histtype": "step", "linewidth": 1.4}
                # of all rows, also those outside
                weights = np.full(len(rows), 1 / len(rows))
                panel.hist(rows[:, row], bins, weights=weights, **style)
            panel.set_yticks([])
        else:
            rows, color = (self.X, BLACK) if row > column else (self.samples, BLUE)
            size, alpha = (6, 0.6) if len(rows) <= 500 else (2, max(0.25, 500 / len(rows)))
            panel.scatter(
                rows[:, column], rows[:, row], s=size, alpha=alpha, color=color, linewidths=0
            )
            panel.set_ylim(limits[row])
        last = len(self.feature_names) - 1
        panel.tick_params(labelsize=8)
        if row == last:
            panel.set_xlabel(self.feature_names[column], fontsize=9)
        else:
            panel.tick_params(labelbottom=False)
        if column == 0:
            panel.set_ylabel(self.feature_names[row], fontsize=9)
        if column != 0 or row == 0:  # the first histogram's counts are no values of a feature
            panel.tick_params(labelleft=False)

    def _legend(self, ax):
        from matplotlib.lines import Line2D

        drawn = "samples (above)"
        if self.n_outside_:
            drawn += f", {self.n_outside_} of {len(self.samples)} outside"
        handles = [
            Line2D([], [], linestyle="none", marker="o", color=color, label=label)
            for color, label in ((BLACK, "data (below)"), (BLUE, drawn))
        ]
        ax.set_axis_off()
        style = dict(loc="lower left", bbox_to_anchor=(0, 0), borderaxespad=0, frameon=False)
        ax.legend(
            handles=handles,
            ncols=2 if len(self.feature_names) > 2 else 1,
            title=self.name,
            alignment="left",
            **style,
        )


def _limits(column):
    lowest, highest = column.min(), column.max()
    beyond = 0.06 * (highest - lowest) or 0.5
    return lowest - beyond, highest + beyond
