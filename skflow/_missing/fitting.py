"""Fitting to rows with missing cells: draw and refit.

This is stochastic EM (Celeux and Diebolt 1985): missing cells are drawn given the known ones, a
density is fitted to the filled rows, the cells are drawn again from this density, and so on. The
first draws come from each column alone, the next from mixtures, which are fast to fit (one for each
group of rows if there is a discrete part), and the last from a flow that is trained for a fraction
of the epochs. The final flow sees several of its draws for each row, in turn, so that it does not
overfit to a single one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.checks import name_columns
from .._core.deadline import clock, share_of_time, time_left, time_limit
from .._models.ellipses import drawn_of
from .._models.factor_model import is_dense
from .._models.fitting import fit_component
from .._models.mixture import at
from .._table.bounds import Bounds
from .questions import QUICK, sample_given

if TYPE_CHECKING:
    from .._models.density import Density
    from .._models.ellipses import Drawn
    from .._table.schema import Schema

#: Rounds with mixtures and most rows to fit these to; fraction of the epochs of the flow before the
#: last one, and number of its draws of each row.
N_MIXTURES, MOST_ROWS = 6, 2000
PART_OF_EPOCHS, LEAST_EPOCHS = 0.25, 3
#: Fraction of the time left that the mixtures may take; a flow follows if the time left after them
#: is at least this multiple of theirs; fraction of the time left for its draws.
PART_OF_MIXTURES, LEAST_TIMES, PART_OF_DRAWS = 0.2, 4, 0.15
N_COPIES = 8
_ROWS_A_COLUMN = 50  # enough for 8 clusters, if many cells are drawn


def rows_with_values(
    X: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the rows with a known value, and their weights (or None)."""
    known = ~np.isnan(X).all(axis=1)
    if known.sum() < 2:
        raise ValueError(
            f"{known.sum()} of {len(X)} rows of X (without those of weight 0) have a known value; "
            "at least 2 are needed. The others are NaN in all columns."
        )
    return (X, weight) if known.all() else (X[known], at(weight, known))


def fill_missing(
    X: np.ndarray,
    schema: Schema,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    fit: Callable[[np.ndarray, int], Density],
    column_options: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Fit densities to rows in turn, and return the rows as ``draw_missing`` does.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows of codes.
    schema : Schema
    weight : ndarray of shape (n,) or None
    rng : RandomState
    fit : callable
        Fits a density to filled rows, with a seed.
    column_options : dict
        Arguments of ``fit_real_columns``.
    """
    _check_columns(X, column_options)
    started = clock()
    filled, density = fill_with_mixtures(X, schema, weight, rng, column_options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last fit warns
        if time_left() > LEAST_TIMES * (clock() - started):
            density = fit(filled, rng.randint(2**31 - 1))
        return draw_missing(density, X, rng, filled)


def draw_missing(
    density: Density, X: np.ndarray, rng: np.random.RandomState, filled: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows ``(n, d, N_COPIES)`` with drawn cells, and log-densities ``(n, N_COPIES)``.

    Columns with a single known value are copied from ``filled``, and so are rows that there is no
    time for. Without ``filled`` all rows are drawn.
    """
    effort = QUICK._replace(in_time=filled is not None)
    with time_limit(share_of_time(PART_OF_DRAWS)):
        drawn = sample_given(density, X, N_COPIES, rng, effort)[0]
    if filled is not None:
        drawn = np.where(np.isnan(drawn), filled[:, :, None], drawn)
    log_q, whole = np.empty((len(X), N_COPIES)), ~np.isnan(X).any(axis=1)
    if whole.any():
        log_q[whole] = density.log_prob(X[whole])[:, None]  # all copies are equal
    copies = np.moveaxis(drawn[~whole], 2, 0).reshape(-1, X.shape[1])
    log_q[~whole] = density.log_prob(copies).reshape(N_COPIES, -1).T
    return (drawn if filled is None else _but_constants(X, filled[:, :, None], drawn)), log_q


def _but_constants(X: np.ndarray, filled: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return draws, with filled values in columns with a single known value."""
    constant = np.nanmin(X, axis=0) == np.nanmax(X, axis=0)
    return np.where(constant.reshape(-1, *[1] * (drawn.ndim - 2)), filled, drawn)


def _check_columns(X: np.ndarray, column_options: dict[str, Any]) -> None:
    names, bounds = column_options["names"], column_options["bounds"]
    unknown = np.isnan(X).all(axis=0)
    if unknown.any():
        raise ValueError(
            f"All values of column {name_columns(unknown, names)} of X are NaN. Leave it out."
        )
    Bounds(*bounds).check(X, names)


def fill_by_columns(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.RandomState
) -> np.ndarray:
    """Return the rows with missing cells drawn from each column alone."""
    missing = np.isnan(X)
    filled = X.copy()
    for j in np.flatnonzero(missing.any(axis=0)):
        known = ~missing[:, j]
        parts = None if weight is None else weight[known] / weight[known].sum()
        filled[missing[:, j], j] = rng.choice(X[known, j], missing[:, j].sum(), p=parts)
    return filled


def fill_with_mixtures(
    X: np.ndarray,
    schema: Schema,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    column_options: dict[str, Any],
) -> tuple[np.ndarray, Density]:
    """Return the rows with missing cells drawn from each column, then from mixtures in turn.

    A mixture is a density without a flow: the chain of the discrete part, and ellipses for each
    group of rows. In a long table mixtures are fitted to some of the rows. The last one fills the
    others and is returned, too. On few rows it is a Gaussian, for several copies of the rows.
    """
    started, seconds = clock(), PART_OF_MIXTURES * time_left()
    first = fill_by_columns(X, weight, rng)
    some = np.arange(len(X))
    if len(X) > MOST_ROWS:
        some = np.sort(rng.choice(len(X), MOST_ROWS, replace=False))
    asked, parts = X[some], at(weight, some)
    name, n_rounds, drawn = _mixture_for(asked, schema)
    others = [fill_by_columns(X, weight, rng) for _ in range(drawn.n_copies - 1)]
    filled = np.stack([first, *others], axis=2)[some]
    for k in range(n_rounds):
        density = fit_component(name, filled, parts, schema, rng, column_options, drawn)
        if k == n_rounds - 1 or clock() - started > seconds:
            break
        found = sample_given(density, asked, drawn.n_copies, rng, QUICK)[0]
        filled = _but_constants(X, filled, found)
    return _but_constants(X, first, sample_given(density, X, 1, rng, QUICK)[0][:, :, 0]), density


def _mixture_for(X: np.ndarray, schema: Schema) -> tuple[str, int, Drawn]:
    """Return the component for rows, the number of rounds, and the ``Drawn`` of their copies."""
    real, n_rows = schema.split(X)[1], len(X)
    name, n_rounds, n_copies = "gaussian", N_MIXTURES, 1
    if is_dense(*real.shape):
        if n_rows > _ROWS_A_COLUMN * real.shape[1]:
            name = "mixture_8"
        elif not len(schema.sizes):
            n_rounds, n_copies = 2 * N_MIXTURES, max(1, min(N_COPIES, MOST_ROWS // n_rows))
    return name, n_rounds, drawn_of(real, n_copies)
