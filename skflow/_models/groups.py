"""Components given the discrete part: groups of rows with separate components.

First, a ridge regression on the categories is subtracted from the columns. If categories also
change spreads, dependence or more, a tree splits the rows into groups, as long as a Gaussian for
each group is worth its parameters (Schwarz 1978). Then components are fitted to each group, as to a
table of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.saving import saved_as
from .._table.columns import count_values
from .._table.schema import SPIKE_SHARE
from .components import EllipticalMixture, fit_components, suiting
from .ellipses import COMPLETE, LEAST_VARIANCE, Drawn, effective_rows, shrunk_covariance, variances
from .mixture import Context, at

if TYPE_CHECKING:
    from .conditionals import Conditionals

#: Least rows of a group, in all and for each column, and most groups.
LEAST_ROWS, ROWS_A_COLUMN, MOST_GROUPS = 30, 5, 32
#: Most rows for the choice of splits, and for whether values repeat.
MOST_ROWS = 10_000


@saved_as("groups")
@dataclass
class Groups:
    """Shifts by categories, and the tree that assigns rows to groups."""

    coefficients: np.ndarray  # (c + 1, r)
    columns: np.ndarray  # discrete column that splits each node; -1 for leaves
    children: np.ndarray  # (n_nodes, n_values + 1), child for each value; last for others
    numbers: np.ndarray  # group of each leaf

    def location(self, context: Context) -> np.ndarray:
        """Return the shifts of the columns ``(n, r)`` by categories, 0 for absent numbers."""
        location = context.numbers @ self.coefficients[:-1] + self.coefficients[-1]
        return np.where(context.absent, 0.0, location)

    def group(self, context: Context) -> np.ndarray:
        """Return the group of each row ``(n,)``."""
        node = np.zeros(len(context.discrete), dtype=int)
        # the last categories may not have been seen by the tree: treat them as unknown, like -1
        discrete = np.minimum(context.discrete, self.children.shape[1] - 1)
        while (self.columns[node] >= 0).any():
            value = discrete[np.arange(len(node)), self.columns[node]]
            node = np.where(self.columns[node] >= 0, self.children[node, value], node)
        return self.numbers[node]


def one_group(U: np.ndarray, context: Context, weight: np.ndarray | None = None) -> Groups:
    """Return the ``Groups`` of rows ``(n, r)`` without splits: a regression on the context."""
    coefficients = _ridge(U, context, weight)
    return Groups(coefficients, np.array([-1]), np.zeros((1, 1), int), np.array([0]))


def fit_groups(U: np.ndarray, context: Context, weight: np.ndarray | None = None) -> Groups:
    """Return the ``Groups`` of standardised rows ``(n, r)``, with noise for absent numbers."""
    groups = one_group(U, context, weight)
    rows = slice(None, None, -(-len(U) // MOST_ROWS))
    residuals = (U - groups.location(context))[rows]
    tree = _Tree(residuals, context.discrete[rows], at(weight, rows))
    tree.grow()
    return Groups(groups.coefficients, *tree.arrays())


def _ridge(U: np.ndarray, context: Context, weight: np.ndarray | None) -> np.ndarray:
    """Return coefficients ``(c + 1, r)``, for each column from the rows where it is present."""
    weight = np.ones(len(U)) if weight is None else weight
    design = np.column_stack([context.numbers, np.ones(len(U))])
    penalty = np.eye(design.shape[1])
    penalty[-1, -1] = 1e-6
    coefficients = np.zeros((design.shape[1], U.shape[1]))
    alike: dict[bytes, list[int]] = {}  # most columns are present in all rows
    for j, absent in enumerate(context.absent.T):
        alike.setdefault(absent.tobytes(), []).append(j)
    for own in alike.values():
        absent = context.absent[:, own[0]]
        weighted = design[~absent] * weight[~absent, None]
        gram = weighted.T @ design[~absent] + penalty
        coefficients[:, own] = np.linalg.solve(gram, weighted.T @ U[~absent][:, own])
    return coefficients


class _Tree:
    """A growing tree, with its nodes in lists."""

    columns: list[int]
    children: list[np.ndarray]

    def __init__(self, U: np.ndarray, discrete: np.ndarray, weight: np.ndarray | None) -> None:
        self.U, self.discrete, self.weight = U, discrete, weight
        self.n_values = int(discrete.max(initial=0)) + 1
        self.least = max(LEAST_ROWS, ROWS_A_COLUMN * U.shape[1])
        self.columns, self.children, self.n_leaves = [], [], 0

    def grow(self) -> None:
        waiting = [self._leaf(np.arange(len(self.U)))]
        while waiting and self.n_leaves < MOST_GROUPS:
            node, rows = waiting.pop(0)
            split = self._best_split(rows)
            if split is None:
                continue
            column, values = split
            child = values[self.discrete[rows, column]]
            self.columns[node], self.children[node] = column, len(self.columns) + values
            self.n_leaves -= 1
            waiting += [self._leaf(rows[child == k]) for k in range(values.max() + 1)]

    def _leaf(self, rows: np.ndarray) -> tuple[int, np.ndarray]:
        """Add a node; return its index and its rows."""
        self.columns.append(-1)
        self.children.append(np.zeros(self.n_values + 1, dtype=int))
        self.n_leaves += 1
        return len(self.columns) - 1, rows

    def _best_split(self, rows: np.ndarray) -> tuple[int, np.ndarray] | None:
        """Return the column that splits best and the child for each of its values, or None."""
        best, whole = None, self._cost(rows)
        for j in range(self.discrete.shape[1]):
            values = self._children(rows, j)
            if values.max() == 0 or self.n_leaves + values.max() > MOST_GROUPS:
                continue
            child = values[self.discrete[rows, j]]
            cost = sum(self._cost(rows[child == k]) for k in range(values.max() + 1))
            if cost < whole:
                best, whole = (j, values), cost
        return best

    def _children(self, rows: np.ndarray, j: int) -> np.ndarray:
        """Return the child for each value, last for unknown ones; rare values share a child."""
        counts = np.bincount(self.discrete[rows, j].clip(0), minlength=self.n_values)
        large = counts >= self.least
        values = np.zeros(self.n_values + 1, dtype=int)
        if not large.any():
            return values
        values[:-1][large] = np.arange(large.sum())
        rest = large.sum() if counts[~large].sum() >= self.least else values[counts.argmax()]
        values[np.append(~large, True)] = rest
        return values

    def _cost(self, rows: np.ndarray) -> float:
        """Return twice the negative log-likelihood of a Gaussian, with Schwarz's penalty."""
        weight = at(self.weight, rows)
        n_effective = effective_rows(weight, len(rows))
        n_columns = self.U.shape[1]
        weight = np.ones(len(rows)) if weight is None else weight
        _, shape = shrunk_covariance(self.U[rows], weight / weight.sum())
        log_det = np.linalg.slogdet(shape + 1e-6 * np.eye(n_columns))[1]
        n_parameters = n_columns * (n_columns + 3) / 2
        return n_effective * log_det + n_parameters * np.log(n_effective)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        columns = np.array(self.columns)
        numbers = np.where(columns < 0, np.cumsum(columns < 0) - 1, -1)
        return columns, np.array(self.children), numbers


@saved_as("grouped component")
@dataclass
class GroupedComponent:
    """A component for each group, after the shifts by categories."""

    groups: Groups
    members: list[EllipticalMixture]

    @property
    def heavy_tailed(self) -> bool:
        return self.members[0].heavy_tailed

    def split(self, context: Context) -> list[tuple[EllipticalMixture, np.ndarray]]:
        """Return pairs of the component of a group and the indices of its rows."""
        group = self.groups.group(context)
        return [(self.members[k], np.flatnonzero(group == k)) for k in np.unique(group)]

    def log_prob(self, U: np.ndarray, context: Context) -> np.ndarray:
        """Return log-densities ``(n,)`` of rows ``(n, r)`` given their context."""
        residuals, log_prob = U - self.groups.location(context), np.empty(len(U))
        for member, rows in self.split(context):
            log_prob[rows] = member.log_prob(residuals[rows])
        return log_prob

    def sample(self, n_samples: int, rng: np.random.RandomState, context: Context) -> np.ndarray:
        """Draw rows ``(n, r)``, one for each row of the context."""
        drawn = self.groups.location(context)
        for member, rows in self.split(context):
            drawn[rows] += member.sample(len(rows), rng)
        return drawn

    def conditionals(
        self, U: np.ndarray, known: np.ndarray, context: Context
    ) -> _GroupedConditionals:
        return _GroupedConditionals(self, U, known, context)


class _GroupedConditionals:
    """The ``Conditionals`` of rows that belong to groups."""

    def __init__(
        self, component: GroupedComponent, U: np.ndarray, known: np.ndarray, context: Context
    ) -> None:
        self._location = component.groups.location(context)
        self._part, self._place = np.empty((2, len(U)), dtype=int)
        self._parts: list[Conditionals] = []
        self.log_prob = np.empty(len(U))
        for number, (member, rows) in enumerate(component.split(context)):
            part = member.conditionals(U[rows] - self._location[rows], known[rows])
            self._part[rows], self._place[rows] = number, np.arange(len(rows))
            self.log_prob[rows] = part.log_prob
            self._parts.append(part)

    def place(
        self, rows: np.ndarray, choice: np.ndarray, normal: np.ndarray, radius: np.ndarray
    ) -> np.ndarray:
        drawn = self._location[rows]
        for number, part in enumerate(self._parts):
            own = np.flatnonzero(self._part[rows] == number)
            places = self._place[rows[own]]
            drawn[own] += part.place(places, choice[own], normal[own], radius[own])
        return drawn


class ComponentFitter:
    """Fits components to some rows of a table, or to all of them.

    With a discrete part, the groups are found once, on all rows. The densities include noise of
    standard deviation ``noise``. Of copies of rows with other draws (``drawn``), which follow each
    other, ``weight`` has those of the first.
    """

    def __init__(
        self,
        U: np.ndarray,
        context: Context | None,
        weight: np.ndarray | None = None,
        noise: float = 0.0,
        drawn: Drawn = COMPLETE,
    ) -> None:
        self.U, self.context, self.noise = U, context, noise
        self._copies = np.arange(len(U)).reshape(drawn.n_copies, -1)
        self.weight = np.ones(self._copies.shape[1]) if weight is None else weight
        weight = np.tile(self.weight, drawn.n_copies)
        self.groups = None if context is None else fit_groups(U, context, weight)
        self.options = {"least": least_variances(U, weight), "drawn": drawn}

    def fit(
        self,
        rows: np.ndarray | slice,
        rng: np.random.RandomState,
        names: Iterable[str] | None = None,
    ) -> Mapping[str, EllipticalMixture | GroupedComponent]:
        """Return components by name; by default all that suit the smallest and the largest group.

        ``rows`` is an index array or a slice.
        """
        rows = self._copies[:, rows].ravel()
        U, weight = self.U[rows], self.weight[rows % len(self.weight)]
        if self.context is None or self.groups is None:
            return fit_components(U, weight, rng, self.noise, names, **self.options)
        context = self.context[rows]
        groups = replace(self.groups, coefficients=_ridge(U, context, weight))
        residuals, group = U - groups.location(context), groups.group(context)
        parts = [np.flatnonzero(group == k) for k in range(groups.numbers.max() + 1)]
        if names is None:
            sizes = [effective_rows(weight[part], len(part)) for part in parts]
            names = suiting(U.shape[1], min(sizes), max(sizes))
        members = [
            fit_components(residuals[part], weight[part], rng, self.noise, names, **self.options)
            for part in parts
        ]
        return {name: GroupedComponent(groups, [own[name] for own in members]) for name in names}


def least_variances(U: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the least variances of the columns ``(d,)`` for components of groups of rows.

    If all rows of a group have the same value, its density would be as narrow as rounding. Columns
    whose values hardly repeat get 0, as a group may be in smaller units.
    """
    some = U[:: -(-len(U) // MOST_ROWS)]
    repeats = count_values(some) <= (1 - SPIKE_SHARE) * len(some)
    return np.where(repeats, LEAST_VARIANCE * variances(U, weight / weight.sum()), 0.0)
