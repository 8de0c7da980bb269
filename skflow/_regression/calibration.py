"""Split conformal prediction: rows set aside say how wide intervals have to be."""

from dataclasses import dataclass

import numpy as np

from .._core.saving import saved_as


@saved_as("calibration")
@dataclass
class Calibration:
    """Conformity scores of rows that a density was not fitted to.

    The score of a target is its distance from the median, in probability: ``|F(y | x) - 1/2|``.
    That of several targets together, the last one, is the probability of all that have a higher
    density (Izbicki, Shimizu, Stern, "CD-split and HPD-split", JMLR 23, 2022).

    Attributes
    ----------
    scores : ndarray of shape (n, d) or (n, d + 1)
        Of each kind, ascending.
    reached : ndarray of the same shape
        Weight of the rows up to each, as a part of all with a new row among them.
    """

    scores: np.ndarray
    reached: np.ndarray

    @classmethod
    def of(cls, scores, weight=None):
        """From scores of rows with weights ``(n,)`` or None."""
        weight = np.ones(len(scores)) if weight is None else weight / weight.mean()
        order = scores.argsort(axis=0)
        ordered = np.take_along_axis(scores, order, axis=0)
        return cls(ordered, weight[order].cumsum(axis=0) / (weight.sum() + 1))

    def bounds(self, coverage):
        """The scores up to which a new row's are with that probability, one of each kind."""
        place = (self.reached < coverage - 1e-12).sum(axis=0)
        if (place == len(self.scores)).any():
            raise ValueError(
                f"coverage={coverage} is more than the {len(self.scores)} rows can tell that fit "
                f"set aside: at most {self.reached[-1].min():.3f}. Lower coverage, raise "
                "calibration_fraction, or set it to None for what is not calibrated."
            )
        return np.take_along_axis(self.scores, place[None], axis=0)[0]
