"""The parts of a table in a fit: real rows for the flow, and what they are conditional on."""

import numpy as np

from .._densities.columns import fit_columns
from .._densities.components import fit_components
from .._densities.density import Density
from .chain import fit_chain
from .groups import fit_grouped_components, fit_groups
from .mixed import MixedDensity, given_of


def fit_real_columns(X, kinds, weight, *, bounds, names, **options):
    """The ``Columns`` of the real part of a table ``(n, d)``; ``kinds`` may be None.

    ``bounds`` are those of all columns, and ``names`` their names, or None.
    """
    if kinds is None:
        return fit_columns(X, weight, bounds=bounds, names=names, **options)
    bounded = np.isfinite(bounds).any(axis=0)[kinds.category_columns]
    if bounded.any():
        column = kinds.category_columns[bounded.argmax()]
        raise ValueError(
            f"bounds gives ends to column {column if names is None else repr(names[column])}, "
            "which holds categories. Leave it out of bounds, or of categorical_features."
        )
    if not len(kinds.real_columns):
        raise ValueError(
            "All columns of X hold categories, and there is nothing for a flow to model. Give at "
            "least one column of real numbers, or count the rows of each kind."
        )
    real = filled(kinds.split(X)[1])
    bounds = tuple(ends[kinds.real_columns] for ends in bounds)
    names = None if names is None else names[kinds.real_columns]
    spikes = kinds.spikes[kinds.real_columns]
    return fit_columns(real, weight, bounds=bounds, names=names, spikes=spikes, **options)


def filled(real):
    """The real part ``(n, r)``, where it is absent with the column's other values in turn."""
    real = real.copy()
    for column in real.T:
        absent = np.isnan(column)
        column[absent] = np.resize(column[~absent], absent.sum())
    return real


class NumbersAlone:
    """A table of which all columns are real: nothing is given."""

    context, given, n_given = None, (), 0
    flow_config: dict[str, int] = {}
    fit = staticmethod(fit_components)

    def __init__(self, X):
        self.real = X

    def context_at(self, rows):
        return None

    def complete(self, U):
        """The standardised rows, none of whose numbers are absent."""
        return U

    def density(self, columns, flow, components, weights, device):
        return Density(columns, flow, components, weights, device)


class GivenDiscrete:
    """A table with a discrete part, on which the real one is conditional.

    Attributes
    ----------
    real : ndarray of shape (n, r)
        NaN where it is absent.
    context : ndarray of shape (n, c)
        The discrete part as numbers.
    given : tuple of Given
    chain : Chain
        Of the discrete part.
    """

    def __init__(self, X, kinds, weight, streams):
        self.kinds, self.streams = kinds, streams
        discrete, self.real = kinds.split(X)
        conditions = given_of(kinds, discrete)
        self.given, self.context = (conditions,), conditions.context
        self.n_given, self.groups = discrete.shape[1], None
        self.flow_config = {"n_context": self.context.shape[1]}
        open_ended = np.arange(len(kinds.sizes)) < len(kinds.category_columns)
        self.chain = fit_chain(discrete, kinds.sizes, weight, streams("discrete"), open_ended)

    def context_at(self, rows):
        return self.context[rows]

    def complete(self, U):
        """The standardised rows, with normal noise where a number is absent."""
        return np.where(np.isnan(U), self.streams("absent").standard_normal(U.shape), U)

    def fit(self, U, weight, rng, noise, names, given):
        """Components fitted to complete rows; the groups are found at the first call, for all."""
        if self.groups is None:
            self.groups = fit_groups(U, given, weight)
        return fit_grouped_components(self.groups, U, weight, rng, noise, names, given)

    def density(self, columns, flow, components, weights, device):
        return MixedDensity(self.kinds, self.chain, columns, flow, components, weights, device)
