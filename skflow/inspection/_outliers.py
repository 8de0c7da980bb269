"""Displays of a detector: why a row is unusual, and whether rows change over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.typing import ArrayLike
from ._common import BLACK, BLUE, GREY, LIGHT, NO_DETECTOR, VERMILLION, Display


@dataclass(kw_only=True, eq=False, repr=False)
class OutlierReportDisplay(Display):
    """The reasons of a row as bars with the usual values, and the row among others in a plane.

    On the left there is a line for each column, from the lowest to the highest value seen in
    ``fit``. The bar is the usual range given all other columns of the row. The point is the value
    of the row, red if it is a reason. On the right are rows of ``fit`` in the first of these
    columns and the one with which the row stands out most. Categories lie in their order.

    Make one by ``from_estimator``.

    Parameters
    ----------
    feature_names : list of str
        Names of the columns, the first reason first.
    values : ndarray of shape (n_shown,)
        Values of the row; a category is its index in the order.
    usual : ndarray of shape (n_shown, 2)
        Ends of usual ranges.
    ends : ndarray of shape (n_shown, 2)
        Lowest and highest values seen in ``fit``.
    texts : list of str
        Value and usual values of each column.
    is_reason : ndarray of bool, shape (n_shown,)
        Whether the column is one of the reasons.
    plane : ndarray of shape (n_rows, 2) or None, default=None
        Rows of ``fit`` in two columns; None if there is only one.
    point : ndarray of shape (2,) or None, default=None
        The row in the plane.
    plane_names : list of str
        Column names.
    plane_labels : list of (list of str or None)
        Category names of each column, None for numbers.
    name : str or None, default=None
        Title; ``from_estimator`` takes it from the report.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (2,)
        The two pictures.
    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    skflow.FlowOutlierDetector.report : The same for many rows, as a table.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.mixture import GaussianMixture
    >>> from skflow import FlowOutlierDetector
    >>> from skflow.inspection import OutlierReportDisplay
    >>> X = load_iris(as_frame=True).data
    >>> detector = FlowOutlierDetector(GaussianMixture(3), random_state=0).fit(X)
    >>> strange = X[:1].assign(**{"petal width (cm)": 2.5})
    >>> display = OutlierReportDisplay.from_estimator(detector, strange)
    >>> display.feature_names[0]
    'petal width (cm)'
    >>> plt.show()
    """

    feature_names: Sequence[str]
    values: np.ndarray
    usual: np.ndarray
    ends: np.ndarray
    texts: Sequence[str]
    is_reason: np.ndarray
    plane: np.ndarray | None = None
    point: np.ndarray | None = None
    plane_names: Sequence[str] = ()
    plane_labels: Sequence[Any] = (None, None)

    _n_axes = 2

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        coverage: float = 0.9,
        n_features: int = 8,
        name: str | None = None,
        ax: Any = None,
    ) -> OutlierReportDisplay:
        """Find the reasons of a row and draw them.

        Parameters
        ----------
        estimator : FlowOutlierDetector
            A fitted one.
        X : array-like of shape (n_samples, n_features)
            Rows; the most unusual one is drawn.
        coverage : float, default=0.9
            Coverage of the bars, in (0, 1).
        n_features : int, default=8
            Number of columns, of the largest contributions.
        name : str or None, default=None
            Title; None takes the sentence of the report.
        ax : sequence of two matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : OutlierReportDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is not a FlowOutlierDetector.
        ValueError
            If an argument cannot be used.
        """
        cls._check(estimator, NO_DETECTOR, "_reasons_of_lowest")
        reasons = estimator._reasons_of_lowest(X, coverage)
        row, shown = reasons.X[0], reasons.order[0, :n_features]
        labels, reason = [str(label) for label in reasons.table.labels], set(reasons.columns(0))
        texts = [
            ", ".join(filter(None, [reasons.text(reasons.cell(0, j), j), reasons.usual_text(0, j)]))
            for j in shown
        ]
        return cls(
            feature_names=[labels[j] for j in shown],
            values=row[shown],
            usual=reasons.usual[0, shown],
            ends=reasons.ends[:, shown].T,
            texts=["missing" if np.isnan(row[j]) else t for j, t in zip(shown, texts)],
            is_reason=np.array([j in reason for j in shown]),
            name=reasons.sentence(0) if name is None else name,
            **_plane(reasons, shown[0], labels),
        ).plot(ax)

    def _draw(self, ax: Any) -> None:
        left, right = ax
        left.set_title(left.get_title(loc="left"), loc="left", fontsize="medium")
        self._draw_bars(left)
        if self.plane is None or self.point is None:
            right.set_axis_off()
        else:
            self._draw_plane(right, self.plane, self.point)

    def _size(self) -> tuple[float, float]:
        return 9.5, max(3.4, 1.2 + 0.42 * len(self.feature_names))

    def _draw_bars(self, ax: Any) -> None:
        low, high = self.ends.T
        width = np.where(high > low, high - low, 1.0)
        places = np.arange(len(self.feature_names))
        ax.hlines(places, 0, 1, color=LIGHT, linewidth=2, zorder=0)
        # a little beyond the line is seen as out of range
        value = np.clip((self.values - low) / width, -0.08, 1.08)
        ends = np.clip((self.usual - low[:, None]) / width[:, None], 0, 1)
        known = ~np.isnan(ends).any(axis=1)
        widths = np.maximum(np.ptp(ends, axis=1), 0.01)[known]
        ax.barh(places[known], widths, 0.4, ends[known].min(axis=1), color=BLUE, alpha=0.5)
        colors = np.where(self.is_reason, VERMILLION, BLACK)
        ax.scatter(value, places, s=36, c=colors, zorder=3)
        for place, text in zip(places, self.texts):
            ax.text(0, place - 0.27, text, color=GREY, fontsize="x-small", va="bottom")
        ax.set_yticks(places, self.feature_names)
        ax.set_xticks([0, 1], ["lowest", "highest"])
        ax.set(xlim=(-0.12, 1.12), ylim=(len(places) - 0.4, -0.7))
        ax.set_xlabel("point: the row; bar: usual for such a row")

    def _draw_plane(self, ax: Any, plane: np.ndarray, point: np.ndarray) -> None:
        jitter = np.zeros_like(plane)
        rng = np.random.default_rng(0)
        for axis, labels in enumerate(self.plane_labels):
            if labels is not None:  # rows of one category hide each other
                jitter[:, axis] = rng.uniform(-0.2, 0.2, len(jitter))
                set_ticks = (ax.set_xticks, ax.set_yticks)[axis]
                set_ticks(range(len(labels)), labels)
        ax.scatter(*(plane + jitter).T, s=9, color=BLUE, alpha=0.5, label="rows of fit")
        ax.scatter(*point, s=70, marker="D", color=VERMILLION, label="this row")
        ax.set(xlabel=self.plane_names[0], ylabel=self.plane_names[1])
        ax.legend(frameon=False, loc="best")


def _plane(reasons: Any, j: int, labels: list[str]) -> dict[str, Any]:
    """Return the plane of column ``j`` and its partner for ``OutlierReportDisplay``."""
    k = reasons.partner(0, j, always=True)
    if k is None:
        return {}
    pair = [k, j]
    categories = [reasons.table.categories.get(column) for column in pair]
    return {
        "plane": reasons.seen[:, pair],
        "point": reasons.X[0, pair],
        "plane_names": [labels[column] for column in pair],
        "plane_labels": [None if found is None else list(map(str, found)) for found in categories],
    }


@dataclass(kw_only=True, eq=False, repr=False)
class ShiftDisplay(Display):
    """Evidence, row after row, that rows no longer come from the distribution seen in fit.

    Without a change the curve wanders about 0 and below. Then it reaches the dashed line with a
    probability of at most ``level``, however many rows come.

    Make one by ``from_estimator``.

    Parameters
    ----------
    evidence : ndarray of shape (n_samples,)
        From ``FlowOutlierDetector.shift_evidence``.
    times : ndarray of shape (n_samples,) or None, default=None
        Times of the rows; None numbers them.
    level : float, default=0.01
        Probability of a false alarm.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    alarm_ : int or None
        The first row at which the evidence reaches the line.
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

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
            Rows in order of time.
        times : array-like of shape (n_samples,) or None, default=None
            Times of the rows; None numbers them.
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
            If it is not a FlowOutlierDetector.
        ValueError
            If an argument cannot be used.
        """
        cls._check(estimator, NO_DETECTOR, "shift_evidence")
        if not 0 < level < 1:
            raise ValueError(f"level={level!r} is not between 0 and 1.")
        evidence = estimator.shift_evidence(X)
        times = None if times is None else np.asarray(times)
        if times is not None and len(times) != len(evidence):
            raise ValueError(f"times has {len(times)} values, but X has {len(evidence)} rows.")
        return cls(evidence=evidence, times=times, level=level, name=name).plot(ax)

    def _draw(self, ax: Any) -> None:
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
