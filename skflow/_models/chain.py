"""The discrete part of a table: a chain of conditional distributions of one column each.

``P(d) = prod_j P(d_j | columns before it)``. Each factor is a mixture of models, with weights
estimated on held-out rows by EM, as everywhere in the package. The chain begins with the column
that has the most information about the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._core.saving import saved_as
from .._table.table import MISSING
from .ellipses import effective_rows
from .stacking import estimate_weights

if TYPE_CHECKING:
    from typing_extensions import Self

#: Combinations of given values are counted if at least so many rows share one on average.
LEAST_ROWS = 2.0
#: Concentrations of the smoothed frequencies.
CONCENTRATIONS = (1.0, 10.0, 100.0)
#: Tables of up to so many rows are cross-fitted in this many folds; longer tables have one.
FEW_ROWS, N_FOLDS = 2000, 5
#: Most rows of a logistic regression.
MOST_ROWS = 20_000
#: The least weight of the first model, which gives every category some probability.
LEAST_WEIGHT = 0.02


@saved_as("frequencies")
class Frequencies:
    """Interpolated frequencies ``P(y | x_1, ..., x_m)``.

    With ``n`` rows that have ``x_1, ..., x_m`` in common, ``n_y`` of them with ``y``,

        P(y | x_1, ..., x_m) = (n_y + c P(y | x_1, ..., x_{m-1})) / (n + c)

    with the concentration ``c``. The recursion ends with the uniform distribution. The given
    columns are ordered by information, the most informative first. (The mean of a hierarchy of
    Dirichlet distributions: MacKay and Peto 1995.)

    For each number of given columns, ``keys`` has the sorted combinations of values that were seen,
    and ``counts`` ``(n_sets, n_values)`` how often each value was seen with them.
    """

    keys: list[np.ndarray]
    counts: list[np.ndarray]

    def __init__(self, concentration: float) -> None:
        self.concentration = concentration

    def fit(
        self, X: np.ndarray, y: np.ndarray, sizes: np.ndarray, n_values: int, weight: np.ndarray
    ) -> Self:
        """Fit to given columns ``(n, m)`` and values ``(n,)``, all integers from 0."""
        self.sizes, self.keys, self.counts = np.asarray(sizes), [], []
        for level in range(X.shape[1] + 1):
            keys, place = np.unique(self._keys(X, level), return_inverse=True)
            if level > 0 and (len(y) < LEAST_ROWS * len(keys) or self._size(level) > 2**62):
                break
            counts = np.zeros((len(keys), n_values))
            np.add.at(counts, (place, y), weight)
            self.keys.append(keys)
            self.counts.append(counts)
        return self

    def _size(self, level: int) -> np.floating:
        """Return the number of combinations of values of the first columns, as a float."""
        return np.prod(self.sizes[:level] + 1.0)

    def _keys(self, X: np.ndarray, level: int) -> np.ndarray:
        """Return an integer for the values of the first columns; unknown values are -1."""
        keys = np.zeros(len(X), dtype=np.int64)
        for column, size in zip(X.T[:level], self.sizes):
            keys = keys * (size + 1) + column + 1
        return keys

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities ``(n, n_values)``."""
        n_values = self.counts[0].shape[1]
        probabilities = np.full((len(X), n_values), 1 / n_values)
        for level, (keys, counts) in enumerate(zip(self.keys, self.counts)):
            own = self._keys(X, level)
            place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
            # unseen combinations have counts of 0, which change nothing
            seen = counts[place] * (keys[place] == own)[:, None]
            total = seen.sum(axis=1, keepdims=True) + self.concentration
            probabilities = (seen + self.concentration * probabilities) / total
        return probabilities


@saved_as("logistic")
class Logistic:
    """Logistic regression on the given columns, one-hot encoded."""

    def fit(
        self, X: np.ndarray, y: np.ndarray, sizes: np.ndarray, n_values: int, weight: np.ndarray
    ) -> Self:
        from sklearn.linear_model import LogisticRegression  # slow import, rarely needed
        from sklearn.preprocessing import OneHotEncoder

        rows = slice(None, None, -(-len(y) // MOST_ROWS))
        encoder = OneHotEncoder(
            categories=[np.arange(size) for size in sizes], handle_unknown="ignore", drop=None
        )
        self.n_values = n_values
        self.encoder = encoder.fit(X[:1])
        self.regression = LogisticRegression(max_iter=300, tol=1e-3)
        self.regression.fit(encoder.transform(X[rows]), y[rows], sample_weight=weight[rows])
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities ``(n, n_values)``."""
        probabilities = np.zeros((len(X), self.n_values))
        found = self.regression.predict_proba(self.encoder.transform(X))
        probabilities[:, self.regression.classes_] = found
        return probabilities


def models_for(n_given: int, n_seen: int) -> list[Frequencies | Logistic]:
    """Return the models of a column with so many given columns and seen values."""
    models: list[Frequencies | Logistic] = [
        Frequencies(c) for c in CONCENTRATIONS[: 1 if n_given == 0 else None]
    ]
    if n_given > 1 and n_seen > 1:
        models.append(Logistic())
    return models


@saved_as("factor")
@dataclass
class Factor:
    """The distribution of one column given some others, a mixture of models."""

    column: int
    given: np.ndarray  # the columns before it in the chain, the most informative first
    models: list[Frequencies | Logistic]
    weights: np.ndarray
    unseen: float  # probability of a category that no row had

    def probabilities(self, discrete: np.ndarray) -> np.ndarray:
        """Return probabilities ``(n, n_values)`` of seen values, given that the value was seen."""
        found = [model.predict_proba(discrete[:, self.given]) for model in self.models]
        return np.tensordot(self.weights, found, 1)

    def place(
        self, discrete: np.ndarray, uniform: np.ndarray, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw values ``(n,)`` with uniform numbers ``(n, 1)`` in [0, 1).

        Also return the total probability of the allowed values, by default of all seen values.
        """
        probabilities = self.probabilities(discrete)
        allowed = np.ones(probabilities.shape[1], bool) if allowed is None else allowed
        reached = np.cumsum(probabilities * allowed, axis=1)
        value = (reached <= uniform * reached[:, -1:]).sum(axis=1)
        return value.clip(max=allowed.nonzero()[0][-1]), reached[:, -1]

    def log_prob(self, discrete: np.ndarray) -> np.ndarray:
        """Return log-probabilities ``(n,)`` of the column's values given the columns before it."""
        # given values repeat, so look up each combination once
        sets, place = np.unique(discrete[:, self.given], axis=0, return_inverse=True)
        table = np.zeros((len(sets), discrete.shape[1]), dtype=int)
        table[:, self.given] = sets
        value = discrete[:, self.column]
        known = self.probabilities(table)[place.ravel(), np.maximum(value, 0)]
        with np.errstate(divide="ignore"):
            return np.where(value < 0, np.log(self.unseen), np.log1p(-self.unseen) + np.log(known))


@saved_as("chain")
@dataclass
class Chain:
    """A distribution of discrete columns, the product of its factors."""

    factors: list[Factor]

    def log_prob(self, discrete: np.ndarray) -> np.ndarray:
        """Return log-probabilities ``(n,)`` in nats of rows ``(n, q)``."""
        return sum((factor.log_prob(discrete) for factor in self.factors), np.zeros(len(discrete)))

    def sample(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw rows ``(n_samples, q)``."""
        drawn = np.zeros((n_samples, len(self.factors)), dtype=int)
        for factor in self.factors:
            drawn[:, factor.column], _ = factor.place(drawn, rng.uniform(size=(n_samples, 1)))
        return drawn

    def fill(self, discrete: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows ``(n, q)`` with ``MISSING`` values drawn in turn, and log-weights.

        ``uniform`` ``(n, q)`` is in [0, 1). A weight is the product of the probabilities of the
        known values, each given the values before it. Its mean estimates their joint probability.
        """
        filled, log_weight = discrete.copy(), np.zeros(len(discrete))
        for factor in self.factors:
            missing = discrete[:, factor.column] == MISSING
            if missing.any():
                level = uniform[missing][:, [factor.column]]
                filled[missing, factor.column], _ = factor.place(filled[missing], level)
            if not missing.all():
                log_weight[~missing] += factor.log_prob(filled[~missing])
        return filled, log_weight

    def fill_within(
        self, allowed: list[np.ndarray], uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows ``(n, q)`` drawn from the allowed values of each column, and log-weights.

        ``uniform`` ``(n, q)`` is in [0, 1). The mean weight estimates the probability that all
        columns have allowed values.
        """
        filled, log_weight = np.zeros(uniform.shape, dtype=int), np.zeros(len(uniform))
        for factor in self.factors:
            j = factor.column
            filled[:, j], probability = factor.place(filled, uniform[:, [j]], allowed[j])
            with np.errstate(divide="ignore"):
                log_weight += np.log(probability) + np.log1p(-factor.unseen)
        return filled, log_weight


def fit_chain(
    discrete: np.ndarray,
    sizes: np.ndarray,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    open_ended: np.ndarray,
) -> Chain:
    """Return the ``Chain`` of discrete columns ``(n, q)`` with ``sizes`` ``(q,)`` values each.

    ``open_ended`` ``(q,)`` is true for columns that may have unseen values.
    """
    information = mutual_information(discrete, sizes, weight)
    order = np.argsort(-information.sum(axis=1), kind="stable")
    folds = held_out_folds(len(discrete), rng)
    factors = []
    for i, j in enumerate(order):
        given = order[:i][np.argsort(-information[j, order[:i]], kind="stable")]
        unseen = unseen_part(discrete[:, j], weight) if open_ended[j] else 0.0
        factors.append(_fit_factor(discrete, sizes, weight, folds, j, given, unseen))
    return Chain(factors)


def _fit_factor(
    discrete: np.ndarray,
    sizes: np.ndarray,
    weight: np.ndarray | None,
    folds: list[tuple[np.ndarray, np.ndarray]],
    j: int,
    given: np.ndarray,
    unseen: float,
) -> Factor:
    X, y = discrete[:, given], discrete[:, j]
    weight = np.ones(len(y)) if weight is None else weight

    def fitted(
        rows: np.ndarray | slice, n_models: int | None = None
    ) -> list[Frequencies | Logistic]:
        models = models_for(len(given), len(np.unique(y[rows])))[:n_models]
        of_rows = X[rows], y[rows], sizes[given], sizes[j], weight[rows]
        return [model.fit(*of_rows) for model in models]

    n_models = len(models_for(len(given), min(len(np.unique(y[rows])) for rows, _ in folds)))
    weights = np.ones(1)
    if n_models > 1:
        log_probs, held_out = [], np.concatenate([others for _, others in folds])
        for rows, others in folds:
            found = [model.predict_proba(X[others]) for model in fitted(rows, n_models)]
            with np.errstate(divide="ignore"):
                log_probs.append(np.log([p[np.arange(len(others)), y[others]] for p in found]))
        least = np.append(LEAST_WEIGHT, np.zeros(n_models - 1))
        weights = estimate_weights(np.hstack(log_probs), least, weight[held_out])
    kept = np.flatnonzero(weights)
    models = fitted(slice(None))
    return Factor(int(j), given, [models[k] for k in kept], weights[kept], unseen)


def held_out_folds(n_rows: int, rng: np.random.RandomState) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of training rows and held-out rows."""
    order = rng.permutation(n_rows)
    parts = np.array_split(order, min(N_FOLDS, n_rows))
    if n_rows > FEW_ROWS:
        parts = parts[:1]
    return [(np.setdiff1d(order, part), part) for part in parts]


def unseen_part(column: np.ndarray, weight: np.ndarray | None) -> float:
    """Return the probability that the next row has an unseen category.

    By Good and Turing: the fraction of rows whose category was seen once, at least one row.
    """
    once = (np.unique(column, return_counts=True)[1] == 1).sum()
    return (once + 1) / (effective_rows(weight, len(column)) + once + 1)


def mutual_information(
    discrete: np.ndarray, sizes: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the mutual information ``(q, q)`` of the columns in nats, 0 on the diagonal."""
    n_columns = discrete.shape[1]
    information = np.zeros((n_columns, n_columns))
    for i in range(n_columns):
        for j in range(i):
            counts = np.zeros((sizes[i], sizes[j]))
            np.add.at(counts, (discrete[:, i], discrete[:, j]), 1 if weight is None else weight)
            joint = counts / counts.sum()
            independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            seen = joint > 0
            value = np.sum(joint[seen] * np.log(joint[seen] / independent[seen]))
            information[i, j] = information[j, i] = value
    return information
