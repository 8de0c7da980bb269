"""Rows with gaps in a detector: p-values from rows set aside in which the same gaps are made.

Such a row is scored by the flow among the densities, which knows the marginal of any columns. These
scores compare with each other only where the same columns are known, so a row is ranked among the
rows set aside as they look with its gaps, and gets the score that has this rank among whole rows.
Thresholds, p-values and selections then hold for it as they do for others.
"""

import numpy as np

from .._core.patterns import patterns
from .._core.warnings import warn
from .._nn.blocks import answer_in_parts, parts
from .conformal import just_below


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

    def _without_gaps(self, X):
        """The rows of a fit: those without gaps, unless gaps are up to the densities."""
        if self._takes_gaps():
            return X
        self._finite(X, allow_nan=True)
        whole = ~np.isnan(X).any(axis=1)
        if whole.sum() < 2:
            raise ValueError(
                f"X has {whole.sum()} rows without NaN, but a detector is fitted to such rows, at "
                "least 2. Fill the gaps in before (FlowImputer), or leave columns out."
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

    def _scores(self, X):
        references = {}  # scores of rows set aside, with gaps as in a pattern

        def answer(X):
            gaps, scores = self._missing(X), np.empty(len(X))
            if not gaps.all():
                scores[~gaps] = self._whole_scores(X[~gaps])
            for known, rows in patterns(~np.isnan(X[gaps])):
                rows = np.flatnonzero(gaps)[rows]
                if known.tobytes() not in references:
                    aside = np.where(known, self._rows_aside, np.nan)
                    reference = np.sort(self._score_by(self._flow_name(), aside))
                    references[known.tobytes()] = reference
                found = self._score_by(self._flow_name(), X[rows])
                scores[rows] = self._as_whole(found, references[known.tobytes()])
            return scores

        return answer_in_parts(answer, parts(*X.shape), X)

    def _as_whole(self, scores, reference):
        """Scores of whole rows with the ranks that scores have among those of ``reference``."""
        calibration, lower = self.calibration_scores_, just_below(reference)
        n_not_higher = np.searchsorted(lower, scores, side="right")
        beyond = just_below(just_below(calibration[0])) + np.minimum(scores - lower[0], 0.0)
        return np.where(n_not_higher > 0, calibration[n_not_higher - 1], beyond)

    def _scores_by_density(self, X, scores):
        """For each density the logarithms ``(n,)`` of how rare rows of these scores are.

        Of rows with gaps the flow's is their score, and the others are NaN.
        """
        gaps, found = self._missing(X), np.full((len(self.reference_scores_), len(X)), np.nan)
        if not gaps.all():
            found[:, ~gaps] = self._rarities(X[~gaps])
        by_density = dict(zip(self.reference_scores_, found))
        if gaps.any():
            by_density[self._flow_name()][gaps] = scores[gaps]
        return by_density
