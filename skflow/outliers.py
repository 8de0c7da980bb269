"""FlowOutlierDetector: outliers, their p-values and reasons, from any densities."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import _BaseComposition

from ._core.random import seeded
from ._core.runtime import atomic, sheltered
from ._core.saving import PlainState
from ._core.typing import ArrayLike, RandomState
from ._outliers.answers import OutlierAnswers
from ._outliers.conformal import threshold
from ._outliers.detectors import allows_nan, fit_scorer, given_parts, is_detector
from ._outliers.fitted import FittedScorers, reach, whole
from ._outliers.fitting import check_pairs, check_whole, fit_scorers, folds, warn_of_columns
from ._outliers.reasons import values_to_try
from ._outliers.scorers import default_flow, default_scorers, without_farthest
from ._table.reading import inner_tables
from ._table.schema import fit_schema

if TYPE_CHECKING:
    from sklearn.utils import Tags
    from typing_extensions import Self

#: Most rows of fit that are kept for the comparisons of reports, and of rows with missing cells.
N_SEEN, N_COMPARED = 1000, 200
#: Fraction set aside by calibration_fraction="auto"; with folds, only beyond so many rows.
MANY_ROWS, USUAL_FRACTION = 2000, 0.2
#: Fraction that trim="auto" leaves out of the default's nearest rows.
USUAL_TRIM = 0.05


class FlowOutlierDetector(PlainState, OutlierAnswers, _BaseComposition):
    """Outlier detection with p-values and reasons.

    ``fit`` fits densities, and scores calibration rows by densities that were not fitted to them.
    The p-value of a new row is its rank among these scores. If the row has the distribution of the
    rows of ``fit``, its p-value is at most ``a`` with a probability of at most ``a``, however good
    or bad the densities are. Better densities find more outliers.

    This is exact if some rows are set aside for calibration (split conformal prediction [1]_), as
    in tables of more than 2000 rows. In smaller tables every row is a calibration row, scored by
    the densities of the fold that left it out (cross-conformal prediction [3]_): p-values can be
    far smaller, and the probability is only about ``a``. See the notes.

    A row can be unusual because its values are inconsistent, because no other row is near, or
    because its values lie far out. No single scorer is right for all three, so the default has
    three scorers: a flow, the distance to the nearest rows in standardised columns, and the tails
    of each column. They are combined by a weighted harmonic mean [2]_, in which the most extreme
    score dominates.

    Parameters
    ----------
    density : estimator, list of (str, estimator) or None, default=None
        Any estimator with ``fit`` and ``score_samples``: a flow, a ``GaussianMixture``, a
        ``KernelDensity``, or a pipeline that ends with one of these; or a list of several with
        their names, the best one for reasons first. They are cloned; parameters named
        ``random_state`` that are None follow the detector's. None means the three scorers above.
        Each of several densities is fitted to four folds of the rows. A fitted density in a
        ``sklearn.frozen.FrozenEstimator`` is not fitted again. Detectors of scikit-learn and PyOD
        can be scorers, too, by their ``score_samples`` or ``decision_function``; if the first one
        is a detector, an additional flow is fitted for the reasons.
    contamination : "auto" or float, default="auto"
        Sets the threshold of ``predict``. A number in (0, 0.5] is the fraction of the rows of
        ``fit`` that are flagged. "auto" flags a row if its p-value is at most 0.05 (or the smallest
        possible one, with fewer than 19 calibration rows), so about one in 20 ordinary rows is a
        false alarm, however many outliers there are.
    calibration_fraction : "auto" or float, default="auto"
        A number in (0, 1] is the fraction of the rows to set aside, rounded up, to which nothing is
        fitted. "auto" sets a fifth aside, except that with several densities and up to 2000 rows
        the four folds calibrate and no rows are set aside. With ``n`` calibration rows no p-value
        is below ``1 / (n + 1)``. 1 is only for a single frozen density.
    trim : "auto" or float, default="auto"
        Fraction of the rows, in [0, 0.5), to leave out of ``fit`` as possible outliers: the rows
        farthest from most rows or farthest out in their columns. They still calibrate, like rows
        that are set aside, so that p-values keep their meaning. "auto" trims no rows if
        ``density`` is given, and in the default 0.05 for the nearest rows only. With 0 the default
        is better where all rows of ``fit`` are ordinary, above all where some are in rare groups.
    max_time : float or None, default=None
        Approximate limit of ``fit`` in seconds. Flows are trained for a shorter time, so the result
        depends on the machine. None means no limit.
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Random state of the calibration rows, the folds, and the densities. An integer makes ``fit``
        reproducible.

    Attributes
    ----------
    densities_ : dict of str to list of estimator
        The fitted densities, one for each fold (a single one for the nearest rows and the tails of
        the default); a single density is ``densities_["density"][0]``.
    density_ : estimator
        The fitted density, if a single one was given.
    reasons_density_ : CouplingFlowDensity
        The flow for the reasons, if the first scorer is a detector.
    reference_scores_ : dict of str to ndarray
        For each of several densities, ascending scores of the training rows by the fold that left
        them out. They determine how rare a score is.
    offset_ : float
        The threshold: rows with lower ``score_samples`` are outliers.
    calibration_scores_ : ndarray of shape (n_calibration_samples,)
        Scores of the calibration rows, in nats, ascending.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during ``fit``, if X has string names.

    See Also
    --------
    CouplingFlowDensity : The flow of the default, with its defaults for a density.
    sklearn.ensemble.IsolationForest : Faster, and better if outliers in ``fit`` form a cluster.

    Notes
    -----
    There are no sample weights, as p-values need rows of equal weight.

    Rows with missing cells are scored by their known columns: in the default by the nearest rows
    and the tails, otherwise by the first flow. They are ranked among some rows of ``fit`` with the
    same cells removed, and get the score of complete rows with the same rank. As calibration rows
    keep their missing cells, p-values are valid over all rows, even if the values determine which
    cells are missing. If cells are missing at random, they are also valid among the rows that lack
    certain cells, up to the accuracy of this comparison.

    The p-values of the rows of ``fit`` are not exact. With a single density they are usually too
    large, as the density is higher at the rows that it was fitted to; with several, each row is new
    to one fold in four.

    If no rows are set aside, each calibration row is scored by one fold, and new rows by the mean
    of the four. For the strict form, which compares fold by fold, theory guarantees a probability
    of at most about ``2 * a`` [3]_; it has no guarantee for means. In measurements, the probability
    of a p-value of at most 0.05 was 0.03 to 0.07 with 20 to 1000 rows of five distributions. If the
    exact bound matters, set ``calibration_fraction`` to a number.

    References
    ----------
    .. [1] Bates, S., Candès, E., Lei, L., Romano, Y., Sesia, M., "Testing for outliers with
       conformal p-values", The Annals of Statistics 51 (1), 149-178, 2023.
    .. [2] Wilson, D. J., "The harmonic mean p-value for combining dependent tests", Proceedings of
       the National Academy of Sciences 116 (4), 1195-1200, 2019.
    .. [3] Vovk, V., "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence
       74, 9-28, 2015; Barber, R. F., Candès, E., Ramdas, A., Tibshirani, R., "Predictive inference
       with the jackknife+", The Annals of Statistics 49 (1), 486-507, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import FlowOutlierDetector
    >>> X = load_iris(as_frame=True).data
    >>> detector = FlowOutlierDetector(random_state=0).fit(X)
    >>> strange = X[:1].assign(**{"petal width (cm)": 2.5})  # no setosa
    >>> detector.predict(strange)
    array([-1])
    >>> detector.pvalue(strange) < 0.05
    array([ True])
    >>> detector.report(strange).column[0]
    'petal width (cm)'
    """

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _parameter_constraints = {
        "density": [
            HasMethods(["fit", "score_samples"]),
            HasMethods(["fit", "decision_function"]),
            list,
            None,
        ],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="right")],
        "trim": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="left")],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        density: Any = None,
        *,
        contamination: float | str = "auto",
        calibration_fraction: float | str = "auto",
        trim: float | str = "auto",
        max_time: float | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.density = density
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.trim = trim
        self.max_time = max_time
        self.verbose = verbose
        self.random_state = random_state

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit the densities and calibrate with rows to which they were not fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, most of them ordinary. Outliers among them make p-values larger. If a flow is
            among the densities, as in the default, cells may be missing (NaN). Such rows are
            calibration rows like others. The nearest rows, the tails and a single flow are fitted
            to all rows, several densities to the rows without missing cells, at least 8.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X or a parameter is invalid, if too few rows are left to fit the density to, or if
            the density has scores that are not numbers. A failed or interrupted ``fit`` leaves the
            detector unchanged.
        """
        X = self._fit_table(X, "from_dtype", ensure_min_samples=2)
        self._n_rows = len(X)
        self._schema = fit_schema(X, self._table.categories)
        names = self._table.feature_names
        rng = check_random_state(self.random_state)
        fitted, aside = self._split(len(X), rng)
        compared, takes_missing = X[fitted] if len(fitted) else X, self._takes_missing()
        if not takes_missing:
            self._finite(X, allow_nan=True)
            check_whole(compared, self._gives_several(), names)
        compared = compared[np.argsort(~whole(compared), kind="stable")[:N_COMPARED]]
        self._fitted = FittedScorers(self._table, reach(X), compared, takes_missing)
        scores = self._fit_densities(X[fitted], rng)
        self._fit_reasons(X, rng)
        if self.density is None:
            warn_of_columns(X[whole(X)], self._schema.real_columns, names)
        rows = fitted
        if len(aside):
            rows, scores = aside, np.full(len(aside), np.nan)
        in_no_fold = np.isnan(scores)
        scores[in_no_fold] = self._fitted.scores(X[rows[in_no_fold]])
        self.calibration_scores_ = np.sort(scores)
        every = scores if self.contamination == "auto" else self._fitted.scores(X)
        self.offset_ = threshold(self.contamination, every, self.calibration_scores_)
        self._tried = values_to_try(X)
        self._seen = X[np.append(aside, fitted)[:N_SEEN]]
        return self

    def _split(self, n_rows: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to fit the densities to, and the rows to set aside."""
        fraction = self.calibration_fraction
        if fraction == "auto":
            fraction = 0.0 if self._gives_several() and n_rows <= MANY_ROWS else USUAL_FRACTION
        n_aside = int(np.ceil(fraction * n_rows))
        if n_rows - n_aside < 2 and not isinstance(self.density, FrozenEstimator):
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction!r} sets {n_aside} of "
                f"n_samples={n_rows} rows aside, which leaves fewer than 2 to fit the density to. "
                "Give more rows or lower calibration_fraction."
            )
        order = rng.permutation(n_rows)
        return order[n_aside:], order[:n_aside]

    def _gives_several(self) -> bool:
        return self.density is None or isinstance(self.density, list)

    def _fit_densities(self, X: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Fit the scorers without the most unusual rows.

        Return scores ``(n,)`` of the rows by fits without them, NaN for rows in no fold.
        """
        codes, default = self._table.categories, self.density is None
        part, of_nearest = (0.0, USUAL_TRIM) if isinstance(self.trim, str) else (self.trim, 0.0)
        kept = without_farthest(X, part, codes)
        own = X[kept]
        given, weights = self.density, None
        if default:
            given, weights = default_scorers(len(kept), X.shape[1], codes, of_nearest)
        pairs = given if self._gives_several() else [("density", given)]
        check_pairs(pairs)
        weights = np.ones(len(pairs)) if weights is None else weights
        self._fitted.weights = dict(zip(dict(pairs), weights))
        densities = [(name, seeded(clone(density), rng)) for name, density in pairs]
        scores = np.full(len(X), np.nan)
        self.__dict__.pop("density_", None)
        if not self._gives_several():
            density = densities[0][1]
            with given_parts(density, self._table, own):
                self.density_ = fit_scorer(density, self._table.frame(own))
            self._fitted.densities = {"density": [self.density_]}
            return scores
        in_folds = kept[whole(own) | self._takes_missing()]
        rows = X[in_folds]
        held_out, others = folds(len(rows), rng)
        self._fitted.densities, self._fitted.of_codes = fit_scorers(
            densities, rows, own, self._table, others, default
        )
        scores[in_folds] = self._fitted.take_references(rows, held_out)
        return scores

    def _fit_reasons(self, X: np.ndarray, rng: np.random.RandomState) -> None:
        """Fit a flow for the reasons if the first scorer is a detector."""
        self.__dict__.pop("reasons_density_", None)
        if is_detector(next(iter(self.densities_.values()))[0]):
            flow = seeded(default_flow(len(X)), rng)
            with inner_tables():
                self.reasons_density_ = flow.fit(self._table.frame(X))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get parameters, with those of the densities as ``density__...`` or ``<name>__...``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of the densities.

        Returns
        -------
        params : dict
        """
        if isinstance(self.density, list):
            return self._get_params("density", deep=deep)
        return super().get_params(deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; a name in the list ``density`` sets the density of that name.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : object
        """
        if isinstance(params.get("density", self.density), list):
            return self._set_params("density", **params)
        return super().set_params(**params)

    def _given(self) -> list[Any]:
        """Return the densities given as a parameter; none for the default."""
        if isinstance(self.density, list):
            return [pair[-1] for pair in self.density if isinstance(pair, tuple)]
        return [] if self.density is None else [self.density]

    def _takes_missing(self) -> bool:
        """Return whether missing cells are left to the densities, as none of them is a flow."""
        flows = any(hasattr(density, "sample_given") for density in self._given())
        return self.density is not None and not flows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        allowed = [allows_nan(density) for density in self._given()]
        tags.input_tags.allow_nan = not self._takes_missing() or all(allowed)
        return tags
