"""FlowImputer: tables with missing values, filled from a density that is fitted to them."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from ._core.checks import FLOATS, check_count, checked_state
from ._core.random import seeded
from ._core.runtime import atomic, sheltered
from ._core.saving import PlainState
from ._core.summary import ShowsSummary
from ._core.typing import ArrayLike, RandomState
from ._missing.modes import best_completions
from ._missing.questions import MOST_NUMBERS, sample_given
from ._missing.report import LEAST_DRAWS, MEASURES, certainty, counts
from ._nn.blocks import answer_in_parts, parts
from ._nn.settings import TakesNested
from ._table.reading import TableMixin, in_asked_container
from .density import CouplingFlowDensity, StructureSearchFlow

if TYPE_CHECKING:
    from sklearn.utils import Tags
    from typing_extensions import Self

    from ._table.frames import Source


class FlowImputer(
    TakesNested, PlainState, ShowsSummary, TableMixin, TransformerMixin, BaseEstimator
):
    """Imputation of missing values from the density of the rows.

    A flow is fitted to the table with its missing cells. Each missing cell is filled from its
    distribution given the known cells of its row: by the mean, the median, the mode, or a draw.
    Draws keep the dependence and the spread of the data, and several of them (``sample``) express
    the uncertainty [1]_. Means have the smallest error, but a table of means has less spread than
    the data.

    Parameters
    ----------
    density : estimator or None, default=None
        A ``CouplingFlowDensity`` or ``StructureSearchFlow``, which also sets the bounds and grids
        of columns. It is cloned. None: ``CouplingFlowDensity()``.
    strategy : {"mean", "median", "mode", "draw"}, default="mean"
        How ``transform`` fills cells. "mean", "median": by the mean or median of ``n_draws`` draws,
        column by column, rounded for a column on a grid, and by the most frequent draw for
        categories. "mode": by the completion of the row with the highest density (see
        ``CouplingFlowDensity.mode_given``). "draw": by one joint draw for the row.
    n_draws : int, default=100
        Number of draws for means and medians.
    add_indicator : bool, default=False
        Whether to append an indicator of missing values (1: missing) for each column that had any
        in ``fit``.
    keep_empty_features : bool, default=False
        Whether to keep columns without any known value in ``fit``, filled with 0, or to drop them.
    max_time : float or None, default=None
        Approximate limit of the seconds of ``fit``. Flows are then trained for a shorter time, and
        the result depends on the machine. None: no limit.
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Seeds the density, if its own ``random_state`` is None, and all draws. An integer makes
        ``transform`` reproducible.

    Attributes
    ----------
    density_ : estimator
        The fitted density of the columns with a known value.
    indicator_ : MissingIndicator or None
        The indicator of missing values, with ``add_indicator``.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X had string names.

    See Also
    --------
    CouplingFlowDensity : ``sample_given`` draws any columns given any others.
    sklearn.impute.IterativeImputer : Faster, with one regression for each column.

    Notes
    -----
    Values are assumed to be missing at random: whether one is missing may depend on the known cells
    of its row, but not on the value itself. No imputer can check this.

    References
    ----------
    .. [1] Rubin, D. B., "Multiple Imputation for Nonresponse in Surveys", Wiley, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, FlowImputer
    >>> X = load_iris().data
    >>> X[::3, 2] = np.nan
    >>> quick = CouplingFlowDensity(n_layers=2, max_iter=20)
    >>> imputer = FlowImputer(quick, random_state=0).fit(X)
    >>> filled = imputer.transform(X)
    >>> error = filled[::3, 2] - load_iris().data[::3, 2]
    >>> bool(np.abs(error).mean() < 0.5)
    True
    >>> imputer.sample(X, 5).shape
    (150, 4, 5)
    """

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _when_none = {"density": CouplingFlowDensity}
    _parameter_constraints = {
        "density": [CouplingFlowDensity, StructureSearchFlow, None],
        "strategy": [StrOptions({"mean", "median", "mode", "draw"})],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        density: Any = None,
        *,
        strategy: str = "mean",
        n_draws: int = 100,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        max_time: float | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.density = density
        self.strategy = strategy
        self.n_draws = n_draws
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.max_time = max_time
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    @atomic
    @sheltered
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the density to rows with missing cells.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, as in ``CouplingFlowDensity.fit``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X, the weights or an argument are not allowed. A failed or interrupted ``fit`` leaves
            the imputer unchanged.
        """
        density = CouplingFlowDensity() if self.density is None else clone(self.density)
        X = self._fit_table(X, density.categorical_features, ensure_min_samples=2)
        X = self._finite(X, allow_nan=True)
        self._n_rows, self._share_missing = len(X), np.isnan(X).mean(axis=0)
        self._empty = self._share_missing == 1
        if self._empty.all():
            raise ValueError(
                f"All values of X are NaN in {len(X)} rows: there is nothing to fill them from."
            )
        self.indicator_: Any = None
        if self.add_indicator:
            from sklearn.impute import MissingIndicator

            self.indicator_ = MissingIndicator(error_on_new=False).fit(X)
        rng = check_random_state(self.random_state)
        self._filled = self._table.take(~self._empty)
        if self._empty.any():
            names = getattr(self, "feature_names_in_", None)
            density._take_columns(~self._empty, list(self._table.categories), names)
        elif self._table.categories:
            density.set_params(categorical_features=list(self._filled.categories))
        density = seeded(density, rng)
        self.density_ = density._fit_rows_of(self._filled, X[:, ~self._empty], sample_weight)
        with np.errstate(over="ignore"):  # infinite where values are huge
            self._variance = np.nanvar(X[:, ~self._empty], axis=0)
        self._seed = int(rng.randint(2**31 - 1))
        return self

    def _checked(self, X: ArrayLike) -> tuple[Source, np.ndarray]:
        """Return the rows as the user has them, and as codes."""
        check_is_fitted(self)
        source = self._source(X)
        return source, self._finite(self._encode(source, dtype=FLOATS), allow_nan=True)

    @in_asked_container
    @sheltered
    def transform(self, X: ArrayLike) -> np.ndarray:
        """Fill in the missing cells.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means missing.

        Returns
        -------
        X_filled : ndarray or DataFrame of shape (n_samples, n_features_out)
            Known values are unchanged. Columns that were empty in ``fit`` are dropped, or with
            ``keep_empty_features`` filled with 0. Indicators are the last columns. A data frame
            with the same dtypes if X and the X of ``fit`` are data frames; ``set_output`` chooses
            another container.

        Raises
        ------
        NotFittedError
            If the imputer is not fitted.
        ValueError
            If X does not have the columns of ``fit``, or if values are infinite or lie beyond the
            bounds of the density.
        """
        source, codes = self._checked(X)
        filled = codes[:, ~self._empty].astype(float)
        n_draws = 1 if self.strategy == "draw" else self.n_draws
        rng = np.random.RandomState(self._seed)
        if self.strategy == "mode":
            filled = best_completions(self.density_._density, filled, rng)
        for rows, drawn in self._draws_of_rows(filled, n_draws, rng):
            filled[rows] = np.where(np.isnan(filled[rows]), self._point(drawn), filled[rows])
        indicator = codes[:, :0] if self.indicator_ is None else self.indicator_.transform(codes)
        return self._tables(filled[:, :, None], source, codes, indicator)[0]

    @in_asked_container
    @sheltered
    def sample(
        self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = None
    ) -> np.ndarray:
        """Fill in the missing cells several times by draws: multiple imputations.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means missing.
        n_samples : int, default=1
            Number of imputations, at least 1.
        random_state : int, RandomState instance or None, default=None
            An integer makes the draws reproducible; None continues the imputer's own.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_features, n_imputations), or list of data frames
            ``X_filled[:, :, k]`` is imputation k, without indicators. If X and the X of ``fit`` are
            data frames, it is ``X_filled[k]``.

        Raises
        ------
        NotFittedError
            If the imputer is not fitted.
        ValueError
            As ``transform``, or if ``n_samples`` is not an integer of at least 1.
        """
        source, codes = self._checked(X)
        check_count("n_samples", n_samples)
        rng = checked_state(self._seed if random_state is None else random_state)
        kept = ~self._empty
        drawn = answer_in_parts(
            lambda part: self._draw(part[:, kept], n_samples, rng),
            parts(len(codes), n_samples * kept.sum()),
            codes,
            shape=(kept.sum(), n_samples),
        )
        tables = self._tables(drawn, source, codes, codes[:, :0])
        return tables if self._filled.is_framed(source) else np.moveaxis(tables, 0, 2)

    @sheltered
    def report(self, X: ArrayLike) -> Any:
        """Return the columns that ``transform`` fills, and how certain the values are.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means missing.

        Returns
        -------
        report : pandas.DataFrame
            A row for each column with missing cells, with

            - ``missing``: the number of missing cells;
            - ``spread``: the standard deviation of a missing value given the known cells of its
              row, in the column's units (root mean square over the cells);
            - ``explained``: the fraction of the column's variance in ``fit`` that the known cells
              explain: about 1 if they determine the missing value, about 0 if they do not help;
            - ``probability``: for categories, the mean probability of the filled (likeliest)
              category.

        Raises
        ------
        ImportError
            If pandas is not installed.
        NotFittedError
            If the imputer is not fitted.
        ValueError
            As ``transform``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skflow import CouplingFlowDensity, FlowImputer
        >>> X = load_iris(as_frame=True).data
        >>> X.loc[::3, "petal length (cm)"] = np.nan
        >>> quick = CouplingFlowDensity(n_layers=2, max_iter=20)
        >>> report = FlowImputer(quick, random_state=0).fit(X).report(X)
        >>> report["explained"].round(1)
        petal length (cm)    0.9
        Name: explained, dtype: float64
        """
        pandas = check_pandas_support("report")
        codes = self._with_values(self._checked(X)[1])
        rng = np.random.RandomState(self._seed)
        draws = self._draws_of_rows(codes, max(self.n_draws, LEAST_DRAWS), rng)
        lines = certainty(codes, draws, self._filled, self._variance)
        return pandas.DataFrame.from_dict(lines, orient="index").reindex(columns=MEASURES)

    @sheltered
    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the log-density of the known cells of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN (or None) means missing.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, as in ``CouplingFlowDensity.score_samples``.
        """
        return self.density_._log_prob(self._with_values(self._checked(X)[1]))

    def _summary_lines(self) -> dict[str, str]:
        share, how = self._share_missing, self.strategy
        most, n_columns = self._table.labels[share.argmax()], int((share > 0).sum())
        by_draws = f"the {how} of {self.n_draws} draws"
        lone = {"draw": "one draw", "mode": "the completion of the highest density"}
        return {
            "missing": f"{share.mean():.1%} of the cells, in {n_columns} "
            f"column{'s' * (n_columns != 1)}: at most {share.max():.1%}, in {most}",
            "filled by": lone.get(how, by_draws),
            "density": type(self.density_).__name__,
            **self.density_._summary_lines(),
        }

    def _draw(self, X: np.ndarray, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Return draws ``(n, d, n_samples)`` of rows of codes."""
        return sample_given(self.density_._density, X, n_samples, rng)[0]

    def _draws_of_rows(
        self, X: np.ndarray, n_samples: int, rng: np.random.RandomState
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices of rows with missing cells, block by block, and their draws."""
        rows = np.flatnonzero(np.isnan(X).any(axis=1))
        size = max(1, MOST_NUMBERS // (n_samples * X.shape[1]))
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            yield block, self._draw(X[block], n_samples, rng)

    def _point(self, drawn: np.ndarray) -> np.ndarray:
        """Return the point estimate ``(n, d)`` of each cell from draws ``(n, d, m)``."""
        point = _mean(drawn) if self.strategy != "median" else np.median(drawn, axis=2)
        for j, values in self._filled.categories.items():
            point[:, j] = counts(drawn[:, j], len(values)).argmax(axis=0)
        density = self.density_._density
        real = density.schema.real_columns
        point[:, real] = density.columns.to_grid(point[:, real])
        return point

    def _tables(
        self, filled: np.ndarray, source: Source, codes: np.ndarray, indicator: np.ndarray
    ) -> Any:
        """Return filled rows ``(n, d, m)`` as m tables, with empty columns and indicators."""
        n_tables = filled.shape[2]
        kept = ~self._empty
        own = source if kept.all() else source.take(kept)
        filled = self._filled.decode_draws(filled, own)
        empty = self._empty_columns(source, codes)
        if self._filled.is_framed(source):
            names = self._table.labels
            others = {names[j]: column for j, column in empty.items()}
            if indicator.shape[1]:
                missing = [f"missingindicator_{names[j]}" for j in self.indicator_.features_]
                others |= dict(zip(missing, indicator.T))
            shown = [name for name in names if name in others or name in filled[0].columns]
            shown += [name for name in others if name not in names]
            return [
                type(table)({n: table[n] if n in table.columns else others[n] for n in shown})
                for table in filled
            ]
        if not empty and not indicator.shape[1]:
            return np.moveaxis(filled, 2, 0)
        order = np.argsort([*np.flatnonzero(kept), *empty], kind="stable")
        others = [column[:, None] for column in (*empty.values(), *indicator.T)]
        others = [np.repeat(column[:, :, None], n_tables, axis=2) for column in others]
        tables = np.concatenate([filled, *others], axis=1)
        return np.moveaxis(tables[:, [*order, *range(len(order), tables.shape[1])]], 2, 0)

    def _with_values(self, codes: np.ndarray) -> np.ndarray:
        """Return the columns that had a value in ``fit``; no copy if all had."""
        return codes[:, ~self._empty] if self._empty.any() else codes

    def _empty_columns(self, source: Source, codes: np.ndarray) -> dict[int, np.ndarray]:
        """Return the kept columns that were empty in ``fit``, with 0 for missing values."""
        if not self.keep_empty_features:
            return {}
        found: dict[int, np.ndarray] = {}
        for j in np.flatnonzero(self._empty).tolist():
            if j in self._table.categories:
                values = [0 if value is None else value for value in source.values(j)]
                found[j] = np.array(values, dtype=object)
            else:
                found[j] = np.nan_to_num(codes[:, j])
        return found

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns that ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X. None: the names in ``fit``, or "x0", "x1", ...

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names if self.keep_empty_features else names[~self._empty]
        if self.indicator_ is None:
            return kept
        return np.hstack([kept, self.indicator_.get_feature_names_out(names)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []  # always float64
        return tags


def _mean(drawn: np.ndarray) -> np.ndarray:
    """Return means over the last axis without overflow of the sum."""
    with np.errstate(over="ignore"):
        return np.nan_to_num((drawn / drawn.shape[2]).sum(axis=2))
