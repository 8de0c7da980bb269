"""Fitting to rows with missing cells: draw and refit.

The missing cells are drawn from a density given what is known, a density is fitted to the rows so
filled, the missing cells are drawn anew from this one, and so on: stochastic EM (Celeux and Diebolt
1985). It starts with draws from each column by itself and with mixtures, which take no time, of
groups of rows where there is a discrete part; then a flow follows that is trained for a fraction of
the epochs. Of its draws the last flow sees several for each row, in turn, so that it learns no
single one by heart.
"""

import warnings

import numpy as np

from .._core.checks import name_columns
from .._core.deadline import clock, share_of_time, time_left, time_limit
from .._core.rows import at
from .._models.factor_model import is_dense
from .._models.fitting import Rows, fit_real_columns
from .._models.groups import component_fitter
from .._models.mixture import Mixture
from .._nn.training_data import check_single_precision
from .._table.bounds import Bounds
from .questions import QUICK, sample_given

#: Rounds with mixtures, and rows that these are fitted to at most; part of the epochs of the flow
#: before the last one; times that its draws fill a row.
N_MIXTURES, MOST_ROWS = 6, 2000
PART_OF_EPOCHS, LEAST_EPOCHS = 0.25, 3
#: Part of the time that is left which the mixtures may take; what is left after them for a flow to
#: follow, as a multiple of what they took; the part that its draws may take.
PART_OF_MIXTURES, LEAST_TIMES, PART_OF_DRAWS = 0.2, 4, 0.15
N_COPIES = 8
_ROWS_A_COLUMN = 20  # that 8 clusters need


def rows_with_values(X, weight):
    """The rows of which anything is known, and their weights (or None)."""
    known = ~np.isnan(X).all(axis=1)
    if known.sum() < 2:
        raise ValueError(
            f"Something is known of {known.sum()} of {len(X)} rows of X (those of weight 0 left "
            "out); at least 2 need a value. Others are NaN in all columns."
        )
    return (X, weight) if known.all() else (X[known], at(weight, known))


def fill_missing(X, schema, weight, rng, fit, column_options):
    """Rows with their missing cells drawn, as by ``draw_missing``, from a density fitted to them.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        With codes for categories.
    schema : Schema
    weight : ndarray of shape (n,) or None
    rng : RandomState
    fit : callable
        What fits the density of a round to filled rows, with a seed.
    column_options : dict
        Of ``fit_real_columns``.
    """
    _check_columns(X, column_options)
    started = clock()
    filled, density = fill_with_mixtures(X, schema, weight, rng, column_options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last fit warns of what there is to say
        if time_left() > LEAST_TIMES * (clock() - started):
            density = fit(filled, rng.randint(2**31 - 1))
        return draw_missing(density, X, rng, filled)


def draw_missing(density, X, rng, filled=None):
    """Rows ``(n, d, N_COPIES)`` with missing cells drawn, and log-densities ``(n, N_COPIES)``.

    Columns of which one value only is known get what they have in ``filled``, and so do rows for
    which there is no time; without it all are drawn.
    """
    effort = QUICK._replace(in_time=filled is not None)
    with time_limit(share_of_time(PART_OF_DRAWS)):
        drawn = sample_given(density, X, N_COPIES, rng, effort)[0]
    if filled is not None:
        drawn = np.where(np.isnan(drawn), filled[:, :, None], drawn)
    copies = np.moveaxis(drawn, 2, 0).reshape(-1, X.shape[1])
    log_q = density.log_prob(copies).reshape(N_COPIES, -1).T
    return (drawn if filled is None else _but_constants(X, filled[:, :, None], drawn)), log_q


def _but_constants(X, filled, drawn):
    """Draws, but filled values in columns of which one value only is known."""
    constant = np.nanmin(X, axis=0) == np.nanmax(X, axis=0)
    return np.where(constant.reshape(-1, *[1] * (drawn.ndim - 2)), filled, drawn)


def _check_columns(X, column_options):
    names, bounds = column_options["names"], column_options["bounds"]
    unknown = np.isnan(X).all(axis=0)
    if unknown.any():
        raise ValueError(
            f"Nothing is known of column {name_columns(unknown, names)} of X: all values are NaN. "
            "Leave it out."
        )
    Bounds(*bounds).check(X, names)


def fill_by_columns(X, weight, rng):
    """The rows with their missing cells drawn from each column alone."""
    missing = np.isnan(X)
    filled = X.copy()
    for j in np.flatnonzero(missing.any(axis=0)):
        known = ~missing[:, j]
        parts = None if weight is None else weight[known] / weight[known].sum()
        filled[missing[:, j], j] = rng.choice(X[known, j], missing[:, j].sum(), p=parts)
    return filled


def fill_with_mixtures(X, schema, weight, rng, column_options):
    """The rows with their missing cells drawn from each column alone, and from mixtures in turn.

    They are the density of a table without a flow: the chain of the discrete part, and a mixture
    for each group of rows. Of a long table they are fitted to some of the rows, and the last one,
    which is returned too, fills the others.
    """
    started, seconds = clock(), PART_OF_MIXTURES * time_left()
    filled = fill_by_columns(X, weight, rng)
    some = np.arange(len(X))
    if len(X) > MOST_ROWS:
        some = np.sort(rng.choice(len(X), MOST_ROWS, replace=False))
    parts = at(weight, some)
    for k in range(N_MIXTURES):
        is_last = k == N_MIXTURES - 1 or clock() - started > seconds
        columns = fit_real_columns(filled[some], schema, parts, **column_options)
        rows = Rows(filled[some], parts, schema, columns, rng.randint(2**31 - 1))
        U = rows.complete()
        check_single_precision(U)
        fit = component_fitter(U, rows.context, parts)
        components = fit(U, rows.context, parts, rng, 0.0, [_mixture_for(*U.shape)])
        density = rows.density(Mixture({"flow": None, **components}, np.array([0.0, 1.0])))
        asked = slice(None) if is_last else some
        drawn = sample_given(density, X[asked], 1, rng, QUICK)[0][:, :, 0]
        filled[asked] = _but_constants(X, filled[asked], drawn)
        if is_last:
            break
    return filled, density


def _mixture_for(n_rows, n_features):
    many = is_dense(n_rows, n_features) and n_rows > _ROWS_A_COLUMN * n_features
    return "mixture_8" if many else "gaussian"
