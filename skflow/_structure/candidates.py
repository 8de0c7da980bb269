"""Short trainings that give the cost of candidate structures."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs

from .._nn.linear_start import start_stack
from .._nn.mask_arrays import equal_sizes
from .._nn.training import Trainer, fill_absent, make_generators
from .journal import fingerprint

if TYPE_CHECKING:
    from .._nn.flow import FlowStack
    from .._nn.training import TrainingOptions, TrainingResult
    from .._nn.training_data import TrainingData


def train_candidates(
    data: TrainingData,
    flow_config: dict[str, Any],
    options: TrainingOptions,
    masks: np.ndarray,
    streams: list[int],
) -> np.ndarray:
    """Return the costs ``(K,)`` of briefly trained candidates, whose layers have equal sizes.

    A single candidate is trained beside a copy of itself, as a stack of one matrix rounds its
    products differently and a cost should not depend on the other candidates. (Rounding remains:
    the last elements of a vectorised operation may differ in the last bit.)
    """
    n_models = len(masks)
    if n_models == 1:
        masks, streams = np.repeat(masks, 2, axis=0), streams * 2
    _, result = _trained(data, flow_config, options, masks, make_generators(streams))
    costs = result.last_loss if data.validation_rows is None else result.score
    return cast(np.ndarray, costs)[:n_models]


def _trained(
    data: TrainingData,
    flow_config: dict[str, Any],
    options: TrainingOptions,
    masks: np.ndarray,
    generators: list[torch.Generator],
) -> tuple[FlowStack, TrainingResult]:
    """Train flows, and return them with the result of the training."""
    flow = start_stack(masks, flow_config, data, generators, options.noise)
    return flow, Trainer(flow, options, data, generators).fit()


def _log_probs(
    flow: FlowStack, data: TrainingData, generators: list[torch.Generator]
) -> np.ndarray:
    """Return log-densities ``(K, m)`` of held-out rows, with normal noise for absent numbers."""
    held_out = cast(torch.Tensor, data.validation_rows)
    rows = held_out.to(data.table.device).expand(flow.n_models, -1)
    x, _, context = data.at(rows)
    fill_absent(x, generators)
    return flow.log_prob(x, context).double().cpu().numpy()


#: Candidates that a process trains at once. More are thrown away more often where one is accepted,
#: and the share of each hardly falls (``examples/benchmarks/search.py``).
STACK = 8
#: Number of folds of the training rows.
N_FOLDS = 5


class CandidateEvaluator:
    """Short trainings of candidate structures: masks ``(K, L, d)`` -> costs ``(K,)``.

    Parameters
    ----------
    flow_config : dict
        Keywords of ``FlowStack``.
    options : TrainingOptions
        Their ``n_steps`` is the length of a candidate's training.
    data : TrainingData
        Of a single model; all candidates see the same rows.
    score : {"train_batch", "validation"}
        The cost: the loss on the last batch (Gonsior et al. 2021) or on validation rows.
    n_jobs : int or None
        Number of processes for a stack, of the joblib backend in use. Costs do not depend on it, up
        to rounding.
    """

    def __init__(
        self,
        flow_config: dict[str, Any],
        options: TrainingOptions,
        data: TrainingData,
        *,
        score: str,
        n_jobs: int | None = None,
    ) -> None:
        self.flow_config, self.options = flow_config, options
        self.data = data if score == "validation" else replace(data, validation_rows=None)
        self.n_jobs = n_jobs

    def __call__(self, masks: np.ndarray, streams: list[int]) -> np.ndarray:
        n_jobs = effective_n_jobs(self.n_jobs)
        parts = [
            part
            for group in equal_sizes(masks)
            for part in np.array_split(group, min(n_jobs, len(group)))
        ]
        task = (self.data, self.flow_config, self.options)
        jobs = [(*task, masks[part], [streams[k] for k in part]) for part in parts]
        if n_jobs == 1:
            results = [train_candidates(*job) for job in jobs]
        else:
            run = Parallel(n_jobs=self.n_jobs)
            results = run(delayed(train_candidates)(*job) for job in jobs)
        return np.concatenate(results)[np.argsort(np.concatenate(parts))]

    def held_out(self, masks: np.ndarray, streams: list[int]) -> np.ndarray:
        """Return log-densities ``(K, m)`` of the validation rows under trained candidates."""
        log_probs: list[Any] = [None] * len(masks)
        for group in equal_sizes(masks):
            generators = make_generators([streams[k] for k in group])
            rules = self.flow_config, self.options
            flow, _ = _trained(self.data, *rules, masks[group], generators)
            for k, own in zip(group, _log_probs(flow, self.data, generators)):
                log_probs[k] = own
        return np.stack(log_probs)

    def cross_validated(self, masks: np.ndarray, streams: list[int]) -> np.ndarray:
        """As `held_out`, but for the training rows, by 5-fold cross-validation.

        The validation rows have already chosen the candidates. All copies of a row are in the same
        fold, and only the first is scored.
        """
        copies = self.data.rows.unflatten(1, (self.data.n_copies, -1))
        parts, found = copies.tensor_split(N_FOLDS, dim=2), []
        for k, part in enumerate(parts):
            others = torch.cat([*parts[:k], *parts[k + 1 :]], dim=2).flatten(1)
            fold = replace(self.data, rows=others, validation_rows=part[:, 0])
            judge = CandidateEvaluator(self.flow_config, self.options, fold, score="validation")
            found.append(judge.held_out(masks, streams))
        return np.concatenate(found, axis=1)

    def stack_size(self) -> int:
        """Return the number of candidates to evaluate at once."""
        return STACK * effective_n_jobs(self.n_jobs)

    def fingerprint(self) -> str:
        """Return a hash of all that the costs depend on: rows, flow and training."""
        seen = [getattr(self.data, field.name) for field in fields(self.data)]
        arrays = [part.cpu().numpy() if torch.is_tensor(part) else part for part in seen]
        config = sorted(self.flow_config.items())
        return fingerprint(*arrays, config, self.options)
