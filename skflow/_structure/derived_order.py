"""A causal graph derived from the data: the parents of each feature, and an order.

A structural equation whose noise does not depend on the causes, or only by its scale, has a short
code in the causal direction only. So the score of a graph is the sum of the code lengths of the
features given their parents. Edges are added one by one, the one that saves most first (Bühlmann,
Peters and Ernest, "CAM: Causal Additive Models", Annals of Statistics 42, 2014). For linear
equations with normal noise both directions are equally short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .derived import linear_coupling, looked_at

if TYPE_CHECKING:
    from .structures import Rng

#: Number of knots of a regression on a feature.
N_KNOTS = 5
#: Number of slopes for one parent, of shift and log-size.
PER_PARENT = 2 * (1 + N_KNOTS)
#: Mean log-density of a draw from the standard normal.
_NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


def derive_parents(X: np.ndarray, rng: Rng, order: np.ndarray | None = None) -> list[list[np.intp]]:
    """Return the parents of each feature, a list of lists without cycles.

    Edges are added as long as they save more than their slopes cost (as in the Bayesian information
    criterion), with an ``order`` only from earlier features.
    """
    X = looked_at(X, rng)
    n, d = X.shape
    bases = [_bent(x) for x in X.T]
    place = np.arange(d) if order is None else np.argsort(order)
    excluded = np.eye(d, dtype=bool) if order is None else place[:, None] >= place
    parents: list[list[np.intp]] = [[] for _ in range(d)]
    price = PER_PARENT * math.log(n) / (2 * n)
    now = np.array([code(X[:, j], []) for j in range(d)])
    leads = np.eye(d, dtype=bool)  # leads[i, j]: there is a path from i to j
    saved = np.full((d, d), -np.inf)

    def weigh(j: int | np.intp) -> None:
        for i in np.flatnonzero(~(excluded[:, j] | leads[j])):
            given = [bases[k] for k in (*parents[j], i)]
            saved[i, j] = now[j] - code(X[:, j], given)

    for j in range(d):
        weigh(j)
    while saved.max() > price:
        i, j = np.unravel_index(saved.argmax(), saved.shape)
        parents[j].append(i)
        now[j] -= saved[i, j]
        excluded[i, j] = True
        leads |= np.outer(leads[:, i], leads[j])
        saved[excluded | leads.T] = -np.inf
        weigh(j)
    return parents


def causes_first(parents: list[list[np.intp]]) -> np.ndarray:
    """Return an order ``(d,)`` in which every feature comes after its parents."""
    order, left = [], list(range(len(parents)))
    while left:
        first = next(j for j in left if not set(parents[j]) & set(left))
        left.remove(first)
        order.append(first)
    return np.array(order)


def code(x: np.ndarray, bases: Sequence[np.ndarray]) -> float:
    """Return the code length of a feature ``(n,)`` given bases of others, in nats a row.

    It lacks a constant. The value and the log-size of its residual are predicted by sums of
    piecewise linear functions; the standardised residual is coded by its own distribution.
    """
    given = np.hstack(bases) if bases else np.empty((len(x), 0))
    length, residuals = linear_coupling(x[:, None], given)
    return length + entropy(residuals[:, 0]) - _NORMAL_ENTROPY


def _bent(x: np.ndarray) -> np.ndarray:
    """Return a piecewise linear basis of a column, standardised ``(n, 1 + N_KNOTS)``."""
    knots = np.quantile(x, np.linspace(0, 1, N_KNOTS + 2)[1:-1])
    bent = np.column_stack([x, *(np.abs(x - knot) for knot in knots)])
    return (bent - bent.mean(axis=0)) / (bent.std(axis=0) + 1e-9)


def entropy(x: np.ndarray) -> float:
    """Return the differential entropy of values ``(n,)`` in nats (Vasicek 1976).

    It is estimated from the spacings of the sorted values. A floor keeps repeated values from
    having an infinitely short code.
    """
    n, x = len(x), np.sort(x)
    m = round(math.sqrt(n) + 0.5)
    places = np.arange(n)
    distances = x[np.minimum(places + m, n - 1)] - x[np.maximum(places - m, 0)]
    return np.log(np.maximum(distances * n / (2 * m), 1e-3)).mean()
