"""Is the latent space Gaussian? Quantiles against quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from .._support.typing import ArrayLike
from ._common import BLACK, LIGHT, latent_points, named_curves, new_axes

if TYPE_CHECKING:
    from typing_extensions import Self


class LatentQQDisplay:
    """Quantiles of the latent features against those of the standard normal.

    If the flow is right, each feature of ``transform(X)`` is standard normal, and its curve lies on
    the diagonal. Give rows that were not fitted: on training rows a flow that overfits looks right.
    The curves that stray farthest have colours and names, the others are grey; the band holds 95 %
    of the points of a curve, each taken by itself. A coupling keeps the features' places, so that
    latent feature ``j`` is what the flow made of feature ``j``, given others.

    It is recommended to make a display by ``from_estimator``.

    Parameters
    ----------
    quantiles : ndarray of shape (n_samples, n_features)
        The latent features, each sorted.
    feature_names : list of str
        Their names.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    theoretical_ : ndarray of shape (n_samples,)
        Quantiles of the standard normal at ``(i - 0.5) / n_samples``.
    distance_ : ndarray of shape (n_features,)
        Mean absolute difference of the quantiles from the theoretical ones.
    ax_ : matplotlib Axes
        The picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    PITDisplay : The same question in probabilities, with a test; also for ensembles.
    scipy.stats.probplot : For one feature.

    References
    ----------
    .. [1] Wilk, M. B., Gnanadesikan, R., "Probability plotting methods for the analysis of data",
       Biometrika 55 (1968).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import LatentQQDisplay
    >>> X_train, X_test = train_test_split(load_iris(as_frame=True).data, random_state=0)
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=20, random_state=0).fit(X_train)
    >>> display = LatentQQDisplay.from_estimator(flow, X_test)
    >>> display.quantiles.shape
    (38, 4)
    >>> plt.show()
    """

    def __init__(
        self, *, quantiles: np.ndarray, feature_names: Sequence[str], name: str | None = None
    ) -> None:
        self.quantiles = quantiles
        self.feature_names = feature_names
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, *, name: str | None = None, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Map rows to the latent space and draw their quantiles.

        Parameters
        ----------
        estimator : CouplingFlowDensity or StructureSearchFlow
            A fitted one, with a single member.
        X : array-like of shape (n_samples, n_features)
            Rows that were not fitted.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            For ``plot``.

        Returns
        -------
        display : LatentQQDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is no flow.
        ValueError
            If it has several members, each with a latent space of its own.
        """
        Z, names = latent_points(estimator, X, cls.__name__)
        return cls(quantiles=np.sort(Z, axis=0), feature_names=names, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, n_named: int = 3) -> Self:
        """Draw the quantiles.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        n_named : int, default=3
            How many features, those farthest from the diagonal, have a colour and a name; at
            most 4.

        Returns
        -------
        display : LatentQQDisplay
            The object itself.
        """
        ax = new_axes(f"{type(self).__name__}.plot", ax, (4.8, 4.4))
        n = len(self.quantiles)
        self.theoretical_ = stats.norm.ppf((np.arange(n) + 0.5) / n)
        self.distance_ = np.abs(self.quantiles - self.theoretical_[:, None]).mean(axis=0)
        order = np.arange(1, n + 1)  # the i-th smallest of n uniform numbers is Beta(i, n + 1 - i)
        low, high = stats.norm.ppf(stats.beta.ppf([[0.025], [0.975]], order, n + 1 - order))
        ax.fill_between(self.theoretical_, low, high, color=LIGHT, label="95 % of points", zorder=0)
        named_curves(
            ax, self.theoretical_, self.quantiles, self.feature_names, self.distance_, n_named
        )
        ax.axline((0, 0), slope=1, color=BLACK, linewidth=0.8, linestyle="--")
        reach = 1.1 * max(4.0 if n > 30_000 else 3.0, self.theoretical_[-1])
        ax.set(
            xlabel="standard normal quantile",
            ylabel="latent quantile",
            title=self.name or "",
            xlim=(-reach, reach),
            ylim=(-1.4 * reach, 1.4 * reach),
        )
        ax.legend(frameon=False, loc="upper left", fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self
