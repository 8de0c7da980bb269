"""Moves of the search: how an offspring differs from its parent, in every search space."""

import numpy as np

from .structures import alternating


def select_layers(n_layers, rng):
    """Draw the layers which a move changes, their number geometric with p = 0.5 (at most all)."""
    n_selected = min(rng.geometric(0.5), n_layers)
    return rng.choice(n_layers, size=n_selected, replace=False)


def shuffle(masks, rng):
    """Permute the entries of each mask in a random selection of layers (the paper's `modify`).

    The new array has as many transformed features in each layer. It may equal the old one.
    """
    layers = select_layers(len(masks), rng)
    offspring = masks.copy()
    offspring[layers] = rng.permuted(masks[layers], axis=1)
    return offspring


def swap(masks, rng):
    """Exchange one transformed feature and another in a random selection of layers.

    A single feature has nothing to be exchanged with and stays.
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


SEARCH_SPACES = ("free", "alternating")


def propose(masks, rng, move="shuffle", search_space="free"):
    """Draw one offspring of `masks`; of alternating ones the layers follow the first."""
    if search_space == "free":
        return MOVES[move](masks, rng)
    return alternating(MOVES[move](masks[:1], rng)[0], len(masks))
