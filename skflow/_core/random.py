"""Random numbers: private streams, one for each purpose, seeds of estimators, even points."""

from threading import Lock

import numpy as np
from scipy.stats import qmc

# A purpose is known by its position, so a new one goes to the end.
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
    "test",  # no longer drawn from; its place is kept
    "discrete",
    "absent",
    "missing",
)
#: SciPy reads its tables at the first call, which threads disturb in SciPy 1.11.
_ONE_THREAD = Lock()


class RandomStreams:
    """The random streams of a fit.

    What is drawn for one purpose changes nothing for the others: a longer search, say, leaves the
    split and the initial parameters as they were.
    """

    def __init__(self, seed):
        self.seed = seed

    def __call__(self, purpose, turn=0):
        """A new RandomState at the start of the stream; ``turn`` tells members or fits apart."""
        key = (_PURPOSES.index(purpose), turn)
        return np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence(self.seed, spawn_key=key))
        )


def seeded(estimator, rng):
    """The estimator, its parameters named ``random_state`` that are None drawn from ``rng``."""
    for name, value in sorted(estimator.get_params().items(), key=lambda item: item[0]):
        if name.split("__")[-1] == "random_state" and value is None:
            estimator.set_params(**{name: rng.randint(2**31 - 1)})
    return estimator


def sobol(n_points, n_columns, seed=0):
    """Points ``(n_points, n_columns)`` of a scrambled Sobol sequence, a power of 2 of them."""
    with _ONE_THREAD:
        return qmc.Sobol(n_columns, seed=seed).random(n_points)
