"""Moves of the search: how an offspring differs from its parent."""

from __future__ import annotations

import numpy as np

from .structures import alternating


def select_layers(n_layers: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the layers that a move changes; their number is geometric with p = 0.5."""
    n_selected = min(rng.geometric(0.5), n_layers)
    return rng.choice(n_layers, size=n_selected, replace=False)


def shuffle(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute the entries of each mask in a random selection of layers (the paper's `modify`).

    The number of transformed features of each layer stays. The result may equal the old masks.
    """
    layers = select_layers(len(masks), rng)
    offspring = masks.copy()
    offspring[layers] = rng.permuted(masks[layers], axis=1)
    return offspring


def swap(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange a transformed feature with another one in a random selection of layers.

    A single feature stays.
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


def propose(
    masks: np.ndarray, rng: np.random.Generator, move: str = "shuffle", search_space: str = "free"
) -> np.ndarray:
    """Draw an offspring of `masks`; alternating masks follow from the first layer."""
    if search_space == "free":
        return MOVES[move](masks, rng)
    return alternating(MOVES[move](masks[:1], rng)[0], len(masks))
