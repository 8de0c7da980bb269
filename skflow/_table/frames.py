"""Tables as users give them: pandas, polars, NumPy, masked arrays, lists.

A missing value of any kind (NaN, None, pandas.NA, null, NaT, masked) becomes NaN among numbers and
None among objects. Dates, times and durations are refused.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Collection
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from .._core.checks import known_values, name_columns

_DATES = (
    *(datetime.date, datetime.time, datetime.timedelta),  # pandas' own are subclasses
    *(np.datetime64, np.timedelta64),
)
_ADVICE = {
    "X": "A density needs numbers or categories: leave such columns out, name categorical ones in "
    "categorical_features (text in a data frame is categorical by default), or give",
    "y": "Targets must be numbers. For classes, use a classifier such as "
    "HistGradientBoostingClassifier. Otherwise give",
}


class NoNumbers(Exception):
    """A column holds a value that is not a number."""

    def __init__(self, example: str, error: Exception | None = None) -> None:
        super().__init__(example)
        self.example, self.error = example, error


class Source:
    """A table as a user gave it: an array, or a frame in the subclasses.

    Attributes
    ----------
    container : {"pandas", "polars", None}
        The kind of frame, None for an array.
    names : list or None
        Column names of a frame.
    shape : tuple of int
    """

    name = "X"
    container: str | None = None
    names: list[Any] | None = None

    def __init__(self, table: Any) -> None:
        self.table, self.shape = table, table.shape
        if self.container is not None:
            self.names = list(table.columns)

    def dtype(self, j: int) -> Any:
        """Return the dtype of a column of a frame, None for an array."""
        return None

    def is_text(self, j: int) -> bool:
        """Return whether a column has categories, text or booleans by its dtype."""
        return False

    def declared(self, j: int) -> list[Any] | None:
        """Return the ordered categories that a column's dtype declares, or None."""
        return None

    def take(self, columns: np.ndarray) -> Source:
        """Return the columns that a mask ``(d,)`` selects."""
        return type(self)(self.table[:, np.flatnonzero(columns).tolist()])

    def column(self, j: int) -> Any:
        """Return a column as the table holds it."""
        return self.table[:, j]

    def values(self, j: int) -> list[Any]:
        """Return the values of a column as a list, None where missing."""
        return _values(self.column(j))

    def floats(self, j: int) -> np.ndarray:
        """Return a column as float64, NaN where missing, or raise ``NoNumbers``."""
        return _floats(self.column(j))

    def objects(self, j: int) -> list[Any]:
        """Return the ``values`` of a column of categories, or raise if it has dates."""
        values = self.values(j)
        dates = [value for value in values if isinstance(value, _DATES)]
        if dates:
            raise self._refusal({j: NoNumbers(repr(dates[0]))})
        return values

    def numbers(self, skip: Collection[int] = ()) -> np.ndarray:
        """Return the table as float64 ``(n, d)``, with NaN in the columns to skip.

        An array of numbers is returned unchanged.
        """
        if not skip and self.container is None and self.table.dtype.kind in "fiub":
            return self.table
        numbers, wrong = np.full(self.shape, np.nan), {}
        for j in range(self.shape[1]):
            if j not in skip:
                try:
                    numbers[:, j] = self.floats(j)
                except NoNumbers as found:
                    wrong[j] = found
        if wrong:
            raise self._refusal(wrong)
        return numbers

    def _refusal(self, wrong: dict[int, NoNumbers]) -> Exception:
        first = next(iter(wrong.values()))
        selected = np.isin(np.arange(self.shape[1]), list(wrong))
        what = f"Column {name_columns(selected, self.names)} of {self.name}"
        # objects that are not even text are errors of type to scikit-learn's checks
        is_type = type(first.error) is TypeError
        kind, why = (TypeError, f" ({first.error})") if is_type else (ValueError, "")
        return kind(
            f"{what} does not hold numbers, but for instance {first.example[:50]}. "
            f"{_ADVICE[self.name]} numbers instead, such as days since a fixed date for dates."
            f"{why}"
        )

    def check_names(self) -> None:
        """Raise if columns share a name."""
        names = self.names or []
        repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if repeated:
            raise ValueError(
                f"Several columns of X are called {', '.join(map(repr, repeated[:10]))}. Rename "
                "them, or leave the copies out."
            )


class PandasSource(Source):
    container = "pandas"

    def dtype(self, j: int) -> Any:
        return self.table.dtypes.iloc[j]

    def column(self, j: int) -> Any:
        return self.table.iloc[:, j]

    def take(self, columns: np.ndarray) -> Source:
        return PandasSource(self.table.loc[:, columns])

    def is_text(self, j: int) -> bool:
        import pandas

        dtype = self.dtype(j)
        if isinstance(dtype, np.dtype) and dtype.kind == "O":
            return _all_text(self.values(j))
        if isinstance(dtype, pandas.ArrowDtype):
            from pyarrow import types

            arrow = dtype.pyarrow_dtype
            text = types.is_string(arrow) or types.is_large_string(arrow)
            return text or types.is_boolean(arrow) or types.is_dictionary(arrow)
        text = isinstance(dtype, pandas.CategoricalDtype | pandas.StringDtype)
        return text or pandas.api.types.is_bool_dtype(dtype)

    def declared(self, j: int) -> list[Any] | None:
        categories = getattr(self.dtype(j), "categories", None)
        return None if categories is None else categories.tolist()

    def floats(self, j: int) -> np.ndarray:
        column = self.column(j)
        if isinstance(column.dtype, np.dtype):
            return _floats(column.to_numpy())
        if column.dtype.kind in "fiub":
            # sparse columns first: the value that they leave out is not a missing value
            dense = column.sparse.to_dense() if hasattr(column.dtype, "fill_value") else column
            return dense.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.dtype.kind in "mM" or type(column.dtype).__name__ == "PeriodDtype":
            raise NoNumbers(_example(column.tolist(), column.dtype))
        return _floats(np.array(_values(column), dtype=object))


class PolarsSource(Source):
    container = "polars"

    def dtype(self, j: int) -> Any:
        return self.table.dtypes[j]

    def column(self, j: int) -> Any:
        return self.table.to_series(j)

    def is_text(self, j: int) -> bool:
        import polars

        dtype = self.dtype(j)
        if dtype == polars.Object:
            return _all_text(self.values(j))
        return dtype in (polars.String, polars.Boolean, polars.Categorical, polars.Enum)

    def declared(self, j: int) -> list[Any] | None:
        import polars

        # the categories of a Categorical are shared by the whole process
        dtype = self.dtype(j)
        return dtype.categories.to_list() if dtype == polars.Enum else None

    def floats(self, j: int) -> np.ndarray:
        import polars

        column = self.column(j)
        if column.dtype.is_temporal():
            raise NoNumbers(_example(column.to_list(), column.dtype))
        if column.dtype.is_numeric() or column.dtype in (polars.Boolean, polars.Null):
            return column.cast(polars.Float64).fill_null(np.nan).to_numpy()
        return _floats(np.array(_values(column), dtype=object))


def read(X: Any, estimator: Any, **options: Any) -> Source:
    """Return the ``Source`` of a table; other input raises as ``check_array`` with the options."""
    frame = _frame(X)
    if frame is not None:
        frame.check_names()
        return frame
    options = {"dtype": None, "ensure_all_finite": False, "input_name": "X", **options}
    return Source(check_array(as_array(X), estimator=estimator, **options))


def read_targets(y: Any) -> Any:
    """Return targets as numbers, for ``check_X_y`` to check."""
    is_one = hasattr(y, "to_frame")
    source = _frame(y.to_frame() if is_one else y)
    if source is None:
        array = np.asarray(as_array(y)) if isinstance(y, list | tuple | np.ndarray) else None
        if array is None or array.ndim not in (1, 2):
            return y
        is_one = array.ndim == 1
        source = Source(array[:, None] if is_one else array)
    source.name = "y"
    numbers = source.numbers()
    missing = np.isnan(numbers).any(axis=1).sum()
    if missing:
        raise ValueError(
            f"Input y contains NaN in {missing} of {len(numbers)} rows. Targets must be known: "
            "leave these rows out of X and y. To fill in missing values, use FlowImputer."
        )
    return numbers.ravel() if is_one else numbers


def _frame(X: Any) -> Source | None:
    """Return the source of a data frame, None for anything else."""
    for name, source in (("pandas", PandasSource), ("polars", PolarsSource)):
        if isinstance(X, getattr(sys.modules.get(name), "DataFrame", ())):
            return source(X)
    return None


def as_array(X: Any) -> Any:
    """Return an array with masked cells missing; numbers beside text stay numbers."""
    if isinstance(X, np.ma.MaskedArray):
        if X.dtype.kind in "fiub":
            return np.ma.filled(X.astype(np.float64), np.nan)
        cells = X.data.astype(object) if X.dtype.kind not in "mM" else X.data
        cells[np.ma.getmaskarray(X) & (cells.dtype == object)] = None
        return cells
    if isinstance(X, list | tuple):
        try:
            return X if np.asarray(X).dtype.kind not in "UST" else np.array(X, dtype=object)
        except ValueError:  # rows of different lengths
            return X
    return X


def _values(column: Any) -> list[Any]:
    return known_values(column.to_list() if hasattr(column, "to_list") else column.tolist())


def _floats(column: np.ndarray) -> np.ndarray:
    """Return an array as float64."""
    kind = column.dtype.kind
    if kind in "fiub":
        return column.astype(np.float64, copy=False)
    if kind == "c":
        raise ValueError("Complex data not supported: give real and imaginary parts as columns.")
    if kind in "mM":
        raise NoNumbers(_example(column.astype(str).tolist(), column.dtype))
    return np.array([_float(value) for value in known_values(column.tolist())], dtype=np.float64)


def _float(value: Any) -> float:
    """Return an object as a number, NaN for None."""
    if value is None:
        return np.nan
    if isinstance(value, _DATES):
        raise NoNumbers(repr(value))
    try:
        return float(value)
    except (ValueError, TypeError) as error:
        raise NoNumbers(repr(value), error) from None


def _example(values: list[Any], dtype: Any) -> str:
    return str(values[0]) if values else f"the dtype {dtype}"


def _all_text(values: list[Any]) -> bool:
    """Return whether all known objects, at least one, are text or booleans."""
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, str | bool | np.bool_) for value in known)
