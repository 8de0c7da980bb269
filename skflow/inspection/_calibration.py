"""Is the model calibrated? Probability integral transforms of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from scipy import stats

from .._core.typing import ArrayLike, RandomState
from ._common import BLACK, DISTINCT, LIGHT, Display, labels_of, like


@dataclass(kw_only=True, eq=False, repr=False)
class PITDisplay(Display):
    """Probability integral transforms of rows, which are uniform if the model is calibrated.

    The transform of a number by its own distribution function is uniform on [0, 1]. A curve
    shows the fraction of values below ``u``, minus ``u``; it stays in the band if the model is
    calibrated. A curve below the band at the left and above it at the right (or the other way
    round) means that the model is too wide (too narrow). The band contains all curves at once with
    95 % probability (Kolmogorov-Smirnov, with the level divided by the number of curves).
    ``plot(scale="normal")`` draws quantiles instead, which show the tails [3]_.

    Two sets of values can be drawn:

    - "latent": each latent feature, and the squared distance from the latent origin, which is
      chi-squared with as many degrees of freedom as there are features. They test whether the
      flow alone, without its components, maps the rows to a standard normal.
    - "density": for each row, the fraction of samples from the model whose density is lower. It
      marks the smallest region of highest density with the row [2]_, tests the whole model (broad
      components and ensembles included) and works for any density estimator that samples.

    Make one by ``from_estimator`` or ``from_values``.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_curves)
        Transforms, from 0 to 1.
    names : list of str
        Curve names.
    name : str or None, default=None
        Title.
    n_reference : int or None, default=None
        Number of samples if the values are fractions of samples; it widens the band.

    Attributes
    ----------
    distance_ : ndarray of shape (n_curves,)
        Largest absolute difference of each curve: the Kolmogorov-Smirnov statistic.
    pvalue_ : ndarray of shape (n_curves,)
        P-value of the Kolmogorov-Smirnov test of each curve.
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    References
    ----------
    .. [1] Diebold, F. X., Gunther, T. A., Tay, A. S., "Evaluating Density Forecasts",
       International Economic Review 39 (1998).
    .. [2] Hyndman, R. J., "Computing and Graphing Highest Density Regions", The American
       Statistician 50 (1996).
    .. [3] Wilk, M. B., Gnanadesikan, R., "Probability plotting methods for the analysis of data",
       Biometrika 55 (1968).

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
    >>> quantiles = display.plot(scale="normal")
    >>> whole = PITDisplay.from_estimator(flow, X_test, values="density", random_state=0)
    >>> whole.pvalue_.shape
    (1,)
    >>> plt.show()
    """

    values: Any
    names: Sequence[str]
    n_reference: int | None = None

    _figsize = (5.4, 3.8)

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
    ) -> PITDisplay:
        """Compute the transforms of rows and draw them.

        Parameters
        ----------
        estimator : object
            For "latent", a fitted flow with a single member. For "density" any fitted estimator
            with ``score_samples`` and ``sample``.
        X : array-like of shape (n_samples, n_features)
            Rows that were not fitted.
        values : {"latent", "density"}, default="latent"
            Values to draw.
        n_samples : int, default=10_000
            For "density": number of samples to compare with.
        random_state : int, RandomState instance or None, default=None
            For "density": seed of the samples, if the estimator's ``sample`` takes one.
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
            If the estimator lacks an attribute.
        ValueError
            If ``values`` is unknown, or "latent" with several members.
        """
        if values == "latent":
            advice = "Give a fitted CouplingFlowDensity or StructureSearchFlow"
            cls._check(estimator, advice, "masks_")  # many estimators have a transform
            Z = np.asarray(estimator.transform(X))
            names = getattr(estimator, "feature_names_in_", labels_of(Z))
            radius = stats.chi2.cdf((Z**2).sum(axis=1), Z.shape[1])
            display = cls(
                values=np.column_stack([stats.norm.cdf(Z), radius]),
                names=[*names, "distance from the origin"],
                name=name,
            )
        elif values == "density":
            advice = "Give a density estimator that samples"
            cls._check(estimator, advice, "score_samples", "sample")
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
    ) -> PITDisplay:
        """Draw given transforms, of any model.

        Parameters
        ----------
        values : array-like of shape (n_samples,) or (n_samples, n_curves)
            From 0 to 1, such as ``scipy.stats.norm.cdf(z)``.
        names : sequence of str or None, default=None
            Curve names.
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
            If a value is not in [0, 1].
        """
        values = np.asarray(values, dtype=float)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                "values are not probability integral transforms: a table of numbers from 0 to 1 is "
                "needed, such as scipy.stats.norm.cdf(z)."
            )
        names = labels_of(values) if names is None else [str(n) for n in names]
        return cls(values=values, names=names, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, scale: str = "uniform", n_named: int = 3) -> PITDisplay:
        """Draw the values against the uniform.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        scale : {"uniform", "normal"}, default="uniform"
            "uniform" draws differences of fractions, which show the bulk of the rows; "normal"
            draws normal quantiles against the expected ones, which show the tails. The band of
            "normal" holds each single point of a curve with 95 % probability.
        n_named : int, default=3
            How many of the most different curves have a colour and a name; at most 4.

        Returns
        -------
        display : PITDisplay
            The object itself.

        Raises
        ------
        ValueError
            If the scale is unknown.
        """
        draw = {"uniform": self._draw_fractions, "normal": self._draw_quantiles}.get(scale)
        if draw is None:
            raise ValueError(f"scale={scale!r} is not known. Use 'uniform' or 'normal'.")
        tests = [stats.kstest(column, "uniform") for column in self.values.T]
        self.distance_ = np.array([test.statistic for test in tests])
        self.pvalue_ = stats.kstwo.sf(self.distance_, self._n_effective)
        draw(self._new_axes(ax), n_named)
        return self

    @property
    def _n_effective(self) -> int:
        """Number of rows, less if the distribution is known from samples."""
        n, m = len(self.values), self.n_reference
        return max(1, round(n if m is None else n * m / (n + m)))

    def _draw_fractions(self, ax: Any, n_named: int) -> None:
        n, n_curves = self.values.shape
        band = stats.kstwo.ppf(1 - 0.05 / n_curves, self._n_effective)
        ax.axhspan(-band, band, color=LIGHT, label="95 % band", zorder=0)
        ax.axhline(0, color=BLACK, linewidth=0.8, linestyle="--")
        u = np.linspace(0, 1, 401)
        below = [np.searchsorted(np.sort(column), u, side="right") / n for column in self.values.T]
        self._draw_curves(ax, u, np.transpose(below) - u[:, None], n_named)
        reach = 1.15 * max(band, self.distance_.max())
        ax.set(
            xlabel="u",
            ylabel="fraction of values below u, minus u",
            xlim=(0, 1),
            ylim=(-reach, 1.5 * reach),
        )
        ax.legend(frameon=False, loc="upper right", fontsize="small", ncols=2)

    def _draw_quantiles(self, ax: Any, n_named: int) -> None:
        n = len(self.values)
        expected = stats.norm.ppf((np.arange(n) + 0.5) / n)
        order = np.arange(1, n + 1)  # the i-th smallest of n uniform numbers is Beta(i, n + 1 - i)
        low, high = stats.norm.ppf(stats.beta.ppf([[0.025], [0.975]], order, n + 1 - order))
        ax.fill_between(expected, low, high, color=LIGHT, label="95 % of points", zorder=0)
        # a value that rounds to 0 or 1 has no quantile
        quantiles = stats.norm.ppf(np.clip(np.sort(self.values, axis=0), 1e-300, 1 - 1e-16))
        self._draw_curves(ax, expected, quantiles, n_named)
        ax.axline((0, 0), slope=1, color=BLACK, linewidth=0.8, linestyle="--")
        reach = 1.1 * max(4.0 if n > 30_000 else 3.0, expected[-1])
        ax.set(
            xlabel="standard normal quantile",
            ylabel="normal quantile of the values",
            xlim=(-reach, reach),
            ylim=(-1.4 * reach, 1.4 * reach),
        )
        ax.legend(frameon=False, loc="upper left", fontsize="small")

    def _draw_curves(self, ax: Any, x: np.ndarray, curves: np.ndarray, n_named: int) -> None:
        """Draw curves over x; the most different in colour, with names."""
        named = np.argsort(-self.distance_, kind="stable")[: min(n_named, len(DISTINCT))]
        for j in np.setdiff1d(np.arange(curves.shape[1]), named):
            ax.plot(x, curves[:, j], color="#888888", linewidth=0.8, alpha=0.7)
        for rank, (j, color) in enumerate(zip(named, DISTINCT)):
            label = self.names[j]
            ax.plot(x, curves[:, j], color=color, linewidth=1.6, label=label, zorder=5 - rank / 9)


def _draw(estimator: Any, n_samples: int, random_state: RandomState) -> np.ndarray:
    """Draw rows from an estimator with any signature of ``sample``."""
    keywords = {"random_state": random_state, "tails": True}  # the whole density is judged
    known = signature(estimator.sample).parameters  # GaussianMixture has neither
    keywords = {name: value for name, value in keywords.items() if name in known}
    drawn = estimator.sample(n_samples, **keywords)
    return drawn[0] if isinstance(drawn, tuple) else drawn
