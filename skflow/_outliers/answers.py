"""What a fitted detector answers: scores, p-values, selections, reasons."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import OutlierMixin, _fit_context
from sklearn.utils._optional_dependencies import check_pandas_support

from .._core.checks import FLOATS, check_count, check_part
from .._core.runtime import atomic, sheltered
from .._core.summary import ShowsSummary, by_weight, counted
from .._core.typing import ArrayLike
from .conformal import ranks, selected, tail_pvalues, threshold, warn_if_too_few
from .martingale import evidence, online_pvalues
from .missing import MissingMixin
from .reasons import ends_of, explain_rows
from .report import Reasons, make_report
from .rows import RowsMixin

if TYPE_CHECKING:
    from typing_extensions import Self


class OutlierAnswers(ShowsSummary, MissingMixin, RowsMixin, OutlierMixin):
    """The public answers of a detector, from its scores and those of the calibration rows.

    ``fit`` sets ``calibration_scores_``, scores of rows that nothing was fitted to, ascending, and
    ``offset_``.
    """

    calibration_scores_: np.ndarray
    offset_: float
    densities_: dict[str, list[Any]]
    reference_scores_: dict[str, np.ndarray]
    fit: Callable[..., Any]
    contamination: Any
    _compared: np.ndarray
    _tried: np.ndarray
    _seen: np.ndarray

    @sheltered
    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Score of each row: the lower, the more unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Where a flow is among the densities, as in the default, NaN means unknown: the row is
            ranked by its known columns among rows of the fit as they look without the others, and
            gets the score that whole rows of this rank have.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In nats. Of a single density its log-densities, in the data's units (or what its
            ``score_samples`` returns). Of several, each gives the fraction of ordinary rows that
            are as unusual to it, and the score is the logarithm of the harmonic mean of these
            fractions (Wilson 2019). It is near the lowest of the logarithms: at most that
            of their number above it. Below the lowest tenth of the rows they go on in the slope of
            the tail, so that outliers have an order, too.
        """
        return self._scores(self._checked(X, dtype=FLOATS))

    @sheltered
    def explain(self, X: ArrayLike) -> np.ndarray:
        """How much each feature contributes to how unusual a row is.

        The contribution of feature ``j`` is what the log-density of the row would gain, on
        average, if the feature alone were drawn anew from the model's conditional distribution
        given all the others::

            E[log p(v, x_others)] - log p(x_j, x_others),    v ~ p(v | x_others)

        As ``log p(x_others)`` cancels, this is the surprise ``-log p(x_j | x_others)`` less its
        mean, the entropy of the conditional distribution. Over rows drawn from the model its mean
        is 0. It does not depend on the units of the features. In a Gaussian it is
        ``(z**2 - 1) / 2``, with the standardised residual ``z`` of a regression of the feature on
        all others. A value that is usual by itself contributes much if it is inconsistent with the
        others.

        Values ``v`` are the row's own, quantiles of those of the rows of ``fit`` and some beyond
        their range, then more around the likeliest one; the mean is an integral over these. So
        nothing is random. About 60 rows are scored for each feature of each row: choose the rows
        that need an explanation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            In nats. Large where the feature is inconsistent with the others, about 0 or below where
            it is consistent. They do not add up to the score: features that depend on each other
            may all gain from the same error or, if it takes two to mend a row, none of them much.
        """
        return self._explained(self._checked(X))[0]

    def _explained(self, X, coverage=None):
        """Contributions and intervals of usual values, by the first density or the flow beside.

        Of a density for each fold, by that of the first: the others would say nearly the same.
        """
        name, fitted = next(iter(self.densities_.items()))
        score = partial(self._score, name, fitted[0])
        if hasattr(self, "reasons_density_"):
            score = partial(self._score, "reasons", self.reasons_density_)
        with warnings.catch_warnings():
            # values far away are tried on purpose, where conditionals of rows with missing cells
            # are rough
            warnings.filterwarnings("ignore", "The unknown cells")
            return explain_rows(score, X, self._tried, coverage, **self._schema.atoms())

    def _reasons(self, X, codes, scores, rows, coverage):
        """The ``Reasons`` of some rows of ``X``, with the codes and scores of all."""
        nats, usual = self._explained(codes[rows], coverage)
        outlier, ends = scores[rows] < self.offset_, ends_of(self._tried)
        unseen = self._unseen(X, codes, rows)
        return Reasons(codes[rows], nats, usual, outlier, self._seen, ends, self._table, unseen)

    @sheltered
    def _reasons_of_lowest(self, X, coverage):
        """The ``Reasons`` of the most unusual of some rows."""
        check_part("coverage", coverage)
        codes = self._checked(X)
        scores = self._scores(codes)
        return self._reasons(X, codes, scores, [scores.argmin()], coverage)

    @sheltered
    def report(
        self,
        X: ArrayLike,
        n: int | None = 20,
        *,
        fdr: float | None = None,
        tail: bool = False,
        coverage: float = 0.9,
        details: bool = False,
    ) -> Any:
        """Table of the most unusual rows, with reasons that people can read.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows. A DataFrame's index names those of the report.
        n : int or None, default=20
            At most so many rows, those of the lowest scores; None for all.
        fdr : float or None, default=None
            A number in (0, 1) reports the rows that ``select(X, fdr=fdr)`` selects, however many,
            instead. Where it selects none, the report has the same columns and no rows.
        tail : bool, default=False
            As in ``pvalue``.
        coverage : float, default=0.9
            Of the intervals of usual values, in (0, 1).
        details : bool, default=False
            Add the scores, and the second and third reason.

        Returns
        -------
        report : pandas.DataFrame
            The most unusual row first, with

            - ``pvalue``: the fraction of ordinary rows that are at least as unusual;
            - ``column``: the column that is least consistent with the rest of the row, or "no
              single column" if it takes several to make the row unusual. ``value`` is its value,
              and ``usual_from`` to ``usual_to`` contains a fraction ``coverage`` of the values in
              rows that are alike in all other columns (of a category the likeliest and, from there
              down, the last that is needed). Numbers are rounded as the column is;
            - ``reason``: the same as a sentence, with the column against which the value stands out
              most in a plot, and with the columns that are missing.

            With ``details`` also

            - ``score``; of several densities, ``density``: to which the row is the most unusual;
              and ``score_<name>``: the score of each, the logarithm of a fraction;
            - ``nats``: the contribution of the column as of ``explain``, at least 3 for a reason;
            - ``column_2``, ``value_2``, ``usual_from_2``, ``usual_to_2``, ``nats_2``, and the same
              with 3: the columns of the second and the third largest contribution.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If an argument cannot be used.
        """
        pandas = check_pandas_support("report")
        if n is not None:
            check_count("n", n)
        check_part("coverage", coverage)
        if fdr is not None:
            check_part("fdr", fdr)
        index: Any = getattr(X, "index", None) if hasattr(X, "iloc") else None  # not a list's
        codes = self._checked(X)
        scores = self._scores(codes)
        pvalues = self._pvalues(scores, tail)
        order = np.argsort(scores, kind="stable")
        rows = order[:n] if fdr is None else order[self._selected(pvalues, fdr, tail)[order]]
        n_rows = len(rows)
        rows = rows if n_rows else order[:1]  # an empty report is that of a row without the row
        columns = {"pvalue": pvalues[rows]}
        if details:
            columns |= {"score": scores[rows]} | self._details(codes[rows], scores[rows])
        table = pandas.DataFrame(columns, index=rows if index is None else index[rows])
        reasons = self._reasons(X, codes, scores, rows, coverage)
        return make_report(table, reasons, details).iloc[:n_rows]

    def _details(self, X, scores):
        """What each of several densities says of rows."""
        if not self.reference_scores_:
            return {}
        by_density = self._scores_by_density(X, scores)
        lowest = np.nanargmin(list(by_density.values()), axis=0)
        found = {f"score_{name}": rarity for name, rarity in by_density.items()}
        return {"density": np.array(list(by_density))[lowest], **found}

    def decision_function(self, X: ArrayLike) -> np.ndarray:
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

    def predict(self, X: ArrayLike) -> np.ndarray:
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

    def pvalue(self, X: ArrayLike, *, tail: bool = False) -> np.ndarray:
        """Conformal p-value of each row.

        With ``n`` calibration rows it is ``(1 + #{scores of these <= the row's}) / (n + 1)``. Under
        the null hypothesis that a row is exchangeable with those of ``fit``, it is at most ``a``
        with a probability of at most ``a``, for every ``a`` and ``n``, if the calibration rows were
        set aside, and of about ``a`` otherwise; ties (up to rounding) make it larger. The
        probability is over the calibration rows, too: with few of them, a single fit may be off.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. See the notes of the class for those of ``fit``.
        tail : bool, default=False
            Let p-values go on below ``1 / (n + 1)``: for scores below the lowest tenth of the
            calibration rows by a generalised Pareto distribution of how far they lie below it, of a
            shape of at least 0.17. It is fitted without scores that look like outliers. That is a
            model, not a guarantee: where scores have a smooth tail, p-values of 0.001 are on
            average as small as they should be or larger, and where some ordinary rows are as far
            out as outliers, about half as large. It takes 500 calibration rows.

        Returns
        -------
        p : ndarray of shape (n_samples,)
            In ``[1 / (n + 1), 1]``, with ``tail`` in ``[0, 1]``. The lower, the more unusual.
        """
        return self._pvalues(self.score_samples(X), tail)

    def _pvalues(self, scores, tail):
        return (tail_pvalues if tail else ranks)(scores, self.calibration_scores_)

    def _selected(self, pvalues, fdr, tail):
        found = selected(pvalues, fdr)
        if not tail and not found.any():
            warn_if_too_few(pvalues, fdr, len(self.calibration_scores_))
        return found

    def select(self, X: ArrayLike, *, fdr: float = 0.1, tail: bool = False) -> np.ndarray:
        """Outliers among the rows, at a false discovery rate.

        The method of Benjamini and Hochberg on the p-values. As these share the calibration rows,
        they are not independent. With rows set aside they depend in a way (PRDS) that the method
        allows [1]_: on average over such tables, at most ``fdr`` of the rows selected are ordinary
        ones; without, this is about so.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. Which are selected depends on all of them.
        fdr : float, default=0.1
            False discovery rate, in (0, 1).
        tail : bool, default=False
            Select by the p-values of ``pvalue(X, tail=True)``. Then the rate holds as far as the
            model of the tail does. With outliers among the rows of ``fit``, ranks alone select
            next to nothing, as the calibration rows are as unusual.

        Returns
        -------
        selected : ndarray of bool, shape (n_samples,)
            True for outliers. If none is selected and the least possible p-value, ``1 / (n + 1)``,
            is too large to select a single one, a warning says how many calibration rows it takes:
            to select one row of ``m``, ``n + 1`` has to be at least ``m / fdr``; for ``k`` rows,
            ``m / (k * fdr)``.

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
        return self._selected(self.pvalue(X, tail=tail), fdr, tail)

    # ---- in words

    def _summary_lines(self):
        n = len(self.calibration_scores_)
        fraction = np.mean(self.calibration_scores_ < self.offset_)
        kinds = self._schema.described(np.full(len(self._schema.real_columns), "real", object))
        return {
            "columns": counted(kinds),
            "scorers": self._scorers(),
            "calibration": f"{n:,} rows: p-values from {1 / (n + 1):.2g}",
            "threshold": f"{self.offset_:.3f}: {fraction:.1%} of the calibration rows lie below",
            "to try": "" if n >= 99 else "more rows: p-values of 0.01 take 99 calibration rows",
        }

    def _scorers(self):
        if not self.reference_scores_:
            return type(self.densities_["density"][0]).__name__
        weights = np.array([*self._weights.values()])
        return by_weight(self.densities_, weights / weights.sum())

    # ---- life after the fit

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Let new ordinary rows join the calibration rows; the densities stay as they are.

        With more of them p-values are finer. They stay valid if the new rows come from where the
        rows of ``fit`` came from and were not chosen by their scores: rows that passed as ordinary
        because their p-values were large make those of others too small.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The threshold ``offset_`` follows with ``contamination="auto"``, and stays otherwise.
            Before ``fit`` this is ``fit``.
        """
        if not hasattr(self, "calibration_scores_"):
            return self.fit(X)
        new = self._scores(self._checked(X))
        scores = np.concatenate([self.calibration_scores_, new])
        self.calibration_scores_ = np.sort(scores)
        if self.contamination == "auto":
            self.offset_ = threshold("auto", scores, self.calibration_scores_)
        return self

    @sheltered
    def shift_evidence(self, X: ArrayLike) -> np.ndarray:
        """Evidence, row after row, that rows come no longer from where those of ``fit`` came from.

        Each row is ranked among the calibration rows and those before it. While nothing changes,
        these p-values are independent and uniform. The evidence is what betting against that has
        multiplied a stake by (a conformal test martingale [1]_).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the order in which they came. For a batch without an order any will do.

        Returns
        -------
        evidence : ndarray of shape (n_samples,)
            In powers of ten. While nothing changes, the probability that any of it, however many
            rows there are, reaches ``e`` is at most ``10 ** -e``: at 2, one stream in 100.

        See Also
        --------
        skflow.inspection.ShiftDisplay : A picture of it over time.

        References
        ----------
        .. [1] Vovk, V., Nouretdinov, I., Gammerman, A., "Testing exchangeability on-line", ICML
           2003.
        """
        scores = self._scores(self._checked(X))
        rng = np.random.default_rng(0)  # breaks ties, whatever the rows are
        return evidence(online_pvalues(scores, self.calibration_scores_, rng))
