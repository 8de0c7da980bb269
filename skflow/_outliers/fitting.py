"""The fit of scorers to folds of the rows, each row being new to one of the fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from .._core.checks import name_columns, warn, warn_of
from .._core.deadline import in_turn, share_of_time, time_limit
from .._core.random import RandomStreams
from .._models.fitting import fit_flows
from .._models.stacking import fold_sizes
from .._nn.training_data import split_rows
from .._table.columns import constant_columns, copied_columns, count_values, few_valued
from ..density import CouplingFlowDensity
from .detectors import can_score, fit_scorer, given_parts
from .fitted import whole

if TYPE_CHECKING:
    from .._table.table import Table

#: Each density is fitted so many times, to all folds of the rows except the one that it scores.
N_FOLDS = 4


def check_pairs(densities: list[Any]) -> None:
    names = [pair[0] for pair in densities if isinstance(pair, tuple) and len(pair) == 2]
    if not names or len(names) < len(densities) or len({*names}) < len(names):
        raise ValueError(
            f"density={densities!r} is not possible. Give one density, or a list of pairs "
            '("name", density), each name once.'
        )
    for name, density in densities:
        if not can_score(density):
            raise ValueError(
                f"The density named {name!r} is {density!r}, but must have the methods fit and "
                "score_samples, or be a detector with decision_function. Give a flow, a mixture, a "
                "pipeline that ends with one, ..."
            )


def check_whole(X: np.ndarray, several: bool, names: np.ndarray | None) -> None:
    """Raise if too few rows are complete, and warn if less than half are."""
    n_whole, least = whole(X).sum(), 2 * N_FOLDS if several else 2
    often = np.isnan(X).mean(axis=0)
    if n_whole < min(least, len(X)):
        named = name_columns(often == often.max(), names)
        raise ValueError(
            f"Only {n_whole} of {len(X)} rows to fit to have no missing cell, but at least "
            f"{least} are needed. Leave out columns that are often missing (first {named}), or "
            "fill in the missing cells first (FlowImputer)."
        )
    if several and n_whole < len(X) / 2:
        warn(
            f"Only {n_whole} of {len(X)} rows to fit to have no missing cell. Flows are fitted "
            "to these rows, and the nearest rows and the tails to all rows."
        )


def warn_of_columns(X: np.ndarray, real: np.ndarray, names: np.ndarray | None) -> None:
    """Warn about real columns that can make a row an outlier alone."""
    X, names = X[:, real], names if names is None else names[real]
    constant = constant_columns(X)
    few = (
        "of few values, at most one in 20 rows. A row can be an outlier by a rare one alone, "
        "or by one that is inconsistent with the rest of the row; leave out codes, years and "
        "the like if that is not what you look for."
    )
    same = "constant: a row with any other value there is an outlier, whatever else it has."
    copied = (
        "a copy of another column, perhaps in another unit: rows in which the two differ are "
        "outliers, and others are harder to find. Leave the copies out."
    )
    selected = (
        few_valued(count_values(X), len(X)) & ~constant,
        constant,
        copied_columns(X) & ~constant,
    )
    warn_of(zip(selected, (few, same, copied)), names)


def folds(n_rows: int, rng: np.random.RandomState) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the held-out rows of each fold, and the other rows, as lists of arrays.

    The folds have equal sizes, so that flows of all folds can be members of one stack. So some rows
    may be in two folds.
    """
    if n_rows < 2 * N_FOLDS:
        raise ValueError(
            f"Several densities are fitted to {N_FOLDS} folds of the rows, which needs at least "
            f"{2 * N_FOLDS} rows besides any set aside, but there are {n_rows}. Give more rows, or "
            "a single density."
        )
    size = -(-n_rows // N_FOLDS)
    order = rng.permutation(n_rows)
    held_out = [order[np.arange(f * size, (f + 1) * size) % n_rows] for f in range(N_FOLDS)]
    return held_out, [np.setdiff1d(order, rows) for rows in held_out]


def fit_scorers(
    densities: list[tuple[str, Any]],
    X: np.ndarray,
    every_row: np.ndarray,
    table: Table,
    others: list[np.ndarray],
    default: bool,
) -> tuple[dict[str, list[Any]], list[str]]:
    """Fit every density to the rows outside each fold.

    Parameters
    ----------
    densities : list of (str, estimator)
    X : ndarray of shape (n, d)
        Codes of the rows that all scorers can take.
    every_row : ndarray of shape (m, d)
        Codes of all rows, for scorers that can take missing cells.
    table : Table
    others : list of ndarray
        The rows outside each fold.
    default : bool
        Whether all densities are ours, and take codes. Others get tables in the format of ``fit``.

    Returns
    -------
    fitted : dict of str to list of estimator
        One estimator for each fold, or a single one if it scores its own rows like others.
    of_codes : list of str
        Names of the densities that are fitted to codes.
    """
    fitted, of_codes = {}, []
    # scorers without max_time, such as the nearest rows, take little time
    trained = [any("max_time" in key for key in one.get_params()) for _, one in densities]
    for k, (name, density) in enumerate(densities):
        flow = _bare_flow(density)
        if default or flow is not None:
            of_codes.append(name)
        parts = [X[rows] for rows in others]
        if hasattr(density, "score_own_rows"):
            parts = [every_row]
        part_of_time = share_of_time(0.9 / max(1, sum(trained[k:])))
        with time_limit(part_of_time), given_parts(density, table, X):
            if flow is not None:
                flows = fit_flow_to_folds(flow, X, table, others)
                fitted[name] = [_behind(f, density, rows) for f, rows in zip(flows, parts)]
            else:
                fitted[name] = [
                    fit_scorer(clone(density), rows if default else table.frame(rows))
                    for rows in in_turn(parts)
                ]
    return fitted, of_codes


def _bare_flow(density: Any) -> CouplingFlowDensity | None:
    """Return the flow if the density, or the first step of its pipeline, is a bare one, or None.

    A flow is not bare if it has components, which need separate weights, or its own list of
    categorical columns.
    """
    first = density.steps[0][1] if isinstance(density, Pipeline) else density
    if not isinstance(first, CouplingFlowDensity) or first.component_weight != 0:
        return None
    return first if isinstance(first.categorical_features, str) else None


def fit_flow_to_folds(
    flow: CouplingFlowDensity, X: np.ndarray, table: Table, others: list[np.ndarray]
) -> list[CouplingFlowDensity]:
    """Return a flow for each fold, trained in one stack on other rows, with early stopping."""
    first = clone(flow)._use_table(table)
    seed = int(check_random_state(first.random_state).randint(2**31 - 1))
    schema, columns = first._columns_of(X, seed=seed)[1:3]
    outside = torch.from_numpy(np.stack(others))
    fraction = fold_sizes(flow, len(X), X.shape[1], 1)[1]
    rows, stop = split_rows(outside.shape[1], len(outside), fraction, RandomStreams(seed))
    splits = outside.gather(1, rows), None if stop is None else outside.gather(1, stop)
    fits = fit_flows(first, first._layout(), X, schema, columns, splits, seed=seed)
    return [clone(flow)._use_table(table)._with_fit(fitted) for fitted in fits]


def _behind(flow: CouplingFlowDensity, density: Any, codes: np.ndarray) -> Any:
    """Return a fitted flow, or the pipeline that starts with it, with the other steps fitted."""
    if not isinstance(density, Pipeline):
        return flow
    rest = clone(density[1:]).fit(flow._density.to_latent(codes))
    return Pipeline([(density.steps[0][0], flow), *rest.steps])
