"""FlowOutlierDetector: outliers, their p-values and explanations, from any density."""

from numbers import Real

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ._blocks import blocks
from ._flow_density import CouplingFlowDensity
from ._runtime import atomic, sheltered
from ._saving import PlainState

#: With contamination="auto", part of the ordinary rows that may be called outliers.
FALSE_ALARM_RATE = 0.05
#: ``explain`` tries so many quantiles of a feature, values beyond its range by these parts of it,
#: the row's own value, and then, so many times, so many more around the likeliest.
N_QUANTILES, BEYOND, N_ZOOMS, N_FINER = 25, (0.25, 1.0, 4.0), 3, 8


def _just_below(scores):
    """Scores less what rounding can do: a row and its copies tie, however they are scored."""
    return scores - 1e-6 * (1 + np.abs(scores))


class FlowOutlierDetector(PlainState, OutlierMixin, BaseEstimator):
    """Detection of outliers as rows of low density, with p-values and explanations.

    ``fit`` sets a part of the rows aside, fits a density to the others, and scores those set aside.
    These calibrate the p-values (split conformal prediction [1]_): the p-value of a new row is its
    rank among them. Whatever the density is like, even a bad one, the p-value of a row that comes
    from where the rows of ``fit`` come from is at most ``a`` with a probability of at most ``a``.
    A better density finds more outliers.

    Parameters
    ----------
    density : estimator or None, default=None
        Anything with ``fit`` and ``score_samples``: a flow, a ``GaussianMixture``, a
        ``KernelDensity``, a pipeline that ends with one of these. It is cloned; parameters named
        ``random_state`` that are None follow the detector's. None is ``CouplingFlowDensity()``.
        In a ``sklearn.frozen.FrozenEstimator``, a density that is fitted already is not fitted
        again.
    contamination : "auto" or float, default="auto"
        Sets the threshold of ``predict``. A number in (0, 0.5] is the part of the rows of ``fit``
        that it calls outliers. "auto" calls a row an outlier if its p-value is at most 0.05 (or
        the least one possible, where fewer than 19 rows are set aside), so that about one in 20
        ordinary rows is a false alarm, however many outliers there are.
    calibration_fraction : float, default=0.2
        Part of the rows set aside, in (0, 1], rounded up. With ``n`` of them no p-value is below
        ``1 / (n + 1)``. 1 is for a frozen density only.
    random_state : int, RandomState instance or None, default=None
        Which rows are set aside, and the density's own choices. An integer makes ``fit``
        reproducible.

    Attributes
    ----------
    density_ : estimator
        The fitted density.
    offset_ : float
        The threshold: rows whose ``score_samples`` is lower are outliers.
    calibration_scores_ : ndarray of shape (n_calibration_samples,)
        Scores of the rows set aside, in nats, ascending.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X had string names.

    See Also
    --------
    CouplingFlowDensity : The default density.
    sklearn.ensemble.IsolationForest : Faster, and better where outliers of the fit form a cluster.

    Notes
    -----
    There are no sample weights: the p-values need rows that all count the same.

    The p-values of the rows of ``fit`` themselves are no such ranks among other rows. They err on
    the safe side if the density is higher at the rows that it was fitted to, as is usual.

    References
    ----------
    .. [1] Bates, S., Candès, E., Lei, L., Romano, Y., Sesia, M., "Testing for outliers with
       conformal p-values", The Annals of Statistics 51 (1), 149-178, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, FlowOutlierDetector
    >>> X = load_iris().data
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=20)
    >>> detector = FlowOutlierDetector(flow, random_state=0).fit(X)
    >>> strange = [[5.0, 3.4, 1.5, 2.5]]  # the petal of a setosa is not as wide as this
    >>> detector.predict(strange)
    array([-1])
    >>> detector.pvalue(strange) < 0.05
    array([ True])
    >>> np.argmax(detector.explain(strange), axis=1)  # the fourth feature
    array([3])
    """

    _parameter_constraints = {
        "density": [HasMethods(["fit", "score_samples"]), None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, density=None, *, contamination="auto", calibration_fraction=0.2, random_state=None
    ):
        self.density = density
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def fit(self, X, y=None):
        """Fit the density to a part of the rows and calibrate with the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, of which most are ordinary. Outliers among them make p-values larger.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X or an argument cannot be used, if too few rows are left to fit the density to, or
            if the density has scores that are not numbers. A failed or interrupted ``fit`` leaves
            the detector as it was before.
        """
        with np.errstate(invalid="ignore"):  # a sum of infinities of both signs
            X = validate_data(
                self, X, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=2
            )
        rng = check_random_state(self.random_state)
        fitted, held_out = self._split(len(X), rng)
        density = self._make_density(rng).fit(self._named(X[fitted]), None)
        scores = self._scores(density, X)
        calibration_scores = np.sort(scores[held_out])
        self.offset_ = self._threshold(scores, calibration_scores)
        self.calibration_scores_ = calibration_scores
        self.density_ = density
        self._values = self._values_to_try(X)
        return self

    def _split(self, n_rows, rng):
        """Rows to fit the density to, and rows to set aside."""
        n_held_out = int(np.ceil(self.calibration_fraction * n_rows))
        if n_rows - n_held_out < 2 and not isinstance(self.density, FrozenEstimator):
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction} sets {n_held_out} of "
                f"n_samples={n_rows} rows aside, which leaves fewer than 2 to fit the density to. "
                "Give more rows or lower calibration_fraction."
            )
        order = rng.permutation(n_rows)
        return order[n_held_out:], order[:n_held_out]

    def _make_density(self, rng):
        density = CouplingFlowDensity() if self.density is None else clone(self.density)
        for name, value in sorted(density.get_params().items(), key=lambda item: item[0]):
            if name.split("__")[-1] == "random_state" and value is None:
                density.set_params(**{name: rng.randint(2**31 - 1)})
        return density

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
        return float(_just_below(threshold))

    @staticmethod
    def _values_to_try(X):
        """For ``explain``, ascending: quantiles of the features and values beyond."""
        quantiles = np.nanquantile(X, np.linspace(0, 1, N_QUANTILES), axis=0)
        beyond = np.outer(BEYOND, quantiles[-1] - quantiles[0])
        return np.vstack([quantiles[0] - beyond[::-1], quantiles, quantiles[-1] + beyond])

    # ---- inference

    def _checked(self, X):
        check_is_fitted(self)
        with np.errstate(invalid="ignore"):
            return validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)

    def _named(self, X):
        """The rows as the density sees them: with the names of the columns, if there are any."""
        if not hasattr(self, "feature_names_in_"):
            return X
        import pandas

        return pandas.DataFrame(X, columns=self.feature_names_in_)

    def _scores(self, density, X):
        scores = np.asarray(density.score_samples(self._named(X)), dtype=np.float64)
        n_unusable = np.sum(np.isnan(scores) | np.isposinf(scores))
        if scores.shape != (len(X),) or n_unusable:
            raise ValueError(
                f"score_samples of density={density!r} has to give a number for each of {len(X)} "
                f"rows, but gave an array of shape {scores.shape} in which {n_unusable} values "
                "are NaN or infinite. Look for huge values in X, or take another density."
            )
        return scores

    @sheltered
    def score_samples(self, X):
        """Score of each row by the density.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Log-densities in nats, in the data's units (or what the density's ``score_samples``
            says). The lower, the more unusual.
        """
        X = self._checked(X)
        return self._scores(self.density_, X)

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
        scores = self.score_samples(X)
        held_out = _just_below(self.calibration_scores_)
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
        if not isinstance(fdr, Real) or not 0 < fdr < 1:
            raise ValueError(f"fdr={fdr!r} is not possible. Give a number between 0 and 1.")
        return false_discovery_control(self.pvalue(X), method="bh") <= fdr

    @sheltered
    def explain(self, X):
        """How much each feature contributes to how unusual a row is.

        The contribution of feature ``j`` is what the log-density of the row would gain, on
        average, if the feature alone were drawn anew from the model's conditional distribution
        given all the others::

            E[log p(v, x_others)] - log p(x_j, x_others),    v ~ p(v | x_others)

        As ``log p(x_others)`` cancels, this is the surprise ``-log p(x_j | x_others)`` less its
        mean, the entropy of the conditional distribution. Over rows drawn from the model its mean
        is 0. It does not depend on the units of the features. In a Gaussian it is
        ``(z**2 - 1) / 2``, with the standardised residual ``z`` of a regression of the feature on
        all others. A value that is usual by itself contributes much if it does not go with the
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
            In nats. Large where the feature does not go with the others, about 0 or below where it
            does. They do not add up to the score: features that depend on each other may all gain
            from the same error or, if it takes two to mend a row, none of them much.
        """
        X = self._checked(X)
        scores = self._scores(self.density_, X)
        parts = blocks(len(X), (len(self._values) + 1) * X.shape[1])
        columns = [
            np.concatenate([self._mean_score(X[part], j) for part in parts]) - scores
            for j in range(X.shape[1])
        ]
        # no density whatever the feature is: nothing is gained
        return np.nan_to_num(np.transpose(columns), nan=0.0, posinf=np.inf, neginf=-np.inf)

    def _mean_score(self, X, j):
        """Mean log-density ``(n,)`` of the rows with feature ``j`` drawn anew given the others."""
        own = np.where(np.isnan(X[:, j]), self._values[0, j], X[:, j])
        values = np.sort(np.column_stack([np.tile(self._values[:, j], (len(X), 1)), own]), axis=1)
        scores = self._scores_with(X, j, values)
        for _ in range(N_ZOOMS):
            best = scores.argmax(axis=1, keepdims=True)
            low = np.take_along_axis(values, np.maximum(best - 1, 0), axis=1)
            high = np.take_along_axis(values, np.minimum(best + 1, values.shape[1] - 1), axis=1)
            finer = low + (high - low) * np.linspace(0, 1, N_FINER + 2)[1:-1]
            values = np.hstack([values, finer])
            scores = np.hstack([scores, self._scores_with(X, j, finer)])
            order = values.argsort(axis=1)
            values, scores = (np.take_along_axis(a, order, axis=1) for a in (values, scores))
        gaps = np.diff(values, axis=1, prepend=values[:, :1], append=values[:, -1:])
        widths = gaps[:, :-1] + gaps[:, 1:] + np.finfo(float).tiny  # of a constant feature, too
        highest = scores.max(axis=1, keepdims=True)
        weights = widths * np.exp(scores - np.where(np.isinf(highest), 0.0, highest))
        likely = np.where(weights > 0, scores, 0.0)
        with np.errstate(invalid="ignore"):
            return (weights * likely).sum(axis=1) / weights.sum(axis=1)

    def _scores_with(self, X, j, values):
        """Scores ``(n, m)`` of the rows with feature ``j`` set to each of ``values`` ``(n, m)``."""
        changed = np.repeat(X, values.shape[1], axis=0)
        changed[:, j] = values.ravel()
        return self._scores(self.density_, changed).reshape(values.shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.density is not None:
            tags.input_tags.allow_nan = get_tags(self.density).input_tags.allow_nan
        return tags
