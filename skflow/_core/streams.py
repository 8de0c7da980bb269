"""Private random streams: one for each purpose, all from a single seed; seeds of estimators."""

import numpy as np

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
