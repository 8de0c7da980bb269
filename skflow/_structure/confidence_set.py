"""Which structures may be the best: the model confidence set, and the test of a search.

A set of candidates holds, at level alpha, the best of them and what cannot be told from it. Hansen,
Lunde and Nason (2011) find it by elimination: as long as the hypothesis "all that are left are
equally good" is rejected, the worst of them goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .._support.saving import saved_as

#: Numbers of a block of bootstrap draws.
_BLOCK = 2_000_000


def confidence_p_values(losses, weight=None, n_draws=1000, random_state=None):
    """P-values of the membership in the model confidence set.

    The set at level alpha holds the models with ``p >= alpha``. If all are equally good, all are in
    it with a probability of at least about ``1 - alpha``; the best one always is. The statistic is
    the largest t-value of a model's mean loss less the mean over models (``T_max``), its
    distribution that of the bootstrap over rows [1]_.

    Parameters
    ----------
    losses : ndarray of shape (n_rows, n_models)
        Of rows that no model was trained or chosen on; lower is better.
    weight : ndarray of shape (n_rows,) or None
        Weights of the rows.
    n_draws : int, default=1000
        Of the bootstrap.
    random_state : RandomState, Generator or None

    Returns
    -------
    p_values : ndarray of shape (n_models,)
        The model that is left at the end has 1.

    References
    ----------
    .. [1] Hansen, P. R., Lunde, A., Nason, J. M., "The Model Confidence Set", Econometrica 79,
       2011.
    """
    rng = np.random.default_rng() if random_state is None else random_state
    means, drawn = _bootstrap_means(losses, weight, n_draws, rng)
    p_values, left, p_value = np.ones(losses.shape[1]), np.arange(losses.shape[1]), 0.0
    while len(left) > 1:
        behind = means[left] - means[left].mean()
        noise = drawn[:, left] - drawn[:, left].mean(axis=1, keepdims=True)
        # models that give all rows the same losses differ by rounding
        spread = np.sqrt((noise**2).mean(axis=0)) + 1e-12 * (1 + np.abs(means[left]))
        statistic, worst = (behind / spread).max(), (behind / spread).argmax()
        exceeded = ((noise / spread).max(axis=1) >= statistic).sum()
        # a model cannot leave with more certainty than one that was worse
        p_value = max(p_value, (1 + exceeded) / (1 + n_draws))
        p_values[left[worst]] = p_value
        left = np.delete(left, worst)
    return p_values


def _bootstrap_means(losses, weight, n_draws, rng):
    """Mean losses ``(m,)``, and those of rows drawn with replacement, less these ``(n, m)``."""
    n_rows = len(losses)
    weight = np.full(n_rows, 1.0) if weight is None else weight
    means = np.average(losses, axis=0, weights=weight)
    weighted = (losses - means) * weight[:, None]
    drawn, n_at_once = [], max(1, _BLOCK // n_rows)
    for start in range(0, n_draws, n_at_once):
        size = min(n_at_once, n_draws - start)
        times = rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=size)
        drawn.append(times @ weighted / (times @ weight)[:, None])
    return means, np.concatenate(drawn)


def mean_interval(values, weight=None, alpha=0.05):
    """Mean of values ``(n,)`` and its interval at level alpha, by the normal distribution."""
    weight = np.full(len(values), 1.0) if weight is None else weight
    weight = weight / weight.sum()
    mean = weight @ values
    error = math.sqrt((weight**2) @ (values - mean) ** 2)
    half = stats.norm.ppf(1 - alpha / 2) * error
    return mean, mean - half, mean + half


@saved_as("structure test")
@dataclass(eq=False)
class StructureTest:
    """What rows that no candidate was trained or chosen on say of the structures of a search.

    The structures stand in the order of their likelihood on validation rows, the best first. What
    is tested are trained flows: where two trainings of one structure differ, so may two structures.

    Attributes
    ----------
    masks : ndarray of shape (n_structures, n_layers, n_features)
        The finalists of the search, as many of the best random structures of equal budget, parity
        and the derived masks.
    sources : list of str
        Where each comes from: "searched", "random", "parity", "derived", or several of them.
    scores : ndarray of shape (n_structures,)
        Mean log-density of the rows, in nats a row, in the units of the data.
    p_values : ndarray of shape (n_structures,)
        Of being in the model confidence set (Hansen, Lunde and Nason 2011).
    differences : ndarray of shape (n_structures, 3)
        By how many nats a row the best searched structure is better than each, with the ends of the
        interval at level `alpha`.
    alpha : float
        Level of set and intervals.
    n_rows : int
        Number of rows that tested.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import StructureSearchFlow
    >>> flow = StructureSearchFlow(
    ...     2, n_search_iter=3, n_candidate_steps=5, max_iter=5, test_fraction=0.2,
    ...     random_state=0,
    ... ).fit(load_iris().data)
    >>> test = flow.structure_test_
    >>> test.n_rows
    30
    >>> test.in_set.shape == test.scores.shape
    True
    """

    masks: np.ndarray
    sources: list
    scores: np.ndarray
    p_values: np.ndarray
    differences: np.ndarray
    alpha: float
    n_rows: int

    @property
    def in_set(self):
        """Which structures are in the confidence set, boolean ``(n_structures,)``."""
        return self.p_values >= self.alpha

    @property
    def beats_chance(self):
        """Whether the best searched structure is better than the best random one, at the level."""
        return bool(self.differences[self.first("random"), 1] > 0)

    def first(self, source):
        """Number of the best structure, on validation rows, that comes from a source."""
        return next(i for i, named in enumerate(self.sources) if source in named)

    def __str__(self):
        found = self.first("searched")
        told = [self._comparison(source, found) for source in ("parity", "derived", "random")]
        return (
            f"searched masks on {self.n_rows:,} rows that had no part: {'; '.join(told)}. "
            f"{self.in_set.sum()} of {len(self.sources)} structures may be the best"
        )

    def _comparison(self, source, found):
        other = self.first(source)
        name = "the best random ones" if source == "random" else source
        if other == found:
            return f"the same as {name}"
        bits = self.differences[other] / (self.masks.shape[2] * math.log(2))
        ends = f"({100 * (1 - self.alpha):g} %: {bits[1]:.3f} to {bits[2]:.3f})"
        if bits[1] <= 0 <= bits[2]:
            return f"not distinguishable from {name} {ends}"
        better = "better" if bits[0] > 0 else "worse"
        return f"{abs(bits[0]):.3f} bits a dimension {better} than {name} {ends}"


def judge(log_probs, masks, sources, weight=None, alpha=0.05, random_state=None):
    """The ``StructureTest`` of log-densities ``(n_rows, n_structures)`` of the test rows."""
    found = next(i for i, named in enumerate(sources) if "searched" in named)
    gains = log_probs[:, [found]] - log_probs
    return StructureTest(
        masks=masks,
        sources=list(sources),
        scores=np.average(log_probs, axis=0, weights=weight),
        p_values=confidence_p_values(-log_probs, weight, random_state=random_state),
        differences=np.array([mean_interval(gain, weight, alpha) for gain in gains.T]),
        alpha=alpha,
        n_rows=len(log_probs),
    )
