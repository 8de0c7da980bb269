"""What all trainings of a fit share: rows and splits, options, randomness, units, progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._core.progress import Progress
from .._core.random import RandomStreams
from .training import TrainingOptions
from .training_data import TrainingData


@dataclass(frozen=True)
class Plan:
    """What all trainings of a fit share.

    Attributes
    ----------
    data : TrainingData
        The table, and the rows that each model may see.
    options : TrainingOptions
    config : dict
        Keywords of ``FlowStack``.
    streams : RandomStreams
    log_det : ndarray of shape (n,)
        Of the standardisation, row by row: log-densities plus it are in the units of the data.
    turn : int
        Which fit of a warm start it is.
    progress : callable
        Makes the progress of a loop, from a description and the number of its steps.
    device : str
        Where trained flows compute.
    """

    data: TrainingData
    options: TrainingOptions
    config: dict
    streams: RandomStreams
    log_det: np.ndarray
    turn: int = 0
    progress: Callable = Progress
    device: str = "cpu"

    @property
    def n_context(self) -> int:
        return self.config.get("n_context", 0)

    @property
    def mean_log_det(self) -> float:
        """Over the training rows of all models."""
        return self.data.mean(self.log_det, self.data.rows)
