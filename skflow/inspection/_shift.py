"""Whether rows still come from where the rows of a fit came from, over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.typing import ArrayLike
from ._common import BLUE, GREY, NO_DETECTOR, VERMILLION, Display


@dataclass(kw_only=True, eq=False, repr=False)
class ShiftDisplay(Display):
    """Evidence, row after row, that rows no longer come from where those of the fit came from.

    While nothing changes the curve wanders about 0 and below. It reaches the dashed line by chance
    with a probability of at most ``level``, however many rows come.

    It is recommended to make a display by ``from_estimator``.

    Parameters
    ----------
    evidence : ndarray of shape (n_samples,)
        Of ``FlowOutlierDetector.shift_evidence``.
    times : ndarray of shape (n_samples,) or None, default=None
        When the rows came; None numbers them.
    level : float, default=0.01
        Probability of a false alarm.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    alarm_ : int or None
        The first row at which the evidence reaches the line.
    ax_ : matplotlib Axes
        The picture.
    figure_ : matplotlib Figure
        The figure that holds it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skflow import FlowOutlierDetector
    >>> from skflow.inspection import ShiftDisplay
    >>> rng = np.random.default_rng(0)
    >>> detector = FlowOutlierDetector(GaussianMixture(), random_state=0)
    >>> detector = detector.fit(rng.standard_normal((500, 2)))
    >>> later = rng.standard_normal((300, 2))
    >>> later[150:] *= 2  # something happens
    >>> display = ShiftDisplay.from_estimator(detector, later)
    >>> 150 < display.alarm_ < 200
    True
    >>> plt.show()
    """

    evidence: np.ndarray
    times: np.ndarray | None = None
    level: float = 0.01

    _figsize = (6.4, 3.2)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        times: Any = None,
        level: float = 0.01,
        name: str | None = None,
        ax: Any = None,
    ) -> ShiftDisplay:
        """Compute the evidence and draw it.

        Parameters
        ----------
        estimator : FlowOutlierDetector
            A fitted one.
        X : array-like of shape (n_samples, n_features)
            Rows in the order in which they came.
        times : array-like of shape (n_samples,) or None, default=None
            When they came; None numbers them.
        level : float, default=0.01
            Probability of a false alarm, in (0, 1).
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ShiftDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is no FlowOutlierDetector.
        ValueError
            If an argument cannot be used.
        """
        cls._check(estimator, NO_DETECTOR, "shift_evidence")
        if not 0 < level < 1:
            raise ValueError(f"level={level!r} has to be a number between 0 and 1.")
        evidence = estimator.shift_evidence(X)
        times = None if times is None else np.asarray(times)
        if times is not None and len(times) != len(evidence):
            raise ValueError(f"times has {len(times)} values, but X has {len(evidence)} rows.")
        return cls(evidence=evidence, times=times, level=level, name=name).plot(ax)

    def _draw(self, ax):
        x = np.arange(len(self.evidence)) if self.times is None else self.times
        line = -np.log10(self.level)
        above = self.evidence >= line
        self.alarm_ = int(above.argmax()) if above.any() else None
        ax.plot(x, self.evidence, color=BLUE, linewidth=1.6)
        label = f"by chance in at most {100 * self.level:g} % of streams"
        ax.axhline(line, color=GREY, linestyle="--", linewidth=1, label=label)
        if self.alarm_ is not None:
            at = x[self.alarm_]
            ax.scatter(
                [at], self.evidence[[self.alarm_]], color=VERMILLION, zorder=3, label="alarm"
            )
        ax.set(xlabel="row" if self.times is None else "time", ylabel="evidence, powers of ten")
        ax.legend(frameon=False, loc="upper left")
