"""Conformal p-values: what scores and the scores of rows set aside say together."""

import numpy as np
from scipy.stats import false_discovery_control

from .._core.checks import check_part

#: With contamination="auto", part of the ordinary rows that may be called outliers.
FALSE_ALARM_RATE = 0.05


def just_below(scores):
    """Scores less what rounding can do: a row and its copies tie, however they are scored."""
    return scores - 1e-6 * (1 + np.abs(scores))


def selected(pvalues, fdr):
    """Which are selected at a false discovery rate (Benjamini and Hochberg 1995)."""
    return false_discovery_control(pvalues, method="bh") <= fdr


class ConformalMixin:
    """Decisions and p-values of a detector from its ``score_samples``.

    A subclass has a parameter ``contamination``; its ``fit`` sets ``calibration_scores_``, scores
    of rows that nothing was fitted to, ascending, and ``offset_``, from ``_threshold``.
    """

    def _threshold(self, scores, calibration_scores):
        """What ``offset_`` is, from the scores of all rows and, ascending, of those set aside."""
        if self.contamination == "auto":
            # a p-value is at most k / (n + 1) if the score is below the k-th lowest of n
            k = max(1, int(FALSE_ALARM_RATE * (len(calibration_scores) + 1)))
            threshold = calibration_scores[k - 1]
        else:
            threshold = np.percentile(scores, 100 * self.contamination)
        if not np.isfinite(threshold):
            raise ValueError(
                f"The density is zero at so many rows that contamination={self.contamination!r} "
                "gives no threshold. Take a smoother density, or a higher contamination."
            )
        return float(just_below(threshold))

    def decision_function(self, X):
        """Scores less the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``, in nats.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Whether each row is an outlier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of int, shape (n_samples,)
            -1 for outliers, 1 for the others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def pvalue(self, X):
        """Conformal p-value of each row.

        With ``n`` rows set aside it is ``(1 + #{scores of these <= the row's}) / (n + 1)``. Under
        the null hypothesis that a row is exchangeable with those set aside, it is at most ``a``
        with a probability of at most ``a``, for every ``a`` and ``n``; ties (up to rounding) make
        it larger. The probability is over the rows set aside, too: with few of them, a single fit
        may be off.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. See the notes of the class for those of ``fit``.

        Returns
        -------
        p : ndarray of shape (n_samples,)
            In ``[1 / (n + 1), 1]``. The lower, the more unusual.
        """
        return self._pvalues(self.score_samples(X))

    def _pvalues(self, scores):
        held_out = just_below(self.calibration_scores_)
        n_not_higher = np.searchsorted(held_out, scores, side="right")
        return (1 + n_not_higher) / (1 + len(self.calibration_scores_))

    def select(self, X, *, fdr=0.1):
        """Outliers among the rows, at a false discovery rate.

        The method of Benjamini and Hochberg on the p-values. As these share the rows set aside,
        they are not independent, but dependent in a way (PRDS) that the method allows [1]_: on
        average over such tables, at most ``fdr`` of the rows selected are ordinary ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. Which are selected depends on all of them.
        fdr : float, default=0.1
            False discovery rate, in (0, 1).

        Returns
        -------
        selected : ndarray of bool, shape (n_samples,)
            True for outliers. All are False if the least possible p-value, ``1 / (n + 1)``, is
            too large for the number of rows: to select one row of ``m``, ``n + 1`` has to be at
            least ``m / fdr``; for ``k`` rows, ``m / (k * fdr)``.

        Raises
        ------
        ValueError
            If ``fdr`` is not in (0, 1).

        References
        ----------
        .. [1] Bates, S., Candès, E., Lei, L., Romano, Y., Sesia, M., "Testing for outliers with
           conformal p-values", The Annals of Statistics 51 (1), 149-178, 2023.
        """
        check_part("fdr", fdr)
        return selected(self.pvalue(X), fdr)
