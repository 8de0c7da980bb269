"""The report of a fill: how certain the missing cells are, from draws of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .._table.table import Table

#: Least draws of a cell for a report; the measures that it has for a column.
LEAST_DRAWS = 20
MEASURES = ["missing", "spread", "explained", "probability"]


def counts(codes: np.ndarray, n_values: int) -> np.ndarray:
    """Return how often each category occurs in draws ``(n, m)``, as ``(n_values, n)``."""
    return np.array([(codes == code).sum(axis=1) for code in range(n_values)])


def certainty(
    codes: np.ndarray,
    draws: Iterable[tuple[np.ndarray, np.ndarray]],
    table: Table,
    variances: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Return a dict of ``MEASURES`` for each column with missing cells, by name.

    ``codes`` ``(n, d)`` are rows of ``table``. ``draws`` are pairs of row indices and their draws
    ``(n, d, m)``. ``variances`` ``(d,)`` are the variances of the columns in ``fit``.
    """
    missing = np.isnan(codes)
    variance, share = np.empty((2, *codes.shape))
    for rows, drawn in draws:
        variance[rows] = drawn.var(axis=2, ddof=1)
        for j, values in table.categories.items():
            most = counts(drawn[:, j], len(values)).max(axis=0)
            share[rows, j] = most / drawn.shape[2]
    lines: dict[str, dict[str, Any]] = {}
    for j in np.flatnonzero(missing.any(axis=0)):
        cells = missing[:, j]
        line: dict[str, Any] = {"missing": int(cells.sum())}
        lines[table.labels[j]] = line
        if j in table.categories:
            line["probability"] = share[cells, j].mean()
        else:
            unknown = variance[cells, j].mean()
            known = variances[j]
            line["spread"] = np.sqrt(unknown)
            line["explained"] = 1 - unknown / known if known > 0 else np.nan
    return lines
