"""Rows with gaps in a detector: p-values from rows set aside in which the same gaps are made.

Scorers that judge known columns by themselves do so. Where there are none, a flow among the given
densities does, which knows the marginal of any columns. These scores compare with each other only
where the same columns are known, so a row is ranked among the rows set aside as they look with its
gaps, and gets the score that has this rank among whole rows. Thresholds, p-values and selections
then hold for it as they do for others.
"""

from weakref import WeakKeyDictionary

import numpy as np

from .._core.patterns import patterns
from .._core.warnings import warn
from .._nn.blocks import answer_in_parts, parts
from .conformal import just_below
from .resolutions import harmonic_mean, log_rarity

#: What detectors know of patterns of gaps: kept apart from them, as a prediction changes nothing.
_KNOWN: WeakKeyDictionary = WeakKeyDictionary()


class GapsMixin:
    """Scores rows with gaps; a subclass scores whole ones in ``_whole_scores``."""

    def _given(self):
        """The densities as they were given; none for the default."""
        if isinstance(self.density, list):
            return [pair[-1] for pair in self.density if isinstance(pair, tuple)]
        return [] if self.density is None else [self.density]

    def _takes_gaps(self):
        """Whether gaps are up to the densities, none of which is a flow."""
        flows = any(hasattr(density, "sample_given") for density in self._given())
        return self.density is not None and not flows

    def _without_gaps(self, X, least=2):
        """The rows of a fit: those without gaps, unless gaps are up to the densities."""
        if self._takes_gaps():
            return X
        self._finite(X, allow_nan=True)
        whole = ~np.isnan(X).any(axis=1)
        if whole.sum() < least:
            raise ValueError(
                f"X has {whole.sum()} rows without NaN, but a detector is fitted to such rows, at "
                f"least {least}. Fill the gaps in before (FlowImputer), or leave columns out."
            )
        if not whole.all():
            warn(
                f"{(~whole).sum()} of {len(X)} rows have gaps and are left out of the fit. If gaps "
                "are more frequent in unusual rows, fill them in before (FlowImputer)."
            )
        return X[whole]

    def _missing(self, X):
        """Which rows have gaps that are ours to deal with."""
        return np.isnan(X).any(axis=1) & (not self._takes_gaps())

    def _flow_name(self):
        fitted = self.densities_.items()
        return next(name for name, members in fitted if hasattr(members[0], "sample_given"))

    def _names_for_gaps(self):
        """The densities that are asked about rows with gaps."""
        fitted = self.densities_.items()
        own = [name for name, members in fitted if hasattr(members[0], "scores_own_rows")]
        return own or [self._flow_name()]

    def _scores(self, X):
        def answer(X):
            gaps, scores = self._missing(X), np.empty(len(X))
            if not gaps.all():
                scores[~gaps] = self._whole_scores(X[~gaps])
            for known, rows in patterns(~np.isnan(X[gaps])):
                rows = np.flatnonzero(gaps)[rows]
                references, calibration = self._with_gaps(known)
                parts = self._parts_with_gaps(X[rows], references)
                scores[rows] = self._as_whole(self._combined(parts), calibration)
            return scores

        return answer_in_parts(answer, parts(*X.shape), X)

    def _with_gaps(self, known):
        """Scores of rows of the fit by name, and of those set aside, as they look with gaps."""
        fitted, kept = _KNOWN.get(self, (None, None))
        if fitted is not self.densities_:
            fitted, kept = _KNOWN[self] = self.densities_, {}
        key = known.tobytes(), len(self._rows_aside)
        if key not in kept:
            seen, aside = (np.where(known, X, np.nan) for X in (self._rows_seen, self._rows_aside))
            names = self._names_for_gaps()
            if len(names) == 1:
                references = dict.fromkeys(names)
            else:
                references = {name: np.sort(self._score_by(name, seen)) for name in names}
            calibration = np.sort(self._combined(self._parts_with_gaps(aside, references)))
            kept[key] = references, calibration
        return kept[key]

    def _parts_with_gaps(self, X, references):
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
        names = list(self.densities_)
        return harmonic_mean(parts, self._weights[[names.index(n) for n in self._names_for_gaps()]])

    def _as_whole(self, scores, reference):
        """Scores of whole rows with the ranks that scores have among those of ``reference``."""
        calibration, lower = self.calibration_scores_, just_below(reference)
        n_not_higher = np.searchsorted(lower, scores, side="right")
        beyond = just_below(just_below(calibration[0])) + np.minimum(scores - lower[0], 0.0)
        return np.where(n_not_higher > 0, calibration[n_not_higher - 1], beyond)

    def _scores_by_density(self, X, scores):
        """For each density the logarithms ``(n,)`` of how rare rows of these scores are.

        NaN for those that are not asked about a row with gaps; of a single one, the row's score.
        """
        gaps, found = self._missing(X), np.full((len(self.reference_scores_), len(X)), np.nan)
        if not gaps.all():
            found[:, ~gaps] = self._rarities(X[~gaps])
        by_density = dict(zip(self.reference_scores_, found))
        for known, rows in patterns(~np.isnan(X[gaps])):
            rows = np.flatnonzero(gaps)[rows]
            references, _ = self._with_gaps(known)
            parts = self._parts_with_gaps(X[rows], references)
            for name, part in zip(references, parts):
                by_density[name][rows] = part if len(parts) > 1 else scores[rows]
        return by_density
