"""The fit of the density estimators, for masks from any source."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from .. import masks
from .._core.checks import name_columns
from .._core.checksum import checksum
from .._core.deadline import share_of_time, time_limit
from .._core.progress import CallbackSupportMixin, FitProgress
from .._core.random import RandomStreams
from .._core.rows import weighted_rows
from .._core.runtime import atomic, sheltered
from .._core.typing import ArrayLike
from .._missing.fitting import (
    LEAST_EPOCHS,
    PART_OF_EPOCHS,
    draw_missing,
    fill_missing,
    rows_with_values,
)
from .._models.fitting import fit_density
from .._nn.couplings import COUPLINGS
from .._nn.recipe import flow_config, training_options
from .._nn.settings import TakesTraining, Training, training_of
from .._structure.layouts import take_layout
from .._table.bounds import check_bounds, take_bounds
from .._table.schema import fit_real_columns, fit_schema
from .._table.table import UNKNOWN
from .latent import LatentSpace
from .summary import Summarised

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._models.density import Density
    from .._models.fitting import Fit
    from .._table.columns import Columns
    from .._table.schema import Schema
    from .._table.table import Table

#: Options of a quick flow, from which missing cells are drawn.
QUICK = {"n_init": 1, "validation_fraction": 0.1}
#: Fraction of the remaining time for a quick flow.
PART_OF_QUICK = 0.2

#: Parameters of the columns and the stack.
_FIXED = (
    *("n_layers", "dequantize", "bounds", "n_estimators"),
    *("categorical_features", "handle_unknown", "spikes"),
)
#: Parameters of a search that may change in a warm start.
_FREE = {"n_iter", "n_iter_no_change", "top_k", "n_jobs", "max_time", "checkpoint"}

ANEW = "warm_start=True keeps the columns of the last fit: set warm_start=False to start anew."


class BaseFlowDensity(TakesTraining, Summarised, CallbackSupportMixin, LatentSpace):
    """Base of the density estimators, except for the source of the masks.

    A subclass defines the constructor and ``_layout()``, which returns the layout object.
    """

    bounds: Any
    _fixed: dict[str, str]

    _parameter_constraints = {
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "coupling": [StrOptions(COUPLINGS.keys())],
        "n_bins": [Interval(Integral, 2, 500, closed="both")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "categorical_features": "no_validation",  # fit_table validates it
        "handle_unknown": [StrOptions({"rare", "error"})],
        "spikes": ["boolean"],
        "bounds": "no_validation",  # check_bounds validates it
        "dequantize": ["boolean"],
        "component_weight": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "training": [Training, None],
        "max_iter": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "warm_start": ["boolean"],
        "device": [str],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    @atomic
    @sheltered
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the flow by maximum likelihood.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training data, without scaling or encoding. NaN (or None) means unknown: missing cells
            are drawn from a sequence of densities, each fitted to the rows completed by the one
            before (stochastic EM). Rows without known cells are left out.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, at least 0; only their ratios matter. Rows of weight 0 are left
            out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If X, the weights, the masks or a parameter are invalid. A failed or interrupted ``fit``
            leaves the estimator unchanged.
        """
        previous = getattr(self, "_fitted", None) if self.warm_start else None
        if previous is None:
            X = self._fit_table(X, self.categorical_features, ensure_min_samples=2)
        else:
            X = self._encode(self._source(X, ANEW), ensure_min_samples=2)
        X, weight = rows_with_values(*weighted_rows(self._finite(X, allow_nan=True), sample_weight))
        return self._fit_codes(X, weight, previous)

    def _take_columns(self, kept: np.ndarray, categories: list[int], names: Any = None) -> None:
        """Restrict parameters by column to the columns that a mask ``(d,)`` selects.

        ``categories`` are the indices of the categorical columns; the masks of a structure are for
        the other columns. ``names`` are the names of all columns, or None.
        """
        real = np.isin(np.arange(len(kept)), categories, invert=True)
        places = np.cumsum(kept) - 1
        self.categorical_features = [int(places[j]) for j in categories if kept[j]] or None
        if self.bounds is not None:
            self.bounds = take_bounds(self.bounds, kept, names)
        for name in {"mask_layout", "initial_layout"} & set(vars(self)):
            setattr(self, name, take_layout(getattr(self, name), kept[real]))

    def _fit_codes(
        self, X: np.ndarray, weight: np.ndarray | None = None, previous: Fit | None = None
    ) -> Self:
        """Fit to rows of ``_table`` as codes ``(n, d)``, or continue from a ``Fit``."""
        layout = self._layout()
        fixed = fixed_parameters(self, layout)
        if previous is None:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            X, schema, columns, log_q = self._columns_of(X, weight, seed)
        else:
            check_unchanged(self._fixed, fixed)
            check_known(self._table, X)
            seed, schema, log_q = previous.seed, previous.density.schema, None
            columns = previous.density.columns.spanning(schema.split(X)[1])
            if np.isnan(X).any():
                rng = RandomStreams(seed)("missing", previous.n_fits)
                X, log_q = draw_missing(previous.density, X, rng)
        progress = FitProgress(self, partial(self._table.frame, np.atleast_3d(X)[:, :, 0]))
        self._fitted = fit_density(
            self,
            layout,
            X,
            weight,
            schema,
            columns,
            seed=seed,
            previous=previous,
            progress=progress,
            served=lambda fitted: {"_fitted": fitted},
            log_q=log_q,
        )
        self._fixed = fixed
        progress.close()
        return self

    def _columns_of(
        self, X: np.ndarray, weight: np.ndarray | None = None, seed: int = 0
    ) -> tuple[np.ndarray, Schema, Columns, np.ndarray | None]:
        """Return the rows for ``fit_density``, ``Schema``, ``Columns`` and ``log_q``."""
        schema = fit_schema(X, self._table.categories, self.spikes)
        known = schema.split(X)[1]
        named = getattr(self, "feature_names_in_", None)
        options = {
            "standardize": training_of(self).standardize,
            "dequantize": self.dequantize,
            "bounds": check_bounds(self.bounds, X.shape[1], named),
            "names": self._table.feature_names,
        }
        log_q = None
        if np.isnan(X).any():
            steps = training_options(self, *X.shape)
            n_epochs = max(LEAST_EPOCHS, PART_OF_EPOCHS * steps.n_steps / steps.steps_per_epoch)
            training = clone(training_of(self)).set_params(**QUICK)
            own = {"n_estimators": 1, "training": training, "max_iter": n_epochs}
            quick = SimpleNamespace(**self.get_params(deep=False) | own)

            def fit(filled: np.ndarray, random_state: int) -> Density:
                quick.random_state = random_state
                own = int(check_random_state(random_state).randint(2**31 - 1))
                columns = fit_real_columns(filled, schema, weight, **options)
                with time_limit(share_of_time(PART_OF_QUICK)):
                    return fit_density(
                        quick, masks.Derived(), filled, weight, schema, columns, seed=own
                    ).density

            rng = RandomStreams(seed)("missing", 0)
            X, log_q = fill_missing(X, schema, weight, rng, fit, options)
        columns = fit_real_columns(np.atleast_3d(X)[:, :, 0], schema, weight, **options)
        return X, schema, columns.spanning(known), log_q

    def _fit_rows_of(self, table: Table, X: np.ndarray, sample_weight: Any = None) -> Self:
        """Fit to codes ``(n, d)`` of a given ``Table``."""
        self._validate_params()
        self._use_table(table)
        with time_limit(self.max_time):
            return self._fit_codes(*rows_with_values(*weighted_rows(X, sample_weight)))

    def _with_fit(self, fitted: Fit) -> Self:
        """Set a ``Fit`` as the result of ``fit``."""
        self._fitted, self._fixed = fitted, fixed_parameters(self, self._layout())
        return self


# ---- parameters that a warm start cannot change


def fixed_parameters(estimator: BaseFlowDensity, layout: Any) -> dict[str, str]:
    """Return all parameters that a warm start cannot change, with their values as text."""
    values = {name: getattr(estimator, name) for name in ("n_features_in_", *_FIXED)}
    values |= flow_config(estimator)
    values["training.activation"] = values.pop("activation")
    values["training.standardize"] = training_of(estimator).standardize
    chosen = layout.get_params(deep=False) if hasattr(layout, "get_params") else {}
    values["mask_layout"] = chosen.pop("rule", type(layout).__name__ if chosen else layout)
    prefix = "mask_layout__" if hasattr(estimator, "mask_layout") else ""
    values |= {prefix + name: value for name, value in chosen.items() if name not in _FREE}
    return {name: _text(value) for name, value in values.items()}


def check_unchanged(before: dict[str, str], now: dict[str, str]) -> None:
    """Raise if parameters have changed, with the name, old and new value of each."""
    # another layout has other parameters: report only the layout
    names = [name for name in before if name in now and before[name] != now[name]]
    if names:
        listed = "; ".join(f"{name} was {before[name]}, now {now[name]}" for name in names)
        raise ValueError(
            f"warm_start=True continues the last fit, so these parameters cannot change: {listed}. "
            f"Set them back. {ANEW}"
        )


def check_known(table: Table, X: np.ndarray) -> None:
    """Raise if rows ``(n, d)`` have categories that the last fit did not see."""
    unknown = np.isin(np.arange(X.shape[1]), list(table.categories)) & (X == UNKNOWN).any(axis=0)
    if unknown.any():
        raise ValueError(
            f"Column {name_columns(unknown, table.names)} of X has categories that the last fit "
            f"did not see. Leave these rows out. {ANEW}"
        )


def _text(value: object) -> str:
    """Return a value as text that is the same in another process."""
    if isinstance(value, np.ndarray) and value.size > 20:
        return f"an array of shape {value.shape} ({checksum(value)[:8]})"
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        listed = ", ".join(f"{name}={_text(params[name])}" for name in sorted(params))
        return f"{type(value).__name__}({listed})"
    if type(value).__repr__ is object.__repr__ or hasattr(value, "__qualname__"):
        return getattr(value, "__qualname__", type(value).__name__)
    return repr(value)
