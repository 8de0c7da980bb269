"""The base of layouts, which choose a structure for a shape that is known only in ``fit``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from .._core.saving import saved_as
from .._core.typing import ArrayLike, RandomSource
from .structures import Rng, check_integer, check_rng


@saved_as("choice")
@dataclass(eq=False)
class Choice:
    """The choice of a layout for a flow.

    Attributes
    ----------
    masks : ndarray of shape (n_layers, n_features)
        The structure.
    top : ndarray of shape (top_k, n_layers, n_features)
        Structures that the estimator trains in full, side by side, to keep the best. By default
        only `masks`.
    history : list of SearchRecord
        Records of a search, if any; the estimator's `search_history_`.
    stop_reason : str or None
        Why a search ended; the estimator's `search_stop_reason_`.
    state : object
        What else the layout needs to continue later: arrays, numbers and strings, as they are saved
        with the estimator.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Choice(masks.parity(2, 4)).top.shape
    (1, 2, 4)
    """

    masks: np.ndarray
    top: np.ndarray = None  # type: ignore[assignment]  # set below
    history: list = field(default_factory=list)
    stop_reason: str | None = None
    state: Any = None

    def __post_init__(self) -> None:
        if self.top is None:
            self.top = np.array(self.masks)[np.newaxis]


class Layout(BaseEstimator):
    """Base of the layouts: what `make` and `choose` take and return.

    A subclass needs a method `make`, or `choose` if it trains candidates. `make` gets `X` if the
    class has a true attribute `needs_data`.

    Examples
    --------
    >>> from skflow import masks
    >>> class Halves(masks.Layout):
    ...     def make(self, n_layers, n_features, *, random_state=None):
    ...         first = [i < n_features // 2 for i in range(n_features)]
    ...         return masks.alternating(first, n_layers)
    >>> Halves().make(2, 4).astype(int)
    array([[1, 1, 0, 0],
           [0, 0, 1, 1]])
    """

    def make(
        self,
        n_layers: int,
        n_features: int,
        *,
        random_state: RandomSource = None,
        X: ArrayLike | None = None,
    ) -> np.ndarray:
        """Make the masks.

        Parameters
        ----------
        n_layers, n_features : int
            Shape of the structure.
        random_state : int, RandomState, Generator or None, default=None
            Source of draws.
        X : ndarray of shape (n_samples, n_features) or None, default=None
            Training rows, for layouts that use the data.

        Returns
        -------
        masks : ndarray of shape (n_layers, n_features)
            Checked; a new array with each call.
        """
        check_integer(n_layers, "n_layers")
        return self._make(n_layers, n_features, check_rng(random_state), X)

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} has no method make.")

    def n_masks(self, n_layers: int, n_features: int) -> int:
        """Return the number of layers of the structures.

        Parameters
        ----------
        n_layers, n_features : int
            As in `make`.

        Returns
        -------
        n_masks : int
            `n_layers`, unless the layout counts something else.
        """
        return n_layers

    def choose(self, task: Any) -> Choice:
        """Choose the structure of one member of an estimator, in its `fit`.

        By default `make` does so, and with `warm_start` the last choice is kept.

        Parameters
        ----------
        task : LayoutTask
            Offered by the estimator, with the attributes:

            - `n_layers`, `n_features` and `random_state`, as in `make`;
            - `X`: the member's training rows in standardised units, (n_samples, n_features);
            - `seed`: an integer, for other draws than masks; `repeatable` is False if another `fit`
              would have another seed, as with `random_state=None`;
            - `n_steps`: optimizer steps of the estimator's own training;
            - `max_time`: seconds that the choice may take, or None;
            - `previous`: with `warm_start` the choice of the last fit, otherwise None;
            - `make_evaluator(n_steps, score="auto", n_jobs=None)`: an object that trains
              candidates for that many steps, with the parameters of ``EvolutionarySearch``. Called
              with masks of shape (K, n_layers, n_features) and K integers, the candidates' seeds,
              it returns K costs: negative log-likelihoods in nats a row of the standardised data.
              Its method `held_out` takes the same arguments and returns the log-densities
              (K, n_held_out) of rows that candidates were not trained on;
            - `has_held_out`: whether there are such rows;
            - `log_det`: subtract it from a cost to have the cost in the units of the data;
            - `progress(description, total)`: shows progress if the estimator is `verbose`. Its
              method `update(**figures)` counts one of `total`, `close()` ends it.

        Returns
        -------
        choice : Choice
            Return `task.previous` itself to keep the masks and continue the training.
        """
        return task.previous or Choice(make_for(self, task))


def make_by(
    layout: Any, n_layers: int, n_features: int, random_state: RandomSource, X: ArrayLike | None
) -> np.ndarray:
    """Return the masks of a layout's `make`, which gets the rows if it takes them."""
    takes_rows = type(layout).make is Layout.make or getattr(layout, "needs_data", False)
    rows = {"X": X} if takes_rows else {}
    return layout.make(n_layers, n_features, random_state=random_state, **rows)


def make_for(layout: Any, task: Any) -> np.ndarray:
    """Return the masks of a layout's `make` for a task."""
    return make_by(layout, task.n_layers, task.n_features, task.random_state, task.X)


def n_masks_for(layout: Any, n_layers: int, n_features: int) -> int:
    """Return the number of layers of a layout's structures, `n_layers` by default."""
    count = getattr(layout, "n_masks", Layout().n_masks)
    return count(n_layers, n_features)


def choose_for(layout: Any, task: Any) -> Choice:
    """Return the choice of a layout, which may have only a method `make`."""
    choose = getattr(layout, "choose", None)
    choice = Layout.choose(layout, task) if choose is None else choose(task)
    if not isinstance(choice, Choice):
        raise TypeError(
            f"{layout!r}.choose returned an object of type {type(choice).__name__}, but a "
            "masks.Choice is needed: return masks.Choice(masks)."
        )
    return choice
