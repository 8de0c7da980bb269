"""The density of one column, given others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import trapezoid

from .._support.typing import ArrayLike
from ._common import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    check_density,
    column_names,
    legend_above,
    like,
    new_axes,
    numbered,
    resolve_features,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_COLORS = (VERMILLION, BLUE, ORANGE, GREEN)


class ConditionalDisplay:
    """The density of one feature given known values of others, as curves.

    A curve belongs to a row, in which NaN stands for what is not known: the density of the feature
    given the known values, with all others integrated out. The grey one is given nothing.
    ``DensityDisplay`` does it for two features, with NaN in ``at``.

    It is recommended to make a display by ``from_estimator``.

    Parameters
    ----------
    x : ndarray of shape (grid_resolution,)
        Values of the feature.
    density : ndarray of shape (n_rows, grid_resolution)
        A curve for each row.
    marginal : ndarray of shape (grid_resolution,)
        The density if nothing is known.
    labels : list of str
        What is given in each row.
    xlabel : str, default=""
        Name of the feature.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves of the rows.
    ax_ : matplotlib Axes
        The picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    DensityDisplay : Two features, the others given (``at``), or some of them with NaN.

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

    def __init__(
        self,
        *,
        x: np.ndarray,
        density: np.ndarray,
        marginal: np.ndarray,
        labels: Sequence[str],
        xlabel: str = "",
        name: str | None = None,
    ) -> None:
        self.x = x
        self.density = density
        self.marginal = marginal
        self.labels = labels
        self.xlabel = xlabel
        self.name = name

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
    ) -> Self:
        """Evaluate the conditional densities on a grid and draw them.

        Parameters
        ----------
        estimator : object
            A fitted density whose ``score_samples`` takes NaN for what is unknown.
        X : array-like of shape (n_samples, n_features)
            Rows that set the range of the grid.
        feature : int or str
            The feature, by number or, with a data frame, by name. What the rows have there does
            not matter.
        rows : array-like of shape (n_rows, n_features)
            What is given, NaN for what is not; a curve for each.
        labels : list of str or None, default=None
            Names of the curves. None says what is given.
        grid_resolution : int, default=100
            Grid points.
        margin : float, default=0.1
            How far the grid exceeds the range of X, as a part of that range.
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
            If the feature is no column of X, or the rows have another number of columns.
        """
        check_density(estimator, cls.__name__)
        names, table = column_names(X), np.asarray(X, dtype=float)
        given, n_features = np.array(rows, dtype=float), table.shape[1]
        (j,) = resolve_features([feature], names, n_features)
        if given.ndim != 2 or given.shape[1] != n_features:
            raise ValueError(
                f"rows has shape {given.shape}, but rows of {n_features} columns are needed, with "
                "NaN for what is not given."
            )
        given[:, j] = np.nan
        values = table[:, j][np.isfinite(table[:, j])]
        beyond = margin * np.ptp(values) or 1.0
        x = np.linspace(values.min() - beyond, values.max() + beyond, grid_resolution)
        nothing = np.full((1, n_features), np.nan)
        grid = np.repeat(np.vstack([given, nothing]), grid_resolution, axis=0)
        grid[:, j] = np.tile(x, len(given) + 1)
        joint = estimator.score_samples(like(grid, X)).reshape(-1, grid_resolution)
        # the density of what is given is a constant, which normalising takes out
        density = np.exp(joint - joint.max(axis=1, keepdims=True))
        density /= trapezoid(density, x, axis=1)[:, None]
        known = numbered(names, n_features)
        display = cls(
            x=x,
            density=density[:-1],
            marginal=density[-1],
            labels=[_in_words(row, known) for row in given] if labels is None else labels,
            xlabel=known[j],
            name=name,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConditionalDisplay
            The object itself.
        """
        ax = new_axes(f"{type(self).__name__}.plot", ax, (5.2, 3.4))
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        ax.fill_between(self.x, self.marginal, color=GREY, alpha=0.25, label="given nothing")
        for i, (curve, label) in enumerate(zip(self.density, self.labels)):
            self.lines_ += ax.plot(self.x, curve, color=_COLORS[i % len(_COLORS)], label=label)
        ax.set(xlabel=self.xlabel, ylabel="density", ylim=(0, None))
        legend_above(ax, 1, name=self.name)
        return self


def _in_words(row, names):
    known = [f"{name} {value:.4g}" for name, value in zip(names, row) if np.isfinite(value)]
    return ", ".join(known) or "nothing"
