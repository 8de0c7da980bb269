"""The table that an estimator was fitted to: its columns, and codes for its categories.

Inside the package a table is an array of float64. A category is its index among the sorted
categories of ``fit``: -1 if ``fit`` did not see it, NaN if it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.checks import known_values, name_columns, warn, what_there_is
from .._core.saving import saved_as
from . import dtypes

if TYPE_CHECKING:
    from .frames import Source

#: Code and label of a category that ``fit`` did not see.
UNKNOWN, UNKNOWN_LABEL = -1, "(unknown)"
#: Code of any missing value in the discrete part of a table.
MISSING = -2
#: A column with more categories than this, and than a fifth of the rows, identifies rows.
MANY_CATEGORIES = 20
_NUMBERS = (int, float, np.integer, np.floating)
_DATE = re.compile(r"(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})([T ].*)?")


@saved_as("table")
@dataclass
class Table:
    """The columns of a table.

    Attributes
    ----------
    n_columns : int
    categories : dict of int to ndarray
        The categories that the rows of ``fit`` have, in order, for each categorical column.
    container : {"pandas", "polars", None}
        The kind of frame, None for an array.
    names : list or None
        Column names of a frame.
    dtypes : list of tuple
        Column dtypes of a frame, as ``describe`` returns them.
    numbers : list or None
        The numbers of the columns in the user's table, if some of its columns were left out.
    """

    n_columns: int
    categories: dict[int, np.ndarray]
    container: str | None
    names: list[Any] | None
    dtypes: list[Any]
    numbers: list[int] | None = None

    @property
    def labels(self) -> list[Any]:
        """Column names to show: ``x0``, ``x1``, ... for an array."""
        numbers = range(self.n_columns) if self.numbers is None else self.numbers
        return [f"x{j}" for j in numbers] if self.names is None else self.names

    @property
    def feature_names(self) -> np.ndarray | None:
        """The names, or the numbers if some were left out, as an array of objects, or None."""
        names = self.numbers if self.names is None else self.names
        return None if names is None else np.fromiter(names, object, self.n_columns)

    # ---- in

    def encode(
        self, source: Source, handle_unknown: str = "rare", quiet: bool = False
    ) -> np.ndarray:
        """Return the rows of a source as numbers and codes ``(n, d)``."""
        rows = source.numbers(skip=self.categories)
        for j in self.categories:
            rows[:, j] = self._codes(source.objects(j), j, handle_unknown, quiet)
        return rows

    def _codes(self, values: list[Any], j: int, handle_unknown: str, quiet: bool) -> np.ndarray:
        known = self.categories[j].tolist()
        places = {value: code for code, value in enumerate(known)}
        codes = np.array(
            [np.nan if value is None else places.get(value, UNKNOWN) for value in values],
            dtype=np.float64,
        )
        unseen = codes == UNKNOWN
        if not unseen.any():
            return codes
        example = values[unseen.argmax()]
        if handle_unknown == "error":
            raise ValueError(
                f"Column {self._name(j)} of X has the category {example!r}, which was "
                "not among those of fit. Correct or leave out such rows, or set "
                "handle_unknown='rare'."
            )
        if (
            known
            and not quiet
            and (unseen | np.isnan(codes)).all()
            and _look_misread(known, values)
        ):
            warn(
                f"No category in column {self._name(j)} of X was among those of fit: it has for "
                f"instance {example!r}, and fit had {', '.join(map(repr, known[:3]))}"
                f"{', ...' if len(known) > 3 else ''}. If these are to be the same, write them in "
                "the same way, and as the same type."
            )
        return codes

    def _name(self, j: int) -> str:
        return name_columns(np.arange(self.n_columns) == j, self.names)

    # ---- out

    def decode(self, rows: np.ndarray, original: Source | None = None) -> Any:
        """Return rows of codes as a table like that of ``fit``, with its names and dtypes.

        The rows are copies of the ``Source`` ``original``, one after another. It has the labels of
        categories that ``fit`` did not see. An array stays an array.
        """
        return self._written(rows, dtypes.pandas_numbers, dtypes.polars_numbers, original)

    def frame(self, rows: np.ndarray) -> Any:
        """As ``decode``, but real numbers stay float64."""
        return self._written(rows, _plain, _plain)

    def _written(
        self,
        rows: np.ndarray,
        pandas_numbers: Callable[..., Any],
        polars_numbers: Callable[..., Any],
        original: Source | None = None,
    ) -> Any:
        if not self.is_framed(original):
            return self._array(rows, original) if self.categories else rows
        ways: dict[str | None, tuple[Callable[..., Any], ...]] = {
            "pandas": (pandas_numbers, dtypes.pandas_labels, _pandas_frame),
            "polars": (polars_numbers, dtypes.polars_labels, _polars_frame),
        }
        numbers, labels, frame = ways[self.container]
        columns = [
            labels(*self._labels(rows[:, j], j, original), dtype)
            if j in self.categories
            else numbers(rows[:, j], dtype)
            for j, dtype in enumerate(self.dtypes)
        ]
        return frame(columns, self.names)

    def is_framed(self, original: Source | None = None) -> bool:
        """Return whether to return a frame: both ``fit`` and the method must have got one."""
        asked = self if original is None else original
        return self.container is not None and asked.container is not None

    def _array(self, rows: np.ndarray, original: Source | None) -> np.ndarray:
        """Return rows as an array of objects, or of numbers if all cells are numbers."""
        table = rows.astype(object)
        for j in self.categories:
            table[:, j] = self._labels(rows[:, j], j, original)[0]
        cells = table[:, list(self.categories)].ravel().tolist()
        plain = all(value is None or isinstance(value, _NUMBERS) for value in cells)
        numbers = all(of.dtype != object for of in self.categories.values())
        return table.astype(np.float64) if plain and numbers else table

    def decode_draws(self, drawn: np.ndarray, original: Source) -> Any:
        """Return draws ``(n, d, m)`` as a list of frames, or as an array of the same shape."""
        if not self.is_framed(original) and not self.categories:
            return drawn
        n_rows, n_columns, n_draws = drawn.shape
        table = self.decode(drawn.transpose(2, 0, 1).reshape(-1, n_columns), original)
        if not self.is_framed(original):
            return table.reshape(n_draws, n_rows, n_columns).transpose(1, 2, 0)
        tables = [table[start : start + n_rows] for start in range(0, len(table), n_rows)]
        if self.container == "pandas" and original.container == "pandas":
            tables = [table.set_axis(original.table.index) for table in tables]
        return tables

    def _labels(self, codes: np.ndarray, j: int, original: Source | None) -> tuple[list[Any], bool]:
        """Return the categories of codes, None if missing, and whether any is unknown."""
        known = self.categories[j].tolist()
        # the last two serve the codes MISSING = -2 and UNKNOWN = -1
        labels = np.empty(len(known) + 2, dtype=object)
        labels[:] = [*known, None, UNKNOWN_LABEL]
        codes = np.nan_to_num(codes, nan=MISSING).astype(int)
        unknown = codes == UNKNOWN
        column = labels[codes]
        if original is not None and unknown.any():
            names = np.empty(original.shape[0], dtype=object)
            names[:] = original.values(j)
            column[unknown] = np.resize(names, len(column))[unknown]
        return column.tolist(), unknown.any()

    # ---- parts of it

    def take(self, columns: np.ndarray) -> Table:
        """Return the table of the columns that a mask ``(d,)`` selects."""
        place = dict(zip(np.flatnonzero(columns).tolist(), range(columns.sum())))
        categories = {place[j]: found for j, found in self.categories.items() if j in place}
        names = None if self.names is None else [self.names[j] for j in place]
        described = [self.dtypes[j] for j in place] if self.dtypes else []
        numbers = None if columns.all() else list(place)
        return Table(len(place), categories, self.container, names, described, numbers)

    def indicators(self, rows: np.ndarray) -> np.ndarray:
        """Return rows ``(n, d)`` with each categorical column one-hot encoded."""
        if not self.categories:
            return rows
        columns = [np.delete(rows, list(self.categories), axis=1)]
        columns += [rows[:, [j]] == np.arange(len(of)) for j, of in self.categories.items()]
        return np.hstack(columns).astype(np.float64)

    # ---- check

    def check_same(self, source: Source, estimator: Any, advice: str = "") -> None:
        """Raise unless a source has the same columns in the same order.

        Messages begin as scikit-learn's do.
        """
        if source.names is not None:
            self._check_names(source.names, advice)
        if source.shape[1] != self.n_columns:
            raise ValueError(
                f"X has {source.shape[1]} features, but {type(estimator).__name__} is expecting "
                f"{self.n_columns} features as input. "
                f"{advice or 'Give the columns of fit, in the same order.'}"
            )

    def _check_names(self, names: list[Any], advice: str) -> None:
        if self.names is None or names == self.names:
            return
        message = "The feature names should match those that were passed during fit.\n"
        unseen = [name for name in names if name not in self.names]
        missing = [name for name in self.names if name not in names]
        listed = {
            "Feature names unseen at fit time:\n": unseen,
            "Feature names seen at fit time, yet now missing:\n": missing,
        }
        for what, of in listed.items():
            if of:
                of = sorted(map(str, of))
                message += what + "".join(f"- {name}\n" for name in of[:5])
                message += "- ...\n" if len(of) > 5 else ""
        if not unseen and not missing:
            message += "Feature names must be in the same order as they were in fit.\n"
        how = "Give the columns of fit, in the same order."
        if not missing:
            how = "X has all columns of fit: select them in the order of fit."
        raise ValueError(message + (advice or how))


def _plain(column: np.ndarray, dtype: Any) -> np.ndarray:
    """Return real numbers unchanged."""
    return column


def _pandas_frame(columns: list[Any], names: Any) -> Any:
    import pandas

    # an index of tuples has several levels
    return pandas.DataFrame(dict(enumerate(columns))).set_axis(pandas.Index(names), axis=1)


def _polars_frame(columns: list[Any], names: list[Any]) -> Any:
    import polars

    return polars.DataFrame(dict(zip(names, columns)))


def as_pandas(frame: Any) -> Any:
    """Convert a polars frame to pandas (its own methods may need pyarrow)."""
    return _pandas_frame([frame[name].to_list() for name in frame.columns], frame.columns)


def as_polars(frame: Any) -> Any:
    """Convert a pandas frame to polars, cell by cell."""

    def column(j: int) -> list[Any]:
        values = known_values(frame.iloc[:, j].tolist())
        return [v.item() if isinstance(v, np.generic) else v for v in values]  # sparse ones mix

    columns = [column(j) for j in range(frame.shape[1])]
    return _polars_frame(columns, [str(name) for name in frame.columns])


def _look_misread(known: list[Any], values: list[Any]) -> bool:
    """Return whether unknown categories suggest that the whole column was read differently.

    That is, they have another type, or there are several. One new category is not suspicious.
    """
    found = {value for value in values if value is not None}
    return len(found) > 1 or not {*map(_sort, found)} & {*map(_sort, known)}


def _sort(value: Any) -> type:
    """Return the type of a category, float for all numbers."""
    return float if isinstance(value, _NUMBERS) and not isinstance(value, bool) else type(value)


# ---- fitting


def fit_table(
    source: Source, categorical_features: Any, many: int | None = MANY_CATEGORIES
) -> Table:
    """Return the ``Table`` of a source; ``categorical_features`` as in ``CouplingFlowDensity``.

    Raise if a column has more than ``many`` categories and more than a fifth of the rows, unless
    ``many`` is None.
    """
    chosen = categorical_columns(source, categorical_features)
    categories = {int(j): _categories(source, j) for j in chosen}
    n_rows, n_columns = source.shape
    if many is not None:
        too_many = [j for j, of in categories.items() if len(of) > max(many, n_rows / 5)]
        if too_many:
            selected = np.isin(np.arange(n_columns), too_many)
            raise ValueError(
                f"Column {name_columns(selected, source.names)} of X has more categories than a "
                f"fifth of the {n_rows} rows. Leave out names and numbers of rows, join rare "
                "categories, or give dates as the days since one of them."
            )
        if isinstance(categorical_features, str):  # who names a column knows what it holds
            _refuse_dates(source, {j: of for j, of in categories.items() if len(of) > many})
    described = []
    if source.names is not None:
        described = [dtypes.describe(source.dtype(j)) for j in range(n_columns)]
    return Table(n_columns, categories, source.container, source.names, described)


def _refuse_dates(source: Source, categories: dict[int, np.ndarray]) -> None:
    """Raise if all of the categories of a column are dates that were read as text."""
    for j, of in categories.items():
        if source.declared(j) is None and all(
            isinstance(value, str) and _DATE.fullmatch(value) for value in of
        ):
            name = name_columns(np.arange(source.shape[1]) == j, source.names)
            raise ValueError(
                f"Column {name} of X holds dates as text, for instance {of[0]!r}, so that each of "
                f"{len(of)} dates would be a category. Give the days since one of them, in pandas "
                "by (pd.to_datetime(column) - pd.Timestamp(2020, 1, 1)).dt.days, or name the "
                "column in categorical_features."
            )


def categorical_columns(source: Source, categorical_features: Any) -> np.ndarray:
    """Return the indices of the categorical columns."""
    n_columns, names = source.shape[1], source.names
    if categorical_features is None:
        return np.array([], dtype=int)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        return np.flatnonzero([source.is_text(j) for j in range(n_columns)])
    given = np.asarray(categorical_features)
    if given.dtype == bool and given.shape == (n_columns,):
        return np.flatnonzero(given)
    places: Sequence[Any] = range(n_columns)
    if given.dtype.kind in "OUS" and names is not None:
        places = names
    wrong = [value for value in given.ravel().tolist() if value not in places]
    if given.ndim != 1 or wrong:
        raise ValueError(
            f"categorical_features={short(categorical_features)} is not possible. Give "
            "'from_dtype', None, or a list of names of columns, of their numbers, or of True and "
            f"False for each. {what_there_is(places, wrong[0] if wrong else '')}"
        )
    return np.array(sorted({list(places).index(value) for value in given.tolist()}), dtype=int)


def _categories(source: Source, j: int) -> np.ndarray:
    """Return the sorted categories that occur in a column, as an array."""
    found = {value for value in source.objects(j) if value is not None}
    declared = source.declared(j)
    if declared is not None:
        values = [value for value in declared if value in found]
    elif found and all(isinstance(value, bool | np.bool_) for value in found):
        values = [False, True]
    else:
        values = sorted(found, key=lambda value: (type(value).__name__, value))
    if values and all(
        isinstance(value, _NUMBERS) and not isinstance(value, bool) for value in values
    ):
        return np.array(values)
    categories = np.empty(len(values), dtype=object)
    categories[:] = values
    return categories
