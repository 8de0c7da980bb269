"""A small table and short trainings, that the tests of trainer and candidates run on."""

import numpy as np
import torch

from skflow._nn.training import TrainingOptions


def correlated_rows():
    """Rows ``(300, 4)`` of a normal distribution, as a tensor."""
    rng = np.random.RandomState(0)
    mix = rng.normal(size=(4, 4))
    return torch.as_tensor(rng.normal(size=(300, 4)) @ mix, dtype=torch.float32)


def options(**changed):
    given = {"n_steps": 40, "steps_per_epoch": 8, "batch_size": 30, "learning_rate_init": 0.01}
    return TrainingOptions(**{**given, **changed})
