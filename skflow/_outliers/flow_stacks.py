"""Flows that differ in their noise only, each fitted to several folds of the rows, as one stack."""

from dataclasses import replace

import numpy as np
import torch

from .._estimators.flow_density import CouplingFlowDensity

#: Parameters in which the flows of a stack may differ; the seed is that of the first.
OWN = {"noise", "random_state"}


class _Stack(CouplingFlowDensity):
    """All flows of all folds as the members of one estimator, only in use while they are fitted."""

    _parameter_constraints = {**CouplingFlowDensity._parameter_constraints, "noise": [tuple]}

    def _warn(self, X, U):
        """The detector says by itself what columns mean for outliers."""

    def _split(self, n_rows, fraction, streams):
        return self.split

    def _describe(self, flow, result, best, data, log_det):
        super()._describe(flow, result, best, data, log_det)
        self.told = result, best, data, log_det


def fit_side_by_side(flows, X, others, held_out):
    """Fit each flow to the rows outside each fold; the fold says when its training is to stop.

    Parameters
    ----------
    flows : dict of str to CouplingFlowDensity
        Those that differ in nothing but their noise are trained in one stack.
    X : array-like of shape (n, d)
    others, held_out : list of ndarray
        For each fold the rows to fit to, and those that are left out.

    Returns
    -------
    members : dict of str to list of CouplingFlowDensity
        Fitted, one for each fold.
    """
    members = {}
    for names in _groups(flows):
        stack = _fit_stack([flows[name] for name in names], X, others, held_out)
        for i, name in enumerate(names):
            own = i * len(others) + np.arange(len(others))
            members[name] = [_taken(stack, flows[name], k) for k in own]
    return members


def _groups(flows):
    """Names of the flows that can be trained side by side, as lists."""
    groups = []
    for name, flow in flows.items():
        shared = {key: repr(v) for key, v in flow.get_params().items() if key not in OWN}
        for group_shared, names in groups:
            if shared == group_shared:
                names.append(name)
                break
        else:
            groups.append((shared, [name]))
    return [names for _, names in groups]


def _fit_stack(flows, X, others, held_out):
    params = flows[0].get_params(deep=False)
    noise = tuple(np.repeat([float(flow.noise) for flow in flows], len(others)))
    stack = _Stack(**{**params, "noise": noise, "n_estimators": len(noise)})
    stack.split = tuple(
        torch.from_numpy(np.tile(rows, (len(flows), 1))) for rows in (others, held_out)
    )
    return stack.fit(X)


def _taken(stack, flow, k):
    """Member ``k`` of a fitted stack as an estimator with the parameters of ``flow``."""
    taken = CouplingFlowDensity(**flow.get_params(deep=False))
    private = {*taken.get_params(deep=False), "split", "told", "_density", "_choices"}
    vars(taken).update({key: v for key, v in vars(stack).items() if key not in private})
    taken._choices = [stack._choices[k]]
    taken._density = replace(stack._density, flow=stack._density.flow.take(k))
    result, best, data, log_det = stack.told
    taken._describe(taken._density.flow, result, best[[k]], data.member(k), log_det)
    return taken
