"""Trainings that a user hears of."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skflow import CouplingFlowDensity, masks
from skflow._estimators.fitting import train
from skflow._flows.flow import FlowStack
from skflow._flows.training import TrainingOptions, make_generators
from skflow._flows.training_data import TrainingData
from skflow._support.callbacks import FitProgress

SILENT, SHOWN = (FitProgress(CouplingFlowDensity(verbose=v), np.zeros((1, 1))) for v in (0, 1))


def setting(n_features=3, validated=True, n_models=1):
    """A flow at its start, standard normal rows, and which of them the model trains on."""
    Z = np.random.RandomState(0).standard_normal((200, n_features))
    rows = torch.arange(200).repeat(n_models, 1)
    split = (rows[:, :150], rows[:, 150:]) if validated else (rows, None)
    structure = np.stack([masks.parity(2, n_features)] * n_models)
    flow = FlowStack(structure, coupling="affine", hidden_layer_sizes=())
    flow.initialize(make_generators(range(n_models)))
    return flow, Z, TrainingData(torch.as_tensor(Z, dtype=torch.float32), *split)


def options(rate):
    return TrainingOptions(
        n_steps=40,
        steps_per_epoch=10,
        batch_size=30,
        solver="sgd",
        learning_rate="constant",
        learning_rate_init=rate,
    )


def test_a_training_is_shown_epoch_by_epoch(capsys):
    flow, _, data = setting()
    result = train(
        flow,
        options(0.01),
        data,
        make_generators([0]),
        SHOWN,
        np.zeros(200),
    )
    assert len(result.loss_curve) == 4 and np.isfinite(result.score).all()
    assert "fit" in capsys.readouterr().out


def test_a_diverging_model_is_told_of():
    flow, _, data = setting()
    with torch.no_grad():
        flow.theta[:] = torch.nan  # brought back by the best state, which is this one
    with pytest.raises(ValueError, match=r"finite likelihood.*learning_rate_init \(now 0\.01\)"):
        train(
            flow,
            options(0.01),
            data,
            make_generators([0]),
            SILENT,
            np.zeros(200),
        )
    flow, _, data = setting(n_models=2)
    with torch.no_grad():
        flow.theta[1] = torch.nan
    with pytest.warns(ConvergenceWarning, match="4 times.*learning_rate_init"):
        result = train(flow, options(0.01), data, make_generators([0, 1]), SILENT, np.zeros(200))
    assert np.isfinite(result.score[0]) and not np.isfinite(result.score[1])
