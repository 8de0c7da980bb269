"""Regions of a table: conditions on its columns.

A condition is a value, a range, or one or several categories. Conditions are stored as numbers and
codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.checks import name_columns, what_there_is

if TYPE_CHECKING:
    from .._table.table import Table


@dataclass
class Region:
    """Conditions on the columns of a table.

    Attributes
    ----------
    lower, upper : ndarray of shape (d,)
        Ends of ranges, which include both; infinite for open ends and for categories.
    codes : dict of int to ndarray
        The allowed categories of categorical columns with a condition.
    exact : ndarray of bool, shape (d,)
        Columns with a single value, which the density is conditional on.
    """

    lower: np.ndarray
    upper: np.ndarray
    codes: dict[int, np.ndarray]
    exact: np.ndarray

    @property
    def is_everything(self) -> bool:
        """Return whether there are no conditions."""
        return not (self.codes or np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def contains(self, X: np.ndarray) -> np.ndarray:
        """Return which rows ``(n, d)`` satisfy the conditions."""
        inside = np.all((self.lower <= X) & (self.upper >= X), axis=1)
        for j, codes in self.codes.items():
            inside &= np.isin(X[:, j], codes)
        return inside

    def also(self, other: Region) -> Region | None:
        """Return the region where both hold, or None if they contradict each other."""
        codes = {**self.codes, **other.codes}
        for j in self.codes.keys() & other.codes.keys():
            codes[j] = np.intersect1d(self.codes[j], other.codes[j])
        lower = np.maximum(self.lower, other.lower)
        upper = np.minimum(self.upper, other.upper)
        if (lower > upper).any() or not all(len(found) for found in codes.values()):
            return None
        return Region(lower, upper, codes, self.exact)


def region_of(table: Table, conditions: Any, argument: str, exact: bool = True) -> Region:
    """Return the ``Region`` of a dict of conditions.

    Parameters
    ----------
    table : Table
    conditions : dict
        From column names (or indices, without names) to conditions.
    argument : str
        Name of the dict in messages.
    exact : bool
        Whether a single number is a value to condition on, or a range of a single value.
    """
    if not isinstance(conditions, dict):
        raise ValueError(
            f"{argument}={conditions!r} is not possible. Give a dict from columns to conditions: a "
            "value, a pair (low, high) with None for an open end, or a set or list of categories."
        )
    infinite = np.full(table.n_columns, np.inf)
    region = Region(-infinite, infinite, {}, np.zeros(table.n_columns, dtype=bool))
    names = list(range(table.n_columns)) if table.names is None else table.names
    for name, condition in conditions.items():
        if name not in names:
            raise ValueError(
                f"{argument} names {name!r}, which is not a column. {what_there_is(names, name)}"
            )
        j = names.index(name)
        if j in table.categories:
            region.codes[j] = _codes(table, j, condition, argument)
        else:
            region.lower[j], region.upper[j] = _ends(name, condition, argument)
            region.exact[j] = exact and np.ndim(condition) == 0
    return region


def _codes(table: Table, j: int, condition: Any, argument: str) -> np.ndarray:
    """Return the codes of the categories that a condition allows."""
    known = table.categories[j].tolist()
    several = isinstance(condition, (set, frozenset, list, tuple, np.ndarray))
    wanted = list(condition) if several else [condition]
    strange = [value for value in wanted if value not in known]
    if strange or not wanted:
        raise ValueError(
            f"{argument} asks for {condition!r} in column "
            f"{name_columns(np.arange(table.n_columns) == j, table.names)}. "
            f"{what_there_is(known, strange[0] if strange else '', 'categories')} "
            "Give one or several of them."
        )
    return np.unique([known.index(value) for value in wanted])


def _ends(name: Any, condition: Any, argument: str) -> tuple[float, float]:
    """Return the ends of the range of a condition on a column of numbers."""
    ends = condition if isinstance(condition, (tuple, list)) else (condition, condition)
    if len(ends) == 2 and not isinstance(condition, str):
        low, high = (
            infinite if end is None else end for end, infinite in zip(ends, (-np.inf, np.inf))
        )
        try:
            low, high = float(low), float(high)
        except (TypeError, ValueError):
            low = high = np.nan
        if low <= high and low < np.inf and high > -np.inf:
            return low, high
    raise ValueError(
        f"{argument} has {condition!r} for column {name!r}, which holds numbers. Give a number, or "
        "a pair (low, high) with low <= high, None for an open end."
    )
