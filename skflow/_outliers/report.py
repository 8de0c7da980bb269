"""Reasons in words: why a row is unusual, for people who do not know the method.

The sentence of a row names its first column, the value, its *partner*, and usual values. The
partner is the column against which the value stands out most in a plot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._table.table import UNKNOWN, UNKNOWN_LABEL, Table

if TYPE_CHECKING:
    import pandas as pd

#: Least contribution of a reason: the value is 20 times less likely than usual ones.
LEAST_NATS = 3.0
#: Most columns that a report names for a row.
N_REASONS = 3
#: Most decimals of a number, and significant digits relative to the spread of the column.
MOST_DECIMALS, DIGITS = 6, 3
#: Rows near to a row in one column: at least so many, and this fraction of all. A value stands out
#: if it is so many deviations off a line through them, or a category of at most this fraction.
LEAST_NEAR, PART_NEAR, FAR, RARE = 20, 0.05, 2.5, 0.05
#: Most missing columns that are named.
MOST_NAMED = 3
NO_COLUMN = "no single column"


@dataclass
class Reasons:
    """The reasons why rows are unusual, and usual values.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        The rows, as codes.
    nats : ndarray of shape (n, d)
        The contributions from ``explain_rows``.
    usual : ndarray of shape (n, d, 2)
        The usual values from ``explain_rows``.
    outlier : ndarray of bool, shape (n,)
        Whether ``predict`` calls the rows outliers.
    seen : ndarray of shape (m, d)
        Some rows of fit, as codes.
    ends : ndarray of shape (2, d)
        Lowest and highest values of all rows of fit.
    table : Table
    unseen : dict
        The categories that ``fit`` did not see, by row and column.
    """

    X: np.ndarray
    nats: np.ndarray
    usual: np.ndarray
    outlier: np.ndarray
    seen: np.ndarray
    ends: np.ndarray
    table: Table
    unseen: dict[tuple[int, int], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.varies = np.nanmin(self.seen, axis=0) < np.nanmax(self.seen, axis=0)
        self.order = np.argsort(-self.nats, axis=1, kind="stable")
        self.decimals = [
            0 if j in self.table.categories else decimals(self.seen[:, j])
            for j in range(self.X.shape[1])
        ]

    def columns(self, i: int) -> list[int]:
        """Return the indices of the columns that are reasons of row ``i``, the largest first."""
        return [j for j in self.order[i] if self.nats[i, j] >= LEAST_NATS]

    def shown(self, value: float, j: int) -> Any:
        """Return a value of column ``j`` with the column's rounding, or a category's label."""
        if np.isnan(value):
            return np.nan
        if j in self.table.categories:
            return UNKNOWN_LABEL if value == UNKNOWN else self.table.categories[j][int(value)]
        return rounded(value, self.decimals[j])

    def cell(self, i: int, j: int) -> Any:
        """Return the value of row ``i`` in column ``j``, as ``shown`` or as the user wrote it."""
        return self.unseen[i, j] if (i, j) in self.unseen else self.shown(self.X[i, j], j)

    def text(self, value: Any, j: int) -> str:
        """Return a value that is ``shown`` as text."""
        n = self.decimals[j]
        # more digits for a value that the column's rounding would change
        if isinstance(value, float):
            own = abs(value) < 1e15 and value == round(value, n)
            return f"{value:.{n}f}" if own else f"{value:.3g}"
        return str(value)

    def sentence(self, i: int) -> str:
        """Return the reason of row ``i`` as a sentence."""
        columns = self.columns(i)
        if not columns:
            what = "the values are unusual only together" if self.outlier[i] else "nothing unusual"
            return f"{NO_COLUMN}: {what}{self._unknown(i)}"
        j = columns[0]
        name, value = self.table.labels[j], self.text(self.cell(i, j), j)
        said = "; ".join(filter(None, [self._what(i, j), self.usual_text(i, j)]))
        return f"{name} {value}: {said}{self._unknown(i)}"

    def _what(self, i: int, j: int) -> str:
        value, (lowest, highest) = self.X[i, j], self.ends[:, j]
        if j in self.table.categories and value == UNKNOWN:
            return "not among the categories of fit"
        if j not in self.table.categories and not lowest <= value <= highest:
            return f"{'lower' if value < lowest else 'higher'} than in all rows of fit"
        k = self.partner(i, j)
        if k is None:
            return "unusual in such a row"
        return f"unusual with {self.table.labels[k]} {self.text(self.cell(i, k), k)}"

    def usual_text(self, i: int, j: int) -> str:
        """Return the usual values of row ``i`` in column ``j`` as text, empty if unknown."""
        ends = self.usual[i, j]
        if np.isnan(ends).any():
            return ""
        low, high = (self.text(self.shown(end, j), j) for end in ends)
        if low == high:
            return f"usually {low}"
        return f"mostly {low}" if j in self.table.categories else f"usually {low} to {high}"

    def _unknown(self, i: int) -> str:
        missing = np.flatnonzero(np.isnan(self.X[i]))
        if not len(missing):
            return ""
        if len(missing) > MOST_NAMED:
            return f" ({len(missing)} values are missing)"
        return f" (missing: {', '.join(str(self.table.labels[j]) for j in missing)})"

    def partner(self, i: int, j: int, always: bool = False) -> int | None:
        """Return the column against which the value of row ``i`` in column ``j`` stands out most.

        The value is compared with seen rows that are alike in the other column. Return None if it
        does not stand out, unless ``always``.
        """
        categories, found = self.table.categories, {}
        for k in np.flatnonzero(~np.isnan(self.X[i]) & self.varies).tolist():
            pair = self.seen[:, [k, j]]
            pair = pair[~np.isnan(pair).any(axis=1)]
            if k != j and (near := _near(pair, self.X[i, k], k in categories)) is not None:
                value = self.X[i, j]
                if j in categories:  # its rarity, as a negative logarithm
                    found[k] = -np.log((np.sum(near[:, 1] == value) + 0.5) / (len(near) + 1))
                else:
                    found[k] = _distance(near, self.X[i, k], value, k in categories)
        if not found:
            return None
        best = max(found, key=found.__getitem__)
        least = -np.log(RARE) if j in categories else FAR
        return best if always or found[best] >= least else None


def _near(pair: np.ndarray, value: float, is_category: bool) -> np.ndarray | None:
    """Return rows whose first column is near ``value``, None if too few have that category."""
    if is_category:
        near = pair[pair[:, 0] == value]
        return near if len(near) >= LEAST_NEAR else None
    n_near = max(LEAST_NEAR, int(PART_NEAR * len(pair)))
    return pair[np.argsort(np.abs(pair[:, 0] - value), kind="stable")[:n_near]]


def _distance(near: np.ndarray, at: float, value: float, is_category: bool) -> float:
    """Return the distance of ``value`` from a line through rows, in deviations of the rows."""
    x, y = near.T
    slope = 0.0
    if not is_category and np.ptp(x) > 0:
        slope = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    rest = y - slope * (x - at)
    deviation = np.median(np.abs(rest - np.median(rest))) * 1.4826 + 1e-3 * np.ptp(y)
    distance = abs(value - np.median(rest))
    return distance / max(deviation, np.finfo(float).tiny)


def decimals(column: np.ndarray) -> int:
    """Return how many decimals a column has, or needs to show its differences."""
    known = column[np.isfinite(column)]
    for n in range(MOST_DECIMALS):
        # single precision, but not every digit of a number that is far from 0
        near = np.minimum(1e-7 * np.abs(known), 0.01 * 10.0**-n)
        if (np.abs(np.round(known, n) - known) <= near).all():
            return n
    spread = np.subtract(*np.quantile(known, [0.9, 0.1])) or np.ptp(known)
    needed = DIGITS - 1 - int(np.floor(np.log10(spread))) if spread > 0 else MOST_DECIMALS
    return int(np.clip(needed, 0, MOST_DECIMALS))


def rounded(value: float, n: int) -> float:
    """Return a number with ``n`` decimals, or with two digits if it would round to 0."""
    value = float(value)
    short = round(value, n)
    if short == 0 != value:
        return float(f"{value:.2g}")
    return int(short) if n == 0 and abs(short) < 1e15 else short


def make_report(table: pd.DataFrame, reasons: Reasons, details: bool) -> pd.DataFrame:
    """Add the first reason of each row to a table, and more reasons with ``details``."""
    n_rows, n_columns = reasons.X.shape
    for k in range(min(N_REASONS, n_columns) if details else 1):
        end = "" if k == 0 else f"_{k + 1}"
        cells = [_cells(reasons, i, k) for i in range(n_rows)]
        names = ["column", "value", "usual_from", "usual_to"]
        for name, values in zip(names, zip(*cells)):
            table[name + end] = np.array(values, dtype=object)
        if k == 0:
            table["reason"] = [reasons.sentence(i) for i in range(n_rows)]
        if details:
            named = [reasons.columns(i)[k : k + 1] for i in range(n_rows)]
            nats = [reasons.nats[i, j[0]] if j else np.nan for i, j in enumerate(named)]
            table["nats" + end] = nats
    return table


def _cells(reasons: Reasons, i: int, k: int) -> tuple[Any, ...]:
    """Return name, value and usual values of the ``k``-th reason of a row."""
    columns = reasons.columns(i)
    if k >= len(columns):
        return NO_COLUMN if k == 0 else "", np.nan, np.nan, np.nan
    j = columns[k]
    usual = (reasons.shown(value, j) for value in reasons.usual[i, j])
    return reasons.table.labels[j], reasons.cell(i, j), *usual
