"""The density of one column given others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

from .._core.checks import is_missing, known_values
from .._core.typing import ArrayLike
from ._common import (
    DISTINCT,
    GREY,
    Display,
    column_names,
    column_of,
    labels_of,
    legend_above,
    number_columns,
    resolve_features,
    widened,
)


@dataclass(kw_only=True, eq=False, repr=False)
class ConditionalDisplay(Display):
    """The density of one feature given known values of others, as curves.

    Each row has a curve: the density of the feature given the known values of the row, with the
    unknown ones (NaN) integrated out. The grey curve is given nothing. For a category, bars show
    the probabilities of its values. ``DensityDisplay`` draws the density of two features, with NaN
    in ``at``.

    Make one by ``from_estimator``.

    Parameters
    ----------
    x : ndarray of shape (grid_resolution,)
        Values of the feature; for a category all, as objects.
    density : ndarray of shape (n_rows, grid_resolution)
        A curve for each row; probabilities for a category.
    marginal : ndarray of shape (grid_resolution,)
        The density, or the probabilities, if nothing is known.
    labels : list of str
        Names of the curves.
    xlabel : str, default=""
        Name of the feature.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D or BarContainer
        The curves, or the bars, of the rows.
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    See Also
    --------
    DensityDisplay : Two features given the others (``at``), which may be NaN.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import ConditionalDisplay
    >>> X = load_iris().data
    >>> flow = CouplingFlowDensity(n_layers=2, max_iter=10, random_state=0).fit(X)
    >>> rows = np.full((2, 4), np.nan)
    >>> rows[:, 3] = 0.3, 2.0  # the width of the petal
    >>> display = ConditionalDisplay.from_estimator(flow, X, 2, rows)  # its length
    >>> display.density.shape
    (2, 100)
    >>> plt.show()
    """

    x: np.ndarray
    density: np.ndarray
    marginal: np.ndarray
    labels: Sequence[str]
    xlabel: str = ""

    _figsize = (5.2, 3.4)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        feature: Any,
        rows: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        grid_resolution: int = 100,
        margin: float = 0.1,
        name: str | None = None,
        ax: Any = None,
    ) -> ConditionalDisplay:
        """Evaluate the conditional densities on a grid and draw them.

        Parameters
        ----------
        estimator : object
            A fitted density whose ``score_samples`` takes NaN for unknown values.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows that set the range of the grid, or the values of a category.
        feature : int or str
            The feature, by index or, with a data frame, by name. Its values in ``rows`` do not
            matter.
        rows : array-like or data frame of shape (n_rows, n_features)
            Known values, and NaN (or None) for unknown ones.
        labels : list of str or None, default=None
            Names of the curves; None names them by the known values.
        grid_resolution : int, default=100
            Grid points.
        margin : float, default=0.1
            How far the grid exceeds the range of X, as a fraction of that range.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConditionalDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``score_samples``.
        ValueError
            If the feature is not a column of X, or ``rows`` has a wrong number of columns.
        """
        cls._check(estimator, "Give a density estimator", "score_samples")
        n_features = np.shape(X)[1]
        (j,) = resolve_features([feature], X)
        if np.ndim(rows) != 2 or np.shape(rows)[1] != n_features:
            raise ValueError(
                f"rows has shape {np.shape(rows)}, but rows of {n_features} columns are needed, "
                "with NaN for unknown values."
            )
        numbers = number_columns(X)
        table = rows if column_names(rows) is not None else np.array(rows, dtype=object)
        given = [_column(table, k, k in numbers) for k in range(n_features)]
        values, is_number = _column(X, j, j in numbers), j in numbers
        if is_number:
            low, high = widened(values, margin)
            x = np.linspace(low, high, grid_resolution)
        else:  # the values of a category, in order
            known = dict.fromkeys(value for value in values if value is not None)
            x = np.array(sorted(known, key=str), dtype=object)
        n_curves = len(given[0]) + 1  # the last one is given nothing
        grid = [np.append(column, [None]).astype(column.dtype).repeat(len(x)) for column in given]
        grid[j] = np.tile(x, n_curves)
        joint = estimator.score_samples(_table(grid, X)).reshape(n_curves, -1)
        # normalising removes the density of the known values
        density = np.exp(joint - joint.max(axis=1, keepdims=True))
        total = trapezoid(density, x, axis=1) if is_number else density.sum(axis=1)
        density /= total[:, None]
        names = labels_of(X)
        if labels is None:
            others = [k for k in range(n_features) if k != j]
            labels = _in_words([names[k] for k in others], [given[k] for k in others])
        display = cls(
            x=x,
            density=density[:-1],
            marginal=density[-1],
            labels=labels,
            xlabel=names[j],
            name=name,
        )
        return display.plot(ax)

    def _draw(self, ax: Any) -> None:
        self.lines_ = []
        is_category = self.x.dtype == object
        if is_category:
            self._plot_bars(ax)
        else:
            ax.fill_between(self.x, self.marginal, color=GREY, alpha=0.25, label="given nothing")
            for i, (curve, label) in enumerate(zip(self.density, self.labels)):
                color = DISTINCT[i % len(DISTINCT)]
                self.lines_ += ax.plot(self.x, curve, color=color, label=label)
        ylabel = "probability" if is_category else "density"
        ax.set(xlabel=self.xlabel, ylabel=ylabel, ylim=(0, None))
        legend_above(ax, 1)

    def _plot_bars(self, ax: Any) -> None:
        place, width = np.arange(len(self.x)), 0.8 / max(1, len(self.density))
        ax.bar(place, self.marginal, 0.95, color=GREY, alpha=0.25, label="given nothing")
        for i, (bars, label) in enumerate(zip(self.density, self.labels)):
            left = place + (i - (len(self.density) - 1) / 2) * width
            color = DISTINCT[i % len(DISTINCT)]
            self.lines_.append(ax.bar(left, bars, 0.9 * width, color=color, label=label))
        ax.set_xticks(place, [str(value) for value in self.x])


def _column(X: Any, j: int, is_number: bool) -> np.ndarray:
    """Return a column as floats, or as objects with None for missing values."""
    column = np.asarray(column_of(X, j))
    if is_number and column.dtype != object:
        return column.astype(float)
    values = np.array(known_values(column), dtype=object)
    return values.astype(float) if is_number else values


def _table(columns: list[np.ndarray], X: Any) -> Any:
    """Return a table like X."""
    if column_names(X) is None:
        return np.column_stack(columns)
    return type(X)({name: column.tolist() for name, column in zip(X.columns, columns)})


def _in_words(names: list[str], columns: list[np.ndarray]) -> list[str]:
    """Describe each row."""
    texts = []
    for row in zip(*columns):
        known = [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in zip(names, row)
            if not is_missing(value)
        ]
        texts.append(", ".join(known) or "nothing")
    return texts
