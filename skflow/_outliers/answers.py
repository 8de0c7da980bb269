"""Methods of a fitted detector: scores, p-values, selections, reasons."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import OutlierMixin, _fit_context
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils.validation import check_is_fitted

from .._core.checks import FLOATS, check_count, check_part
from .._core.runtime import atomic, sheltered
from .._core.summary import ShowsSummary, by_weight, counted
from .._core.typing import ArrayLike
from .._table.reading import TableMixin
from .._table.table import UNKNOWN
from .conformal import ranks, selected, tail_pvalues, threshold, warn_if_too_few
from .fitted import FittedScorers
from .martingale import evidence, online_pvalues
from .reasons import ends_of, explain_rows
from .report import Reasons, make_report

if TYPE_CHECKING:
    from typing_extensions import Self


class OutlierAnswers(ShowsSummary, TableMixin, OutlierMixin):
    """The public methods of a detector, based on its scores and the calibration scores.

    ``fit`` sets ``calibration_scores_``, ascending scores of rows to which nothing was fitted, and
    ``offset_``.
    """

    calibration_scores_: np.ndarray
    offset_: float
    _fitted: FittedScorers
    fit: Callable[..., Any]
    contamination: Any
    _tried: np.ndarray
    _seen: np.ndarray

    @property
    def densities_(self) -> dict[str, list[Any]]:
        return self._fitted.densities

    @property
    def reference_scores_(self) -> dict[str, np.ndarray]:
        return self._fitted.references

    def _checked(self, X: ArrayLike, dtype: Any = np.float64) -> np.ndarray:
        check_is_fitted(self)
        X = self._encode(self._source(X), dtype=dtype)
        return X if self._fitted.takes_missing else self._finite(X, allow_nan=True)

    @sheltered
    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Compute the score of each row: the lower, the more unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            If a flow is among the densities, as in the default, NaN means unknown: the row is
            ranked by its known columns, among rows of ``fit`` with the same cells removed, and gets
            the score of complete rows with the same rank.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In nats. For a single density, its log-densities in the data's units (or the result of
            its ``score_samples``). Each of several densities yields the fraction of ordinary rows
            that are as unusual, and the score is the logarithm of the harmonic mean of these
            fractions (Wilson 2019). The score is near the lowest of the logarithms, at most the
            logarithm of their number above it. Below the lowest tenth of the rows, fractions are
            extrapolated with the slope of the tail, so that outliers have an order, too.
        """
        X = self._checked(X, dtype=FLOATS)
        return self._fitted.scores(X)

    @sheltered
    def explain(self, X: ArrayLike) -> np.ndarray:
        """Compute how much each feature contributes to the unusualness of a row.

        The contribution of feature ``j`` is the average increase of the row's log-density if the
        feature alone were drawn from the model's conditional distribution given all the others::

            E[log p(v, x_others)] - log p(x_j, x_others),    v ~ p(v | x_others)

        As ``log p(x_others)`` cancels, this is the surprise ``-log p(x_j | x_others)`` minus its
        mean, the entropy of the conditional distribution. Its mean over rows drawn from the model
        is 0. It does not depend on the units of the features. For a Gaussian it is
        ``(z**2 - 1) / 2``, with the standardised residual ``z`` of a regression of the feature on
        all others. A value that is usual by itself contributes much if it is inconsistent with the
        others.

        The values ``v`` are the row's own value, quantiles of the column in ``fit``, some values
        beyond its range, and then more values around the likeliest one. The mean is an integral
        over these values, so the result is deterministic. About 60 rows are scored for each feature
        of each row: pass only the rows that need an explanation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            In nats. Large if the feature is inconsistent with the others, about 0 or below if it is
            consistent. Contributions do not add up to the score. A single error may increase the
            contributions of several dependent features. If only a change of two features makes a
            row usual, the contributions of both may be small.
        """
        return self._explained(self._checked(X))[0]

    def _explained(self, X: np.ndarray, coverage: float | None = None) -> tuple[np.ndarray, Any]:
        """Return contributions and intervals of usual values, by the density for reasons.

        It is the flow that was fitted for them, or the first density, of the first fold: the
        results of other folds would be similar.
        """
        name, fitted = next(iter(self.densities_.items()))
        score = partial(self._fitted.score, name, fitted[0])
        if hasattr(self, "reasons_density_"):
            score = partial(self._fitted.score, "reasons", self.reasons_density_)
        with warnings.catch_warnings():
            # far values are tried on purpose, with rough conditionals of rows with missing cells
            warnings.filterwarnings("ignore", "The unknown cells")
            return explain_rows(score, X, self._tried, coverage, **self._schema.atoms())

    def _unseen(
        self, X: ArrayLike, codes: np.ndarray, rows: np.ndarray
    ) -> dict[tuple[int, int], Any]:
        """Return the categories that ``fit`` did not see, by index in ``rows`` and column."""
        found: dict[tuple[int, int], Any] = {}
        for j in self._table.categories:
            places = np.flatnonzero(codes[rows, j] == UNKNOWN).tolist()
            if places:
                values = self._source(X).values(j)
                found |= {(i, j): values[rows[i]] for i in places}
        return found

    def _reasons(
        self,
        X: ArrayLike,
        codes: np.ndarray,
        scores: np.ndarray,
        rows: np.ndarray,
        coverage: float,
    ) -> Reasons:
        """Return the ``Reasons`` of some rows of ``X``, with the codes and scores of all."""
        nats, usual = self._explained(codes[rows], coverage)
        outlier, ends = scores[rows] < self.offset_, ends_of(self._tried)
        unseen = self._unseen(X, codes, rows)
        return Reasons(codes[rows], nats, usual, outlier, self._seen, ends, self._table, unseen)

    @sheltered
    def _reasons_of_lowest(self, X: ArrayLike, coverage: float) -> Reasons:
        """Return the ``Reasons`` of the most unusual row."""
        check_part("coverage", coverage)
        codes = self._checked(X)
        scores = self._fitted.scores(codes)
        return self._reasons(X, codes, scores, scores.argmin(axis=0, keepdims=True), coverage)

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
        """Return a table of the most unusual rows, with reasons in words.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows. The report keeps the index of a DataFrame.
        n : int or None, default=20
            Maximum number of rows, the ones with the lowest scores; None for all rows.
        fdr : float or None, default=None
            A number in (0, 1) reports all rows that ``select(X, fdr=fdr)`` selects instead. If no
            row is selected, the report has the same columns and no rows.
        tail : bool, default=False
            As in ``pvalue``.
        coverage : float, default=0.9
            Coverage of the intervals of usual values, in (0, 1).
        details : bool, default=False
            Whether to add the scores, and the second and third reason.

        Returns
        -------
        report : pandas.DataFrame
            Rows from the most unusual one on, with the columns

            - ``pvalue``: the fraction of ordinary rows that are at least as unusual;
            - ``column``: the column that is least consistent with the rest of the row, or "no
              single column" if the row is unusual only by several columns. ``value`` is its value.
              The interval from ``usual_from`` to ``usual_to`` contains a fraction ``coverage`` of
              the values in rows that are alike in all other columns. For a category these are the
              likeliest and the least likely of the categories with this coverage. Numbers are
              rounded like the column;
            - ``reason``: the same as a sentence, with the column against which the value stands out
              most in a plot, and with the missing columns.

            With ``details`` also

            - ``score``; with several densities, ``density``: the density to which the row is the
              most unusual; and ``score_<name>``: the score of each, the logarithm of a fraction;
            - ``nats``: the contribution of the column as in ``explain``, at least 3 for a reason;
            - ``column_2``, ``value_2``, ``usual_from_2``, ``usual_to_2``, ``nats_2``, and the same
              with 3: the columns with the second and the third largest contribution.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If an argument is invalid.
        """
        pandas = check_pandas_support("report")
        if n is not None:
            check_count("n", n)
        check_part("coverage", coverage)
        if fdr is not None:
            check_part("fdr", fdr)
        index: Any = getattr(X, "index", None) if hasattr(X, "iloc") else None  # not of a list
        codes = self._checked(X)
        scores = self._fitted.scores(codes)
        pvalues = self._pvalues(scores, tail)
        order = np.argsort(scores, kind="stable")
        rows = order[:n] if fdr is None else order[self._selected(pvalues, fdr, tail)[order]]
        n_rows = len(rows)
        rows = rows if n_rows else order[:1]  # an empty report is made from one row and cut
        columns = {"pvalue": pvalues[rows]}
        if details:
            columns |= {"score": scores[rows]} | self._details(codes[rows], scores[rows])
        table = pandas.DataFrame(columns, index=rows if index is None else index[rows])
        reasons = self._reasons(X, codes, scores, rows, coverage)
        return make_report(table, reasons, details).iloc[:n_rows]

    def _details(self, X: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
        """Return the scores of rows by each of several densities."""
        if not self.reference_scores_:
            return {}
        by_density = self._fitted.by_name(X, scores)
        lowest = np.nanargmin(list(by_density.values()), axis=0)
        found = {f"score_{name}": rarity for name, rarity in by_density.items()}
        return {"density": np.array(list(by_density))[lowest], **found}

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Compute scores minus the threshold: negative for outliers.

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
        """Predict whether each row is an outlier.

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
        """Compute the conformal p-value of each row.

        With ``n`` calibration rows it is ``(1 + #{calibration scores <= score}) / (n + 1)``. Under
        the null hypothesis that a row is exchangeable with the rows of ``fit``, it is at most ``a``
        with a probability of at most ``a``, for every ``a`` and ``n``, if the calibration rows were
        set aside, and of about ``a`` otherwise. Ties (up to rounding) make it larger. The
        probability is over the calibration rows, too: with few of them, a single fit may deviate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. See the notes of the class for the rows of ``fit``.
        tail : bool, default=False
            Whether to extrapolate p-values below ``1 / (n + 1)``, for scores below the lowest tenth
            of the calibration scores: by a generalised Pareto distribution of the distance, of a
            shape of at least 0.17, fitted without scores that look like outliers. This is a model,
            not a guarantee. If scores have a smooth tail, p-values of 0.001 are on average as small
            as they should be or larger. If some ordinary rows are as far out as outliers, they are
            about half as large as they should be. At least 500 calibration rows are needed.

        Returns
        -------
        p : ndarray of shape (n_samples,)
            In ``[1 / (n + 1), 1]``, with ``tail`` in ``[0, 1]``. The lower, the more unusual.
        """
        return self._pvalues(self.score_samples(X), tail)

    def _pvalues(self, scores: np.ndarray, tail: bool) -> np.ndarray:
        return (tail_pvalues if tail else ranks)(scores, self.calibration_scores_)

    def _selected(self, pvalues: np.ndarray, fdr: float, tail: bool) -> np.ndarray:
        found = selected(pvalues, fdr)
        if not tail and not found.any():
            warn_if_too_few(pvalues, fdr, len(self.calibration_scores_))
        return found

    def select(self, X: ArrayLike, *, fdr: float = 0.1, tail: bool = False) -> np.ndarray:
        """Select outliers among the rows, at a given false discovery rate.

        This is the method of Benjamini and Hochberg on the p-values. The p-values share the
        calibration rows, so they are not independent. If rows are set aside, the method allows
        their kind of dependence (PRDS) [1]_: on average over such tables, at most a fraction
        ``fdr`` of the selected rows are ordinary. Otherwise this holds approximately.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows. The selection of each row depends on all rows.
        fdr : float, default=0.1
            False discovery rate, in (0, 1).
        tail : bool, default=False
            Whether to select by the p-values of ``pvalue(X, tail=True)``. Then the rate depends on
            the model of the tail. With outliers among the rows of ``fit``, ranks alone select
            almost nothing, as some calibration rows are as unusual.

        Returns
        -------
        selected : ndarray of bool, shape (n_samples,)
            True for outliers. If no row is selected because the least possible p-value,
            ``1 / (n + 1)``, is too large, a warning tells how many calibration rows are needed: to
            select one row of ``m``, ``n + 1`` must be at least ``m / fdr``; for ``k`` rows,
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

    # ---- summary

    def _summary_lines(self) -> dict[str, str]:
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

    def _scorers(self) -> str:
        if not self.reference_scores_:
            return type(self.densities_["density"][0]).__name__
        weights = np.array([*self._fitted.weights.values()])
        return by_weight(self.densities_, weights / weights.sum())

    # ---- after fit

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Add new ordinary rows to the calibration rows; the densities do not change.

        With more calibration rows p-values are finer. They stay valid if the new rows have the
        distribution of the rows of ``fit`` and were not selected by their scores: adding only rows
        with large p-values makes the p-values of other rows too small.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The threshold ``offset_`` is updated only with ``contamination="auto"``. On an unfitted
            detector, this is the same as ``fit``.
        """
        if not hasattr(self, "calibration_scores_"):
            return self.fit(X)
        X = self._checked(X)
        scores = np.concatenate([self.calibration_scores_, self._fitted.scores(X)])
        self.calibration_scores_ = np.sort(scores)
        if self.contamination == "auto":
            self.offset_ = threshold("auto", scores, self.calibration_scores_)
        return self

    @sheltered
    def shift_evidence(self, X: ArrayLike) -> np.ndarray:
        """Compute the evidence, row by row, that the distribution has changed since ``fit``.

        Each row is ranked among the calibration rows and the rows before it. Without a change,
        these p-values are independent and uniform. The evidence is the factor by which betting
        against this has multiplied a stake (a conformal test martingale [1]_).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in order of arrival. A batch without an order may be in any order.

        Returns
        -------
        evidence : ndarray of shape (n_samples,)
            In powers of ten. Without a change, the probability that the evidence ever reaches
            ``e``, for any number of rows, is at most ``10 ** -e``: for 2, one stream in 100.

        See Also
        --------
        skflow.inspection.ShiftDisplay : Plot of the evidence over time.

        References
        ----------
        .. [1] Vovk, V., Nouretdinov, I., Gammerman, A., "Testing exchangeability on-line", ICML
           2003.
        """
        X = self._checked(X)
        scores = self._fitted.scores(X)
        rng = np.random.default_rng(0)  # breaks ties, independent of the rows
        return evidence(online_pvalues(scores, self.calibration_scores_, rng))
