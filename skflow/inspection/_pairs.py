"""Data and samples, two features at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.checks import is_missing
from .._core.typing import ArrayLike, RandomState
from ._common import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    Display,
    column_of,
    labels_of,
    number_columns,
    resolve_features,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

#: Colours of the most frequent categories; others are grey.
_COLORS = (VERMILLION, BLUE, ORANGE, GREEN, "#56b4e9", "#cc79a7", BLACK)


@dataclass(kw_only=True, eq=False, repr=False)
class PairPlotDisplay(Display):
    """Pairs of features: data below the diagonal, samples of the model above it.

    A good model draws mirror images of the data. The diagonal has the histograms of both. The
    axes follow the data; samples outside are not drawn, and the legend counts them (heavy tails
    have some). Use ``from_estimator`` or ``from_samples`` to make a display.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_shown)
        Data, only the shown features.
    samples : ndarray of shape (n_drawn, n_shown)
        Samples.
    feature_names : list of str
        Names of the shown features.
    name : str or None, default=None
        Title.
    hue, samples_hue : ndarray of shape (n_samples,) and (n_drawn,), or None, default=None
        Categories of the rows, shown as colours.

    Attributes
    ----------
    n_outside_ : int
        Number of samples beyond the axes in a shown feature.
    axes_ : ndarray of matplotlib Axes, shape (n_shown, n_shown)
        The panels.
    figure_ : matplotlib Figure
        The figure that holds them.

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

    X: np.ndarray
    samples: np.ndarray
    feature_names: Sequence[str]
    hue: Any = None
    samples_hue: Any = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        features: Any = None,
        hue: Any = None,
        n_samples: int | None = None,
        random_state: RandomState = None,
        name: str | None = None,
        ax: Any = None,
    ) -> PairPlotDisplay:
        """Draw rows of the data beside samples of a fitted density.

        Parameters
        ----------
        estimator : CouplingFlowDensity or StructureSearchFlow
            A fitted one. For a pipeline, a mixture or any other model use ``from_samples``.
        X : array-like of shape (n_samples, n_features)
            Data.
        features : sequence of int or str, or None, default=None
            Features to show, by index or, with a data frame, by name. None shows the first five
            numeric ones.
        hue : int, str or None, default=None
            A feature that colours the rows: a category, or a number with few values.
        n_samples : int or None, default=None
            Number of samples; None draws as many as X has rows.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draw reproducible.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Axes that the panels replace; None makes a figure.

        Returns
        -------
        display : PairPlotDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If its ``sample`` is not like skflow's.
        ValueError
            If a feature is not a column of X, or not numeric.
        """
        advice = f"Draw rows yourself and use {cls.__name__}.from_samples(X, samples)"
        cls._check(estimator, advice, "sample", "inverse_transform")  # then sample(n) returns rows
        n_samples = np.shape(X)[0] if n_samples is None else n_samples
        samples = estimator.sample(n_samples, random_state=random_state)
        return cls.from_samples(X, samples, features=features, hue=hue, name=name, ax=ax)

    @classmethod
    def from_samples(
        cls,
        X: ArrayLike,
        samples: ArrayLike,
        *,
        features: Any = None,
        hue: Any = None,
        name: str | None = None,
        ax: Any = None,
    ) -> PairPlotDisplay:
        """Draw rows of the data beside other rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. Column names, if any, label the axes.
        samples : array-like of shape (n_drawn, n_features)
            Rows to compare X with.
        features : sequence of int or str, or None, default=None
            Features to show, by index or, with a data frame, by name. None shows the first five
            numeric ones.
        hue : int, str or None, default=None
            A feature that colours the rows: a category, or a number with few values.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Axes that the panels replace; None makes a figure.

        Returns
        -------
        display : PairPlotDisplay

        Raises
        ------
        ValueError
            If the numbers of columns differ, or a feature is not a column of X, or not numeric.
        """
        shape, n_features = np.shape(samples), np.shape(X)[1]
        if len(shape) != 2 or shape[1] != n_features:
            raise ValueError(
                f"samples has shape {shape}, but X has {n_features} columns. Give samples "
                "with the same columns."
            )
        labels = labels_of(X)
        groups = [] if hue is None else resolve_features([hue], X)
        if features is None:
            features = [j for j in number_columns(X) if j not in groups][:5]
        columns = resolve_features(features, X)
        display = cls(
            X=_numbers(X, columns, labels),
            samples=_numbers(samples, columns, labels),
            feature_names=[labels[j] for j in columns],
            name=name,
            hue=_categories(X, groups[0]) if groups else None,
            samples_hue=_categories(samples, groups[0]) if groups else None,
        )
        return display.plot(ax)

    def _size(self) -> tuple[float, float]:
        side = min(10.0, max(4.5, 1.0 + 1.75 * len(self.feature_names)))
        return side, side

    def _draw(self, ax: Any) -> None:
        n = len(self.feature_names)
        limits = [widened(column, 0.06) for column in self.X.T]
        low, high = np.transpose(limits)
        outside = ((self.samples < low) | (self.samples > high)).any(axis=1)
        self.n_outside_ = int(outside.sum())
        ax.set_axis_off()
        ax.set_title("", loc="left")  # is in the legend
        colors = None if self.hue is None else _colors_of(self.hue, self.samples_hue)
        handles = self._handles(colors)
        n_columns = (2 if n > 2 else 1) * (1 if colors is None else 2)
        n_lines = -(-len(handles) // n_columns) + (self.name is not None)
        head = 0.05 + 0.25 * n_lines  # inches
        above, below = ax.get_subplotspec().subgridspec(2, 1, height_ratios=[head, self._size()[0]])
        self.axes_ = below.subgridspec(n, n).subplots(squeeze=False)
        for row in range(n):
            for column in range(n):
                self._draw_panel(self.axes_[row, column], row, column, limits, colors)
        legend = self.figure_.add_subplot(above)
        legend.set_axis_off()
        style = dict(loc="lower left", bbox_to_anchor=(0, 0), borderaxespad=0, frameon=False)
        legend.legend(handles=handles, ncols=n_columns, title=self.name, alignment="left", **style)

    def _draw_panel(
        self,
        panel: Any,
        row: int,
        column: int,
        limits: list[tuple[float, float]],
        colors: dict[str, str] | None,
    ) -> None:
        panel.set_xlim(limits[column])
        if row == column:
            bins = np.linspace(*limits[row], 25)
            for rows, style in ((self.X, {"color": BLACK, "alpha": 0.3}), (self.samples, {})):
                if not style:
                    color = BLUE if colors is None else BLACK
                    style = {"color": color, "histtype": "step", "linewidth": 1.4}
                # fractions of all rows, also outside
                known = rows[~np.isnan(rows[:, row]), row]
                panel.hist(known, bins, weights=np.full(len(known), 1 / len(rows)), **style)
            panel.set_yticks([])
        else:
            is_data = row > column
            rows, color = (self.X, BLACK) if is_data else (self.samples, BLUE)
            if colors is not None:
                labels = self.hue if is_data else self.samples_hue
                color = [colors.get(label, GREY) for label in labels]
            size, alpha = (6, 0.6) if len(rows) <= 500 else (2, max(0.25, 500 / len(rows)))
            panel.scatter(
                rows[:, column], rows[:, row], s=size, alpha=alpha, color=color, linewidths=0
            )
            panel.set_ylim(limits[row])
        panel.tick_params(labelsize=8)
        panel.set_xlabel(self.feature_names[column], fontsize=9)
        panel.set_ylabel(self.feature_names[row], fontsize=9)
        panel.label_outer()

    def _handles(self, colors: dict[str, str] | None) -> list[Line2D]:
        """Return the legend handles."""
        from matplotlib.lines import Line2D

        def dot(color: str | None, label: str) -> Line2D:
            marker = "" if color is None else "o"
            return Line2D([], [], linestyle="none", marker=marker, color=color, label=label)

        drawn = "samples (above)"
        if self.n_outside_:
            drawn += f", {self.n_outside_} of {len(self.samples)} outside"
        if colors is None:
            return [dot(BLACK, "data (below)"), dot(BLUE, drawn)]
        handles = [dot(color, label) for label, color in colors.items()]
        if not set(self.hue) | set(self.samples_hue) <= set(colors):
            handles.append(dot(GREY, "others"))
        return [*handles, dot(None, f"data (below), {drawn}")]


def _numbers(X: Any, columns: list[int], labels: list[str]) -> np.ndarray:
    """Return columns of a table as a float array ``(n, m)``."""
    parts = []
    for j in columns:
        try:
            parts.append(np.asarray(column_of(X, j), dtype=float))
        except (TypeError, ValueError):
            raise ValueError(
                f"features has {labels[j]!r}, which is not numeric. Leave it out; "
                f"hue={labels[j]!r} shows it by colour."
            ) from None
    return np.column_stack(parts)


def _categories(X: Any, j: int) -> np.ndarray:
    """Return a column as strings."""
    return np.array(["missing" if is_missing(v) else str(v) for v in column_of(X, j)])


def _colors_of(*hues: np.ndarray) -> dict[str, str]:
    """Return colours of the most frequent categories, by label, sorted by label."""
    labels, counts = np.unique(np.concatenate(hues), return_counts=True)
    frequent = np.sort(labels[np.argsort(-counts, kind="stable")[: len(_COLORS)]])
    return dict(zip(frequent.tolist(), _COLORS))
