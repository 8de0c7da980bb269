"""Rows with missing cells in a detector, beside rows without: scores that compare with each other.

Scorers that judge known columns by themselves do so. Where there are none, a flow among the given
densities does, which knows the marginal of any columns. Scores of such rows compare with each other
only where the same columns are known. So a row is ranked among rows of the fit of which these
columns are known, as they look without their other cells, and gets the score that has this rank
among those that are whole.

What a row is compared with is fixed before the rows set aside are looked at, and these keep their
own missing cells: rows and missing cells together are exchangeable. So p-values are valid over all
rows, whatever decides which cells are missing. Over the rows that lack one set of cells, they are
as good as the comparison is.
"""

from weakref import WeakKeyDictionary

import numpy as np

from .._core.checks import name_columns, warn
from .._core.rows import patterns
from .._nn.blocks import answer_in_parts, parts
from .rarity import harmonic_mean, log_rarity, score_of_rarity
from .resolutions import N_FOLDS

#: Rows of the fit that rows with missing cells are compared with: so many, and at least so many.
N_COMPARED, LEAST_COMPARED = 200, 20
#: What detectors know of patterns of missing cells: kept apart from them, as a prediction changes
#: nothing.
_KNOWN: WeakKeyDictionary = WeakKeyDictionary()


def whole(X):
    """Which rows have no missing cell."""
    return ~np.isnan(X).any(axis=1)


class MissingMixin:
    """Scores rows with missing cells; a subclass scores whole ones in ``_whole_scores``."""

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
                f"Of {len(X)} rows that are not set aside {n_whole} have no missing cell, but "
                f"at least {least} are needed. Leave out columns that are often missing (first "
                f"{named}), or fill the cells in before (FlowImputer)."
            )
        if several and n_whole < len(X) / 2:
            warn(
                f"Of {len(X)} rows that are not set aside {n_whole} have no missing cell. Flows "
                "are fitted to these, and the nearest rows and the tails to all."
            )

    def _missing(self, X):
        """Which rows have missing cells that are ours to deal with."""
        return ~whole(X) & (not self._takes_missing())

    def _flow_name(self):
        fitted = self.densities_.items()
        return next(name for name, members in fitted if hasattr(members[0], "sample_given"))

    def _names_for_missing(self):
        """The densities that are asked about rows with missing cells."""
        fitted = self.densities_.items()
        own = [name for name, members in fitted if hasattr(members[0], "scores_own_rows")]
        return own or [self._flow_name()]

    def _scores(self, X):
        def answer(X):
            missing, scores = self._missing(X), np.empty(len(X))
            if not missing.all():
                scores[~missing] = self._whole_scores(X[~missing])
            for rows, parts_by_name, compared in self._by_pattern(X, missing):
                combined = self._combined(list(parts_by_name.values()))
                scores[rows] = self._as_whole(combined, compared)
            return scores

        return answer_in_parts(answer, parts(*X.shape), X)

    def _by_pattern(self, X, missing):
        """For each pattern, its rows, their parts by name, and the scores that these compare with.

        ``missing`` ``(n,)`` selects the rows that are asked about.
        """
        for known, rows in patterns(~np.isnan(X[missing])):
            rows = np.flatnonzero(missing)[rows]
            references, compared = self._with_missing(known)
            found = self._parts_with_missing(X[rows], references)
            yield rows, dict(zip(references, found)), compared

    def _as_whole(self, scores, compared):
        """The scores of whole rows with the ranks that scores have among those compared with."""
        every = np.ones(self._compared.shape[1], dtype=bool)
        return score_of_rarity(log_rarity(scores, compared), self._with_missing(every)[1])

    def _with_missing(self, known):
        """Scores of rows of the fit, by name and combined, as they look with missing cells."""
        fitted, kept = _KNOWN.get(self, (None, None))
        if fitted is not self.densities_:
            fitted, kept = _KNOWN[self] = self.densities_, {}
        if known.tobytes() not in kept:
            kept[known.tobytes()] = self._scores_with_missing(known)
        return kept[known.tobytes()]

    def _scores_with_missing(self, known):
        if known.all():
            rows = self._compared[whole(self._compared)]
            return {}, np.sort(self._whole_scores(rows))
        # those of which all of these columns are known, or else nearly all
        lacking = (np.isnan(self._compared) & known).sum(axis=1)
        n_rows = max(LEAST_COMPARED, np.sum(lacking == 0))
        rows = self._compared[np.argsort(lacking, kind="stable")[:n_rows]]
        rows, names = np.where(known, rows, np.nan), self._names_for_missing()
        references = dict.fromkeys(names)
        if len(names) > 1:
            references = {name: np.sort(self._score_by(name, rows)) for name in names}
        return references, np.sort(self._combined(self._parts_with_missing(rows, references)))

    def _parts_with_missing(self, X, references):
        """Logarithms ``(k, n)`` of how rare rows of a pattern are; a single scorer's own scores."""
        X = self._within_reach(X)
        return np.array(
            [
                scores if reference is None else log_rarity(scores, reference)
                for name, reference in references.items()
                for scores in [self._score_by(name, X)]
            ]
        )

    def _combined(self, parts):
        if len(parts) == 1:
            return parts[0]
        names, parts = list(self.densities_), np.array(parts)
        return harmonic_mean(
            parts, self._weights[[names.index(n) for n in self._names_for_missing()]]
        )

    def _scores_by_density(self, X, scores):
        """For each density the logarithms ``(n,)`` of how rare rows of these scores are.

        NaN for those that are not asked about a row with missing cells; of a single one, the row's
        score.
        """
        missing, found = self._missing(X), np.full((len(self.reference_scores_), len(X)), np.nan)
        if not missing.all():
            found[:, ~missing] = self._rarities(X[~missing])
        by_density = dict(zip(self.reference_scores_, found))
        for rows, parts_by_name, _ in self._by_pattern(X, missing):
            for name, part in parts_by_name.items():
                by_density[name][rows] = part if len(parts_by_name) > 1 else scores[rows]
        return by_density
