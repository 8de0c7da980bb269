"""Comparable scores of rows with and without missing cells.

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

from weakref import WeakKeyDictionary

import numpy as np

from .._core.checks import name_columns, warn
from .._core.rows import patterns
from .._nn.blocks import answer_in_parts, parts
from .fitting import N_FOLDS
from .rarity import harmonic_mean, log_rarity, score_of_rarity

#: Rows of fit that are kept for this comparison, and the least number for a comparison.
N_COMPARED, LEAST_COMPARED = 200, 20
#: Cached comparisons by detector, kept outside, as predictions do not change an estimator.
_KNOWN: WeakKeyDictionary = WeakKeyDictionary()


def whole(X):
    """Return which rows have no missing cell."""
    return ~np.isnan(X).any(axis=1)


class MissingMixin:
    """Scores rows with and without missing cells."""

    def _given(self):
        """Return the densities given as a parameter; none for the default."""
        if isinstance(self.density, list):
            return [pair[-1] for pair in self.density if isinstance(pair, tuple)]
        return [] if self.density is None else [self.density]

    def _takes_missing(self):
        """Return whether missing cells are left to the densities, as none of them is a flow."""
        flows = any(hasattr(density, "sample_given") for density in self._given())
        return self.density is not None and not flows

    def _compare_with(self, X):
        """Keep rows of fit for the comparison of rows with missing cells, complete ones first."""
        if not self._takes_missing():
            self._check_whole(X)
        self._compared = X[np.argsort(~whole(X), kind="stable")[:N_COMPARED]]

    def _check_whole(self, X):
        """Raise if too few rows are complete, and warn if less than half are."""
        several = self.density is None or isinstance(self.density, list)
        n_whole, least = whole(X).sum(), 2 * N_FOLDS if several else 2
        often = np.isnan(X).mean(axis=0)
        if n_whole < min(least, len(X)):
            named = name_columns(often == often.max(), self._table.feature_names)
            raise ValueError(
                f"Only {n_whole} of {len(X)} rows to fit to have no missing cell, but at least "
                f"{least} are needed. Leave out columns that are often missing (first {named}), or "
                "fill in the missing cells first (FlowImputer)."
            )
        if several and n_whole < len(X) / 2:
            warn(
                f"Only {n_whole} of {len(X)} rows to fit to have no missing cell. Flows are fitted "
                "to these rows, and the nearest rows and the tails to all rows."
            )

    def _by_pattern(self, X):
        """Yield for each pattern of known cells its rows, and their scores by name.

        The third element has the scores for the comparison, None for complete rows.
        """
        X = self._within_reach(X)
        for known, rows in patterns(~np.isnan(X) | self._takes_missing()):
            if known.all():
                references, compared = self.reference_scores_ or {"density": None}, None
            else:
                references, compared = self._with_missing(known)
            yield rows, self._parts(X[rows], references), compared

    def _parts(self, X, references):
        """Return log-rarities by name, or the scores of a scorer without a reference."""
        scores = {name: self._score_by(name, X) for name in references}
        return {
            name: scores[name] if reference is None else log_rarity(scores[name], reference)
            for name, reference in references.items()
        }

    def _combined(self, parts):
        return harmonic_mean(
            np.array([*parts.values()]), np.array([self._weights[name] for name in parts])
        )

    def _scores(self, X):
        def answer(X):
            scores = np.empty(len(X))
            for rows, parts_by_name, compared in self._by_pattern(X):
                scores[rows] = self._combined(parts_by_name)
                if compared is not None:
                    rarity = log_rarity(scores[rows], compared)
                    scores[rows] = score_of_rarity(rarity, self._with_missing(None)[1])
            return scores

        return answer_in_parts(answer, parts(*X.shape), X)

    def _scores_by_density(self, X, scores):
        """Return log-rarities ``(n,)`` of rows with these scores by name.

        They are NaN for scorers that do not score a row with missing cells. If a single one does,
        it is the row's score.
        """
        found = {name: np.full(len(X), np.nan) for name in self.reference_scores_}
        for rows, parts_by_name, compared in self._by_pattern(X):
            for name, part in parts_by_name.items():
                alone = compared is not None and len(parts_by_name) == 1
                found[name][rows] = scores[rows] if alone else part
        return found

    def _with_missing(self, known):
        """Return references by name, and ascending scores, of rows of fit with this pattern.

        With ``known`` None, these are scores of complete rows.
        """
        fitted, kept = _KNOWN.get(self, (None, None))
        if fitted is not self.densities_:
            fitted, kept = _KNOWN[self] = self.densities_, {}
        key = None if known is None else known.tobytes()
        if key not in kept:
            kept[key] = self._scores_with_missing(known)
        return kept[key]

    def _scores_with_missing(self, known):
        if known is None:
            return {}, np.sort(self._scores(self._compared[whole(self._compared)]))
        # rows in which all of these columns are known, or else nearly all
        lacking = (np.isnan(self._compared) & known).sum(axis=1)
        n_rows = max(LEAST_COMPARED, np.sum(lacking == 0))
        rows = self._compared[np.argsort(lacking, kind="stable")[:n_rows]]
        rows = np.where(known, rows, np.nan)
        # scorers that can use known columns alone, or else the first flow
        fitted = self.densities_.items()
        names = [name for name, members in fitted if hasattr(members[0], "score_own_rows")]
        if not names:
            names = [name for name, members in fitted if hasattr(members[0], "sample_given")][:1]
        references = dict.fromkeys(names)
        if len(names) > 1:
            references = {name: np.sort(self._score_by(name, rows)) for name in names}
        return references, np.sort(self._combined(self._parts(rows, references)))
