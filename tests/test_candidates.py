"""Short trainings: what a candidate costs, whatever it is trained beside."""

import numpy as np
import pytest
import torch
from small_trainings import correlated_rows, options

from skflow import masks
from skflow._nn.training_data import TrainingData
from skflow._structure.candidates import STACK, CandidateEvaluator


@pytest.fixture
def table():
    return correlated_rows()


def split():
    return torch.arange(250).repeat(1, 1), torch.arange(250, 300).repeat(1, 1)


@pytest.mark.parametrize("score", ["train_batch", "validation"])
def test_costs_of_candidates_do_not_depend_on_their_company(table, score):
    evaluate = CandidateEvaluator(
        {"coupling": "affine", "hidden_layer_sizes": ()},
        options().shortened(10),
        TrainingData(table, *split()),
        score=score,
    )
    structures = np.stack([masks.random(3, 4, random_state=k) for k in range(4)])
    streams = [5, 6, 7, 8]
    together = evaluate(structures, streams)
    alone = [evaluate(structures[k : k + 1], streams[k : k + 1])[0] for k in range(4)]
    assert together == pytest.approx(alone, rel=1e-5)
    assert len(set(together)) == 4


def test_costs_do_not_depend_on_the_number_of_processes(table):
    structures = np.stack([masks.random(3, 4, random_state=k) for k in range(5)])
    costs = [
        CandidateEvaluator(
            {"coupling": "spline", "hidden_layer_sizes": (4,)},
            options().shortened(10),
            TrainingData(table, *split()),
            score="validation",
            n_jobs=n_jobs,
        )(structures, list(range(5)))
        for n_jobs in (None, 2)
    ]
    assert costs[0] == pytest.approx(costs[1], rel=1e-5)


def test_every_process_has_a_stack_of_its_own(table):
    data = TrainingData(table, *split())
    sizes = [
        CandidateEvaluator({}, options(), data, score="validation", n_jobs=n_jobs).stack_size()
        for n_jobs in (None, 3)
    ]
    assert sizes == [STACK, 3 * STACK]


def test_copies_of_a_row_are_in_one_fold(table, monkeypatch):
    """A row whose missing cells were drawn several times counts once, and judges no copy of it."""
    order = torch.randperm(100)
    rows = torch.cat([order, order + 150])[None]
    data = TrainingData(table, rows, torch.arange(100, 150)[None], n_copies=2)
    folds = []
    monkeypatch.setattr(
        CandidateEvaluator, "held_out", lambda self, *_: folds.append(self.data) or np.zeros((1, 1))
    )
    CandidateEvaluator({}, options(), data, score="validation").cross_validated(None, None)
    judges = [set(fold.validation_rows[0].tolist()) for fold in folds]
    assert sorted(row for fold in judges for row in fold) == list(range(100))
    for fold, own in zip(folds, judges):
        trained = fold.rows[0].tolist()
        assert len(trained) == 160 and own.isdisjoint(row % 150 for row in trained)
