"""Trainings that a user hears of."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skflow import CouplingFlowDensity, masks
from skflow._core.progress import FitProgress, Progress, showing
from skflow._core.random import RandomStreams
from skflow._models.flow import Variant, cross_fit
from skflow._nn.flow import FlowStack
from skflow._nn.training import TrainingOptions
from skflow._nn.training_data import Plan, TrainingData


def plan(n_splits=1, progress=Progress):
    """Of standard normal rows, with different rows held out in every split."""
    U = np.random.RandomState(0).standard_normal((200, 3))
    order = torch.stack([torch.arange(200).roll(50 * k) for k in range(n_splits)])
    data = TrainingData(torch.as_tensor(U, dtype=torch.float32), order[:, :150], order[:, 150:])
    options = TrainingOptions(
        n_steps=40,
        steps_per_epoch=10,
        batch_size=30,
        solver="sgd",
        learning_rate="constant",
        learning_rate_init=0.01,
    )
    config = {"coupling": "affine", "hidden_layer_sizes": ()}
    return Plan(data, options, config, RandomStreams(0), np.zeros(200), progress=progress)


def structures(n_flows=1, n_structures=1):
    rng = np.random.default_rng(0)
    drawn = [masks.random(2, 3, random_state=rng) for _ in range(n_flows * n_structures)]
    return np.stack(drawn).reshape(n_flows, n_structures, 2, 3)


@pytest.fixture
def diverging(monkeypatch):
    """Makes some models of a stack NaN at their start, to which the best state brings them back."""

    def make(models):
        initialize = FlowStack.initialize

        def broken(stack, generators, **options):
            initialize(stack, generators, **options)
            stack.theta[models] = torch.nan
            return stack

        monkeypatch.setattr(FlowStack, "initialize", broken)

    return make


def test_a_training_is_shown_epoch_by_epoch(capsys):
    shown = FitProgress(CouplingFlowDensity(), lambda: None)
    with showing(1):
        trained = cross_fit(plan(progress=shown), structures(), [Variant()])
    assert trained.loss_curve.shape == trained.validation_curve.shape == (4, 1)
    assert "fit" in capsys.readouterr().out


def test_a_diverging_model_is_told_of(diverging):
    diverging([0])
    with pytest.raises(ValueError, match=r"finite likelihood.*learning_rate_init \(now 0\.01\)"):
        cross_fit(plan(), structures(), [Variant()])


def test_a_start_that_diverges_is_not_the_best(diverging):
    diverging([1])
    with pytest.warns(ConvergenceWarning, match="4 times.*learning_rate_init"):
        trained = cross_fit(plan(), structures(n_structures=2), [Variant()])
    assert np.isfinite(trained.validation_curve).all()
    assert (trained.flow.masks[0] == structures(n_structures=2)[0, 0]).all()


def test_folds_agree_on_the_best_start_of_each_flow_and_variants_stand_side_by_side():
    found = structures(n_flows=2, n_structures=3)
    variants = [Variant(), Variant(noise=0.5)]
    trained = cross_fit(plan(4), found, variants, n_folds=2, n_init=2)
    assert trained.flow.n_members == 2 * 2 * 2
    assert trained.variant.tolist() == [0, 1] * 4
    member_masks = trained.flow.masks.reshape(2, 2, 2, 2, 3)  # flow, fold, variant, layer, feature
    assert (member_masks[:, 0] == member_masks[:, 1]).all()
    for own, flow in zip(member_masks, found):
        for chosen in own[0]:
            assert any(np.array_equal(chosen, structure) for structure in flow)
    held_out = [set(rows.tolist()) for rows in trained.data.validation_rows]
    assert held_out[0] == held_out[1] != held_out[2]
    # noise makes a density wider: what is held out is less likely
    U = trained.data.table.numpy().astype(float)
    scores = trained.flow.log_probs(U).mean(axis=1)
    assert (scores[0::2] > scores[1::2]).all()


def test_one_flow_trains_as_it_does_among_others():
    alone = cross_fit(plan(), structures(), [Variant()])
    among = cross_fit(plan(2), structures(n_flows=2), [Variant()])
    np.testing.assert_array_equal(alone.flow.masks[0], among.flow.masks[0])
    assert alone.loss_curve[:, 0] == pytest.approx(among.loss_curve[:, 0], rel=1e-5)
