"""The model confidence set: which of several densities may be the best.

At level alpha the set contains the best density and those that are not distinguishable from it.
Hansen, Lunde and Nason (2011) find it by elimination: as long as the hypothesis "all remaining
densities are equally good" is rejected, the worst is removed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from .._core.rows import weighted_rows
from .._core.typing import ArrayLike, RandomSource
from .structures import Rng, check_rng

#: Number of values in a block of bootstrap draws.
_BLOCK = 2_000_000


def confidence_p_values(
    losses: np.ndarray,
    weight: np.ndarray | None = None,
    n_draws: int = 1000,
    random_state: Rng | None = None,
) -> np.ndarray:
    """Return p-values ``(m,)`` of membership in the model confidence set, given losses ``(n, m)``.

    The set at level alpha contains the models with ``p >= alpha``. If all are equally good, it
    contains all with a probability of at least about ``1 - alpha``; it always contains the best.
    The statistic ``T_max`` is the largest t-value of a model's mean loss minus the mean over
    models, and its distribution is from a bootstrap of rows (Hansen, Lunde and Nason 2011).
    """
    rng = np.random.default_rng() if random_state is None else random_state
    means, drawn = _bootstrap_means(losses, weight, n_draws, rng)
    p_values, left, p_value = np.ones(losses.shape[1]), np.arange(losses.shape[1]), 0.0
    while len(left) > 1:
        behind = means[left] - means[left].mean()
        noise = drawn[:, left] - drawn[:, left].mean(axis=1, keepdims=True)
        # models with equal losses differ by rounding
        spread = np.sqrt((noise**2).mean(axis=0)) + 1e-12 * (1 + np.abs(means[left]))
        statistic, worst = (behind / spread).max(), (behind / spread).argmax()
        exceeded = ((noise / spread).max(axis=1) >= statistic).sum()
        # p-values must not fall along the elimination
        p_value = max(p_value, (1 + exceeded) / (1 + n_draws))
        p_values[left[worst]] = p_value
        left = np.delete(left, worst)
    return p_values


def _bootstrap_means(
    losses: np.ndarray, weight: np.ndarray | None, n_draws: int, rng: Rng
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean losses ``(m,)``, and the deviations of bootstrap means ``(n_draws, m)``."""
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


def mean_interval(
    values: np.ndarray, weight: np.ndarray | None = None, alpha: float = 0.05
) -> tuple[float, float, float]:
    """Return the mean of values ``(n,)`` and its normal interval at level alpha."""
    weight = np.full(len(values), 1.0) if weight is None else weight
    weight = weight / weight.sum()
    mean = weight @ values
    error = math.sqrt((weight**2) @ (values - mean) ** 2)
    half = stats.norm.ppf(1 - alpha / 2) * error
    return mean, mean - half, mean + half


@dataclass(eq=False)
class StructureTest:
    """Result of a comparison of fitted densities on held-out rows.

    It compares trained flows: two trainings of the same structure may differ as well.

    Attributes
    ----------
    names : list of str
        Names of the densities.
    scores : ndarray of shape (n_densities,)
        Mean log-density of the rows, in nats a row.
    p_values : ndarray of shape (n_densities,)
        P-values of membership in the model confidence set (Hansen, Lunde and Nason 2011).
    differences : ndarray of shape (n_densities, 3)
        Mean log-density of the first density minus that of each, in nats a row, with the ends of
        the interval at level `alpha`.
    alpha : float
        Level of the set and of the intervals.
    n_rows : int
        Number of held-out rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, metrics
    >>> X = load_iris().data
    >>> quick = {"max_iter": 5, "random_state": 0}
    >>> flows = [CouplingFlowDensity(n, **quick).fit(X[::2]) for n in (2, 4)]
    >>> test = metrics.compare_structures(flows, X[1::2], random_state=0)
    >>> test.n_rows, test.scores.shape, test.in_set.shape
    (75, (2,), (2,))
    """

    names: list[str]
    scores: np.ndarray
    p_values: np.ndarray
    differences: np.ndarray
    alpha: float
    n_rows: int

    @property
    def in_set(self) -> np.ndarray:
        """Whether each density is in the confidence set, boolean ``(n_densities,)``."""
        return self.p_values >= self.alpha

    def __str__(self) -> str:
        told = "; ".join(map(self._comparison, range(1, len(self.names))))
        may_be_best = [name for name, member in zip(self.names, self.in_set) if member]
        return (
            f"{self.names[0]} on {self.n_rows:,} rows: {told}. May be the best: "
            f"{', '.join(may_be_best)}"
        )

    def _comparison(self, k: int) -> str:
        mean, low, high = self.differences[k]
        ends = f"({100 * (1 - self.alpha):g} %: {low:.3f} to {high:.3f})"
        if low <= 0 <= high:
            return f"not distinguishable from {self.names[k]} {ends}"
        better = "better" if mean > 0 else "worse"
        return f"{abs(mean):.3f} nats a row {better} than {self.names[k]} {ends}"


def compare_structures(
    estimators: Mapping[str, Any] | Sequence[Any],
    X: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    random_state: RandomSource = None,
) -> StructureTest:
    """Compare fitted densities on held-out rows.

    Which of them may be the best, and which are clearly worse? Densities in the *model confidence
    set* [1]_ may be the best. It is found by elimination: the worst density is removed as long as
    the hypothesis that all remaining ones are equally good is rejected.

    Parameters
    ----------
    estimators : dict of str to fitted estimator, or list of fitted estimators
        Densities with a method ``score_samples``: flows with different masks, or any others. Each
        is compared with the first one. In a list they are named by their indices.
    X : array-like or data frame of shape (n_samples, n_features)
        Rows that were not used to fit or to choose any estimator.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; only their ratios matter.
    alpha : float, default=0.05
        Level: a density as good as the best is left out with about this probability.
    random_state : int, RandomState, Generator or None, default=None
        Source of the bootstrap draws.

    Returns
    -------
    test : StructureTest
        Print it, or read its attributes.

    References
    ----------
    .. [1] Hansen, P. R., Lunde, A., Nason, J. M., "The Model Confidence Set", Econometrica 79,
       2011.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, metrics
    >>> X = load_iris().data
    >>> flow = CouplingFlowDensity(2, max_iter=5, random_state=0).fit(X[::2])
    >>> parity = CouplingFlowDensity(2, mask_layout="parity", max_iter=5, random_state=0)
    >>> flows = {"derived": flow, "parity": parity.fit(X[::2])}
    >>> test = metrics.compare_structures(flows, X[1::2], random_state=0)
    >>> print(test)
    derived on 75 rows: ...
    """
    if not isinstance(estimators, Mapping):
        estimators = {str(k): estimator for k, estimator in enumerate(estimators)}
    if len(estimators) < 2:
        raise ValueError(
            f"estimators holds {len(estimators)} densities, which leaves nothing to compare. Give "
            "two or more."
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha!r} is not possible. Give a number between 0 and 1.")
    scored = [estimator.score_samples(X) for estimator in estimators.values()]
    log_probs = np.stack(scored, axis=1)
    for name, of_rows in zip(estimators, np.isfinite(log_probs).T):
        if not of_rows.all():
            raise ValueError(
                f"{name} gives {(~of_rows).sum()} of {len(of_rows)} rows no finite log-density, so "
                "that its mean cannot be compared. Leave this density out, or these rows."
            )
    log_probs, weight = weighted_rows(log_probs, sample_weight)
    gains = log_probs[:, [0]] - log_probs
    return StructureTest(
        names=list(estimators),
        scores=np.average(log_probs, axis=0, weights=weight),
        p_values=confidence_p_values(-log_probs, weight, random_state=check_rng(random_state)),
        differences=np.array([mean_interval(gain, weight, alpha) for gain in gains.T]),
        alpha=alpha,
        n_rows=len(log_probs),
    )
