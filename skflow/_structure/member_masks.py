"""The masks of the members of an ensemble, chosen from the rows that each may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.checks import warn
from .._core.deadline import share_of_time, time_limit
from .._nn.mask_arrays import IDLE, equal_sizes, tidy
from .candidates import CandidateEvaluator
from .layout import Choice, choose_for, n_masks_for
from .structures import check_masks

if TYPE_CHECKING:
    from .._nn.training_data import Plan


class LayoutTask:
    """The task of a layout that chooses a member's masks, see ``Layout.choose``.

    Parameters
    ----------
    plan : Plan
        Plan of the member alone. Candidates are trained by it, but shorter.
    params : object
        Has the ``n_layers`` and ``random_state`` of the estimator.
    number : int
        Index of the member, which selects its random streams.
    previous : Choice or None
    max_time : float or None
        Seconds.
    """

    def __init__(
        self,
        plan: Plan,
        params: Any,
        number: int = 0,
        previous: Choice | None = None,
        max_time: float | None = None,
    ) -> None:
        self.n_layers, self.n_features = params.n_layers, plan.data.table.shape[1]
        self.random_state = plan.streams("masks", number)
        self.seed = int(plan.streams("search", number).randint(2**31 - 1))
        self.n_steps, self.progress = plan.options.n_steps, plan.progress
        self.log_det, self.max_time = plan.mean_log_det, max_time
        self.previous, self.repeatable = previous, params.random_state is not None
        self._data, self._options, self._flow_config = plan.data, plan.options, plan.config

    @cached_property
    def X(self) -> np.ndarray:
        rows = self._data.rows[0].to(self._data.table.device)
        X = self._data.table[rows].cpu().numpy()
        absent = np.isnan(X)  # independent noise, as in the trainings
        X[absent] = np.random.RandomState(0).standard_normal(absent.sum())
        return X

    @property
    def has_held_out(self) -> bool:
        """Whether there are rows to score candidates on that they are not trained on."""
        return self._data.validation_rows is not None

    def make_evaluator(
        self, n_steps: int, score: str = "auto", n_jobs: int | None = None
    ) -> CandidateEvaluator:
        if score == "auto":
            score = "validation" if self.has_held_out else "train_batch"
        if score == "validation" and not self.has_held_out:
            raise ValueError(
                "candidate_score='validation' needs validation rows: set early_stopping=True, or "
                "candidate_score='train_batch'."
            )
        return CandidateEvaluator(
            self._flow_config,
            self._options.shortened(n_steps),
            self._data,
            score=score,
            n_jobs=n_jobs,
        )


def choose_masks(
    plan: Plan, layout: Any, params: Any, previous: Sequence[Choice] | None = None, n_folds: int = 1
) -> list[Choice]:
    """Return the layout's choices for all flows, made from the rows of each flow's first fold.

    The plan has all folds of all flows, the folds of a flow side by side. A warm start continues
    from the ``previous`` choices.
    """
    choices, log_det = [], plan.mean_log_det
    n_flows = len(plan.data.rows) // n_folds
    for e, first in enumerate(range(0, len(plan.data.rows), n_folds)):
        before = None if previous is None else previous[e]
        member = replace(plan, data=plan.data.take([first]))
        # half of the time for choosing, evenly for all flows, and half for training
        max_time = share_of_time(1 / (2 * n_flows - e))
        task = LayoutTask(member, params, e, before, max_time)
        task.log_det = log_det
        with time_limit(max_time):
            choice = choose_for(layout, task)
        n_masks = n_masks_for(layout, task.n_layers, task.n_features)
        for masks in choice.top:
            # a single structure of a stack with idle features may have none
            masks = tidy(masks) if (choice.top == IDLE).any() else masks
            check_masks(masks, n_masks, task.n_features, name=f"What {layout!r} chose")
        if choice.stop_reason == "interrupted" and choice is not before:
            warn(
                f"The structure search was interrupted after {len(choice.history) - 1} iterations. "
                "The best structure found so far is trained; interrupt again to give up the fit."
            )
        choices.append(choice)
    # all of them are trained as one stack
    if len(equal_sizes(np.concatenate([choice.top for choice in choices]))) > 1:
        raise ValueError(
            "mask_layout gave structures whose layers transform, or condition on, different "
            "numbers of features. Let it fix the numbers in each layer, or set n_estimators=1 and "
            "let it choose one structure."
        )
    return choices


def stack_top(choices: Sequence[Choice]) -> np.ndarray:
    """Return the top structures of the members ``(n_members, top_k, L, d)``, padded."""
    fewest = min(len(choice.top) for choice in choices)
    return np.stack([choice.top[:fewest] for choice in choices])
