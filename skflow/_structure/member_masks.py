"""The masks of an ensemble's members: each chosen by the layout, from what the member may see."""

from functools import cached_property, partial

import numpy as np

from .._flows.mask_arrays import IDLE, equal_sizes, tidy
from .._support.progress import Progress
from .._support.warnings import warn
from .candidates import CandidateEvaluator
from .layout import choose_for, n_masks_for
from .structures import check_masks, check_n_conditioning

_SILENT = partial(Progress, 0)


class LayoutTask:
    """What an estimator offers a layout that chooses a member's masks, see ``Layout.choose``.

    Of ``data``, the ``TrainingData`` of the member alone, candidates see what the member does; they
    are trained as ``options`` say, but shorter. ``log_det`` is the mean of the standardisation's.
    """

    def __init__(
        self,
        n_layers,
        n_conditioning,
        data,
        options,
        flow_config,
        *,
        random_state,
        seed,
        previous=None,
        repeatable=True,
        progress=_SILENT,
        log_det=0.0,
    ):
        self.n_layers, self.n_features = n_layers, data.table.shape[1]
        self.n_conditioning = n_conditioning
        self.random_state, self.seed = random_state, seed
        self.n_steps = options.n_steps
        self.previous, self.repeatable = previous, repeatable
        self._data, self._options, self._flow_config = data, options, flow_config
        self.progress, self.log_det = progress, log_det

    @cached_property
    def X(self):
        rows = self._data.rows[0].to(self._data.table.device)
        X = self._data.table[rows].cpu().numpy()
        absent = np.isnan(X)  # independent noise, as in the trainings
        X[absent] = np.random.RandomState(0).standard_normal(absent.sum())
        return X

    def make_evaluator(self, n_steps, score="auto", n_init=1, parameter_price=0.0, n_jobs=None):
        return CandidateEvaluator(
            self._flow_config,
            self._options.shortened(n_steps),
            self._data,
            score=self._resolved_score(score),
            n_init=n_init,
            parameter_price=parameter_price,
            n_jobs=n_jobs,
        )

    def _resolved_score(self, score):
        has_validation = self._data.validation_rows is not None
        if score == "auto":
            return "validation" if has_validation else "train_batch"
        if score == "validation" and not has_validation:
            raise ValueError(
                "candidate_score='validation' needs validation rows: set early_stopping=True, or "
                "candidate_score='train_batch'."
            )
        return score


def choose_masks(
    layout, n_layers, n_conditioning, data, options, flow_config, streams, previous, **given
):
    """What the layout chooses for every member, from the member's own training rows.

    Parameters
    ----------
    layout : layout
    n_layers, n_conditioning
        Of the estimator.
    data : TrainingData
        Of the members.
    options : TrainingOptions
    flow_config : dict
    streams : RandomStreams
    previous : list of (Choice or None)
        Of the last fit, which a warm start goes on from.
    **given
        Further keywords of ``LayoutTask``.

    Returns
    -------
    choices : list of Choice
    """
    # also where the layout ignores it: a wrong value is a mistake all the same
    check_n_conditioning(n_conditioning, data.table.shape[1])
    choices = []
    for e in range(len(data.rows)):
        task = LayoutTask(
            n_layers,
            n_conditioning,
            data.member(e),
            options,
            flow_config,
            random_state=streams("masks", e),
            seed=int(streams("search", e).randint(2**31 - 1)),
            previous=previous[e],
            **given,
        )
        choice = choose_for(layout, task)
        n_masks = n_masks_for(layout, n_layers, task.n_features)
        for masks in _each(choice.finalists):
            check_masks(masks, n_masks, task.n_features, name=f"What {layout!r} chose")
        if choice.stop_reason == "interrupted" and choice is not previous[e]:
            warn(
                f"The structure search was interrupted after {len(choice.history) - 1} iterations. "
                "The best structure found so far is trained; interrupt again to give up the fit."
            )
        choices.append(choice)
    _check_sizes(choices)
    return choices


def _each(finalists):
    """The single structures; in a stack with idle features some may have none."""
    return [tidy(masks) for masks in finalists] if (finalists == IDLE).any() else finalists


def _check_sizes(choices):
    """All that is to be trained is one stack."""
    if len(equal_sizes(np.concatenate([choice.finalists for choice in choices]))) > 1:
        raise ValueError(
            "mask_layout gave structures whose layers transform, or condition on, different "
            "numbers of features. Let it fix the numbers in each layer, or set n_estimators=1 and "
            "let it choose one structure."
        )


def stack_finalists(choices):
    """Finalists of the members ``(n_members, n_finalists, L, d)``, as many of each."""
    fewest = min(len(choice.finalists) for choice in choices)
    return np.stack([choice.finalists[:fewest] for choice in choices])


def stack_starts(structures, n_folds, n_init):
    """Those of every training ``(n_members * n_starts, L, d)``, the starts of a member together."""
    stacked = structures.repeat(n_folds, axis=0).repeat(n_init, axis=1)
    return stacked.reshape(-1, *stacked.shape[2:])


def describe_search(estimator, choices, log_det):
    """Set the fitted attributes that tell of a search, the first member's, if there was one.

    ``log_det`` takes costs to the units of the data.
    """
    for name in ("search_history_", "initial_masks_", "search_stop_reason_"):
        vars(estimator).pop(name, None)
    first = choices[0]
    if first.history:
        estimator.search_history_ = [record.shifted(-log_det) for record in first.history]
        estimator.initial_masks_ = first.history[0].masks.copy()
        interrupted = "interrupted" in [choice.stop_reason for choice in choices]
        estimator.search_stop_reason_ = "interrupted" if interrupted else first.stop_reason
