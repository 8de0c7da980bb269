"""Displays of a fit: the training curves and the costs of a structure search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._common import BLUE, GREY, ORANGE, VERMILLION, Display, legend_above


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingCurveDisplay(Display):
    """Mean log-density of the training and the validation rows, epoch by epoch.

    Both are densities of the flow alone, without its components and the probabilities of categories
    and spikes, in nats a row in the units of the data; higher is better. So they are near ``score``
    only if the flow has most of the weight. A training value is the mean over the batches of an
    epoch, in which the flow still changes; a validation value belongs to the flow at the end of the
    epoch. Epochs far below the others are marked at the lower edge, so that the rest stays legible.
    It is recommended to make a display by ``from_estimator``.

    Parameters
    ----------
    loss_curve : sequence of float, shape (n_epochs,)
        Negative mean log-density of the training rows, nats a row.
    validation_scores : sequence of float, shape (n_epochs,), or None, default=None
        Mean log-density of the validation rows, nats a row; None without early stopping.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    best_epoch_ : int
        The epoch, counted from 1, of the highest validation score or, without one, of the lowest
        loss. Each flow is kept as it was after its own best epoch, which may be another one if
        there are several flows, because the curves are means.
    ax_ : matplotlib Axes
        The curves.
    figure_ : matplotlib Figure
        The figure that holds them.
    lines_ : list of matplotlib Line2D
        The curves: training and, if there is one, validation.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity
    >>> from skflow.inspection import TrainingCurveDisplay
    >>> flow = CouplingFlowDensity(max_iter=20, random_state=0).fit(load_iris().data)
    >>> display = TrainingCurveDisplay.from_estimator(flow)
    >>> len(display.lines_)
    2
    >>> plt.show()
    """

    loss_curve: np.ndarray
    validation_scores: np.ndarray | None = None

    _figsize = (6.0, 3.6)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None
    ) -> TrainingCurveDisplay:
        """Draw the curves of the last ``fit``.

        Parameters
        ----------
        estimator : CouplingFlowDensity or StructureSearchFlow
            A fitted one. The curves of several members are averaged.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``loss_curve_``.
        """
        advice = "Give a fitted CouplingFlowDensity or StructureSearchFlow"
        cls._check(estimator, advice, "loss_curve_")
        scores = getattr(estimator, "validation_scores_", None)
        display = cls(
            loss_curve=np.array(estimator.loss_curve_),
            validation_scores=None if scores is None else np.array(scores),
            name=name,
        )
        return display.plot(ax)

    def _draw(self, ax: Any) -> None:
        curves = {"training": -np.asarray(self.loss_curve, dtype=float)}
        if self.validation_scores is not None:
            curves["validation"] = np.asarray(self.validation_scores, dtype=float)
        decisive = list(curves.values())[-1]
        self.best_epoch_ = int(np.nanargmax(decisive)) + 1
        lowest = -_robust_top(-np.concatenate(list(curves.values())))
        highest = max(np.nanmax(curve) for curve in curves.values())
        margin = 0.05 * (highest - lowest) or 0.5
        self.lines_ = []
        for (label, curve), color in zip(curves.items(), [BLUE, VERMILLION]):
            epochs = np.arange(1, len(curve) + 1)
            style = {"color": color, "marker": "o" if len(curve) == 1 else None}
            self.lines_ += ax.plot(epochs, curve, label=label, **style)
            below = ~(curve >= lowest)
            if below.any():
                edge = np.full(below.sum(), lowest - margin)
                ax.plot(epochs[below], edge, "v", color=color, markersize=5, clip_on=False)
        ax.axvline(self.best_epoch_, color=GREY, linestyle=":", label="best epoch")
        ax.set(
            xlabel="epoch",
            ylabel="mean log-density, nats a row",
            ylim=(lowest - margin, highest + margin),
        )
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend_above(ax, 3)


@dataclass(kw_only=True, eq=False, repr=False)
class SearchHistoryDisplay(Display):
    """Cost of each iteration of a structure search, accepted or not, and the best so far.

    Costs are negative mean log-densities of candidates after a short training, in nats a row in the
    units of the data; lower is better. Costs far above the others, also infinite ones, are marked
    at the upper edge, so that the rest stays legible. It is recommended to make a display by
    ``from_estimator`` or ``from_history``.

    Parameters
    ----------
    iteration : ndarray of int, shape (n_iterations + 1,)
        0 is the start.
    cost : ndarray of float, shape (n_iterations + 1,)
        Cost of each candidate, nats a row.
    accepted : ndarray of bool, shape (n_iterations + 1,)
        Whether it became the best structure; ties are accepted.
    best_cost : ndarray of float, shape (n_iterations + 1,)
        The lowest cost so far, nats a row.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The picture, and the figure that holds it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skflow import StructureSearchFlow
    >>> from skflow.inspection import SearchHistoryDisplay
    >>> flow = StructureSearchFlow(
    ...     n_layers=2, n_search_iter=20, coupling="affine", max_iter=10, random_state=0
    ... ).fit(load_iris().data)
    >>> display = SearchHistoryDisplay.from_estimator(flow)
    >>> display.cost.shape
    (21,)
    >>> plt.show()
    """

    iteration: np.ndarray
    cost: np.ndarray
    accepted: np.ndarray
    best_cost: np.ndarray

    _figsize = (6.5, 3.6)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None
    ) -> SearchHistoryDisplay:
        """Draw the search of the last ``fit``.

        Parameters
        ----------
        estimator : StructureSearchFlow, or CouplingFlowDensity with a search as ``mask_layout``
            A fitted one. The search of its first member is drawn.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : SearchHistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it did not search.
        """
        advice = "Fit a StructureSearchFlow, or a CouplingFlowDensity with mask_layout='search'"
        cls._check(estimator, advice, "search_history_")
        return cls.from_history(estimator.search_history_, name=name, ax=ax)

    @classmethod
    def from_history(
        cls, history: Sequence, *, name: str | None = None, ax: Any = None
    ) -> SearchHistoryDisplay:
        """Draw the records of a search.

        Parameters
        ----------
        history : list of SearchRecord
            Such as ``search_history_``.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : SearchHistoryDisplay

        Raises
        ------
        ValueError
            If there are no records.
        """
        if not len(history):
            raise ValueError("history is empty. Give the records of a search, at least its start.")
        display = cls(
            iteration=np.array([record.iteration for record in history]),
            cost=np.array([record.cost for record in history], dtype=float),
            accepted=np.array([record.accepted for record in history], dtype=bool),
            best_cost=np.array([record.best_cost for record in history], dtype=float),
            name=name,
        )
        return display.plot(ax)

    def _draw(self, ax: Any) -> None:
        top = _robust_top(self.cost)
        finite = np.append(self.best_cost, self.cost)
        lowest = finite[np.isfinite(finite)].min(initial=top)
        margin = 0.06 * (top - lowest) or 0.5
        inside = self.cost <= top
        for selected, style in (
            (~self.accepted, dict(marker="o", markersize=3.5, color=GREY, label="not accepted")),
            (self.accepted, dict(marker="D", markersize=5, color=VERMILLION, label="accepted")),
        ):
            shown = selected & inside
            ax.plot(self.iteration[shown], self.cost[shown], linestyle="none", zorder=3, **style)
        ax.step(
            self.iteration, self.best_cost, where="post", color=BLUE, label="best so far", zorder=2
        )
        if not inside.all():
            beyond = self.cost[~inside].max()
            said = f"above, up to {beyond:.3g}" if np.isfinite(beyond) else "above, or infinite"
            ax.plot(
                self.iteration[~inside],
                np.full((~inside).sum(), top + margin),
                marker="^",
                markersize=6,
                color=ORANGE,
                linestyle="none",
                clip_on=False,
                zorder=4,
                label=said,
            )
        ax.set(
            xlabel="iteration",
            ylabel="cost, nats a row",
            ylim=(lowest - margin, top + margin),
        )
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend_above(ax, 4)


def _robust_top(costs: np.ndarray) -> float:
    """Return an upper limit that shows most costs well, even if some are huge."""
    costs = np.asarray(costs, dtype=float)
    finite = costs[np.isfinite(costs)]
    if not len(finite):
        return 1.0
    lowest = finite.min()
    usual = lowest + 4 * (np.quantile(finite, 0.75) - lowest)
    return float(finite[finite <= usual].max() if usual > lowest else finite.max())
