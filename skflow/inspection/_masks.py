"""Coupling structures as a grid of layers and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._core.typing import ArrayLike
from ._common import BLUE, LIGHT, Display


@dataclass(kw_only=True, eq=False, repr=False)
class MaskDisplay(Display):
    """Masks as a grid: a row for each layer, a column for each feature.

    The layer transforms dark features; light ones condition the coupling and pass unchanged;
    white ones are idle. Data enter at the top. It is recommended to make a display by
    ``from_estimator`` or ``from_masks``.

    Parameters
    ----------
    masks : ndarray of shape (n_layers, n_features)
        Boolean, True is transformed and False conditions; or 1, 0 and -1, which is idle.
    feature_names : list of str or None, default=None
        Names of the features; None numbers them from 0.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The grid.
    figure_ : matplotlib Figure
        The figure that holds it.
    mesh_ : matplotlib QuadMesh
        The cells.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skflow import masks
    >>> from skflow.inspection import MaskDisplay
    >>> display = MaskDisplay.from_masks(masks.parity(4, 6))
    >>> display.masks.shape
    (4, 6)
    >>> plt.show()
    """

    masks: np.ndarray
    feature_names: Sequence[str] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        member: int = 0,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> MaskDisplay:
        """Draw the fitted masks.

        Parameters
        ----------
        estimator : estimator
            A fitted CouplingFlowDensity or StructureSearchFlow, or a pipeline or grid search that
            ends with one.
        member : int, default=0
            Index of the member, if ``n_estimators`` is above 1.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes the names seen in ``fit``, or numbers from 0.
            Columns of categories have no mask.
        name : str or None, default=None
            Title. None is the number of the member if there are several, or else no title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MaskDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no masks.
        ValueError
            If the member does not exist, or the number of names is wrong.
        """
        advice = "Give a fitted CouplingFlowDensity or StructureSearchFlow"
        estimator = _chosen_step(estimator)
        cls._check(estimator, advice, "masks_")
        masks = estimator.masks_
        if masks.ndim == 2:
            masks = masks[np.newaxis]
        if not 0 <= member < len(masks):
            raise ValueError(
                f"member={member!r} does not exist. Give an integer from 0 to {len(masks) - 1}."
            )
        if name is None and len(masks) > 1:
            name = f"member {member} of {len(masks)}"
        if feature_names is None and hasattr(estimator, "feature_names_in_"):
            kinds = estimator.columns_.items()
            feature_names = [label for label, kind in kinds if not kind.startswith("category")]
        names = _as_many(feature_names, masks.shape[2])
        return cls(masks=masks[member], feature_names=names, name=name).plot(ax)

    @classmethod
    def from_masks(
        cls,
        masks: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Any = None,
    ) -> MaskDisplay:
        """Draw given masks.

        Parameters
        ----------
        masks : array of shape (n_layers, n_features)
            Boolean, True is transformed and False conditions; or 1, 0 and -1, which is idle.
        feature_names : sequence of str or None, default=None
            Names of the features; None numbers them from 0.
        name : str or None, default=None
            Title.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MaskDisplay

        Raises
        ------
        ValueError
            If the masks are not two-dimensional, or neither boolean nor 1, 0 and -1, or the number
            of names is wrong.
        """
        masks = np.asarray(masks)
        roles = masks.dtype == bool or (masks.dtype.kind == "i" and (masks == -1).any())
        if masks.ndim != 2 or not roles or not np.isin(masks, (-1, 0, 1)).all():
            raise ValueError(
                f"masks has shape {masks.shape} and dtype {masks.dtype}, but a boolean array of "
                "shape (n_layers, n_features), or one of the roles 1, 0 and -1, is needed. Give "
                "the masks of one member at a time."
            )
        names = _as_many(feature_names, masks.shape[1])
        return cls(masks=masks, feature_names=names, name=name).plot(ax)

    def plot(self, ax: Any = None, *, legend: bool = True) -> MaskDisplay:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure whose size follows the grid.
        legend : bool, default=True
            Whether to explain the two shades above the grid.

        Returns
        -------
        display : MaskDisplay
            The object itself.
        """
        ax = self._new_axes(ax)
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        self.mesh_ = ax.pcolormesh(
            np.asarray(self.masks, dtype=int),
            cmap=ListedColormap(["white", LIGHT, BLUE]),
            vmin=-1,
            vmax=1,
            edgecolors="white",
            linewidth=2 if self.masks.shape[1] <= 25 else 0.7,
        )
        ax.invert_yaxis()
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        self._label(ax)
        if legend:
            shades = [
                Patch(color=BLUE, label="transformed"),
                Patch(color=LIGHT, label="conditions"),
                Patch(facecolor="white", edgecolor=LIGHT, label="idle"),
            ]
            ax.legend(
                handles=shades if (np.asarray(self.masks) == -1).any() else shades[:2],
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=3,
                frameon=False,
                borderaxespad=0.2,
            )
        return self

    def _size(self) -> tuple[float, float]:
        n_layers, n_features = self.masks.shape
        longest = max(map(len, self.feature_names)) if self.feature_names else 2
        return (
            min(12.0, max(4.5, 0.45 * n_features + 1)),
            min(9.0, 0.28 * n_layers + 1.0 + 0.07 * min(longest, 25)),
        )

    def _label(self, ax: Any) -> None:
        n_layers, n_features = self.masks.shape
        extent = ax.get_window_extent()
        points = 72 / ax.figure.dpi
        height, width = points * extent.height / n_layers, points * extent.width / n_features
        ax.set_ylabel("layer")
        step, font = _spacing(height)
        layers = np.arange(0, n_layers, step)
        ax.set_yticks(layers + 0.5, layers + 1, fontsize=font)
        if self.feature_names is None:
            ax.set_xlabel("feature")
            step = next(step for step in (1, 2, 5, 10, 20, 50, n_features) if step * width >= 17)
            columns = np.arange(0, n_features, step)
            ax.set_xticks(columns + 0.5, columns, fontsize=9)
            return
        step, font = _spacing(width)
        columns = np.arange(0, n_features, step)
        names = [_shortened(self.feature_names[j]) for j in columns.tolist()]
        if 0.65 * font * max(map(len, names)) <= width:
            style = {}
        elif width >= 24:
            style = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        else:
            style = {"rotation": 90}
        ax.set_xticks(columns + 0.5, names, fontsize=font, **style)


def _chosen_step(estimator: Any) -> Any:
    """Return the best estimator of a grid or the last pipeline step."""
    while isinstance(estimator, (Pipeline, BaseSearchCV)):
        check_is_fitted(estimator)
        is_grid = isinstance(estimator, BaseSearchCV)
        estimator = estimator.best_estimator_ if is_grid else estimator[-1]
    return estimator


def _as_many(names: Sequence[str] | None, n_features: int) -> list[str] | None:
    """Return names as strings; raise if the number is wrong."""
    if names is not None and len(names) != n_features:
        raise ValueError(
            f"feature_names has {len(names)} names, but masks {n_features} features. Give one for "
            "each, or None."
        )
    return None if names is None else [str(name) for name in names]


def _spacing(room: float) -> tuple[int, float]:
    """Return the step between labels and the font size, given the points for each."""
    font = min(10.0, max(6.5, 0.85 * room))
    return max(1, int(np.ceil(1.05 * font / room))), font


def _shortened(name: str) -> str:
    return name if len(name) <= 25 else name[:24] + "…"
