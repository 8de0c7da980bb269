"""Helpers of the displays: colours, axes, names, and errors for what cannot be drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from .._core.checks import name_columns, what_there_is

if TYPE_CHECKING:
    from typing_extensions import Self

# Okabe and Ito (2008), "Color Universal Design"
BLUE, ORANGE, VERMILLION, GREEN = "#0072b2", "#e69f00", "#d55e00", "#009e73"
BLACK, GREY, LIGHT = "#222222", "#777777", "#dddddd"
#: Colours of the first curves.
DISTINCT = (VERMILLION, BLUE, ORANGE, GREEN)
#: Advice for an estimator that is not a detector.
NO_DETECTOR = "Give it to a FlowOutlierDetector, as density=, and fit that"


@dataclass(kw_only=True, eq=False, repr=False)
class Display:
    """Base class of the displays: fields, a title, and the axes drawn into last."""

    name: str | None = None

    _figsize = (5.2, 3.6)
    _n_axes = 1

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; a sequence of two for two pictures. None makes a figure.

        Returns
        -------
        display : Display
            The object itself.
        """
        self._draw(self._new_axes(ax))
        return self

    @classmethod
    def _check(cls, estimator: Any, advice: str, *attributes: str) -> None:
        """Raise unless an estimator is fitted and has the attributes or methods.

        ``advice`` names the estimators that have them.
        """
        check_is_fitted(estimator)
        for attribute in attributes:
            if getattr(estimator, attribute, None) is None:
                name = type(estimator).__name__
                if name == "Pipeline":
                    advice = "Give the pipeline's last step, pipeline[-1], with what its other "
                    advice += "steps return"
                raise TypeError(
                    f"{cls.__name__} needs {attribute!r}, which {name} does not have. {advice}."
                )

    def _size(self) -> tuple[float, float]:
        """Return the size of a new figure in inches."""
        return self._figsize

    def _draw(self, ax: Any) -> None:
        """Draw into the axes, one or two."""
        raise NotImplementedError

    def _new_axes(self, ax: Any) -> Any:
        """Return the axes to draw into, with the title; None makes new ones."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            ax = plt.subplots(1, self._n_axes, figsize=self._size(), layout="constrained")[1]
        if self._n_axes == 1:
            self.ax_ = first = ax
        else:
            self.axes_, first = np.array(list(ax)), ax[0]
        self.figure_ = first.figure
        if self.name is not None:
            first.set_title(self.name, loc="left")
        return ax


def column_names(X: Any) -> list[str] | None:
    """Return the column names of a data frame, None for an array."""
    columns = getattr(X, "columns", None)
    return None if columns is None else [str(name) for name in columns]


def column_of(X: Any, j: int) -> Any:
    """Return a column of a data frame or array."""
    if hasattr(X, "iloc"):
        return X.iloc[:, j]
    return np.asarray(X)[:, j] if column_names(X) is None else X[X.columns[j]]


def number_columns(X: Any) -> list[int]:
    """Return the indices of the numeric columns; all for an array."""
    every = range(np.shape(X)[1])
    if column_names(X) is None:
        return list(every)
    kinds = ("int", "uint", "float", "decimal")
    return [j for j in every if str(column_of(X, j).dtype).lower().startswith(kinds)]


def as_numbers(X: Any, display: str) -> np.ndarray:
    """Return X as float64; raise if a column is not numeric."""
    try:
        return np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        others = np.isin(np.arange(np.shape(X)[1]), number_columns(X), invert=True)
        named = name_columns(others, column_names(X)) or "one"
        raise ValueError(
            f"{display} needs medians of all columns, but column {named} of X is not numeric. Use "
            "PairPlotDisplay for a density or PredictiveDensityDisplay for a regressor, or fit to "
            "numeric columns only."
        ) from None


def like(rows: np.ndarray, X: Any) -> Any:
    """Return rows as a data frame if X is one, for estimators that check column names."""
    return type(X)(rows, columns=X.columns) if hasattr(X, "iloc") else rows


def labels_of(X: Any) -> list[str]:
    """Return the column names, or numbered names for an array."""
    return column_names(X) or [f"feature {j}" for j in range(np.shape(X)[1])]


def resolve_features(features: Iterable[int | str], X: Any) -> list[int]:
    """Return the column indices of features given by index or name."""
    n_features = np.shape(X)[1]
    known: dict[Any, int] = dict(zip(column_names(X) or (), range(n_features)))
    columns = []
    for feature in features:
        column = known.get(feature, feature)
        if not isinstance(column, (int, np.integer)) or not -n_features <= column < n_features:
            listed = f", or a name. {what_there_is(known, feature)}" if known else "."
            raise ValueError(
                f"features has {feature!r}, which is not a column. "
                f"Give an index from 0 to {n_features - 1}{listed}"
            )
        columns.append(int(column) % n_features)
    return columns


def widened(column: np.ndarray, margin: float) -> tuple[float, float]:
    """Return the range of the finite values, widened by a fraction on each side."""
    column = column[np.isfinite(column)]
    beyond = margin * np.ptp(column) or 1.0
    return column.min() - beyond, column.max() + beyond


def legend_above(ax: Any, n_columns: int) -> None:
    """Draw a legend above the axes, where it hides nothing, and the title above it."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=n_columns,
        frameon=False,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    ax.set_title(ax.get_title(loc="left"), loc="left", pad=24)
