"""Masks as arrays ``(n_layers, n_features)``: 1 is transformed, 0 conditions, `IDLE` neither.

They stand apart from the layers, as structures are made and searched for without PyTorch.
"""

import numpy as np

#: The third role of a feature in a layer: it passes unchanged and conditions nothing.
IDLE = -1


def tidy(roles):
    """Roles, 1, 0 and `IDLE`, as masks are kept: boolean where nothing is idle, otherwise int8."""
    roles = np.array(roles, dtype=np.int8)
    return roles if (roles == IDLE).any() else roles == 1


def layer_sizes(masks):
    """Numbers of transformed and of conditioning features, ``(..., L, d)`` -> ``(..., L, 2)``."""
    return np.stack([(masks == role).sum(axis=-1) for role in (1, 0)], axis=-1)


def equal_sizes(masks):
    """Which of the structures ``(K, L, d)`` have layers of equal sizes: a list of index arrays.

    Only such flows can be trained as one stack.
    """
    sizes = layer_sizes(np.asarray(masks)).reshape(len(masks), -1)
    _, group = np.unique(sizes, axis=0, return_inverse=True)
    return [np.flatnonzero(group.ravel() == g) for g in range(group.max() + 1)]
