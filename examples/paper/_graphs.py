"""Tables whose dependence graph, order and density are known.

Every feature is normal given its parents, with a mean and a standard deviation that depend on them:
the density is known exactly, and so is an order in which it is simple. Columns are shuffled.
"""

import numpy as np

GRAPHS = ("funnel", "hierarchy", "gaussian", "bent")


class Graph:
    """A distribution with a graph.

    Attributes
    ----------
    order : ndarray of int, shape (d,)
        Numbers of the columns, causes first.
    parents : ndarray of bool, shape (d, d)
        Row j: the columns on which column j depends.
    """

    def __init__(self, name, n_columns, seed):
        rng = np.random.default_rng([*name.encode(), n_columns, seed])
        self.name, self.order = name, rng.permutation(n_columns)
        self.parents = np.zeros((n_columns, n_columns), dtype=bool)
        for i, causes in enumerate(_causes(name, n_columns, rng)):
            self.parents[self.order[i], self.order[causes]] = True
        self.weights = rng.choice([-1, 1], self.parents.shape) * rng.uniform(
            0.5, 1.5, self.parents.shape
        )
        self.turned = rng.choice([-1, 1], self.parents.shape)

    def _mean_and_log_scale(self, j, X):
        causes = X[:, self.parents[j]]
        weights, turned = self.weights[j, self.parents[j]], self.turned[j, self.parents[j]]
        none = np.zeros(len(X))
        if causes.shape[1] == 0:
            return none, none + (np.log(3) if self.name == "funnel" else 0)
        if self.name == "funnel":
            return none, causes[:, 0] / 2
        if self.name == "gaussian":
            return causes @ weights / np.sqrt(len(weights)), none + np.log(0.5)
        bent = np.tanh(causes)
        if self.name == "hierarchy":
            return 2 * bent[:, 0] ** 2 * weights[0], 0.7 * bent[:, 0] * turned[0]
        mean = (2 * np.cos(1.5 * causes)) @ weights / np.sqrt(len(weights))
        return mean, 0.7 * bent @ turned / np.sqrt(len(weights)) - 0.5

    def draw(self, n_rows, rng):
        X = np.zeros((n_rows, len(self.order)))
        for j in self.order:
            mean, log_scale = self._mean_and_log_scale(j, X)
            X[:, j] = mean + np.exp(log_scale) * rng.standard_normal(n_rows)
        return X

    def log_prob(self, X):
        total = np.zeros(len(X))
        for j in self.order:
            mean, log_scale = self._mean_and_log_scale(j, X)
            z = (X[:, j] - mean) / np.exp(log_scale)
            total -= 0.5 * z**2 + log_scale + 0.5 * np.log(2 * np.pi)
        return total


def _causes(name, n_columns, rng):
    """For each place in the order, the places that it depends on."""
    for i in range(n_columns):
        if name == "funnel":
            yield [0] if i else []
        elif name == "hierarchy":
            yield [(i - 1) // 2] if i else []
        else:
            yield rng.permutation(i)[: rng.integers(1, 4)].tolist()
