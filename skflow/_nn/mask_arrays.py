"""Masks as arrays ``(n_layers, n_features)``: 1 is transformed, 0 conditions, `IDLE` neither.

They are apart from the layers, as making and searching structures does not need PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._core.typing import ArrayLike

#: The third role of a feature in a layer: it passes unchanged and conditions nothing.
IDLE = -1


def tidy(roles: ArrayLike) -> np.ndarray:
    """Return roles as boolean masks if no feature is idle, as int8 otherwise."""
    roles = np.array(roles, dtype=np.int8)
    return roles if (roles == IDLE).any() else roles == 1


def layer_sizes(masks: np.ndarray) -> np.ndarray:
    """Return the counts of transformed and conditioning features ``(..., L, 2)``."""
    return np.stack([(masks == role).sum(axis=-1) for role in (1, 0)], axis=-1)


def equal_sizes(masks: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    """Group structures ``(K, L, d)`` with layers of equal sizes: a list of index arrays.

    Only the flows of a group can be trained as one stack.
    """
    sizes = layer_sizes(np.asarray(masks)).reshape(len(masks), -1)
    _, group = np.unique(sizes, axis=0, return_inverse=True)
    return [np.flatnonzero(group.ravel() == g) for g in range(group.max() + 1)]
