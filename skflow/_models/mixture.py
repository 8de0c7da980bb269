"""A mixture of models: the one form that every fitted density has.

A model is an object with

``heavy_tailed``
    Whether it has heavy tails, so that it always keeps some weight.
``log_prob(U, context=None)``
    Log-densities ``(n,)`` in nats of rows ``(n, d)`` in standardised units, given their
    ``Context``, if there is one.
``sample(n_samples, rng, context=None)``
    Exact draws ``(n_samples, d)``, one for each row of the context.
``log_prob_in_turn(U, context=None)``, optional
    As ``log_prob``, but each row is asked of one part of the model, the next row of the next part:
    for means over many rows, in a fraction of the time.

The flow is a model like the others. Models whose marginals and conditionals have closed forms have
``conditionals`` as well (``components.py``); the others are asked by weighted draws.

Where a number is absent, at a spike, the models see independent normal noise in its place, and
the context says so. The density of the numbers that are there is the marginal over the noise,

    p(there | context) = E[p(there, noise | context) / N(noise)],    noise ~ N(0, I),

whose integrand hardly varies, as the models have learned that the noise is independent: the mean
over a few fixed quasi-random places is nearly exact. On two tables (a spike in one column, and in
three) 16 and 32 places are off by 0.02 nats a row, 8 by 0.02 and 0.07, 4 by 0.03 and 0.08.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import logsumexp, ndtri

from .._core.random import sobol
from .._core.rows import at
from .._core.runtime import map_blocks
from .._core.saving import saved_as
from .._nn.blocks import blocks

#: Places of the noise where a number is absent, a power of 2.
N_PLACES = 16


@dataclass(eq=False)
class Context:
    """What the densities of rows are conditional on: features, a discrete part, or both.

    Attributes
    ----------
    numbers : ndarray of shape (n, c)
        What networks and regressions see.
    discrete : ndarray of int, shape (n, q)
        The discrete part, which decides the group of a row; q is 0 where there is none.
    absent : ndarray of bool, shape (n, d)
        Where a row has no number: it is at a spike.
    """

    numbers: np.ndarray
    discrete: np.ndarray
    absent: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows) -> Context:
        return Context(self.numbers[rows], self.discrete[rows], self.absent[rows])


def features_alone(C: np.ndarray, n_targets: int) -> Context:
    """The context of targets that are conditional on features ``(n, c)`` alone."""
    n_rows = len(C)
    return Context(C, np.zeros((n_rows, 0), dtype=int), np.zeros((n_rows, n_targets), dtype=bool))


@saved_as("mixture")
@dataclass(eq=False)
class Mixture:
    """Models and their weights.

    Attributes
    ----------
    models : dict
        From names to models, the flow first. One of weight 0 may be None.
    weights : ndarray of shape (n_models,)
        At least 0; they add up to 1.
    """

    models: dict
    weights: np.ndarray

    @property
    def numbers_per_row(self):
        """Numbers that a row needs in the widest tensors, by which rows are computed in blocks."""
        return sum(getattr(model, "numbers_per_row", 1) for model in self.models.values())

    def log_prob(self, U, context=None, n_places=N_PLACES):
        """Log-density ``(n,)`` of rows in standardised units; absent numbers may be anything."""
        if context is None or not context.absent.any():
            return self.log_prob_of_all(U, context)
        log_prob = np.empty(len(U))
        some = context.absent.any(axis=1)
        if not some.all():
            log_prob[~some] = self.log_prob_of_all(U[~some], context[~some])
        rows = np.flatnonzero(some)
        log_prob[rows] = np.concatenate(
            map_blocks(
                lambda block: self._marginal(U[rows[block]], context[rows[block]], n_places),
                blocks(len(rows), n_places * self.numbers_per_row),
            )
        )
        return log_prob

    def log_prob_of_all(self, U, context, in_turn=False):
        """As ``log_prob``, of the numbers and of the noise where they are absent."""
        terms = []
        for model, weight in zip(self.models.values(), self.weights):
            if weight > 0:  # the others need not be evaluated
                ask = model.log_prob
                if in_turn:
                    ask = getattr(model, "log_prob_in_turn", ask)
                terms.append(ask(U, context) + math.log(weight))
        return logsumexp(terms, axis=0)

    def _marginal(self, U, context, n_places):
        places, absent = normal_places(n_places, U.shape[1]), context.absent
        filled = np.where(absent, places[:, None], U).reshape(-1, U.shape[1])
        terms = self.log_prob_of_all(filled, context[np.tile(np.arange(len(U)), n_places)])
        terms = terms.reshape(n_places, len(U)) - log_noise(places) @ absent.T
        return logsumexp(terms, axis=0) - math.log(n_places)

    def sample(self, n_samples, rng, context=None):
        """Draws ``(n_samples, d)`` in standardised units, one for each row of the context."""
        chosen = rng.choice(len(self.models), n_samples, p=self.weights)
        parts = []
        for j, model in enumerate(self.models.values()):
            rows = np.flatnonzero(chosen == j)
            if len(rows):
                parts.append(model.sample(len(rows), rng, at(context, rows)))
        return np.concatenate(parts)[chosen.argsort(kind="stable").argsort()]


def log_noise(U):
    """Log-densities, number by number, of the noise that stands where numbers are absent."""
    return -0.5 * (U**2 + math.log(2 * math.pi))


@lru_cache
def normal_places(n_places, n_columns):
    """Fixed quasi-random standard normal places ``(n_places, n_columns)``."""
    return ndtri(sobol(n_places, n_columns))
