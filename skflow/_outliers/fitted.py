"""The fitted scorers of a detector, and comparable scores of rows with and without missing cells.

Rows with missing cells are scored by the scorers that can use known columns alone or, without such
scorers, by a flow among the given densities, which has the marginals of all columns. These scores
are comparable only between rows with the same known columns. So a row is ranked among rows of fit
in which these columns are known, with their other cells removed, and gets the score of complete
rows with the same rank.

This comparison does not depend on rows set aside, and calibration rows keep their missing cells:
rows and missing cells together are exchangeable. So p-values are valid over all rows, however cells
come to be missing. Among the rows that lack one set of cells, p-values are as good as the
comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.pipeline import Pipeline

from .._core.rows import patterns
from .._core.saving import saved_as
from .._missing.questions import ROUGH
from .._nn.blocks import answer_in_parts, parts
from .._table.table import Table
from ..density import CouplingFlowDensity
from .detectors import given_parts, scores_of
from .rarity import harmonic_mean, log_rarity, score_of_rarity

#: Least number of rows for a comparison.
LEAST_COMPARED = 20
#: Values are clipped to so many ranges of a column beyond its ends.
MAX_RANGES = 1e9
#: Cached comparisons by scorers, kept outside, as predictions do not change an estimator.
_KNOWN: WeakKeyDictionary = WeakKeyDictionary()


def whole(X: np.ndarray) -> np.ndarray:
    """Return which rows have no missing cell."""
    return ~np.isnan(X).any(axis=1)


def reach(X: np.ndarray) -> np.ndarray:
    """Return the lowest and highest values ``(2, d)`` to which rows are clipped."""
    lowest, highest = (np.nan_to_num(end.reduce(X, axis=0)) for end in (np.fmin, np.fmax))
    with np.errstate(over="ignore"):
        width = highest - lowest
        width[width == 0] = np.maximum(1.0, np.abs(lowest))[width == 0]
        return np.array([lowest - MAX_RANGES * width, highest + MAX_RANGES * width])


def _score_codes(density: Any, X: np.ndarray) -> np.ndarray:
    """Return scores ``(n,)`` of codes by a density that was fitted to codes."""
    if isinstance(density, CouplingFlowDensity):
        return density._log_prob(X, ROUGH)  # only ranks count
    if isinstance(density, Pipeline) and isinstance(density[0], CouplingFlowDensity):
        return density[1:].score_samples(density[0]._density.to_latent(X))
    return density.score_samples(X)


@saved_as("scorers")
@dataclass(eq=False)
class FittedScorers:
    """The fitted densities of a detector by name, and how their scores are combined.

    Densities in ``of_codes`` take codes, others tables like that of ``fit``. ``references`` are
    ascending scores of rows that were left out, for each of several densities.
    """

    table: Table
    reach: np.ndarray
    compared: np.ndarray
    takes_missing: bool
    densities: dict[str, list[Any]] = field(default_factory=dict)
    of_codes: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    references: dict[str, np.ndarray] = field(default_factory=dict)

    def take_references(self, X: np.ndarray, held_out: list[np.ndarray]) -> np.ndarray:
        """Keep scores of rows by the folds that left them out; return them combined."""
        rarities = {}
        for name, fitted in self.densities.items():
            found = np.empty(len(X))
            if hasattr(fitted[0], "score_own_rows"):
                found[:] = fitted[0].score_own_rows(X)
            else:
                for fold, density in zip(held_out, fitted):
                    found[fold] = self.score(name, density, X[fold])
            self.references[name] = np.sort(found)
            rarities[name] = log_rarity(found, self.references[name])
        return self.combined(rarities)

    def score(self, name: str, density: Any, X: np.ndarray) -> np.ndarray:
        """Return the scores of rows by a single fitted density; raise if they are not numbers."""
        if name in self.of_codes:
            scores = _score_codes(density, X)
        else:
            with given_parts(density, self.table, X):
                scores = np.asarray(scores_of(density, self.table.frame(X)), dtype=np.float64)
        n_unusable = np.sum(np.isnan(scores) | np.isposinf(scores))
        if scores.shape != (len(X),) or n_unusable:
            raise ValueError(
                f"score_samples of density={density!r} must return a number for each of {len(X)} "
                f"rows, but returned an array of shape {scores.shape} in which {n_unusable} values "
                "are NaN or infinite. Look for huge values in X, or use another density."
            )
        return scores

    def mean_score(self, name: str, X: np.ndarray) -> np.ndarray:
        """Return the scores of rows by a density, as the mean over the folds."""
        return np.mean([self.score(name, density, X) for density in self.densities[name]], axis=0)

    def combined(self, parts: dict[str, np.ndarray]) -> np.ndarray:
        """Return scores from log-rarities by name."""
        weights = np.array([self.weights[name] for name in parts])
        return harmonic_mean(np.array([*parts.values()]), weights)

    def _by_pattern(
        self, X: np.ndarray
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], np.ndarray | None]]:
        """Yield for each pattern of known cells its rows, and their scores by name.

        The third element has the scores for the comparison, None for complete rows.
        """
        # not every density can compute with values far away, and some refuse infinite ones
        X = np.where(np.isinf(X), X, np.clip(X, *self.reach))
        for known, rows in patterns(~np.isnan(X) | self.takes_missing):
            if known.all():
                references, compared = self.references or dict.fromkeys(["density"]), None
            else:
                references, compared = self._with_missing(known)
            yield rows, self._parts(X[rows], references), compared

    def _parts(
        self, X: np.ndarray, references: Mapping[str, np.ndarray | None]
    ) -> dict[str, np.ndarray]:
        """Return log-rarities by name, or the scores of a scorer without a reference."""
        scores = {name: self.mean_score(name, X) for name in references}
        return {
            name: scores[name] if reference is None else log_rarity(scores[name], reference)
            for name, reference in references.items()
        }

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Return the scores of rows."""
        all_known = np.full(X.shape[1], True)

        def answer(X: np.ndarray) -> np.ndarray:
            scores = np.empty(len(X))
            for rows, parts_by_name, compared in self._by_pattern(X):
                scores[rows] = self.combined(parts_by_name)
                if compared is not None:
                    rarity = log_rarity(scores[rows], compared)
                    scores[rows] = score_of_rarity(rarity, self._with_missing(all_known)[1])
            return scores

        return answer_in_parts(answer, parts(*X.shape), X)

    def by_name(self, X: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
        """Return log-rarities ``(n,)`` of rows with these scores by name.

        They are NaN for scorers that do not score a row with missing cells. If a single one does,
        it is the row's score.
        """
        found = {name: np.full(len(X), np.nan) for name in self.references}
        for rows, parts_by_name, compared in self._by_pattern(X):
            for name, part in parts_by_name.items():
                alone = compared is not None and len(parts_by_name) == 1
                found[name][rows] = scores[rows] if alone else part
        return found

    def _with_missing(
        self, known: np.ndarray
    ) -> tuple[Mapping[str, np.ndarray | None], np.ndarray]:
        """Return references by name, and ascending scores, of rows of fit with this pattern."""
        kept, key = _KNOWN.setdefault(self, {}), known.tobytes()
        if key not in kept:
            kept[key] = self._scores_with_missing(known)
        return kept[key]

    def _scores_with_missing(
        self, known: np.ndarray
    ) -> tuple[Mapping[str, np.ndarray | None], np.ndarray]:
        if known.all():
            return {}, np.sort(self.scores(self.compared[whole(self.compared)]))
        # rows in which all of these columns are known, or else nearly all
        lacking = (np.isnan(self.compared) & known).sum(axis=1)
        n_rows = max(LEAST_COMPARED, np.sum(lacking == 0))
        rows = self.compared[np.argsort(lacking, kind="stable")[:n_rows]]
        rows = np.where(known, rows, np.nan)
        # scorers that can use known columns alone, or else the first flow
        fitted = self.densities.items()
        names = [name for name, members in fitted if hasattr(members[0], "score_own_rows")]
        if not names:
            names = [name for name, members in fitted if hasattr(members[0], "sample_given")][:1]
        references = dict.fromkeys(names)
        if len(names) > 1:
            references = {name: np.sort(self.mean_score(name, rows)) for name in names}
        return references, np.sort(self.combined(self._parts(rows, references)))
