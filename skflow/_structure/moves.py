"""Moves of the search: how an offspring differs from its parent, in every search space."""

import numpy as np

from .._nn.mask_arrays import IDLE, tidy
from .structures import alternating


def select_layers(n_layers, rng):
    """Draw the layers which a move changes, their number geometric with p = 0.5.

    The number is at least 1; numbers beyond `n_layers` count as `n_layers`.
    """
    n_selected = min(rng.geometric(0.5), n_layers)
    return rng.choice(n_layers, size=n_selected, replace=False)


def shuffle(masks, rng):
    """Permute the entries of each mask in a random selection of layers (the paper's `modify`).

    Parameters
    ----------
    masks : ndarray of bool, shape (n_layers, n_features)
    rng : numpy.random.Generator

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        A new array with as many transformed features in each layer. It may equal the old one.
    """
    layers = select_layers(len(masks), rng)
    offspring = masks.copy()
    offspring[layers] = rng.permuted(masks[layers], axis=1)
    return offspring


def swap(masks, rng):
    """Exchange one transformed feature and another in a random selection of layers.

    Parameters
    ----------
    masks : ndarray of bool, shape (n_layers, n_features)
    rng : numpy.random.Generator

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        A new array. A single feature has nothing to be exchanged with and stays.
    """
    layers = select_layers(len(masks), rng)
    offspring = masks.copy()
    if masks.shape[1] == 1:
        return offspring
    for layer in layers:
        leaving = rng.choice(np.flatnonzero(masks[layer] == 1))
        entering = rng.choice(np.flatnonzero(masks[layer] != 1))
        offspring[layer, [leaving, entering]] = masks[layer, [entering, leaving]]
    return offspring


MOVES = {"shuffle": shuffle, "swap": swap}


def resize(masks, rng):
    """Make some features of a role idle in every layer, or give idle ones that role.

    A layer loses a quarter of those that it transforms, or is conditioned on, or as many are added;
    one is left of each. All offspring of a structure have one of four sizes, so that those of a
    stack are few.

    Parameters
    ----------
    masks : ndarray of shape (n_layers, n_features)
    rng : numpy.random.Generator

    Returns
    -------
    masks : ndarray of shape (n_layers, n_features)
        A new array.
    """
    role, thinner = rng.integers(2), rng.random() < 0.5
    offspring = masks.astype(np.int8)
    for layer in offspring:
        having, idle = np.flatnonzero(layer == role), np.flatnonzero(layer == IDLE)
        if thinner:
            n_changed = min(max(1, len(having) // 4), len(having) - 1)
            source, target = having, IDLE
        else:
            n_changed = min(max(1, len(having) // 3), len(idle), len(layer) - 1 - len(having))
            source, target = idle, role
        layer[rng.permutation(source)[: max(0, n_changed)]] = target
    return tidy(offspring)


def _in_free_space(masks, rng, move):
    return MOVES[move](masks, rng)


def _in_alternating_space(masks, rng, move):
    # the move acts on the first mask, and the layers after it follow
    return alternating(MOVES[move](masks[:1], rng)[0], len(masks))


def _in_sparse_space(masks, rng, move):
    return resize(masks, rng) if rng.random() < 0.5 else MOVES[move](masks, rng)


def _in_column_space(masks, rng, move):
    order = np.arange(masks.shape[1])
    if move == "shuffle":
        order = rng.permutation(order)
    elif len(order) > 1:
        i, j = rng.choice(order, 2, replace=False)
        order[[i, j]] = j, i
    return masks[:, order]


SEARCH_SPACES = {
    "free": _in_free_space,
    "alternating": _in_alternating_space,
    "sparse": _in_sparse_space,
    "columns": _in_column_space,
}


def propose(masks, rng, move="shuffle", search_space="free"):
    """Draw one offspring of `masks`."""
    return SEARCH_SPACES[search_space](masks, rng, move)
