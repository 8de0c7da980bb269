"""Fitting to rows with gaps: draw and refit.

The gaps are drawn from a density given what is known, a density is fitted to the rows so filled,
the gaps are drawn anew from this one, and so on: stochastic EM (Celeux and Diebolt 1985). It starts
with draws from each column by itself and with mixtures, which take no time, of groups of rows where
there is a discrete part; then flows follow that are trained for a fraction of the epochs.
"""

import warnings

import numpy as np

from .._core.checks import name_columns
from .._core.patterns import patterns
from .._core.weights import at
from .._models.components import fit_components
from .._models.factor_model import is_dense
from .._models.fitting import Rows, fit_real_columns
from .._models.groups import component_fitter
from .._models.mixture import Mixture
from .._nn.training_data import check_single_precision
from .._table.bounds import Bounds
from .._table.columns import fit_columns
from .questions import MOST_NUMBERS, QUICK, sample_given

#: Rounds with mixtures and with flows, before the last fit; part of the epochs of such a flow.
N_MIXTURES, N_FLOWS = 6, 3
PART_OF_EPOCHS, LEAST_EPOCHS = 0.25, 3
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


def fill_gaps(X, schema, weight, rng, fit, column_options):
    """The rows ``(n, d)`` with their gaps drawn from densities fitted to them.

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
    if len(schema.sizes):
        filled = fill_with_groups(X, schema, weight, rng, column_options)
    else:
        filled = fill_with_mixtures(X, weight, rng, column_options)
    for _ in range(N_FLOWS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last fit warns of what there is to say
            density = fit(filled, rng.randint(2**31 - 1))
            filled = _redrawn(X, filled, density, rng)
    return filled


def _redrawn(X, filled, density, rng):
    """The rows with their gaps drawn anew, but in columns of which one value only is known."""
    drawn = sample_given(density, X, 1, rng, QUICK)[0][:, :, 0]
    return np.where(_constant(X), filled, drawn)


def _check_columns(X, column_options):
    names, bounds = column_options["names"], column_options["bounds"]
    unknown = np.isnan(X).all(axis=0)
    if unknown.any():
        raise ValueError(
            f"Nothing is known of column {name_columns(unknown, names)} of X: all values are NaN. "
            "Leave it out."
        )
    Bounds(*bounds).check(X, names)


def _constant(X):
    """Which columns have one value only, as far as it is known."""
    return np.nanmin(X, axis=0) == np.nanmax(X, axis=0)


def fill_by_columns(X, weight, rng):
    """The rows with their gaps drawn from each column alone."""
    missing = np.isnan(X)
    filled = X.copy()
    for j in np.flatnonzero(missing.any(axis=0)):
        known = ~missing[:, j]
        parts = None if weight is None else weight[known] / weight[known].sum()
        filled[missing[:, j], j] = rng.choice(X[known, j], missing[:, j].sum(), p=parts)
    return filled


def fill_with_groups(X, schema, weight, rng, column_options):
    """The rows of a table with a discrete part, with their gaps drawn from mixtures in turn.

    They are the density of such a table without a flow: the chain, and a mixture for each group.
    """
    filled = fill_by_columns(X, weight, rng)
    for _ in range(N_MIXTURES):
        columns = fit_real_columns(filled, schema, weight, **column_options)
        rows = Rows(filled, weight, schema, columns, rng.randint(2**31 - 1))
        U = rows.complete()
        check_single_precision(U)
        fit = component_fitter(U, rows.context, weight)
        names = [_mixture_for(*U.shape)]
        components = fit(U, rows.context, weight, rng, 0.0, names)
        density = rows.density(Mixture({"flow": None, **components}, np.array([0.0, 1.0])))
        filled = _redrawn(X, filled, density, rng)
    return filled


def _mixture_for(n_rows, n_features):
    many = is_dense(n_rows, n_features) and n_rows > _ROWS_A_COLUMN * n_features
    return "mixture_8" if many else "gaussian"


def fill_with_mixtures(X, weight, rng, column_options):
    """The rows with their gaps drawn from each column alone, and from mixtures in turn."""
    missing, filled = np.isnan(X), fill_by_columns(X, weight, rng)
    columns = fit_columns(filled, weight, **column_options)
    U = columns.spread(filled, rng)[0]
    check_single_precision(U)
    name = _mixture_for(*X.shape)
    known = ~missing
    incomplete = [rows for pattern, rows in patterns(known) if not pattern.all()]
    incomplete = np.concatenate([*incomplete, np.zeros(0, dtype=int)]).astype(int)
    for _ in range(N_MIXTURES):
        mixture = fit_components(U, weight, rng, names=[name])[name]
        for rows in np.array_split(incomplete, 1 + len(incomplete) // _rows_at_once(mixture)):
            U[rows] = _completed(mixture, U[rows], known[rows], rng)
    drawn = columns.draws(U)
    return np.where(missing & ~_constant(X), drawn, filled)


def _rows_at_once(mixture):
    n_ellipses, n_columns = mixture.centres.shape
    return 1 + MOST_NUMBERS // (2 * n_ellipses * n_columns**2)


def _completed(mixture, U, known, rng):
    """Rows with their unknown cells drawn anew."""
    n_rows, n_columns = U.shape
    choice, radius = rng.uniform(size=(2, n_rows))
    normal = rng.standard_normal((n_rows, n_columns))
    return mixture.conditionals(U, known).place(np.arange(n_rows), choice, normal, radius)
