"""Whether rows still come from where others came from: a conformal test martingale.

Row after row is ranked among the calibration rows and those before it. As long as all of these are
exchangeable, such p-values are independent and uniform, whatever the scores are. Somebody who bets
against that, without knowing what comes, multiplies the stake by more than ``1 / a`` with a
probability of at most ``a`` (Ville 1939; Vovk, Nouretdinov and Gammerman 2003).
"""

from bisect import bisect_left, bisect_right, insort

import numpy as np

from .conformal import just_below

#: Part of the stake that moves from each bet to all of them, after each row.
MOVED = 0.01


def online_pvalues(scores, calibration_scores, rng):
    """p-values ``(n,)`` of scores among those of calibration rows, ascending, and those before.

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


def evidence(pvalues):
    """Decimal logarithms ``(n,)`` of what the stake has become after each p-value.

    The bets are on none, on a few very small ones, on smaller and on larger ones. The stake moves
    among them ("simple jumper", Vovk and others 2021), so that it is soon on one that wins.
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
