"""A test for a change of distribution: a conformal test martingale.

Each row is ranked among the calibration rows and the rows before it. As long as all rows are
exchangeable, these p-values are independent and uniform, whatever the scores are. Betting against
this, without knowing the next rows, multiplies the stake by more than ``1 / a`` with a probability
of at most ``a`` (Ville 1939; Vovk, Nouretdinov and Gammerman 2003).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

import numpy as np

from .conformal import just_below

#: Fraction of the stake of each bet that is redistributed to all bets after each row.
MOVED = 0.01


def online_pvalues(
    scores: np.ndarray, calibration_scores: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return p-values ``(n,)`` of scores among ascending calibration scores and scores before.

    Ties, up to rounding, are broken at random: these p-values are uniform, not only valid.
    """
    known, found = calibration_scores.tolist(), np.empty(len(scores))
    draws = rng.uniform(size=len(scores))
    lower, upper = just_below(scores), -just_below(-scores)
    for i, score in enumerate(scores.tolist()):
        n_lower = bisect_left(known, lower[i])
        n_ties = bisect_right(known, upper[i]) - n_lower + 1
        found[i] = (n_lower + draws[i] * n_ties) / (len(known) + 1)
        insort(known, score)
    return found


def evidence(pvalues: np.ndarray) -> np.ndarray:
    """Return decimal logarithms ``(n,)`` of the stake after each p-value.

    The bets are on no change, on a few very small p-values, on smaller and on larger ones. The
    stake moves among the bets ("simple jumper", Vovk and others 2021), soon to one that wins.
    """
    p = np.clip(pvalues, np.finfo(float).tiny, 1.0)
    bets = np.stack([np.ones_like(p), 0.5 / np.sqrt(p), 1.5 - p, 0.5 + p], axis=1)
    n_bets = bets.shape[1]
    shares = np.full(n_bets, 1 / n_bets)
    growth = np.empty(len(p))
    for i, bet in enumerate(bets):
        shares = bet * ((1 - MOVED) * shares + MOVED / n_bets)
        growth[i] = shares.sum()
        shares /= growth[i]
    return np.cumsum(np.log10(growth))
