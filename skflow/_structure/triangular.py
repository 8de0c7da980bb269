"""The triangular layout: one feature a layer, conditioned on those before it in an order."""

from __future__ import annotations

import numpy as np

from .._core.typing import ArrayLike
from .._nn.mask_arrays import IDLE, tidy
from .derived_order import causes_first, derive_parents
from .layout import Layout
from .structures import check_rows

ORDERS = ("derived", "random", "given")
PARENTS = ("all", "derived")


class Triangular(Layout):
    """Layout: each layer transforms one feature, conditioned on those before it in an order.

    This is the autoregressive flow as a structure: the density is the product of those of each
    feature given the ones before it. A pass over the features begins with the last of the order,
    so that every feature is conditioned on values that no layer has changed yet; features behind it
    are idle. Where a table comes from a mechanism, an order can be right or wrong: given its
    causes, the density of a feature is simple, and given its effects it need not be.

    The estimator's `n_layers` counts passes, so a flow has ``n_layers * n_features`` layers, each
    with a conditioner of its own. Beside six coupling layers of the default network, a pass over 10
    features has three quarters of the parameters and takes as long to train; one over 40 has 1.3
    times the parameters and takes 3 times as long, one over 80 1.6 and 5 times. To score a row
    takes about the same (``examples/benchmarks/triangular.py``).

    Parameters
    ----------
    order : {"derived", "random", "given"} or array of int, shape (n_features,), default="derived"
        Numbers of the features, causes first. "derived": from the data, without training, that of
        the graph in which the features given their parents have the shortest code, by regressions
        of their values and of the log-size of what remains. "random": drawn. "given": as the
        columns stand.
    parents : {"all", "derived"}, default="all"
        Whether all features before one condition it, or those that shorten its code by more than
        they cost (their slopes, as in the Bayesian information criterion).

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Triangular(order=[1, 0, 2]).make(1, 3)
    array([[ 0,  0,  1],
           [ 1,  0, -1],
           [-1,  1, -1]], dtype=int8)
    """

    def __init__(self, order: str | ArrayLike = "derived", parents: str = "all") -> None:
        self.order = order
        self.parents = parents

    def n_masks(self, n_layers: int, n_features: int) -> int:
        """Number of layers, ``n_layers * n_features``."""
        return n_layers * n_features

    def _make(self, n_layers, n_features, rng, X):
        if self.parents not in PARENTS:
            raise ValueError(f"parents={self.parents!r} is not known. Use one of {PARENTS}.")
        order = self._order(n_features, rng)
        if order is None or self.parents == "derived":
            parents = derive_parents(check_rows(X, n_features), rng, order)
            order = causes_first(parents) if order is None else order
        if self.parents == "derived":
            given = [parents[j] for j in order]
        else:
            given = [order[:i] for i in range(n_features)]
        return tidy(np.tile(triangle(order, given), (n_layers, 1)))

    def _order(self, n_features, rng):
        """The order, None where it is to be derived."""
        if isinstance(self.order, str):
            if self.order not in ORDERS:
                raise ValueError(
                    f"order={self.order!r} is not known. Use one of {', '.join(map(repr, ORDERS))} "
                    "or the numbers of the features, causes first."
                )
            if self.order == "derived":
                return None
            return rng.permutation(n_features) if self.order == "random" else np.arange(n_features)
        order = np.asarray(self.order)
        if order.shape != (n_features,) or (np.sort(order) != np.arange(n_features)).any():
            raise ValueError(
                f"order={self.order!r} is no order of {n_features} features. Give each number from "
                f"0 to {n_features - 1} once."
            )
        return order


def triangle(order, given):
    """Roles ``(d, d)`` of one pass: the features of an order, each given some of those before it.

    The last feature comes first, while those before it are as the data have them.
    """
    roles = np.full((len(order), len(order)), IDLE)
    for layer, (feature, causes) in zip(roles[::-1], zip(order, given)):
        layer[feature], layer[causes] = 1, 0
    return roles


def parents_of(masks):
    """Which features condition which: boolean ``(d, d)``, row i those that condition feature i."""
    parents = np.zeros((masks.shape[1], masks.shape[1]), dtype=bool)
    for layer in masks:
        parents[np.ix_(layer == 1, layer == 0)] = True
    return parents
