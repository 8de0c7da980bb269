"""What the displays share: colours, axes, names, and how they refuse what they cannot draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from .._core.checks import what_there_is

if TYPE_CHECKING:
    from typing_extensions import Self

# Okabe and Ito (2008), "Color Universal Design"
BLUE, ORANGE, VERMILLION, GREEN = "#0072b2", "#e69f00", "#d55e00", "#009e73"
BLACK, GREY, LIGHT = "#222222", "#777777", "#dddddd"


def check_drawable(estimator, attribute, display, advice):
    """Raise unless an estimator is fitted and has the attribute or method that is drawn.

    ``advice`` names the estimators that have it.
    """
    check_is_fitted(estimator)
    if getattr(estimator, attribute, None) is None:
        name = type(estimator).__name__
        if name == "Pipeline":
            advice = "Give the pipeline's last step, pipeline[-1], with what its other steps return"
        raise TypeError(f"{display} needs {attribute!r}, which {name} does not have. {advice}.")


def chosen_step(estimator):
    """What a grid has chosen, and of a pipeline the last step."""
    while isinstance(estimator, (Pipeline, BaseSearchCV)):
        check_is_fitted(estimator)
        is_grid = isinstance(estimator, BaseSearchCV)
        estimator = estimator.best_estimator_ if is_grid else estimator[-1]
    return estimator


def check_detector(estimator, method, display):
    """Raise unless an estimator is a fitted detector, which has the method that is asked."""
    check_is_fitted(estimator)
    if not hasattr(estimator, method):
        raise TypeError(
            f"{display} needs a FlowOutlierDetector, but got {type(estimator).__name__}. Give it "
            "to a detector, as density=, and fit that."
        )


@dataclass(kw_only=True, eq=False, repr=False)
class Display:
    """Base of the displays: fields that are drawn, a title, and where it was drawn last."""

    name: str | None = None

    _figsize = (5.2, 3.6)

    def plot(self, ax: Any = None) -> Self:
        """Draw what the display holds.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : Display
            The object itself.
        """
        self._draw(self._new_axes(ax, self._size()))
        return self

    def _size(self):
        """Width and height of a new figure in inches."""
        return self._figsize

    def _draw(self, ax):
        """Draw into the axes."""
        raise NotImplementedError

    def _new_axes(self, ax, figsize, n_columns=1):
        """The axes to draw into, new ones if None was given; several side by side as an array."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            ax = plt.subplots(1, n_columns, figsize=figsize, layout="constrained")[1]
        if n_columns == 1:
            self.ax_, self.figure_ = ax, ax.figure
        else:
            self.axes_, self.figure_ = np.array(list(ax)), ax[0].figure
        return ax

    def _set_title(self, ax, **style):
        if self.name is not None:
            ax.set_title(self.name, loc="left", **style)


def column_names(X):
    """Names of the columns of a data frame, None for an array."""
    columns = getattr(X, "columns", None)
    return None if columns is None else [str(name) for name in columns]


def column_of(X, j):
    """A column of a data frame or an array."""
    if hasattr(X, "iloc"):
        return X.iloc[:, j]
    return np.asarray(X)[:, j] if column_names(X) is None else X[X.columns[j]]


def number_columns(X):
    """Columns of numbers: of a data frame, those with a numeric dtype."""
    every = range(np.shape(X)[1])
    if column_names(X) is None:
        return list(every)
    kinds = ("int", "uint", "float", "decimal")
    return [j for j in every if str(column_of(X, j).dtype).lower().startswith(kinds)]


def like(rows, X):
    """Rows as a data frame where X is one: an estimator may have learned the columns' names."""
    return type(X)(rows, columns=X.columns) if hasattr(X, "iloc") else rows


def estimator_names(estimator):
    """Names that a fitted estimator has for its features, or None."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def numbered(names, n_features):
    """The names, or numbers where there are none."""
    return [f"feature {j}" for j in range(n_features)] if names is None else list(names)


def resolve_features(features, names, n_features):
    """Column numbers of features given by number or by name."""
    known = dict(zip(names or (), range(n_features)))
    columns = []
    for feature in features:
        column = known.get(feature, feature)
        if not isinstance(column, (int, np.integer)) or not -n_features <= column < n_features:
            listed = f", or a name. {what_there_is(known, feature)}" if known else "."
            raise ValueError(
                f"features has {feature!r}, which is no column. "
                f"Give a number from 0 to {n_features - 1}{listed}"
            )
        columns.append(int(column) % n_features)
    return columns


def robust_top(costs):
    """An upper limit that shows most costs well, however large a few of them are."""
    costs = np.asarray(costs, dtype=float)
    finite = costs[np.isfinite(costs)]
    if not len(finite):
        return 1.0
    lowest = finite.min()
    usual = lowest + 4 * (np.quantile(finite, 0.75) - lowest)
    return float(finite[finite <= usual].max() if usual > lowest else finite.max())


def legend_above(ax, n_columns, *, name=None, **kwargs):
    """A legend on top of the axes, where it hides nothing, and the title on top of it."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=n_columns,
        frameon=False,
        columnspacing=1.2,
        borderaxespad=0.2,
        **kwargs,
    )
    if name is not None:
        ax.set_title(name, loc="left", pad=24)
