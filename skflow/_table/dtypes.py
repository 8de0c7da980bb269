"""Dtypes of the columns of frames as plain values that any file can hold, and back.

A description is a tuple: the kind of dtype and its arguments.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np


def describe(dtype: Any) -> tuple[Any, ...] | None:
    """Return a dtype of pandas or polars as a tuple of plain values; None stays None."""
    if dtype is None:
        return None
    if hasattr(dtype, "is_numeric"):
        return _describe_polars(dtype)
    return _describe_pandas(dtype)


def _describe_pandas(dtype: Any) -> tuple[Any, ...]:
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype):
        categories = dtype.categories
        return "category", categories.tolist(), describe(categories.dtype), bool(dtype.ordered)
    if isinstance(dtype, pandas.SparseDtype):
        return "sparse", describe(dtype.subtype), np.asarray(dtype.fill_value).item()
    if isinstance(dtype, pandas.StringDtype):
        return "string", dtype.storage, dtype.na_value is pandas.NA
    if isinstance(dtype, pandas.ArrowDtype):
        import pyarrow

        schema = pyarrow.schema([("column", dtype.pyarrow_dtype)])
        return "arrow", schema.serialize().to_pybytes()
    return "named", str(dtype)  # the name is enough for numbers


def _pandas_dtype(described: tuple[Any, ...]) -> Any:
    import pandas

    kind, *of = described
    if kind == "category":
        categories = pandas.Index(of[0], dtype=_pandas_dtype(of[1]))
        return pandas.CategoricalDtype(categories, ordered=of[2])
    if kind == "sparse":
        return pandas.SparseDtype(_pandas_dtype(of[0]), of[1])
    if kind == "string":
        # before its version 3 pandas has a storage of its own for text with NaN
        options = {} if of[1] or of[0] == "pyarrow_numpy" else {"na_value": np.nan}
        return pandas.StringDtype(of[0], **options)
    if kind == "arrow":
        import pyarrow

        schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(of[0]))
        return pandas.ArrowDtype(schema.field(0).type)
    return pandas.api.types.pandas_dtype(of[0])


def _describe_polars(dtype: Any) -> tuple[Any, ...]:
    import polars

    if dtype == polars.Enum:
        return "Enum", dtype.categories.to_list()
    if dtype == polars.Decimal:
        return "Decimal", dtype.precision, dtype.scale
    return (dtype.base_type().__name__,)


def _polars_dtype(described: tuple[Any, ...]) -> Any:
    import polars

    kind, *of = described
    return getattr(polars, kind)(*of)


# ---- numbers


def pandas_numbers(column: np.ndarray, described: tuple[Any, ...]) -> Any:
    """Return real numbers as a series of the dtype, as far as it can hold them."""
    import pandas

    is_integer, is_bool = (
        getattr(pandas.api.types, f"is_{kind}_dtype") for kind in ("integer", "bool")
    )
    dtype = _pandas_dtype(described)
    known = np.isfinite(column).all()
    if isinstance(dtype, pandas.CategoricalDtype) or not known:
        return pandas.Series(column)
    if is_bool(dtype):
        return pandas.Series(column >= 0.5).astype(dtype)
    if is_integer(dtype):
        width = getattr(dtype, "subtype", None) or getattr(dtype, "numpy_dtype", dtype)
        limits = np.iinfo(width)
        return pandas.Series(integers(column, limits.min, limits.max)).astype(dtype)
    arrow: Any = getattr(dtype, "pyarrow_dtype", None)
    if hasattr(arrow, "scale"):
        return pandas.Series(decimals(column, arrow.precision, arrow.scale), dtype=dtype)
    return pandas.Series(column).astype(dtype)


def polars_numbers(column: np.ndarray, described: tuple[Any, ...]) -> Any:
    """Return real numbers as a series of the dtype, as far as it can hold them."""
    import polars

    dtype = _polars_dtype(described)
    if not np.isfinite(column).all() or not (dtype.is_numeric() or dtype == polars.Boolean):
        return polars.Series(column)
    if dtype == polars.Boolean:
        return polars.Series(column >= 0.5)
    if dtype == polars.Decimal:
        return polars.Series(decimals(column, dtype.precision, dtype.scale), dtype=dtype)
    if dtype.is_integer():
        width = polars.Series([0], dtype=dtype).to_numpy().dtype
        limits = np.iinfo(width if width.kind in "iu" else np.int64)  # NumPy has none of 128 bits
        column = integers(column, limits.min, limits.max)
    return polars.Series(column).cast(dtype)


def integers(column: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    """Return the numbers of a column rounded and clipped to a range of integers."""
    largest = float(highest)
    if int(largest) > highest:  # the float next to 2**63 - 1 is 2**63
        largest = np.nextafter(largest, 0.0)
    return np.clip(np.rint(column), float(lowest), largest)


def decimals(column: np.ndarray, precision: int | None, scale: int) -> list[Decimal]:
    """Return the numbers of a column as decimals, clipped to the precision."""
    most = 10 ** (precision or 38) - 1
    exact = (Decimal(repr(value)).scaleb(scale) for value in column.tolist())
    return [Decimal(max(-most, min(most, round(value)))).scaleb(-scale) for value in exact]


# ---- labels


def pandas_labels(labels: list[Any], strange: bool, described: tuple[Any, ...]) -> Any:
    """Return categories as a series of the dtype; ``strange``: ``fit`` did not see some."""
    import pandas

    dtype, missing = _pandas_dtype(described), None in labels
    if isinstance(dtype, pandas.CategoricalDtype):
        fits = {*labels} - {None} <= {*dtype.categories}
    elif isinstance(dtype, np.dtype):
        fits = dtype.kind == "O" or not (missing or strange)
    else:
        fits = not strange or isinstance(dtype, pandas.StringDtype)
    if (
        fits
        and not missing
        and not strange
        and pandas.api.types.is_numeric_dtype(dtype)
        and not pandas.api.types.is_bool_dtype(dtype)
    ):
        return pandas_numbers(np.array(labels, dtype=np.float64), described)
    return pandas.Series(labels, dtype=dtype if fits else object)


def polars_labels(labels: list[Any], strange: bool, described: tuple[Any, ...]) -> Any:
    """Return categories as a series of the dtype; ``strange``: ``fit`` did not see some."""
    import polars

    dtype = _polars_dtype(described)
    if not strange or dtype in (polars.String, polars.Categorical):
        return polars.Series(labels, dtype=dtype)
    text = all(isinstance(label, str | None) for label in labels)
    return polars.Series(labels, dtype=polars.String if text else polars.Object)
