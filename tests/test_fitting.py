"""Trainings that a user hears of, and the weights of the components."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import ConvergenceWarning

from skflow import CouplingFlowDensity, masks
from skflow._components import COMPONENTS, fixed_weights, floors
from skflow._fitting import fit_components_and_weights, train
from skflow._flow import FlowStack
from skflow._streams import RandomStreams
from skflow._training import TrainingOptions, make_generators
from skflow._training_data import TrainingData

STREAMS = RandomStreams(0)


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
    result = train(flow, options(0.01), data, make_generators([0]), 1, np.zeros(len(data.table)))
    assert len(result.loss_curve) == 4 and np.isfinite(result.score).all()
    assert "fit" in capsys.readouterr().out


def test_a_diverging_model_is_told_of():
    flow, _, data = setting()
    with torch.no_grad():
        flow.theta[:] = torch.nan  # brought back by the best state, which is this one
    with pytest.raises(ValueError, match=r"finite likelihood.*learning_rate_init \(now 0\.01\)"):
        train(flow, options(0.01), data, make_generators([0]), 0, np.zeros(len(data.table)))
    flow, _, data = setting(n_models=2)
    with torch.no_grad():
        flow.theta[1] = torch.nan
    with pytest.warns(ConvergenceWarning, match="4 times.*learning_rate_init"):
        result = train(
            flow, options(0.01), data, make_generators([0, 1]), 0, np.zeros(len(data.table))
        )
    assert np.isfinite(result.score[0]) and not np.isfinite(result.score[1])


def weights(tail_weight, validated=True, n_features=3):
    flow, Z, data = setting(n_features, validated)
    flow = flow.to(dtype=torch.float64)
    components, found = fit_components_and_weights(tail_weight, flow, Z, None, data, STREAMS)
    assert list(components) == list(COMPONENTS if tail_weight else [])
    return found


def test_no_components():
    assert weights(0).tolist() == weights(0.0, validated=False).tolist() == [1.0]


@pytest.mark.parametrize("validated", [True, False])
def test_a_number_is_the_weight_of_the_guards(validated):
    np.testing.assert_array_equal(weights(0.3, validated), fixed_weights(0.3))


@pytest.mark.parametrize("n_features", [2, 20])
def test_weights_without_validation_rows_are_the_least(n_features):
    found = weights("auto", validated=False, n_features=n_features)
    np.testing.assert_array_equal(found[1:], floors(n_features)[1:])
    assert found.sum() == pytest.approx(1)


def test_weights_are_chosen_by_rows_that_were_not_trained_on():
    flow, Z, data = setting()
    flow = flow.to(dtype=torch.float64)
    assert (weights("auto") >= floors(3) * 0.9).all()
    Z = Z.copy()
    Z[150:] *= 10  # the validation rows lie where the flow has no density
    assert fit_components_and_weights("auto", flow, Z, None, data, STREAMS)[1][0] < 0.1


def test_few_gaussian_rows_are_modelled_by_the_gaussian():
    rng = np.random.RandomState(0)
    mix = rng.normal(size=(20, 20))
    X, X_new = rng.normal(size=(100, 20)) @ mix, rng.normal(size=(1000, 20)) @ mix
    shrunk = LedoitWolf().fit(X)
    gaussian = stats.multivariate_normal(shrunk.location_, shrunk.covariance_).logpdf(X_new)
    flow = CouplingFlowDensity(n_layers=2, max_iter=20, random_state=0).fit(X)
    assert flow.score(X_new) > gaussian.mean() - 0.05 * 20
    assert flow.tail_weight_ > 0.5
