"""Trained structures of a search on rows that had no part in it: what a test needs of them."""

import numpy as np

from .._densities.density import average, call_in_blocks
from .fitting import holder


def rank_structures(scores, n_folds, n_structures):
    """Structures by their scores, and the models of each.

    Parameters
    ----------
    scores : ndarray of shape (n_folds * n_structures * n_init,)
        Of the validation rows, lower is better.
    n_folds, n_structures : int

    Returns
    -------
    ranked : ndarray of int, shape (n_structures,)
        Numbers of the structures, the best first.
    models : ndarray of int, shape (n_structures, n_folds)
        Of each in this order, the models of its best start.
    """
    scores = np.nan_to_num(scores, nan=np.inf).reshape(n_folds, n_structures, -1).mean(axis=0)
    ranked = scores.min(axis=1).argsort(kind="stable")
    n_init = scores.shape[1]
    first = ranked * n_init + scores[ranked].argmin(axis=1)
    return ranked, first[:, None] + n_structures * n_init * np.arange(n_folds)


def structure_log_probs(stacks, models, U, context=None):
    """Log-densities of rows ``(n, n_structures)``, each the average over a structure's folds."""
    columns = []
    for folds in models:
        flow = holder(stacks, folds).take(folds)
        columns.append(average(call_in_blocks(flow, "log_prob", U, context=context)))
    return np.stack(columns, axis=1)


def models_in_set(stacks, models, in_set, n_wanted):
    """Models of the first structure, and of as many further ones of the set as are wanted.

    They are served as one stack, so that those whose layers have other sizes are left out.
    """
    stack = holder(stacks, models[0])
    others = [m for m, member in zip(models[1:], in_set[1:]) if member and m[0] in stack.models]
    return np.concatenate([models[0], *others[: n_wanted - 1]])
