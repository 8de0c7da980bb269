"""An order of the features derived from the data, causes first, and the parents of each.

A structural equation with noise that does not depend on the causes, or scales with them, is short
to write in its own direction only: given its effects, the distribution of a cause is bent. So an
order is scored by the sum of the code lengths of each feature given those before it. For linear
equations with normal noise that sum is the same for all orders; everything else tells them apart.
"""

import math

import numpy as np

from .derived import linear_coupling, looked_at

#: Times that all neighbours in the order are compared at most.
MAX_SWEEPS = 20
#: Values of a feature at which a regression on it may bend.
N_KNOTS = 5
#: Slopes that belong to one parent, of shift and log-size.
PER_PARENT = 2 * (1 + N_KNOTS)
#: Log-density of a draw from the standard normal, on average.
_NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


def derive_order(X, rng):
    """Numbers of the features, causes first.

    It starts with those whose pairs with others are shorter to write when they come first, and
    exchanges neighbours as long as the code gets shorter.
    """
    X = looked_at(X, rng)
    d = X.shape[1]
    alone = np.array([code(X, j, []) for j in range(d)])
    given = np.array([[0.0 if i == j else code(X, j, [i]) for j in range(d)] for i in range(d)])
    first = alone[:, None] + given  # i, then j given i
    order = list(np.argsort((first - first.T).sum(axis=1), kind="stable"))
    known = {}

    def length(j, before):
        key = (j, frozenset(before))
        if key not in known:
            known[key] = code(X, j, sorted(before))
        return known[key]

    for _ in range(MAX_SWEEPS):
        improved = False
        for k in range(d - 1):
            before, i, j = order[:k], order[k], order[k + 1]
            now = length(i, before) + length(j, [*before, i])
            if length(j, before) + length(i, [*before, j]) < now - 1e-9:
                order[k], order[k + 1], improved = j, i, True
        if not improved:
            break
    return np.array(order)


def derive_parents(X, order, rng):
    """For each feature of an order, the features before it that shorten its code: index arrays.

    The best one is added as long as it saves more than its parameters cost.
    """
    X = looked_at(X, rng)
    price = PER_PARENT * math.log(len(X)) / (2 * len(X))
    parents = []
    for i, feature in enumerate(order):
        chosen, left, now = [], list(order[:i]), code(X, feature, [])
        while left:
            lengths = [code(X, feature, [*chosen, other]) for other in left]
            best = int(np.argmin(lengths))
            if lengths[best] > now - price:
                break
            now = lengths[best]
            chosen.append(left.pop(best))
        parents.append(np.array(chosen, dtype=int))
    return parents


def code(X, j, given):
    """Code length of feature j given others, in nats a row, up to a constant.

    Its value and the log-size of what remains are predicted by sums of functions that are linear
    between knots; what then remains is coded by its own distribution.
    """
    length, residuals = linear_coupling(X[:, [j]], _bent(X[:, given]))
    return length + entropy(residuals[:, 0]) - _NORMAL_ENTROPY


def _bent(B):
    """The columns and their distances from quantiles, standardised ``(n, m (1 + N_KNOTS))``."""
    knots = np.quantile(B, np.linspace(0, 1, N_KNOTS + 2)[1:-1], axis=0)
    bent = np.hstack([B, *(np.abs(B - knot) for knot in knots)])
    return (bent - bent.mean(axis=0)) / (bent.std(axis=0) + 1e-9)


def entropy(x):
    """Differential entropy of the distribution of values ``(n,)`` in nats, by Vasicek (1976).

    It goes by the distance between every value and those some places before and behind. The floor
    keeps values that repeat from having an infinitely short code.
    """
    n, x = len(x), np.sort(x)
    m = round(math.sqrt(n) + 0.5)
    places = np.arange(n)
    distances = x[np.minimum(places + m, n - 1)] - x[np.maximum(places - m, 0)]
    return np.log(np.maximum(distances * n / (2 * m), 1e-3)).mean()
