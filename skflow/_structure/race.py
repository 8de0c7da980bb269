"""The layout that compares short trainings on held-out rows, and keeps the first if in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.deadline import time_limit
from .._core.typing import ArrayLike, MaskLayout, RandomSource
from .._nn.mask_arrays import layer_sizes
from .layout import Choice, Layout, make_for
from .layouts import SHORTHANDS, resolve_maker

#: Standard errors of the paired differences by which a structure has to be ahead.
N_ERRORS = 2.0
#: Part of the held-out rows, those of the lowest densities, that count as the best of them.
FARTHEST = 0.02
#: Part of the time for choosing that a race may take.
PART_OF_TIME = 0.3
#: Steps of a short training at least: in fewer none has learned enough to tell them apart.
LEAST_STEPS = 200


class Race(Layout):
    """Layout: the first of some layouts, unless another is better on held-out rows.

    The structures are trained side by side for a part of the estimator's steps. Another one than
    the first is taken if the mean of the paired differences of held-out log-densities is above two
    of its standard errors; of several that are, the one of the highest mean. Where no rows are held
    out (``early_stopping=False``) it is the first. Layouts whose layers have other sizes than the
    first's are left out, as members of an ensemble are trained as one stack.

    Parameters
    ----------
    layouts : sequence of layouts or what stands for them, default=("parity", "derived")
        See `resolve`. A search cannot take part.
    part_of_steps : float, default=0.06
        Part of the estimator's own steps that each is trained for, above 0 and at most 1; at least
        200 steps, if it has so many.

    Examples
    --------
    The two columns of a pair depend on each other, and parity never has them on two sides.

    >>> import numpy as np
    >>> from skflow import CouplingFlowDensity, masks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((600, 4))
    >>> X[:, 2:] = X[:, :2] + 0.1 * X[:, 2:]
    >>> flow = CouplingFlowDensity(2, mask_layout=masks.Race(), max_iter=30, random_state=0)
    >>> made = flow.fit(X).masks_
    >>> bool((made[0, :2] != made[0, 2:]).all())
    True
    """

    def __init__(
        self,
        layouts: Sequence[MaskLayout] = ("parity", "derived"),
        part_of_steps: float = 0.06,
    ) -> None:
        self.layouts = layouts
        self.part_of_steps = part_of_steps

    def _resolved(self):
        if isinstance(self.layouts, str) or not len(self.layouts):
            raise ValueError(
                f"layouts={self.layouts!r} is not possible. Give a sequence of layouts, such as "
                "('parity', 'derived')."
            )
        if not 0 < self.part_of_steps <= 1:
            raise ValueError(
                f"part_of_steps={self.part_of_steps!r} is not possible. Give a number above 0 and "
                "at most 1."
            )
        return [resolve_maker(layout, "layouts") for layout in self.layouts]

    @property
    def needs_data(self):
        return any(layout.needs_data for layout in self._resolved())

    def make(
        self,
        n_layers: int,
        n_features: int,
        *,
        random_state: RandomSource = None,
        X: ArrayLike | None = None,
    ) -> np.ndarray:
        return self._resolved()[0].make(n_layers, n_features, random_state=random_state, X=X)

    def choose(self, task: Any) -> Choice:
        """Race for the structure of one member; with `warm_start` the last fit's stays.

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
        made = [make_for(layout, task) for layout in self._resolved()]
        distinct = {masks.tobytes(): masks for masks in made}.values()
        sizes = layer_sizes(made[0])
        entrants = [masks for masks in distinct if np.array_equal(layer_sizes(masks), sizes)]
        if len(entrants) == 1 or not task.has_held_out:
            return Choice(made[0])
        n_steps = min(task.n_steps, max(LEAST_STEPS, round(self.part_of_steps * task.n_steps)))
        evaluate = task.make_evaluator(n_steps, score="validation")
        with time_limit(None if task.max_time is None else PART_OF_TIME * task.max_time):
            # the same seed for all: the same batches and the same first parameters
            log_probs = evaluate.held_out(np.stack(entrants), [task.seed] * len(entrants))
        # the farthest rows, which the heavy-tailed components will take, shall not decide
        log_probs = np.maximum(log_probs, np.quantile(log_probs, FARTHEST, axis=1, keepdims=True))
        ahead = log_probs - log_probs[0]
        mean = ahead.mean(axis=1)
        error = ahead.std(axis=1, ddof=1) / np.sqrt(ahead.shape[1])
        proven = np.where(mean > N_ERRORS * error, mean, 0.0)
        return Choice(entrants[int(proven.argmax())])


SHORTHANDS["race"] = Race
