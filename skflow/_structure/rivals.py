"""What a search is tested against: random structures of equal effort, parity, derived masks."""

import numpy as np

from .._flows.mask_arrays import tidy
from .layouts import Derived, Parity
from .search import candidate_streams


def best_random(start, evaluate, n_iter, n_wanted, seed, search_space, n_at_once):
    """The best of as many random structures as a search tries, that do not descend from each other.

    They have the sizes of the start, and are evaluated by the same short trainings.

    Returns
    -------
    masks : list of ndarray, shape (n_layers, n_features)
        As many as wanted, the best first.
    """
    drawn, costs = [], []
    for first in range(0, n_iter, n_at_once):
        streams = [candidate_streams((seed, 1), t) for t in range(first, n_iter)[:n_at_once]]
        stack = [_shuffled(start, rng, search_space) for rng, _ in streams]
        drawn += stack
        costs.append(evaluate(np.stack(stack), [stream for _, stream in streams]))
    costs = np.concatenate(costs)
    by_cost = np.argsort(np.where(np.isfinite(costs), costs, np.inf), kind="stable")
    unique = {drawn[k].tobytes(): drawn[k] for k in by_cost}
    return list(unique.values())[:n_wanted]


def _shuffled(start, rng, search_space):
    if search_space in ("alternating", "columns"):
        return start[:, rng.permutation(start.shape[1])]
    return rng.permuted(start, axis=1)


def by_rule(task):
    """Parity and the derived masks, by name."""
    shape = (task.n_layers, task.n_features)
    derived = Derived().make(
        *shape,
        n_conditioning=task.n_conditioning,
        random_state=np.random.default_rng(task.seed),
        X=task.X,
    )
    return {"parity": Parity().make(*shape), "derived": derived}


def gather(named):
    """Distinct structures ``(n, L, d)`` and their sources, from pairs of a source and a structure.

    A structure that comes from several sources stands once.
    """
    masks, sources = {}, {}
    for source, structure in named:
        key = tidy(structure).tobytes()
        masks.setdefault(key, structure)
        known = sources.setdefault(key, [])
        if source not in known:
            known.append(source)
    return np.stack(list(masks.values())), [" and ".join(names) for names in sources.values()]
