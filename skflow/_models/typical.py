"""Draws that look like the rows of a fit: without far tails, within the range of what was seen.

A density keeps some weight for rows that no row of the fit is like, so that their scores are sane.
Whoever draws synthetic rows does not want these. What is drawn here is the density without the
least weights of its heavy-tailed components, given that every number lies within the range of its
column.
"""

from dataclasses import replace

import numpy as np

from .._core.checks import warn
from .mixture import Mixture
from .stacking import floors

#: If fewer than one in so many rows lies within, no more are drawn.
MOST_DRAWS = 100


def sample_typical(density, n_samples, rng):
    """Draw rows ``(n_samples, d)`` without far tails, within the ranges of the columns."""
    trimmed = without_least_weights(density)
    kept, n_kept, n_drawn = [], 0, 0
    while n_kept < n_samples:
        if n_drawn >= max(n_samples, MOST_DRAWS) and n_kept * MOST_DRAWS < n_drawn:
            break
        accepted = (n_kept + 1) / (n_drawn + 1)
        size = min((n_samples - n_kept) / accepted, 2 * n_samples)
        rows = trimmed.sample(int(np.ceil(size)), rng)
        inside = density.columns.in_range(density.schema.split(rows)[1])
        kept.append(rows[inside])
        n_kept, n_drawn = n_kept + inside.sum(), n_drawn + len(rows)
    n_missing = n_samples - n_kept
    if n_missing > 0:
        warn(
            f"Of {n_drawn} rows drawn, {n_kept} lie within the range of the rows of fit, so in "
            f"{n_missing} of {n_samples} numbers beyond it are put on its ends. The density is far "
            "wider than the data: train longer, or take sample(..., tails=True)."
        )
        discrete, real = density.schema.split(trimmed.sample(n_missing, rng))
        kept.append(density.schema.join(discrete, density.columns.to_range(real)))
    return np.concatenate(kept)[:n_samples]


def without_least_weights(density):
    """The density without the least weight that each heavy-tailed component has to have."""
    mixture = density.mixture
    least = floors(mixture.models, len(density.columns.scale))
    weights = np.maximum(mixture.weights - least, 0.0)
    return replace(density, mixture=Mixture(mixture.models, weights / weights.sum()))
