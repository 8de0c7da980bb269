"""The layout that searches: Algorithm 1 on trainings that an estimator offers."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._core.checks import warn
from .._core.deadline import time_limit
from .._core.typing import ArrayLike, MaskLayout
from .._nn.mask_arrays import equal_sizes
from .journal import SearchJournal, fingerprint
from .layout import Choice, Layout, choose_for, make_by, n_masks_for
from .layouts import SHORTHANDS, Derived, resolve, resolve_maker
from .moves import MOVES, SEARCH_SPACES
from .race import Race, lead, steps_of_race
from .search import SearchRecord, SearchResult, evolutionary_search, iterations_left
from .structures import Rng, alternating, check_masks, is_alternating

if TYPE_CHECKING:
    from typing_extensions import Self


# Parameters of Algorithm 1 of the paper that differ from the defaults.
PAPER_SEARCH = {
    "initial_layout": "random",
    "candidate_score": "train_batch",
    "search_space": "free",
    "top_k": 1,
}
_MOST_TOP = 8


class EvolutionarySearch(Layout):
    """Layout: masks found by an evolutionary search on the training data.

    The defaults differ from Algorithm 1 of the paper [1]_ where another choice found better
    structures at the same effort; `EvolutionarySearch.paper()` is that algorithm. `choose` runs the
    search, `make` returns its start.

    Parameters
    ----------
    n_iter : int, default=200
        Number of iterations (the paper's T), each of which proposes one structure.
    n_candidate_steps : int, default=50
        Optimizer steps for each candidate.
    move : {"shuffle", "swap"}, default="shuffle"
        What an offspring changes in a selected layer: "shuffle" permutes the entries of its mask
        (the paper), "swap" exchanges a transformed feature with another one.
    initial_layout : layout or shorthand, default="race"
        Makes the structure from which the search starts, see `resolve`; the paper starts at
        random. In the alternating space, "random" is a random mask and its complement, and derived
        masks repeat their first pair; any other layout must be alternating.
    candidate_score : {"auto", "train_batch", "validation"}, default="auto"
        Whether the cost of a candidate is its loss on the last training batch (the paper) or on
        validation rows, which is less noisy. "auto" uses validation rows if there are any. The
        search then has to beat its start: trained as long as in ``masks.Race``, the structure of
        the lowest cost has to be ahead beyond noise on the training rows, cross-validated.
        Otherwise the start is kept, with a warning. The start is also one of the top structures.
    search_space : {"free", "alternating"}, default="alternating"
        "free": the layers' masks change independently (the paper). "alternating": one mask
        alternates with its complement, a far smaller space.
    top_k : int or "auto", default="auto"
        Number of structures with the lowest costs that are trained in full, side by side. The best
        of them (on validation rows, if there are any) is kept, as the lowest cost after few steps
        need not be the best in the end. "auto" spends as many steps on them as on the candidates,
        for at most 8; the paper trains one.
    n_iter_no_change : int or None, default=None
        Stop after this many iterations without a lower cost. None: never.
    max_time : float or None, default=None
        Seconds after which no further candidates are trained, for each member of an ensemble. The
        result then depends on the machine. None: no limit.
    checkpoint : str, path or None, default=None
        Folder for a journal of the search, to which every record is written at once. If the process
        is killed, the same `fit` continues from there: at most the candidates in training are lost,
        and the result equals that of an uninterrupted search. The name of a journal depends on the
        rows, the parameters and the random seed, so searches can share a folder.
        `random_state=None` raises. A journal may be deleted after the fit.
    n_jobs : int or None, default=None
        Number of joblib processes for candidates.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, masks
    >>> search = masks.EvolutionarySearch(n_iter=10, n_candidate_steps=5)
    >>> flow = CouplingFlowDensity(2, mask_layout=search, max_iter=5, random_state=0)
    >>> flow.fit(load_iris().data).masks_.shape
    (2, 4)
    """

    _parameter_constraints = {
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "n_candidate_steps": [Interval(Integral, 1, None, closed="left")],
        "move": [StrOptions(set(MOVES))],
        "initial_layout": "no_validation",  # resolve says what is allowed
        "candidate_score": [StrOptions({"auto", "train_batch", "validation"})],
        "search_space": [StrOptions(set(SEARCH_SPACES))],
        "top_k": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "checkpoint": [str, PathLike, None],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
    }

    def __init__(
        self,
        n_iter: int = 200,
        *,
        n_candidate_steps: int = 50,
        move: str = "shuffle",
        initial_layout: MaskLayout = "race",
        candidate_score: str = "auto",
        search_space: str = "alternating",
        top_k: int | str = "auto",
        n_iter_no_change: int | None = None,
        max_time: float | None = None,
        checkpoint: str | PathLike | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_iter = n_iter
        self.n_candidate_steps = n_candidate_steps
        self.move = move
        self.initial_layout = initial_layout
        self.candidate_score = candidate_score
        self.search_space = search_space
        self.top_k = top_k
        self.n_iter_no_change = n_iter_no_change
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs

    @classmethod
    def paper(cls, **changed: Any) -> Self:
        """Return the search of the paper: Algorithm 1, as far as the paper defines it.

        Parameters
        ----------
        **changed
            Parameters that differ from the paper's.

        Returns
        -------
        layout : EvolutionarySearch

        Examples
        --------
        >>> from skflow import masks
        >>> masks.EvolutionarySearch.paper(n_iter=50).search_space
        'free'
        """
        return cls(**{**PAPER_SEARCH, **changed})

    def _initial(self) -> Any:
        layout = resolve(self.initial_layout, name="initial_layout")
        if isinstance(layout, Race):
            return layout
        return resolve_maker(self.initial_layout, "initial_layout")

    def validate(self) -> None:
        """Check every parameter.

        Raises
        ------
        ValueError
            If a parameter is not allowed.
        """
        self._validate_params()
        self._initial()

    def n_masks(self, n_layers: int, n_features: int) -> int:
        """Return the number of layers of the structures of the initial layout."""
        return n_masks_for(self._initial(), n_layers, n_features)

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        self.validate()
        self._check_array(n_layers, n_features)
        return self._in_space(make_by(self._initial(), n_layers, n_features, rng, X))

    def _check_array(self, n_layers: int, n_features: int) -> None:
        rule = getattr(self._initial(), "rule", None)
        if not (rule is None or isinstance(rule, str) or callable(rule)):
            check_masks(rule, n_layers, n_features, name="initial_layout")

    def _in_space(self, masks: np.ndarray) -> np.ndarray:
        """Return the masks, or others in the search space if nobody chose them."""
        if self.search_space != "alternating" or is_alternating(masks):
            return masks
        layout = self._initial()
        # Only a structure that nobody chose may be replaced silently.
        if isinstance(layout, Derived | Race) or str(getattr(layout, "rule", None)) == "random":
            return alternating(masks[0], len(masks))
        raise ValueError(
            f"initial_layout={self.initial_layout!r} gives masks that are not alternating, but "
            "search_space='alternating' needs the even layers to be the complement of the odd "
            "ones. Use 'random', 'parity', 'derived', masks.alternating(mask, n_layers) or "
            "search_space='free'."
        )

    def choose(self, task: Any) -> Choice:
        """Search for the structure of one member, or continue the search of the last fit.

        Parameters
        ----------
        task : LayoutTask
            See `Layout.choose`.

        Returns
        -------
        choice : Choice
            `task.previous` if no iteration is left.
        """
        self.validate()
        evaluate = task.make_evaluator(
            self.n_candidate_steps,
            score=self.candidate_score,
            n_jobs=self.n_jobs,
        )
        history: list[SearchRecord] = []
        if task.previous is not None:
            history = list(task.previous.history)
            if iterations_left(history, self.n_iter, self.n_iter_no_change) <= 0:
                return task.previous
            to_beat = task.previous.state
            start = history[0].masks
        else:
            self._check_array(task.n_layers, task.n_features)
            to_beat = choose_for(self._initial(), task).masks
            start = self._in_space(to_beat)
        journal = self._read_journal(start, history, evaluate, task)
        result = self._search(start, history, evaluate, journal, task)
        found, top = result.best.masks.copy(), self._top(result, task.n_steps)
        if self.candidate_score == "auto" and task.has_held_out:
            if not self._is_ahead(found, to_beat, task):
                found, top = to_beat, np.stack([to_beat])
            elif len(equal_sizes(np.stack([found, to_beat]))) == 1:
                # short trainings may be wrong, so the start gets a full training, too
                others = [each for each in top[1:] if not np.array_equal(each, to_beat)]
                top = np.stack([found, to_beat, *others])[: max(2, len(top))]
        return Choice(
            found, top, history=result.history, stop_reason=result.stop_reason, state=to_beat
        )

    def _is_ahead(self, found: np.ndarray, to_beat: np.ndarray, task: Any) -> bool:
        """Return whether the structure of the lowest cost is ahead of the start beyond noise."""
        if np.array_equal(found, to_beat):
            return False
        evaluate = task.make_evaluator(min(steps_of_race(task), task.n_steps), score="validation")
        entrants, n_judges = np.stack([to_beat, found]), evaluate.data.validation_rows.shape[1]
        log_probs = evaluate.cross_validated(entrants, [task.seed] * 2)
        (_, ahead), (_, noise) = lead(log_probs)
        if ahead > noise:
            return True
        warn(
            f"The structure search keeps its start. What it found by {n_judges} validation rows is "
            f"{'ahead' if ahead > 0 else 'behind'} by {abs(ahead):.3f} nats a row on the other "
            f"{log_probs.shape[1]} rows, cross-validated, where differences up to {noise:.3f} are "
            "noise. Give more rows, or accept the lowest cost by candidate_score='validation'."
        )
        return False

    def _read_journal(
        self, start: np.ndarray, history: list[SearchRecord], evaluate: Any, task: Any
    ) -> SearchJournal | None:
        """Return the journal of this search, or None; append its records to the history."""
        if self.checkpoint is None:
            return None
        if not task.repeatable:
            raise ValueError(
                f"checkpoint={str(self.checkpoint)!r} is not possible with random_state=None: "
                "every call has another seed, and would not find what an earlier one has left. "
                "Give the estimator an integer as random_state, or leave checkpoint=None."
            )
        # all that the records depend on, but not limits, which may be raised later
        rules = (self.move, self.search_space)
        before = [(record.iteration, record.cost) for record in history]
        name = fingerprint(start, evaluate.fingerprint(), task.seed, rules, before)
        journal = SearchJournal(self.checkpoint, name)
        for record in journal.read(len(history)):
            if history and iterations_left(history, self.n_iter, self.n_iter_no_change) <= 0:
                break
            history.append(record)
        return journal

    def _search(
        self,
        start: np.ndarray,
        history: list[SearchRecord],
        evaluate: Any,
        journal: SearchJournal | None,
        task: Any,
    ) -> SearchResult:
        progress = task.progress("search", self.n_iter + 1 - len(history))
        accepted = [sum(record.accepted for record in history)]

        def keep_and_show(record: SearchRecord) -> None:
            if journal is not None:
                journal.append(record)
            accepted[0] += record.accepted
            progress.update(best_cost=record.best_cost - task.log_det, accepted=accepted[0])

        def costs(masks: np.ndarray, streams: list[int]) -> np.ndarray:
            with time_limit(None, anew=True):  # costs of shorter trainings are not comparable
                return evaluate(masks, streams)

        limits = [limit for limit in (self.max_time, task.max_time) if limit is not None]
        result = evolutionary_search(
            start,
            costs,
            n_iter=self.n_iter,
            seed=task.seed,
            move=self.move,
            search_space=self.search_space,
            n_iter_no_change=self.n_iter_no_change,
            max_time=min(limits, default=None),
            history=history,
            stack=evaluate.stack_size(),
            callback=keep_and_show,
        )
        progress.close()
        return result

    def _top(self, result: SearchResult, n_steps: int) -> np.ndarray:
        """Return the distinct structures with the lowest costs, best first ``(top_k, L, d)``."""
        n_wanted = self.top_k
        if n_wanted == "auto":
            spent = self.n_iter * self.n_candidate_steps
            n_wanted = min(_MOST_TOP, max(1, spent // n_steps))
        by_cost = sorted(result.history, key=lambda record: record.cost)
        # the search accepted the last one of equal costs
        ordered = [result.best.masks, *(record.masks for record in by_cost)]
        unique = {masks.tobytes(): masks for masks in ordered}  # ordered by first occurrence
        distinct = list(unique.values())
        # a stack needs layers of equal sizes
        alike = next(group for group in equal_sizes(np.stack(distinct)) if 0 in group)
        return np.stack([distinct[k] for k in alike[:n_wanted]])


SHORTHANDS["search"] = EvolutionarySearch
