"""Fitting to rows with gaps: draw and refit.

The gaps are drawn from a density given what is known, a density is fitted to the rows so filled,
the gaps are drawn anew from this one, and so on: stochastic EM (Celeux and Diebolt 1985). It starts
with draws from each column by itself and with mixtures, which take no time; then flows follow that
are trained for a fraction of the epochs.
"""

import warnings

import numpy as np

from .._densities.bounds import Bounds
from .._densities.columns import fit_columns
from .._densities.components import fit_components
from .._densities.factor_model import is_dense
from .._densities.weights import at
from .._flows.training_data import check_single_precision
from .._support.checks import name_columns
from .._support.patterns import patterns
from .importance import QUICK
from .questions import sample_given

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


def fill_gaps(X, weight, rng, flow, column_options):
    """The rows ``(n, d)`` with their gaps drawn from densities fitted to them.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    weight : ndarray of shape (n,) or None
    rng : RandomState
    flow : estimator
        The density of a round, unfitted.
    column_options : dict
        Of ``fit_columns``.
    """
    _check_columns(X, column_options)
    filled = fill_with_mixtures(X, weight, rng, column_options)
    for _ in range(N_FLOWS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last fit warns of what there is to say
            flow.set_params(random_state=rng.randint(2**31 - 1))
            flow.fit(filled, sample_weight=weight)
            drawn = sample_given(flow._density, X, 1, rng, QUICK)[0][:, :, 0]
        filled = np.where(_constant(X), filled, drawn)
    return filled


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


def fill_with_mixtures(X, weight, rng, column_options):
    """The rows with their gaps drawn from each column alone, and from mixtures in turn."""
    missing = np.isnan(X)
    filled = X.copy()
    for j in np.flatnonzero(missing.any(axis=0)):
        known = ~missing[:, j]
        parts = None if weight is None else weight[known] / weight[known].sum()
        filled[missing[:, j], j] = rng.choice(X[known, j], missing[:, j].sum(), p=parts)
    columns = fit_columns(filled, weight, **column_options)
    U = columns.forward(columns.spread(filled, rng))[0]
    check_single_precision(U)
    n_rows, n_features = X.shape
    many = is_dense(n_rows, n_features) and n_rows > _ROWS_A_COLUMN * n_features
    name = "mixture_8" if many else "gaussian"
    incomplete = [(p, rows) for p, rows in patterns(~missing) if not p.all()]
    for _ in range(N_MIXTURES):
        mixture = fit_components(U, weight, rng, names=[name])[name]
        for known, rows in incomplete:
            answers = mixture.conditionals(known).given(U[np.ix_(rows, known)])
            U[np.ix_(rows, ~known)] = answers.sample(rng)
    drawn = columns.to_grid(columns.inverse(U))
    return np.where(missing & ~_constant(X), drawn, filled)
