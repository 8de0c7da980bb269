"""Is the model calibrated? Latent quantiles, and probability integral transforms of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from .._core.typing import ArrayLike, RandomState
from ._common import (
    BLACK,
    LIGHT,
    Display,
    check_drawable,
    latent_points,
    like,
    named_curves,
    numbered,
)

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(kw_only=True, eq=False, repr=False)
class LatentQQDisplay(Display):
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

    quantiles: np.ndarray
    feature_names: Sequence[str]

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
            If it is not a flow.
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
        ax = self._new_axes(ax, (4.8, 4.4))
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
        return self


@dataclass(kw_only=True, eq=False, repr=False)
class PITDisplay(Display):
    """Probability integral transforms of rows, which are uniform if the model is calibrated.

    The transform of a number by its own distribution function is uniform on [0, 1]. Drawn is how
    far the fraction of values below ``u`` differs from ``u``: a curve that stays in the band is one
    that a calibrated model could give. A curve below the band at the left, above it at the right
    (or the other way round) means that the model is too wide (too narrow). The band contains all
    curves at once with 95 % probability (that of Kolmogorov and Smirnov, divided by the number of
    curves).

    Two kinds of values can be drawn:

    - "latent": each latent feature, and the squared distance from the latent origin, which is
      chi-squared with as many degrees of freedom as there are features. It asks whether the flow
      alone, without its components, maps the rows to a standard normal.
    - "density": for each row, the share of samples from the model whose density is lower. It is
      the smallest region of highest density that the row lies in [2]_, asks the whole model (broad
      components and ensembles included) and works for any density estimator that samples.

    It is recommended to make a display by ``from_estimator`` or ``from_values``.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_curves)
        Transforms, from 0 to 1.
    names : list of str
        Of the curves.
    name : str or None, default=None
        Title.
    n_reference : int or None, default=None
        Where the values are shares of samples: the number of these, which widens the band.

    Attributes
    ----------
    distance_ : ndarray of shape (n_curves,)
        Largest absolute difference of each curve: the Kolmogorov-Smirnov statistic.
    pvalue_ : ndarray of shape (n_curves,)
        Of the Kolmogorov-Smirnov test of each curve by itself.
    ax_ : matplotlib Axes
        The picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    LatentQQDisplay : The latent features' quantiles, which show tails better.
    scipy.stats.kstest : The test.

    References
    ----------
    .. [1] Diebold, F. X., Gunther, T. A., Tay, A. S., "Evaluating Density Forecasts",
       International Economic Review 39 (1998).
    .. [2] Hyndman, R. J., "Computing and Graphing Highest Density Regions", The American
       Statistician 50 (1996).

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import PITDisplay
    >>> X_train, X_test = train_test_split(load_iris().data, random_state=0)
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=20, random_state=0).fit(X_train)
    >>> display = PITDisplay.from_estimator(flow, X_test)
    >>> display.values.shape  # four features and the distance from the origin
    (38, 5)
    >>> whole = PITDisplay.from_estimator(flow, X_test, values="density", random_state=0)
    >>> whole.pvalue_.shape
    (1,)
    >>> plt.show()
    """

    values: Any
    names: Sequence[str]
    n_reference: int | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        values: Any = "latent",
        n_samples: int = 10_000,
        random_state: RandomState = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the transforms of rows and draw them.

        Parameters
        ----------
        estimator : object
            For "latent", a fitted flow with a single member. For "density" any fitted estimator
            with ``score_samples`` and ``sample``.
        X : array-like of shape (n_samples, n_features)
            Rows that were not fitted.
        values : {"latent", "density"}, default="latent"
            What is transformed.
        n_samples : int, default=10_000
            For "density": number of samples to compare with.
        random_state : int, RandomState instance or None, default=None
            For "density": source of the samples, where the estimator's ``sample`` takes one.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            For ``plot``.

        Returns
        -------
        display : PITDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator lacks what is needed.
        ValueError
            If ``values`` is neither, or if "latent" meets several members.
        """
        if values == "latent":
            Z, names = latent_points(estimator, X, cls.__name__)
            radius = stats.chi2.cdf((Z**2).sum(axis=1), Z.shape[1])
            display = cls(
                values=np.column_stack([stats.norm.cdf(Z), radius]),
                names=[*names, "distance from the origin"],
                name=name,
            )
        elif values == "density":
            for method in ("score_samples", "sample"):
                advice = "Give a density estimator that samples"
                check_drawable(estimator, method, cls.__name__, advice)
            drawn = like(_draw(estimator, n_samples, random_state), X)
            drawn = np.sort(estimator.score_samples(drawn))
            ranks = np.searchsorted(drawn, estimator.score_samples(X), side="right")
            display = cls(
                values=(ranks / n_samples)[:, None],
                names=["density"],
                name=name,
                n_reference=n_samples,
            )
        else:
            raise ValueError(f"values={values!r} is not known. Use 'latent' or 'density'.")
        return display.plot(ax, **kwargs)

    @classmethod
    def from_values(
        cls,
        values: Any,
        *,
        names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw transforms that are given, of whatever model.

        Parameters
        ----------
        values : array-like of shape (n_samples,) or (n_samples, n_curves)
            From 0 to 1, such as ``scipy.stats.norm.cdf(z)``.
        names : sequence of str or None, default=None
            Of the curves.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            For ``plot``.

        Returns
        -------
        display : PITDisplay

        Raises
        ------
        ValueError
            If a value is not from 0 to 1.
        """
        values = np.asarray(values, dtype=float)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                "values are not probability integral transforms: a table of numbers from 0 to 1 is "
                "needed, such as scipy.stats.norm.cdf(z)."
            )
        names = [str(n) for n in names] if names is not None else numbered(None, values.shape[1])
        return cls(values=values, names=names, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, n_named: int = 3) -> Self:
        """Draw the differences from uniform.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        n_named : int, default=3
            How many curves, those that differ most, have a colour and a name; at most 4.

        Returns
        -------
        display : PITDisplay
            The object itself.
        """
        ax = self._new_axes(ax, (5.4, 3.8))
        n, n_curves = self.values.shape
        effective = n if self.n_reference is None else n * self.n_reference / (n + self.n_reference)
        tests = [stats.kstest(column, "uniform") for column in self.values.T]
        self.distance_ = np.array([test.statistic for test in tests])
        self.pvalue_ = stats.kstwo.sf(self.distance_, max(1, round(effective)))
        band = stats.kstwo.ppf(1 - 0.05 / n_curves, max(1, round(effective)))
        ax.axhspan(-band, band, color=LIGHT, label="95 % band", zorder=0)
        ax.axhline(0, color=BLACK, linewidth=0.8, linestyle="--")
        u = np.linspace(0, 1, 401)
        below = [np.searchsorted(np.sort(column), u, side="right") / n for column in self.values.T]
        curves = np.transpose(below) - u[:, None]
        named_curves(ax, u, curves, self.names, self.distance_, n_named)
        reach = 1.15 * max(band, self.distance_.max())
        ax.set(
            xlabel="u",
            ylabel="share of values below u, minus u",
            title=self.name or "",
            xlim=(0, 1),
            ylim=(-reach, 1.5 * reach),
        )
        ax.legend(frameon=False, loc="upper right", fontsize="small", ncols=2)
        return self


def _draw(estimator, n_samples, random_state):
    """Rows from an estimator, whatever its ``sample`` takes and returns."""
    keywords = {"random_state": random_state, "tails": True}  # it is the density that is judged
    known = signature(estimator.sample).parameters  # GaussianMixture has none of them
    keywords = {name: value for name, value in keywords.items() if name in known}
    drawn = estimator.sample(n_samples, **keywords)
    return drawn[0] if isinstance(drawn, tuple) else drawn
