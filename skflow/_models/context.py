"""What a density is conditional on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
