"""A density over a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.typing import ArrayLike
from ._common import Display, as_numbers, labels_of, like, resolve_features, widened


@dataclass(kw_only=True, eq=False, repr=False)
class DensityDisplay(Display):
    """A density over two features, as regions that hold given fractions of the probability.

    The regions are the smallest that hold these fractions (regions of highest density [1]_), so the
    picture does not depend on the units, and tails do not wash it out. With more than two features
    a slice is drawn: the others are held at a point. A slice is not a marginal density and may not
    look like a scatter plot of the two features.

    Make one by ``from_estimator``.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (grid_resolution, grid_resolution)
        The grid, from ``numpy.meshgrid``, in the units of the data.
    log_density : ndarray of shape (grid_resolution, grid_resolution)
        Log-density on the grid, in nats.
    xlabel, ylabel : str, default=""
        Names of the features.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    levels_ : ndarray of shape (n_levels,)
        Log-densities at the edges of the regions, in nats, ascending.
    surface_ : matplotlib QuadContourSet
        The regions.
    colorbar_ : matplotlib Colorbar or None
        The probability that each region contains.
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    References
    ----------
    .. [1] Hyndman, R. J., "Computing and Graphing Highest Density Regions", The American
       Statistician 50 (1996).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import make_moons
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import DensityDisplay
    >>> X, _ = make_moons(300, noise=0.1, random_state=0)
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=10, random_state=0).fit(X)
    >>> display = DensityDisplay.from_estimator(flow, X)
    >>> points = display.ax_.scatter(*X.T, s=4, color="black")
    >>> display.log_density.shape
    (100, 100)
    >>> plt.show()
    """

    xx0: np.ndarray
    xx1: np.ndarray
    log_density: np.ndarray
    xlabel: str = ""
    ylabel: str = ""

    _figsize = (5.2, 4.0)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        features: Any = (0, 1),
        at: Any = None,
        grid_resolution: int = 100,
        margin: float = 0.15,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> DensityDisplay:
        """Evaluate a density on a grid and draw it.

        Parameters
        ----------
        estimator : object
            A fitted density estimator with ``score_samples``, also a pipeline or a
            ``GaussianMixture``.
        X : array-like of shape (n_samples, n_features)
            Rows that set the range of the grid; rows near the point magnify a slice.
        features : pair of int or str, default=(0, 1)
            The features of the plane, by index or, with a data frame, by name.
        at : array-like of shape (n_features,) or None, default=None
            Point of the slice: values of the other features, if any. None is the median of the
            rows of X. The density is integrated over features with NaN, if the estimator takes
            NaN for unknown values.
        grid_resolution : int, default=100
            Grid points in each direction.
        margin : float, default=0.15
            How far the grid exceeds the range of X, as a fraction of that range.
        name : str or None, default=None
            Title; None, for a slice, describes its position.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            For ``plot``.

        Returns
        -------
        display : DensityDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``score_samples``.
        ValueError
            If the features are not two columns of X, or the point has a wrong shape.
        """
        cls._check(estimator, "Give a density estimator", "score_samples")
        rows = as_numbers(X, cls.__name__)
        columns = resolve_features(features, X)
        if len(set(columns)) != 2:
            raise ValueError(f"features={features!r} is not possible. Give two different columns.")
        sliced = rows.shape[1] > 2
        if name is None and sliced:
            name = f"slice at the {'median' if at is None else 'given values'} of the others"
        point = np.median(rows, axis=0) if at is None else np.asarray(at, dtype=float)
        if point.shape != (rows.shape[1],):
            raise ValueError(
                f"at has shape {point.shape}, but a value for each of the {rows.shape[1]} features "
                "is needed; values in the plane are ignored."
            )
        ends = [widened(rows[:, j], margin) for j in columns]
        xx0, xx1 = np.meshgrid(*(np.linspace(low, high, grid_resolution) for low, high in ends))
        grid = np.tile(point, (xx0.size, 1))
        grid[:, columns] = np.column_stack([xx0.ravel(), xx1.ravel()])
        labels = labels_of(X)
        display = cls(
            xx0=xx0,
            xx1=xx1,
            log_density=estimator.score_samples(like(grid, X)).reshape(xx0.shape),
            xlabel=labels[columns[0]],
            ylabel=labels[columns[1]],
            name=name,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        shares: Sequence[float] = (0.5, 0.8, 0.95, 0.99),
        cmap: str = "Blues",
        colorbar: bool = True,
    ) -> DensityDisplay:
        """Draw the regions.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        shares : sequence of float, default=(0.5, 0.8, 0.95, 0.99)
            Fractions of the probability on the grid, between 0 and 1, that the regions hold.
        cmap : str or matplotlib Colormap, default="Blues"
            Colours; the dark end is the highest density.
        colorbar : bool, default=True
            Whether to show how much probability each region contains.

        Returns
        -------
        display : DensityDisplay
            The object itself.

        Raises
        ------
        ValueError
            If a share is not between 0 and 1.
        """
        shares = np.sort(np.asarray(shares, dtype=float))[::-1]
        if not len(shares) or shares[0] >= 1 or shares[-1] <= 0:
            raise ValueError(f"shares={shares.tolist()} is not possible. Use shares in (0, 1).")
        ax = self._new_axes(ax)
        from matplotlib import colormaps

        self.colorbar_ = None
        levels, first = np.unique(self._edges(shares), return_index=True)
        self.levels_ = levels
        highest = max(self.log_density.max(), levels[-1]) + 1e-9
        cmap = colormaps[cmap] if isinstance(cmap, str) else cmap
        colors = cmap(np.linspace(0.25, 0.95, len(levels)))
        self.surface_ = ax.contourf(
            self.xx0, self.xx1, self.log_density, levels=[*levels, highest], colors=colors
        )
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(
                self.surface_, ax=ax, ticks=levels, spacing="uniform", label="probability inside"
            )
            self.colorbar_.set_ticklabels([f"{100 * share:g} %" for share in shares[first]])
            self.colorbar_.ax.tick_params(length=0)
        ax.set(xlabel=self.xlabel, ylabel=self.ylabel)
        return self

    def _edges(self, shares: np.ndarray) -> np.ndarray:
        """Return the log-densities above which the shares of the probability lie."""
        ordered = np.sort(self.log_density, axis=None)[::-1]
        inside = np.exp(ordered - ordered[0]).cumsum()
        return ordered[np.searchsorted(inside, shares * inside[-1])]
