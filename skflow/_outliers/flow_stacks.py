"""Flows that differ in their noise only, each fitted to several folds of the rows, as one stack."""

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._core.deadline import in_turn
from .._models.fitting import fit_flows
from .._nn.settings import noise_of, training_of

#: Parameters in which the flows of a stack may differ; the seed is that of the first.
OWN = {"training", "training__noise", "random_state"}


def fit_side_by_side(flows, X, table, others, held_out):
    """Fit each flow to the rows outside each fold; the fold says when its training is to stop.

    Parameters
    ----------
    flows : dict of str to CouplingFlowDensity
        Those that differ in nothing but their noise are trained in one stack.
    X : ndarray of shape (n, d)
        Rows of the table as codes.
    table : Table
    others, held_out : list of ndarray
        For each fold the rows to fit to, and those that are left out.

    Returns
    -------
    members : dict of str to list of CouplingFlowDensity
        Fitted, one for each fold.
    """
    members = {}
    splits = [torch.from_numpy(np.stack(rows)) for rows in (others, held_out)]
    for names in in_turn(_groups(flows)):
        first = clone(flows[names[0]])._with_table(table)
        seed = int(check_random_state(first.random_state).randint(2**31 - 1))
        schema, columns = first._columns_of(X, seed=seed)[1:3]
        noises = [noise_of(flows[name]) for name in names]
        fits = fit_flows(first, first._layout(), noises, X, schema, columns, splits, seed=seed)
        for name, of_folds in zip(names, fits):
            members[name] = [
                clone(flows[name])._with_table(table)._with_fit(fitted) for fitted in of_folds
            ]
    return members


def _groups(flows):
    """Names of the flows that can be trained side by side, as lists."""
    groups = {}
    for name, flow in flows.items():
        params = flow.get_params() | {
            f"training__{key}": value for key, value in training_of(flow).get_params().items()
        }
        shared = {key: repr(value) for key, value in params.items() if key not in OWN}
        groups.setdefault(repr(sorted(shared.items())), []).append(name)
    return list(groups.values())
