"""Random numbers: private streams, one for each purpose; seeds of estimators; Sobol points."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from scipy.stats import qmc

# The position of a purpose seeds its stream, so append new ones.
_PURPOSES = (
    "constant columns",
    "split",
    "masks",
    "search",
    "training",
    "tails",
    "grid",
    "calibration",
    "mean",
    "test",  # not used anymore, keeps its place
    "discrete",
    "absent",
    "missing",
)
#: The first call of SciPy's Sobol is not safe with threads in SciPy 1.11.
_ONE_THREAD = Lock()


class RandomStreams:
    """The random streams of a fit.

    Draws for one purpose do not change those for another: a longer search leaves the split and the
    initial parameters unchanged.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, purpose: str, turn: int = 0) -> np.random.RandomState:
        """Return a RandomState at the start of the stream; each ``turn`` has its own stream."""
        key = (_PURPOSES.index(purpose), turn)
        return np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence(self.seed, spawn_key=key))
        )

    def turns(self, purpose: str, n_turns: int) -> list[np.random.RandomState]:
        """Return the RandomStates of the first turns."""
        return [self(purpose, turn) for turn in range(n_turns)]


def seeded(estimator: Any, rng: np.random.RandomState) -> Any:
    """Return the estimator with each ``random_state`` that is None drawn from ``rng``."""
    for name, value in sorted(estimator.get_params().items(), key=lambda item: item[0]):
        if name.split("__")[-1] == "random_state" and value is None:
            estimator.set_params(**{name: rng.randint(2**31 - 1)})
    return estimator


def sobol(n_points: int, n_columns: int, seed: int = 0) -> np.ndarray:
    """Return a scrambled Sobol sequence ``(n_points, n_columns)`` of a power of 2 of points."""
    with _ONE_THREAD:
        return qmc.Sobol(n_columns, seed=seed).random(n_points)
