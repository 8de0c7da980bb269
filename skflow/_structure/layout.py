"""What a layout is: it chooses a structure for a shape which is known only in ``fit``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from .._core.saving import saved_as
from .._core.typing import ArrayLike, RandomSource
from .structures import check_integer, check_rng


@saved_as("choice")
@dataclass(eq=False)
class Choice:
    """What a layout chose for a flow.

    Attributes
    ----------
    masks : ndarray of shape (n_layers, n_features)
        The structure.
    top : ndarray of shape (top_k, n_layers, n_features)
        Structures that the estimator trains in full, side by side, to keep the best. The default
        is the structure alone.
    history : list of SearchRecord
        What was tried, if anything was; the estimator's `search_history_`.
    stop_reason : str or None
        Why a search ended; the estimator's `search_stop_reason_`.
    state : object
        What the layout needs besides to go on from here another time: arrays, numbers and strings,
        as it is saved with the estimator.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Choice(masks.parity(2, 4)).top.shape
    (1, 2, 4)
    """

    masks: np.ndarray
    top: np.ndarray | None = None
    history: list = field(default_factory=list)
    stop_reason: str | None = None
    state: Any = None

    def __post_init__(self):
        if self.top is None:
            self.top = np.array(self.masks)[np.newaxis]


class Layout(BaseEstimator):
    """Base of the layouts: what `make` and `choose` take and return.

    A class of one's own that derives from it needs a method `make` or, where masks alone do not
    say it all, `choose`: a layout can train candidates there. Its `make` is given `X` if the class
    has an attribute `needs_data` that is true.

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
            Source of the draws, where there are any.
        X : ndarray of shape (n_samples, n_features) or None, default=None
            Training rows, for layouts that are derived from the data; the others ignore them.

        Returns
        -------
        masks : ndarray of shape (n_layers, n_features)
            Checked, and a new array with each call.
        """
        check_integer(n_layers, "n_layers")
        return self._make(n_layers, n_features, check_rng(random_state), X)

    def _make(self, n_layers, n_features, rng, X):
        raise NotImplementedError(f"{type(self).__name__} has no method make.")

    def n_masks(self, n_layers: int, n_features: int) -> int:
        """Number of layers of the structures, where it is not `n_layers`.

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

        By default that is what `make` makes, and with `warm_start` what was chosen before.

        Parameters
        ----------
        task : LayoutTask
            What the estimator offers:

            - `n_layers`, `n_features` and `random_state`, as in `make`;
            - `X`: the member's training rows in standardised units, (n_samples, n_features);
            - `seed`: an integer, for what is drawn besides the masks; `repeatable` is False if
              another `fit` would have another, as with `random_state=None`;
            - `n_steps`: optimizer steps of the estimator's own training;
            - `max_time`: seconds that the choice may take, or None;
            - `previous`: with `warm_start` the choice of the last fit, otherwise None;
            - `make_evaluator(n_steps, score="auto", n_jobs=None)`: an object that trains
              candidates for that many steps, with the parameters of ``EvolutionarySearch``. Called
              with masks of shape (K, n_layers, n_features) and K integers, the candidates' seeds,
              it returns K costs: negative log-likelihoods in nats a row of the standardised data.
              Its method `held_out`, called alike, returns the log-densities
              (K, n_held_out) of the rows that candidates were not trained on;
            - `has_held_out`: whether there are such rows;
            - `log_det`: what to take off such a cost to have it in the units of the data;
            - `progress(description, total)`: shows progress as the estimator's `verbose` says. Its
              method `update(**figures)` counts one of `total`, `close()` ends it.

        Returns
        -------
        choice : Choice
            `task.previous` itself says that nothing is new: the masks stay and the training
            goes on.
        """
        return task.previous or Choice(make_for(self, task))


def make_by(layout, n_layers, n_features, random_state, X):
    """Masks by a layout's `make`, which is given the rows if it takes them."""
    takes_rows = type(layout).make is Layout.make or getattr(layout, "needs_data", False)
    rows = {"X": X} if takes_rows else {}
    return layout.make(n_layers, n_features, random_state=random_state, **rows)


def make_for(layout, task):
    """Masks by a layout's `make`, for the shape, the randomness and the rows of a task."""
    return make_by(layout, task.n_layers, task.n_features, task.random_state, task.X)


def n_masks_for(layout, n_layers, n_features):
    """Number of layers of what a layout makes; one with nothing but `make` counts layers."""
    count = getattr(layout, "n_masks", Layout().n_masks)
    return count(n_layers, n_features)


def choose_for(layout, task):
    """What a layout chooses; one that has nothing but a method `make` is as good as any."""
    choose = getattr(layout, "choose", None)
    choice = Layout.choose(layout, task) if choose is None else choose(task)
    if not isinstance(choice, Choice):
        raise TypeError(
            f"{layout!r}.choose returned an object of type {type(choice).__name__}, but a "
            "masks.Choice is needed: return masks.Choice(masks)."
        )
    return choice
