"""What users give as tables, column by column: pandas, polars, NumPy, masked arrays, lists.

A missing value of any kind (NaN, None, pandas.NA, null, NaT, masked) becomes NaN among numbers and
None among objects. Dates, times and durations are no numbers, whatever holds them.
"""

import datetime
import sys
from abc import ABC, abstractmethod

import numpy as np
from sklearn.utils.validation import check_array

from .._core.checks import is_missing, name_columns

_DATES = (
    *(datetime.date, datetime.time, datetime.timedelta),  # pandas' own are subclasses
    *(np.datetime64, np.timedelta64),
)
_ADVICE = {
    "X": "A density needs numbers or categories: leave such columns out, name those with "
    "categories in categorical_features (in a data frame, text is one by itself), or give",
    "y": "Targets are numbers; for classes take a classifier, such as "
    "HistGradientBoostingClassifier. Otherwise give",
}


class NoNumbers(Exception):
    """A column holds a value that is no number."""

    def __init__(self, example, error=None):
        super().__init__(example)
        self.example, self.error = example, error


class Source(ABC):
    """A table as a user gave it.

    Attributes
    ----------
    container : {"pandas", "polars", None}
        What kind of frame it is, None for an array.
    names : list or None
        Of the columns of a frame.
    shape : tuple of int
    """

    name = "X"
    container: str | None = None
    names: list | None = None
    shape: tuple[int, int]

    @abstractmethod
    def dtype(self, j):
        """Dtype of a column of a frame, None for an array."""

    @abstractmethod
    def is_text(self, j):
        """Whether the dtype of a column is that of categories, text or truth values."""

    @abstractmethod
    def declared(self, j):
        """The categories that a column's dtype declares, in their order, or None."""

    @abstractmethod
    def values(self, j):
        """Values of a column as a list, None where one is missing."""

    @abstractmethod
    def floats(self, j):
        """Values of a column as float64, NaN where one is missing; ``NoNumbers`` may be raised."""

    @abstractmethod
    def take(self, columns):
        """The columns that a mask ``(d,)`` selects."""

    def objects(self, j):
        """``values`` of a column that may be categories, which dates may not."""
        values = self.values(j)
        dates = [value for value in values if isinstance(value, _DATES)]
        if dates:
            raise self._refusal({j: NoNumbers(repr(dates[0]))})
        return values

    def numbers(self, skip=()):
        """The table as float64 ``(n, d)``, with NaN in the columns that are to be skipped."""
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

    def _refusal(self, wrong):
        first = next(iter(wrong.values()))
        selected = np.isin(np.arange(self.shape[1]), list(wrong))
        what = f"Column {name_columns(selected, self.names)} of {self.name}"
        # objects that are not even text are errors of type to scikit-learn's checks
        is_type = type(first.error) is TypeError
        kind, why = (TypeError, f" ({first.error})") if is_type else (ValueError, "")
        return kind(
            f"{what} holds no numbers, but for instance {first.example[:50]}. "
            f"{_ADVICE[self.name]} numbers in their place, for dates the days since one of them."
            f"{why}"
        )

    def check_names(self):
        """Raise if columns share a name."""
        repeated = [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]
        if repeated:
            raise ValueError(
                f"Several columns of X are called {', '.join(map(repr, repeated[:10]))}. Give each "
                "column a name of its own, or leave the copies out."
            )


class ArraySource(Source):
    """An array of numbers or of objects."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def dtype(self, j):
        return None

    def is_text(self, j):
        return False

    def declared(self, j):
        return None

    def values(self, j):
        return _values(self.array[:, j])

    def floats(self, j):
        return _floats(self.array[:, j])

    def take(self, columns):
        return ArraySource(self.array[:, columns])

    def numbers(self, skip=()):
        if not skip and self.array.dtype.kind in "fiub":
            return self.array
        return super().numbers(skip)


class PandasSource(Source):
    container = "pandas"

    def __init__(self, frame):
        self.frame, self.shape = frame, frame.shape
        self.names = frame.columns.tolist()

    def dtype(self, j):
        return self.frame.dtypes.iloc[j]

    def is_text(self, j):
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

    def declared(self, j):
        categories = getattr(self.dtype(j), "categories", None)
        return None if categories is None else categories.tolist()

    def values(self, j):
        return _values(self.frame.iloc[:, j])

    def take(self, columns):
        return PandasSource(self.frame.loc[:, columns])

    def floats(self, j):
        column = self.frame.iloc[:, j]
        if isinstance(column.dtype, np.dtype):
            return _floats(column.to_numpy())
        if column.dtype.kind in "fiub":
            # sparse ones first, as the value that they leave out is not what is missing
            dense = column.sparse.to_dense() if hasattr(column.dtype, "fill_value") else column
            return dense.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.dtype.kind in "mM" or type(column.dtype).__name__ == "PeriodDtype":
            raise NoNumbers(_example(column.tolist(), column.dtype))
        return _floats(np.array(_values(column), dtype=object))


class PolarsSource(Source):
    container = "polars"

    def __init__(self, frame):
        self.frame, self.shape, self.names = frame, frame.shape, list(frame.columns)

    def dtype(self, j):
        return self.frame.dtypes[j]

    def is_text(self, j):
        import polars

        dtype = self.dtype(j)
        if dtype == polars.Object:
            return _all_text(self.values(j))
        return dtype in (polars.String, polars.Boolean, polars.Categorical, polars.Enum)

    def declared(self, j):
        import polars

        # categories of Categorical are those of the whole process
        dtype = self.dtype(j)
        return dtype.categories.to_list() if dtype == polars.Enum else None

    def values(self, j):
        return _values(self.frame.to_series(j))

    def take(self, columns):
        return PolarsSource(self.frame[:, np.flatnonzero(columns).tolist()])

    def floats(self, j):
        import polars

        column = self.frame.to_series(j)
        if column.dtype.is_temporal():
            raise NoNumbers(_example(column.to_list(), column.dtype))
        if column.dtype.is_numeric() or column.dtype in (polars.Boolean, polars.Null):
            return column.cast(polars.Float64).fill_null(np.nan).to_numpy()
        return _floats(np.array(_values(column), dtype=object))


def read(X, estimator, **options):
    """The ``Source`` of a table; what is none is refused, as by ``check_array`` with options."""
    frame = _frame(X)
    if frame is not None:
        frame.check_names()
        return frame
    options = {"dtype": None, "ensure_all_finite": False, "input_name": "X", **options}
    return ArraySource(check_array(as_array(X), estimator=estimator, **options))


def read_targets(y):
    """Targets for ``check_X_y`` to look at: what holds them as objects is numbers afterwards."""
    series = hasattr(y, "to_frame")
    source = _frame(y.to_frame() if series else y)
    if source is None:
        if not isinstance(y, list | tuple | np.ndarray):
            return y
        y = as_array(y)
        array = np.asarray(y)
        if array.dtype.kind not in "OmMUS" or array.ndim not in (1, 2):
            return _known(array) if array.dtype.kind == "f" else y
        text = array.dtype.kind in "US"
        source = ArraySource(array.astype(object if text else array.dtype).reshape(len(array), -1))
        series = array.ndim == 1
    source.name = "y"
    return _known(source.numbers().ravel() if series else source.numbers())


def _known(y):
    """Targets, unless some of them are missing."""
    missing = np.isnan(y).any(axis=tuple(range(1, y.ndim))).sum() if y.ndim else 0
    if missing:
        raise ValueError(
            f"Input y contains NaN in {missing} of {len(y)} rows. Targets have to be known: leave "
            "these rows out of X and y. To fill in what is missing, take FlowImputer."
        )
    return y


def _frame(X):
    """The source of a data frame, None of anything else."""
    for name, source in (("pandas", PandasSource), ("polars", PolarsSource)):
        if isinstance(X, getattr(sys.modules.get(name), "DataFrame", ())):
            return source(X)
    return None


def as_array(X):
    """An array in which what is masked is missing, and numbers beside text are no text."""
    if isinstance(X, np.ma.MaskedArray):
        if X.dtype.kind in "fiub":
            return X.astype(np.float64).filled(np.nan)
        cells = X.data.astype(object) if X.dtype.kind not in "mM" else X.data
        cells[np.ma.getmaskarray(X) & (cells.dtype == object)] = None
        return cells
    if isinstance(X, list | tuple):
        try:
            return X if np.asarray(X).dtype.kind not in "UST" else np.array(X, dtype=object)
        except ValueError:  # rows of different lengths
            return X
    return X


def _values(column):
    values = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return [None if is_missing(value) else value for value in values]


def _floats(column):
    """An array as float64."""
    kind = column.dtype.kind
    if kind in "fiub":
        return column.astype(np.float64, copy=False)
    if kind == "c":
        raise ValueError("Complex data not supported: give real and imaginary parts as columns.")
    if kind in "mM":
        raise NoNumbers(_example(column.astype(str).tolist(), column.dtype))
    values = [np.nan if is_missing(value) else value for value in column.tolist()]
    wrong = next((value for value in values if isinstance(value, _DATES)), None)
    if wrong is not None:
        raise NoNumbers(repr(wrong))
    try:
        return np.array(values, dtype=object).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise NoNumbers(next(filter(None, map(_no_number, values)), "cells"), error) from None


def _example(values, dtype):
    return str(values[0]) if values else f"the dtype {dtype}"


def _no_number(value):
    """The value as text if it is no real number, otherwise None."""
    try:
        float(value)
    except (ValueError, TypeError):
        return repr(value)
    return None


def _all_text(values):
    """Whether objects, of which some are known, are text or truth values."""
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, str | bool | np.bool_) for value in known)
