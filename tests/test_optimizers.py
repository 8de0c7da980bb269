"""Solvers and schedules."""

import numpy as np
import pytest
import torch
from small_trainings import options

from skflow._nn.optimizers import SCHEDULES, SOLVERS, Adam, learning_rates


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_lie_between_zero_and_the_given_one(schedule):
    rates = learning_rates(options(n_steps=1000, learning_rate=schedule))
    assert rates.shape == (1000,)
    assert (rates >= 0).all()
    assert rates.max() == pytest.approx(0.01, rel=1e-2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_descend_model_by_model(solver):
    """Two parabolas, one of which gets a rate of 0; then what it had learned is forgotten."""
    theta = torch.tensor([[3.0, -2.0], [3.0, -2.0]])
    run = SOLVERS[solver](theta, None)
    for _ in range(200):
        run.step(theta.clone(), torch.tensor([[0.05], [0.0]]))
    assert theta[0].abs().max() < 0.1
    assert theta[1].tolist() == [3, -2]
    run.forget(torch.tensor([0]))
    run.step(torch.zeros(2, 2), torch.tensor([[0.0], [1.0]]))
    # the model that was not forgotten has momentum left where the solver has any
    assert (theta[1] != torch.tensor([3.0, -2.0])).any() == (solver == "adam")


@pytest.mark.parametrize("solver", SOLVERS)
def test_decay_shrinks_weights_and_never_turns_their_sign(solver):
    theta = torch.tensor([[1.0, -1.0, 1.0]])
    run = SOLVERS[solver](theta, torch.tensor([1.0, 1.0, 0.0]))
    run.step(torch.zeros(1, 3), torch.tensor([[0.5]]))
    assert theta[0].tolist() == [0.5, -0.5, 1]
    run.step(torch.zeros(1, 3), torch.tensor([[5.0]]))
    assert theta[0].tolist() == [0, 0, 1]


def test_one_cycle_rises_once_and_decays_to_zero():
    rates = learning_rates(options(n_steps=1000))
    peak = rates.argmax()
    assert rates.max() == pytest.approx(0.01, rel=1e-3)
    assert 90 <= peak <= 110
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 1e-6


def test_triangular_cycles():
    rates = learning_rates(options(n_steps=1000, steps_per_epoch=50, learning_rate="cyclic"))
    # half-cycles of 2.5 epochs: four cycles of 250 steps, between a tenth and the whole rate
    assert rates[::250] == pytest.approx([0.001] * 4)
    assert rates[125::250] == pytest.approx([0.01] * 4)
    assert rates[:126] == pytest.approx(np.linspace(0.001, 0.01, 126))


def test_constant_rate():
    assert (learning_rates(options(learning_rate="constant")) == 0.01).all()


def test_adam_steps_are_those_of_torch():
    theta = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    reference = torch.nn.Parameter(theta.clone())
    decay = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    ours = Adam(theta, 0.1 * decay)
    theirs = torch.optim.AdamW([reference], lr=0.02, weight_decay=0.0)
    for step in range(5):
        gradient = torch.randn(2, 5, generator=torch.Generator().manual_seed(step))
        ours.step(gradient, torch.full((2, 1), 0.02))
        with torch.no_grad():  # decay of some weights only, which AdamW has no argument for
            reference.mul_(1 - 0.02 * 0.1 * decay)
        reference.grad = gradient
        theirs.step()
    torch.testing.assert_close(theta, reference.detach(), rtol=1e-5, atol=1e-6)
