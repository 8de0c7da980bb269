"""The border of an estimator: tables are read here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array, check_X_y, validate_data

from .._core.checks import check_finite
from .frames import read, read_targets
from .table import MANY_CATEGORIES, Table, as_pandas, as_polars, fit_table

if TYPE_CHECKING:
    from typing_extensions import Self

    from .frames import Source

_Method = TypeVar("_Method", bound=Callable[..., Any])

_inside = ContextVar("inside", default=False)


@contextmanager
def inner_tables() -> Iterator[None]:
    """Estimators in this context get parts of a table that was read: do not warn again.

    Do not limit the number of categories either, as a part has fewer rows.
    """
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def in_asked_container(method: _Method) -> _Method:
    """Decorate a method that returns tables: ``set_output`` chooses their container.

    scikit-learn does so for ``transform`` only, and by methods of pandas and polars that need
    pyarrow for text and fail on sparse columns.
    """

    @wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = method(self, *args, **kwargs)
        return _translated(answer, _get_output_config("transform", self)["dense"])

    return cast("_Method", run)


def _translated(answer: Any, asked: str) -> Any:
    """Convert the frames of an answer to the asked kind of frame."""
    if isinstance(answer, list | tuple):
        return type(answer)(_translated(part, asked) for part in answer)
    if asked == "polars" and hasattr(answer, "iloc"):
        return as_polars(answer)
    if asked == "pandas" and hasattr(answer, "get_columns"):
        return as_pandas(answer)
    return answer


class TableMixin:
    """Reads tables as numbers and codes.

    ``_fit_table`` sets ``_table``, ``n_features_in_`` and, where the names are text,
    ``feature_names_in_``.
    """

    _table: Table
    n_features_in_: int
    feature_names_in_: np.ndarray

    def _fit_table(self, X: Any, categorical_features: Any, *y: Any, **options: Any) -> Any:
        """Return the rows of a fit as codes ``(n, d)``; with ``y``, the targets as float64, too."""
        source = read(X, self, **options)
        validate_data(self, source.table, skip_check_array=True)
        many = None if _inside.get() else MANY_CATEGORIES
        self._table = fit_table(source, categorical_features, many)
        return self._encode(source, *y, **options)

    def _use_table(self, table: Table) -> Self:
        """Read tables as an estimator that was fitted to ``table``."""
        self._table, self.n_features_in_ = table, table.n_columns
        vars(self).pop("feature_names_in_", None)
        names = table.feature_names
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = names
        return self

    def _source(self, X: Any, advice: str = "", **options: Any) -> Source:
        """Return the ``Source`` of a table with the columns of ``fit``."""
        source = read(X, self, **options)
        self._table.check_same(source, self, advice)
        # warns if only one of the two tables has names
        validate_data(self, source.table, reset=False, skip_check_array=True)
        return source

    def _encode(self, source: Source, *y: Any, **options: Any) -> Any:
        """Return the codes ``(n, d)`` of a source, which may be infinite or NaN."""
        unknown = getattr(self, "handle_unknown", "rare")
        rows = self._table.encode(source, unknown, quiet=_inside.get())
        options = {"dtype": np.float64, "ensure_all_finite": False, "estimator": self, **options}
        if not y:
            return check_array(rows, input_name="X", **options)
        return check_X_y(rows, read_targets(*y), multi_output=True, y_numeric=True, **options)

    def _finite(self, rows: np.ndarray, allow_nan: bool = False) -> np.ndarray:
        """Return the rows; raise if a cell is infinite or, without ``allow_nan``, NaN."""
        return check_finite(rows, self._table.names, allow_nan)
