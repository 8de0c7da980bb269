"""Methods of a fitted density: log-densities, samples, probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from .._core.checks import FLOATS, check_count, checked_state
from .._core.rows import weighted_rows
from .._core.runtime import sheltered
from .._core.saving import PlainState
from .._core.typing import ArrayLike, RandomState
from .._missing.events import Probability, probability, sample_region
from .._missing.modes import best_completions, best_of_region
from .._missing.questions import EXACT, ROUGH, RoughRows, log_prob_known, sample_given
from .._missing.regions import region_of
from .._models.fitting import Fit
from .._nn.blocks import answer_in_parts, parts
from .._table.reading import TableMixin, in_asked_container

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from .._missing.questions import Effort
    from .._models.density import Density


class FittedDensity(PlainState, TableMixin, DensityMixin, BaseEstimator):
    """Base of estimators whose ``fit`` sets ``_fitted``, a ``Fit``."""

    _fitted: Fit

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    @property
    def _density(self) -> Density:
        return self._fitted.density

    def _checked(
        self, X: ArrayLike, allow_nan: bool = False, dtype: Any = np.float64
    ) -> np.ndarray:
        check_is_fitted(self)
        return self._finite(self._encode(self._source(X), dtype=dtype), allow_nan)

    @sheltered
    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Compute the log-density of each row, in the data's own units.

        For a row with missing cells, this is the marginal log-density of its known cells.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means unknown.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats. May be positive: a density, unlike a probability, can exceed 1. It is 0 for a
            row without known cells. Do not compare rows with different missing cells: their
            densities are of different columns.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not a table of numbers, finite or NaN, with the columns of ``fit``.

        Notes
        -----
        The marginals of the components have closed forms. The marginal of the flow is an integral
        over the unknown columns, by importance sampling with fixed quasi-random points, so that a
        score does not depend on the call or on other rows. A warning lists rough results. Missing
        categories are summed over if there are at most 1024 ways to fill them in. Otherwise the
        result is a mean over 1024 fixed ways, drawn from the density of the discrete columns
        (likelihood weighting).
        """
        return self._log_prob(self._checked(X, allow_nan=True, dtype=FLOATS))

    def _parts(self, X: np.ndarray) -> list[slice]:
        """Return the parts of a table, in whole blocks of the flow."""
        return parts(len(X), X.shape[1], self._density.mixture.numbers_per_row)

    def _log_prob(self, X: np.ndarray, effort: Effort = EXACT) -> np.ndarray:
        rough = RoughRows()
        scores = answer_in_parts(
            lambda X: log_prob_known(self._density, X, rough, effort), self._parts(X), X
        )
        if effort is not ROUGH:
            rough.warn()
        return scores

    @sheltered
    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the mean log-density of the rows.

        Compare scores of two tables only if the same cells are missing in both.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN means unknown, as in ``score_samples``.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, as in ``fit``.

        Returns
        -------
        score : float
            In nats a row; higher is better.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not a table of numbers, finite or NaN, with the columns of ``fit``.
        """
        X = self._checked(X, allow_nan=True, dtype=FLOATS)
        X, weight = weighted_rows(X, sample_weight, n_least=1)
        return float(np.average(self._log_prob(X), weights=weight))

    def bits_per_dim(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Compute the negative mean log-density in bits a dimension, as in Gonsior et al. (2021).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        bits_per_dim : float
            ``-score(X) / (n_features * log(2))``; lower is better. It depends on the data's units.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not a table of numbers, finite or NaN, with the columns of ``fit``.
        """
        score = self.score(X, sample_weight=sample_weight)
        return -score / (self.n_features_in_ * math.log(2))

    @in_asked_container
    def sample(
        self, n_samples: int = 1, random_state: RandomState = None, *, tails: bool = False
    ) -> np.ndarray:
        """Draw rows from the density, by default without its far tails.

        By default, rows look like those of ``fit``: the heavy-tailed components lose their least
        weights (see ``component_weight``), and all numbers lie within the range of their column in
        ``fit``, widened by a tenth on each side. A column without negative values in ``fit`` gets
        no negative values, and a column without positive values no positive ones.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draw reproducible.
        tails : bool, default=False
            Whether to draw from the whole density, whose logarithm ``score_samples`` returns: for
            integrals, tests and comparisons. Then one or a few rows in a hundred have implausible
            values.

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features)
            In the data's own units. A data frame of pandas or polars if ``fit`` got one, unless
            ``set_output`` or ``set_config(transform_output=...)`` selects another container.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``n_samples`` is not an integer of at least 1.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        return self._table.decode(self._sampled(n_samples, checked_state(random_state), tails))

    @sheltered
    def _sampled(self, n_samples: int, rng: np.random.RandomState, tails: bool) -> np.ndarray:
        draw = self._density.sample if tails else self._density.sample_typical
        drawn = np.empty((n_samples, self.n_features_in_))
        for part in parts(*drawn.shape):
            drawn[part] = draw(len(drawn[part]), rng)
        return drawn

    @sheltered
    def probability(
        self, event: Any, given: dict | None = None, random_state: RandomState = 0
    ) -> Probability:
        """Compute the probability that a row lies in a region, optionally given another region.

        A region is a set of conditions by column, all of which must hold. Columns without a
        condition may have any value.

        Parameters
        ----------
        event : dict or callable
            A dict from column names (indices, for an array) to conditions: a range ``(low, high)``
            that includes both ends, with None for an open end, a set of categories, or a value. Or
            a function that takes a table in the format of ``fit`` and returns a boolean for each
            row, for conditions on several columns at once.
        given : dict or None, default=None
            The known part of the row, in the same form as a dict ``event``. With a single number,
            the probability is conditional on this value.
        random_state : int, RandomState instance or None, default=0
            Random state of the draws. The default returns the same result in each call.

        Returns
        -------
        probability : Probability
            A named tuple of ``probability`` and ``error``, the standard error of the computation.
            If ``event`` is a dict and 65,536 draws suffice, the error is about a hundredth of the
            probability, or less, also for rare events. A function is evaluated on draws from
            ``given``, so its error is larger if it is rarely true.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a column or a condition is not possible, or if no row satisfies ``given``.

        Notes
        -----
        The density is integrated over the region by importance sampling. Draws come from ellipses
        that approximate the density, truncated to the region column by column [1]_, so that all
        draws lie within the region. All rows have categories of ``fit``, as all draws have, so
        the probabilities of the categories of a column add up to 1.

        References
        ----------
        .. [1] Geweke, J., "Efficient simulation from the multivariate normal and Student-t
           distributions subject to linear constraints", Computing Science and Statistics 23, 1991.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import CouplingFlowDensity
        >>> X = load_iris(as_frame=True).data
        >>> flow = CouplingFlowDensity(max_iter=30, random_state=0).fit(X)
        >>> wide = {"petal width (cm)": (2, None)}
        >>> round(flow.probability(wide).probability, 1)
        0.2
        >>> flow.probability(wide, given={"petal length (cm)": (6, None)}).probability > 0.5
        True
        >>> long = lambda rows: rows["petal length (cm)"] > rows["sepal width (cm)"]
        >>> round(flow.probability(long).probability, 1)
        0.7
        """
        check_is_fitted(self)
        rng = checked_state(random_state)
        given = region_of(self._table, {} if given is None else given, "given")
        if callable(event):
            return probability(
                self._density, lambda rows: event(self._table.decode(rows)), given, rng
            )
        event = region_of(self._table, event, "event", exact=False)
        return probability(self._density, event, given, rng)

    @in_asked_container
    @sheltered
    def sample_given(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        random_state: RandomState = None,
        *,
        return_ess: bool = False,
    ) -> Any:
        """Draw the unknown cells of rows, given the known cells.

        Draws come from the whole density given the known cells, as in ``sample(tails=True)``,
        because the known cells may be far from the rows of ``fit``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict
            NaN (or None) means unknown. The unknown cells of a row are drawn jointly. A dict
            describes one row by conditions: from column names (indices, for an array) to a value, a
            range ``(low, high)`` with None for an open end, or a set of categories.
        n_samples : int, default=1
            Number of draws for each row, at least 1.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draws reproducible.
        return_ess : bool, default=False
            Whether to also return the effective sample size, a measure of the draws' quality.

        Returns
        -------
        drawn : ndarray of shape (n_samples, n_features, n_draws), or list of data frames
            Completed rows, draw by draw, with known cells unchanged: in the data's units, within
            ``bounds``, and on the grid of columns that have one. A list of ``n_draws`` data frames
            if X and the table of ``fit`` are data frames. Categories are drawn from those seen in
            ``fit``. For a dict, a table of ``n_samples`` rows in the format of ``fit``.
        ess : ndarray of shape (n_samples,), float for a dict
            Only with ``return_ess``. Draws of the flow are selected from many candidates, with
            weights that make them draws from the conditional distribution. This is the effective
            number of these candidates (Kish 1965), infinite if there was no selection.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not a table of numbers, finite or NaN, with the columns of ``fit``, if values
            lie beyond the bounds, or if ``n_samples`` is not an integer of at least 1.

        Examples
        --------
        What is the length of a petal that is 2 cm wide?

        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skflow import CouplingFlowDensity
        >>> flow = CouplingFlowDensity(max_iter=30, random_state=0).fit(load_iris().data)
        >>> drawn = flow.sample_given([[np.nan, np.nan, np.nan, 2.0]], 100, random_state=0)
        >>> drawn.shape
        (1, 4, 100)
        >>> bool(5 < drawn[0, 2].mean() < 6.5)
        True

        How wide is it, if it is between 6 and 7 cm long?

        >>> rows = flow.sample_given({2: (6, 7)}, 1000, random_state=0)
        >>> round(float(rows[:, 3].mean()))
        2
        """
        check_is_fitted(self)
        if isinstance(X, dict):
            check_count("n_samples", n_samples)
            region, rng = region_of(self._table, X, "X"), checked_state(random_state)
            rows, ess = sample_region(self._density, region, n_samples, rng)
            rows = self._table.decode(rows)
            return (rows, ess) if return_ess else rows
        source = self._source(X)
        rows = self._finite(self._encode(source), allow_nan=True)
        check_count("n_samples", n_samples)
        drawn, ess = sample_given(self._density, rows, n_samples, checked_state(random_state))
        drawn = self._table.decode_draws(drawn, source)
        return (drawn, ess) if return_ess else drawn

    @in_asked_container
    @sheltered
    def mode_given(self, X: ArrayLike, random_state: RandomState = 0) -> Any:
        """Fill in the unknown cells of rows with the completion that has the highest density.

        Of all rows with the known cells, the result has the highest ``score_samples``. A mean may
        lie between two groups, where there are no rows; a mode does not. The cells of a row are
        filled jointly. The result depends on the units of bounded columns.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict
            NaN (or None) means unknown. A dict describes one row, as in ``sample_given``.
        random_state : int, RandomState instance or None, default=0
            Random state of the search. The default returns the same result in each call.

        Returns
        -------
        X_filled : ndarray or data frame of shape (n_samples, n_features)
            The completed rows, with known cells unchanged. For a dict, a table of one row in the
            format of ``fit``.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            As in ``sample_given``.

        Notes
        -----
        The search starts from draws given the known cells, and from the centres of ellipses that
        approximate the density, and continues with differential evolution [1]_. It finds the
        highest mode nearly always, but cannot prove it. The three likeliest combinations of
        categories are tried. Whether a cell has the value that many rows share (``spikes``) is
        decided first, by probability, which cannot be compared with a density.

        References
        ----------
        .. [1] Storn, R. and Price, K., "Differential Evolution", Journal of Global Optimization 11,
           1997.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skflow import CouplingFlowDensity
        >>> flow = CouplingFlowDensity(max_iter=30, random_state=0).fit(load_iris().data)
        >>> filled = flow.mode_given([[np.nan, np.nan, np.nan, 2.0]])
        >>> bool(5 < filled[0, 2] < 6.5)
        True
        >>> row = flow.mode_given({2: (6, 7)})
        >>> round(float(row[0, 3]))
        2
        """
        check_is_fitted(self)
        rng = checked_state(random_state)
        if isinstance(X, dict):
            region = region_of(self._table, X, "X")
            return self._table.decode(best_of_region(self._density, region, rng))
        source = self._source(X)
        rows = self._finite(self._encode(source), allow_nan=True)
        filled = self._table.decode_draws(
            best_completions(self._density, rows, rng)[:, :, None], source
        )
        return filled[0] if isinstance(filled, list) else filled[:, :, 0]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
