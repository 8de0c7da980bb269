"""A layout that compares short trainings on held-out rows and keeps the first if in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from .._core.deadline import time_limit
from .._core.typing import ArrayLike, MaskLayout
from .._nn.mask_arrays import layer_sizes
from .layout import Choice, Layout, make_by, make_for
from .layouts import SHORTHANDS, resolve_maker
from .structures import Rng

#: A structure has to be ahead by this quantile of Student's t, about two, in standard errors of the
#: paired differences.
LEVEL = 0.98
#: Fraction of the held-out rows, those with the lowest densities, that is winsorized.
FARTHEST = 0.02
#: Fraction of the estimator's steps that each structure is trained for.
PART_OF_STEPS = 0.06
#: Fraction of the time for choosing that a race may take.
PART_OF_TIME = 0.3
#: Least steps of a short training, as fewer do not tell structures apart, and their largest
#: fraction of the estimator's steps.
LEAST_STEPS, MOST_PART = 200, 0.45


class Race(Layout):
    """Layout: the first of some layouts, unless another is better on held-out rows.

    The structures are trained side by side for a small fraction of the estimator's steps. The first
    one is kept unless the mean held-out log-density of another is higher by about two standard
    errors of the paired differences (the 98 % quantile of Student's t). There is no race if no rows
    are held out (``early_stopping=False``), if the estimator trains fewer than 445 steps, or in a
    warm start, which keeps its masks. Layouts whose layers have other sizes than those of the first
    are left out, as the members of an ensemble are trained as one stack.

    Parameters
    ----------
    layouts : sequence of layouts or shorthands, default=("parity", "derived")
        See `resolve`. A search cannot take part.

    Examples
    --------
    Columns 0 and 2 depend on each other, and parity never separates them.

    >>> import numpy as np
    >>> from skflow import CouplingFlowDensity, masks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((600, 4))
    >>> X[:, 2:] = X[:, :2] + 0.1 * X[:, 2:]
    >>> simple = dict(coupling="affine", hidden_layer_sizes=(), random_state=0)
    >>> made = CouplingFlowDensity(2, mask_layout=masks.Race(), **simple).fit(X).masks_
    >>> bool((made[0, :2] != made[0, 2:]).all())
    True
    """

    def __init__(self, layouts: Sequence[MaskLayout] = ("parity", "derived")) -> None:
        self.layouts = layouts

    def _resolved(self) -> list[Any]:
        if isinstance(self.layouts, str) or not len(self.layouts):
            raise ValueError(
                f"layouts={self.layouts!r} is not possible. Give a sequence of layouts, such as "
                "('parity', 'derived')."
            )
        return [resolve_maker(layout, "layouts") for layout in self.layouts]

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        return make_by(self._resolved()[0], n_layers, n_features, rng, X)

    def choose(self, task: Any) -> Choice:
        """Race for the structure of one member; with `warm_start` keep that of the last fit.

        Parameters
        ----------
        task : LayoutTask
            See `Layout.choose`.

        Returns
        -------
        choice : Choice
        """
        if task.previous is not None:
            return task.previous
        layouts = self._resolved()
        names = [layout if isinstance(layout, str) else "one given" for layout in self.layouts]
        first = make_for(layouts[0], task)
        n_steps = steps_of_race(task)
        made = [(first, names[0])]
        if task.has_held_out and n_steps <= MOST_PART * task.n_steps:
            made += [(make_for(layout, task), name) for layout, name in zip(layouts[1:], names[1:])]
        distinct: dict[bytes, tuple[np.ndarray, str]] = {}
        for masks, name in made:
            if np.array_equal(layer_sizes(masks), layer_sizes(first)):
                distinct.setdefault(masks.tobytes(), (masks, name))
        if len(distinct) == 1:
            return Choice(first, state=f"{names[0]}, without a race")
        entrants, names = zip(*distinct.values())
        evaluate = task.make_evaluator(n_steps, score="validation")
        with time_limit(None if task.max_time is None else PART_OF_TIME * task.max_time):
            # one seed for all: the same batches and initial parameters
            log_probs = evaluate.held_out(np.stack(entrants), [task.seed] * len(entrants))
        ahead, noise = lead(log_probs)
        best = int(np.where(ahead > noise, ahead, 0.0).argmax())
        return Choice(entrants[best], state=f"{names[best]}, the winner of a race on held-out rows")


def steps_of_race(task: Any) -> int:
    """Return the number of steps of the compared trainings."""
    return max(LEAST_STEPS, round(PART_OF_STEPS * task.n_steps))


def lead(log_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lead of models ``(K, n)`` over the first in nats a row, and its noise."""
    # heavy-tailed components will model the farthest rows, which should not decide
    log_probs = np.maximum(log_probs, np.quantile(log_probs, FARTHEST, axis=1, keepdims=True))
    ahead = log_probs - log_probs[0]
    n = ahead.shape[1]
    if n == 1:  # no estimate of the noise
        return ahead[:, 0], np.full(len(ahead), np.inf)
    return ahead.mean(axis=1), stdtrit(n - 1, LEVEL) * ahead.std(axis=1, ddof=1) / np.sqrt(n)


SHORTHANDS["race"] = Race
