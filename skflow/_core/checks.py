"""Checks of rows and arguments, with messages that say what to do."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from sklearn.utils import check_random_state

from .typing import ArrayLike, Names, RandomState

#: Cells of a table that are checked at once.
_CHECKED_AT_ONCE = 2**20
#: Most names that a message lists.
MOST_LISTED = 10
#: Dtypes of tables that are cast part by part; others are cast to the first as a whole.
FLOATS = [np.float64, np.float32, np.float16]
#: Types with a missing value that differs from itself.
_UNEQUAL = (float, np.floating, Decimal, np.datetime64, np.timedelta64)
#: Packages whose files are not the user's.
_PACKAGES = (Path(__file__).parents[1], Path(sklearn.__file__).parent, Path(joblib.__file__).parent)
_INSIDE = tuple(map(str, _PACKAGES))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's line, also where scikit-learn's pipelines and searches lie between."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def checked_state(random_state: RandomState) -> np.random.RandomState:
    """Return the RandomState for the argument of a method."""
    try:
        return check_random_state(random_state)
    except ValueError:
        raise ValueError(
            f"random_state={random_state!r} is not possible. Give None, an integer >= 0 or a "
            "numpy.random.RandomState."
        ) from None


def check_count(name: str, value: int) -> None:
    """Raise unless an argument is an integer of at least 1."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} is not possible. Give an integer >= 1.")


def check_part(name: str, value: float) -> None:
    """Raise unless an argument is a number between 0 and 1."""
    if not isinstance(value, Real) or not 0 < value < 1:
        raise ValueError(f"{name}={value!r} is not possible. Give a number between 0 and 1.")


def check_finite(rows: np.ndarray, names: Names = None, allow_nan: bool = False) -> np.ndarray:
    """Return the rows; raise if a cell is infinite or, without ``allow_nan``, NaN."""

    def wrong(values: np.ndarray) -> np.ndarray:
        return np.isinf(values) if allow_nan else ~np.isfinite(values)

    size = max(1, _CHECKED_AT_ONCE // rows.shape[1])
    if any(wrong(rows[i : i + size]).any() for i in range(0, len(rows), size)):
        bad = wrong(rows)
        what, how = "infinity", "Leave these rows or columns out, or replace the values."
        if np.isnan(rows[bad]).any():
            what = "NaN"
            how = "Leave these rows or columns out, or fill in the missing cells first."
        raise ValueError(
            f"Input X contains {what} in {bad.any(axis=1).sum()} of {len(rows)} rows, in column "
            f"{name_columns(bad.any(axis=0), names)}. {how}"
        )
    return rows


def name_columns(selected: ArrayLike, names: Names) -> str:
    """Return the names or indices of the first ten selected columns as text."""
    found = [j if names is None else names[j] for j in np.flatnonzero(selected).tolist()]
    shown = [repr(str(name)) if isinstance(name, str) else str(name) for name in found]
    return ", ".join(shown[:MOST_LISTED]) + (", ..." if len(found) > MOST_LISTED else "")


def warn_of(found: Iterable[tuple[np.ndarray, str]], names: Names) -> None:
    """Warn about columns; ``found`` are pairs of a mask ``(d,)`` and a description."""
    for selected, what in found:
        if selected.any():
            start = "Column {} is" if selected.sum() == 1 else "Each of the columns {} is"
            warn(f"{start.format(name_columns(selected, names))} {what}")


def what_there_is(known: Iterable[Any], wanted: Any, what: str = "columns") -> str:
    """Return a sentence with the known names, after an unknown one was given.

    Of many names, only the closest ones, or the first and the last.
    """
    known = list(known)
    if len(known) <= MOST_LISTED:
        return f"The {what} are {', '.join(map(repr, known))}."
    names = {str(name): name for name in known}
    near = [repr(names[name]) for name in get_close_matches(str(wanted), names)]
    if near and isinstance(wanted, str):
        return f"Did you mean {' or '.join(near)}? There are {len(known)} {what}."
    return f"There are {len(known)} {what}, from {known[0]!r} to {known[-1]!r}."


def is_missing(value: Any) -> bool:
    """Return whether a value is missing."""
    if value is None or value is np.ma.masked or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, _UNEQUAL) and value != value


def known_values(values: Iterable[Any]) -> list[Any]:
    """Return values as a list, None where missing."""
    return [None if is_missing(value) else value for value in values]
