"""Tables with categories, from data frames and arrays, as numbers, and back.

Inside the package such a table is an array of float64 in which a category is its code: its place
in the order of the categories, -1 for one that ``fit`` has not seen, NaN where it is missing.
"""

from dataclasses import dataclass

import numpy as np

from .._support.checks import name_columns
from .._support.saving import saved_as

#: Of a category that is not among those of ``fit``; and what stands for it in a frame.
UNKNOWN, UNKNOWN_LABEL = -1, "(unknown)"
#: Of a category that is missing, and in the discrete part of a table of whatever is.
GAP = -2
#: More categories than this, and than a fifth of the rows, are names of the rows.
MANY_CATEGORIES = 20


@saved_as("categories")
@dataclass
class Categories:
    """The categories of a table, and its looks.

    Attributes
    ----------
    values : dict of int to ndarray
        For each column with categories these in their order.
    ordered : list of int
        Columns whose frame declares an order.
    container : {"pandas", "polars", None}
        What kind of frame the table was, None for an array.
    names : list
        Of the columns of a frame.
    dtypes : list of str
        Of the columns of a frame.
    """

    values: dict
    ordered: list
    container: str | None
    names: list
    dtypes: list

    def encode(self, X, handle_unknown="rare"):
        """The table with codes in place of categories, of the kind that it was given as.

        A table with other columns is left as it is: it is for others to say so.
        """
        if column_names(X) is not None and column_names(X) != self.names:
            return X
        n_columns = len(self.names) if self.names else _n_columns(X)
        if _n_columns(X) != n_columns or n_columns <= max(self.values):
            return X
        codes = {j: self._codes(X, j, handle_unknown) for j in self.values}
        if column_names(X) is None:
            table = np.array(X, dtype=object)
            for j, column in codes.items():
                table[:, j] = column
            return table
        columns = {name: codes.get(j, _column(X, j)) for j, name in enumerate(column_names(X))}
        return type(X)(columns)

    def take(self, columns):
        """Those of the columns that a mask ``(d,)`` selects; None where there are none."""
        place = dict(zip(np.flatnonzero(columns).tolist(), range(columns.sum())))
        values = {place[j]: values for j, values in self.values.items() if j in place}
        ordered = [place[j] for j in self.ordered if j in place]
        named = [[of[j] for j in place] if of else [] for of in (self.names, self.dtypes)]
        return Categories(values, ordered, self.container, *named) if values else None

    def _codes(self, X, j, handle_unknown):
        places = {value: code for code, value in enumerate(self.values[j].tolist())}
        values = values_of(X, j)
        codes = [np.nan if value is None else places.get(value, UNKNOWN) for value in values]
        if handle_unknown == "error" and UNKNOWN in codes:
            name = repr(str(self.names[j])) if self.names else str(j)
            raise ValueError(
                f"Column {name} of X has the category {values[codes.index(UNKNOWN)]!r}, which was "
                "not among those of fit. Correct or leave out such rows, or set "
                "handle_unknown='rare'."
            )
        return np.array(codes, dtype=np.float64)

    def indicators(self, X):
        """Rows ``(n, d)`` with a column of 0 and 1 for each category in place of the codes."""
        columns = [np.delete(X, list(self.values), axis=1)]
        columns += [X[:, [j]] == np.arange(len(found)) for j, found in self.values.items()]
        return np.hstack(columns).astype(np.float64)

    def decode(self, X, original=None):
        """A frame (or an array) with the categories, names and dtypes, from an array of codes.

        The original of which the rows are copies, one after another, names unknown categories.
        """
        columns = [self._decoded(X[:, j], j, original) for j in range(X.shape[1])]
        if self.container == "pandas":
            import pandas

            series = dict(enumerate(map(pandas.Series, columns)))
            return pandas.DataFrame(series).set_axis(self.names, axis=1)
        if self.container == "polars":
            import polars

            return polars.DataFrame(dict(zip(self.names, columns)))
        plain = all(values.dtype.kind in "fiu" for values in self.values.values())
        return np.column_stack(columns).astype(np.float64 if plain else object)

    def decode_draws(self, drawn, original):
        """Draws ``(n, d, m)`` of a table: a list of frames, or an array of the same shape."""
        n_rows, n_columns, n_draws = drawn.shape
        table = self.decode(drawn.transpose(2, 0, 1).reshape(-1, n_columns), original)
        if self.container is None:
            return table.reshape(n_draws, n_rows, n_columns).transpose(1, 2, 0)
        tables = [table[start : start + n_rows] for start in range(0, len(table), n_rows)]
        if self.container == "pandas":
            tables = [table.set_axis(original.index) for table in tables]
        return tables

    def _decoded(self, column, j, original=None):
        """One column as the frame had it."""
        if j in self.values:
            # the last ones are for those that are missing and unknown: GAP and UNKNOWN
            labels = np.concatenate([self.values[j].astype(object), [None, UNKNOWN_LABEL]])
            known = (column >= 0).all()
            codes = np.nan_to_num(column, nan=GAP).astype(int)
            column = labels[codes]
            if original is not None and not known:
                names = np.array(values_of(original, j), dtype=object)
                column = np.where(codes == UNKNOWN, np.resize(names, len(column)), column)
        else:
            known = np.isfinite(column).all()
        if self.container is None or not known:
            return column
        if self.container == "pandas":
            return self._as_pandas(column, j)
        return self._as_polars(column, j)

    def _as_pandas(self, column, j):
        import pandas

        if self.dtypes[j] == "category":
            return pandas.Categorical(column, self.values[j], ordered=j in self.ordered)
        dtype = pandas.api.types.pandas_dtype(self.dtypes[j])
        if pandas.api.types.is_integer_dtype(dtype) and j not in self.values:
            column = integers(column, self.dtypes[j])
        return pandas.Series(column).astype(dtype)

    def _as_polars(self, column, j):
        import polars

        if self.dtypes[j] == "Enum":
            return polars.Series(column.tolist(), dtype=polars.Enum(self.values[j].tolist()))
        dtype = getattr(polars, self.dtypes[j])
        if dtype.is_integer() and j not in self.values:
            column = integers(column, self.dtypes[j])
        column = polars.Series(column.tolist())
        # neither can be cast to: decimals lack their number of digits here
        return column if dtype in (polars.Decimal, polars.Object) else column.cast(dtype)


def integers(column, dtype):
    """The numbers of a column, rounded, as far as a frame's dtype of integers reaches."""
    limits = np.iinfo(dtype.split("[")[0].lower().replace("128", "64"))
    largest = float(limits.max)
    if int(largest) > limits.max:  # the float next to 2**63 - 1 is 2**63
        largest = np.nextafter(largest, 0.0)
    return np.clip(np.rint(column), float(limits.min), largest)


def find_categories(X, categorical_features):
    """The ``Categories`` of a table, or None where it has none.

    ``categorical_features`` is as in ``CouplingFlowDensity``.
    """
    chosen = categorical_columns(X, categorical_features)
    if not len(chosen):
        return None
    values = {int(j): _categories(X, j) for j in chosen}
    names = column_names(X)
    n_rows = len(X)
    many = {j: len(v) > max(MANY_CATEGORIES, n_rows / 5) for j, v in values.items()}
    if any(many.values()):
        selected = np.array([many.get(j, False) for j in range(_n_columns(X))])
        raise ValueError(
            f"Column {name_columns(selected, names)} of X has more categories than a fifth of the "
            f"{n_rows} rows. Leave out names and numbers of rows, join rare categories, or "
            "give dates as the days since one of them."
        )
    if names is None:
        return Categories(values, [], None, [], [])
    container = "pandas" if hasattr(X, "iloc") else "polars"
    dtypes = [str(_column(X, j).dtype).split("(")[0] for j in range(len(names))]
    ordered = [j for j in values if getattr(_column(X, j).dtype, "ordered", False)]
    return Categories(values, ordered, container, names, dtypes)


def categorical_columns(X, categorical_features):
    """Numbers of the columns with categories."""
    names = column_names(X)
    if categorical_features is None:
        return np.array([], dtype=int)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        found = [] if names is None else [_is_text(_column(X, j)) for j in range(len(names))]
        return np.flatnonzero(found)
    given = np.asarray(categorical_features)
    if given.dtype == bool and given.shape == (_n_columns(X),):
        return np.flatnonzero(given)
    places = range(_n_columns(X))
    if given.dtype.kind in "OUS" and names is not None:
        places = names
    wrong = [value for value in given.ravel().tolist() if value not in places]
    if given.ndim != 1 or wrong:
        raise ValueError(
            f"categorical_features={categorical_features!r} is not possible. Give 'from_dtype', "
            "None, or a list of names of columns, of their numbers, or of True and False for each; "
            f"the columns are {list(places)[:10]}."
        )
    return np.array(sorted({list(places).index(value) for value in given.tolist()}), dtype=int)


def _is_text(column):
    """Whether the dtype of a frame's column is that of categories, text or truth values."""
    name = str(column.dtype).lower()
    if name == "object":
        values = [value for value in column.to_list() if not _is_missing(value)]
        return bool(values) and all(isinstance(value, str | bool) for value in values)
    return name.startswith(("cat", "enum", "str", "bool", "large_string"))


def _categories(X, j):
    """The categories of a column in their order, as an array."""
    column = _column(X, j)
    declared = getattr(getattr(column, "dtype", None), "categories", None)
    if declared is not None and len(declared) and column_names(X) is not None:
        return np.array(list(declared), dtype=object)
    found = {value for value in values_of(X, j) if value is not None}
    if found <= {False, True} and all(isinstance(value, bool | np.bool_) for value in found):
        found = {False, True}
    values = sorted(found, key=lambda value: (type(value).__name__, value))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return np.array(values, dtype=np.float64 if numbers else object)


def values_of(X, j):
    """The values of a column as a list, with None where one is missing."""
    column = _column(X, j)
    values = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return [None if _is_missing(value) else value for value in values]


def _is_missing(value):
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value


def column_names(X):
    """Names of a frame's columns as a list, None for anything else."""
    framed = hasattr(X, "columns") and (hasattr(X, "dtypes") or hasattr(X, "schema"))
    return list(X.columns) if framed else None


def take_columns(X, columns):
    """A table of some of the columns, which a mask selects."""
    if hasattr(X, "iloc"):
        return X.loc[:, columns]
    chosen = np.flatnonzero(columns)
    return X[:, chosen.tolist()] if column_names(X) is not None else np.asarray(X)[:, chosen]


def _column(X, j):
    if hasattr(X, "iloc"):
        return X.iloc[:, j]
    if column_names(X) is not None:
        return X[X.columns[j]]
    return np.asarray(X)[:, j]


def _n_columns(X):
    names = column_names(X)
    if names is not None:
        return len(names)
    shape = np.shape(X)
    return shape[1] if len(shape) == 2 else 0
