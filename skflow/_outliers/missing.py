"""Rows with missing cells in a detector, beside rows without: scores that compare with each other.

Scorers that judge known columns by themselves do so. Where there are none, a flow among the given
densities does, which knows the marginal of any columns. Scores of such rows compare with each other
only where the same columns are known. So a row is ranked among rows of the fit of which these
columns are known, as they look without their other cells, and gets the score that has this rank
among those that are whole.

What a row is compared with does not depend on rows set aside, and calibration rows keep their own
missing cells: rows and missing cells together are exchangeable. So p-values are valid over all
rows, whatever decides which cells are missing. Over the rows that lack one set of cells, they are
as good as the comparison is.
"""

from weakref import WeakKeyDictionary

import numpy as np

from .._core.checks import name_columns, warn
from .._core.rows import patterns
from .._nn.blocks import answer_in_parts, parts
from .fitting import N_FOLDS
from .rarity import harmonic_mean, log_rarity, score_of_rarity

#: Rows of the fit that rows with missing cells are compared with: so many, and at least so many.
N_COMPARED, LEAST_COMPARED = 200, 20
#: What detectors know of patterns of missing cells: kept apart from them, as a prediction changes
#: nothing.
_KNOWN: WeakKeyDictionary = WeakKeyDictionary()


def whole(X):
    """Which rows have no missing cell."""
    return ~np.isnan(X).any(axis=1)


class MissingMixin:
    """Scores rows with missing cells beside others."""

    def _given(self):
        """The densities as they were given; none for the default."""
        if isinstance(self.density, list):
            return [pair[-1] for pair in self.density if isinstance(pair, tuple)]
        return [] if self.density is None else [self.density]

    def _takes_missing(self):
        """Whether missing cells are up to the densities, none of which is a flow."""
        flows = any(hasattr(density, "sample_given") for density in self._given())
        return self.density is not None and not flows

    def _compare_with(self, X):
        """Keep rows of the fit to compare rows with missing cells with, whole ones first."""
        if not self._takes_missing():
            self._check_whole(X)
        self._compared = X[np.argsort(~whole(X), kind="stable")[:N_COMPARED]]

    def _check_whole(self, X):
        """Refuse tables with too few whole rows, and warn if these are the fewer."""
        several = self.density is None or isinstance(self.density, list)
        n_whole, least = whole(X).sum(), 2 * N_FOLDS if several else 2
        often = np.isnan(X).mean(axis=0)
        if n_whole < min(least, len(X)):
            named = name_columns(often == often.max(), self._table.feature_names)
            raise ValueError(
                f"Of {len(X)} rows to fit to {n_whole} have no missing cell, but "
                f"at least {least} are needed. Leave out columns that are often missing (first "
                f"{named}), or fill the cells in before (FlowImputer)."
            )
        if several and n_whole < len(X) / 2:
            warn(
                f"Of {len(X)} rows to fit to {n_whole} have no missing cell. Flows "
                "are fitted to these, and the nearest rows and the tails to all."
            )

    def _by_pattern(self, X):
        """For each pattern of known cells its rows, and by name what scorers say of them.

        Then, of rows with missing cells, the scores that these compare with; otherwise None.
        """
        X = self._within_reach(X)
        for known, rows in patterns(~np.isnan(X) | self._takes_missing()):
            if known.all():
                references, compared = self.reference_scores_ or {"density": None}, None
            else:
                references, compared = self._with_missing(known)
            yield rows, self._parts(X[rows], references), compared

    def _parts(self, X, references):
        """By name the logarithms of how rare rows are; where there is no reference, the scores."""
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
        """By name the logarithms ``(n,)`` of how rare rows of these scores are.

        NaN for scorers that are not asked about a row with missing cells; of a single one that is,
        the row's score.
        """
        found = {name: np.full(len(X), np.nan) for name in self.reference_scores_}
        for rows, parts_by_name, compared in self._by_pattern(X):
            for name, part in parts_by_name.items():
                alone = compared is not None and len(parts_by_name) == 1
                found[name][rows] = scores[rows] if alone else part
        return found

    def _with_missing(self, known):
        """References by name and scores, ascending, of rows of the fit as they look like that.

        With ``known`` None, as they are without a missing cell.
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
        # those of which all of these columns are known, or else nearly all
        lacking = (np.isnan(self._compared) & known).sum(axis=1)
        n_rows = max(LEAST_COMPARED, np.sum(lacking == 0))
        rows = self._compared[np.argsort(lacking, kind="stable")[:n_rows]]
        rows = np.where(known, rows, np.nan)
        # scorers that judge known columns by themselves, or else the first flow
        fitted = self.densities_.items()
        names = [name for name, members in fitted if hasattr(members[0], "score_own_rows")]
        if not names:
            names = [name for name, members in fitted if hasattr(members[0], "sample_given")][:1]
        references = dict.fromkeys(names)
        if len(names) > 1:
            references = {name: np.sort(self._score_by(name, rows)) for name in names}
        return references, np.sort(self._combined(self._parts(rows, references)))
