"""Weights of the components: which rows choose them, and whether they find the right ones."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf

from skflow import CouplingFlowDensity, Training, masks
from skflow._models import groups
from skflow._models.components import FEW_ROWS, HEAVY_TAILED, fit_components
from skflow._models.fitting import Rows
from skflow._models.flow import FlowModel
from skflow._models.stacking import (
    _held_out_scores,
    estimate_weights,
    fit_mixture,
    floors,
    fold_sizes,
)
from skflow._nn.flow import FlowStack
from skflow._nn.training import make_generators
from skflow._table.columns import fit_columns
from skflow._table.schema import fit_schema

LEAST = np.array([0.0, 0.0, 0.01, 0.01, 0.0, 0.01])
QUICK = {"n_layers": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).standard_normal((100, 3))


# ---- EM


def test_weights_maximise_the_likelihood():
    rng = np.random.RandomState(0)
    rows = rng.normal(size=2000) * np.where(rng.rand(2000) < 0.3, 3, 1)
    scales = (1, 3, 0.3, 9, 0.1, 30)
    log_probs = np.stack([stats.norm.logpdf(rows, scale=scale) for scale in scales])
    found = estimate_weights(log_probs, LEAST)

    def loss(parts):
        return -logsumexp(log_probs.T, b=parts / parts.sum(), axis=1).mean()

    # of all weights that are large enough: none pays for a floor that it exceeds anyway
    free = 1 - LEAST.sum()
    best = optimize.minimize(
        lambda parts: loss(LEAST + free * parts / parts.sum()), np.ones(6), bounds=[(1e-6, 1)] * 6
    )
    assert (found >= LEAST - 1e-12).all()
    assert loss(found) == pytest.approx(best.fun, abs=1e-4)
    assert found[1] == pytest.approx(0.3, abs=0.05)


def test_weights_have_floors_and_count_rows_by_weight():
    least = LEAST
    log_probs = np.stack([np.zeros(50), *np.full((5, 50), -50.0)])
    found = estimate_weights(log_probs, least)
    assert found[1:] == pytest.approx(least[1:], rel=1e-6)  # in full, of weights that add up to 1
    assert found.sum() == pytest.approx(1)
    assert (found[1:][least[1:] == 0] == 0).all()  # so that they need not be evaluated
    log_probs[:2, :25] = [[-50.0], [0.0]]
    row_weight = np.repeat([1.0, 3.0], 25)
    assert estimate_weights(log_probs, least, row_weight)[1] == pytest.approx(0.25, abs=0.02)


def test_a_vanishing_weight_is_no_overflow():
    log_probs, weights = np.array([[0.0, 0.0], [-1.0, -3.0]]), np.array([1e-310, 1.0])
    assert _held_out_scores(log_probs, weights, ["gaussian"], None) == (-2.0, -2.0)


def test_the_price_of_heavy_tails_does_not_depend_on_the_number_of_columns(X):
    components = fit_components(X, rng=np.random.RandomState(0))
    prices = [floors(components, d).sum() / d for d in (1, 2, 15)]
    assert prices == pytest.approx([0.006] * 3)
    assert floors(components, 200).sum() == pytest.approx(0.09)
    heavy = [component.heavy_tailed for component in components.values()]
    assert (floors(components, 10) > 0).tolist() == heavy


# ---- components and weights


def rows_of(X):
    schema = fit_schema(X, spikes=False)
    return Rows(X, None, schema, fit_columns(X, standardize=False), seed=0)


def found(component_weight, X, validated=True, flow_sees=1.0):
    """What is found beside a flow at its start, which is standard normal."""
    n = len(X)
    rows = torch.arange(n)[None]
    split = (rows[:, : 3 * n // 4], rows[:, 3 * n // 4 :]) if validated else (rows, None)
    flow = FlowStack(masks.parity(2, X.shape[1])[None], coupling="affine", hidden_layer_sizes=())
    flow = flow.initialize(make_generators([0])).to(dtype=torch.float64)
    mixture = fit_mixture(component_weight, FlowModel(flow), rows_of(X), split)[0]
    components = dict(list(mixture.models.items())[1:])
    return components, mixture.weights


@pytest.mark.parametrize("validated", [True, False])
def test_no_components(X, validated):
    components, weights = found(0, X, validated)
    assert components == {} and weights.tolist() == [1.0]


@pytest.mark.parametrize("validated", [True, False])
def test_a_number_is_the_weight_of_heavy_tails(X, validated):
    components, weights = found(0.3, X, validated)
    assert list(components) == ["t_mixture", "t_wide", "t"]
    assert weights == pytest.approx([0.7, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("n_features", [2, 20])
def test_weights_without_validation_rows_are_the_least(n_features):
    X = np.random.RandomState(0).standard_normal((100, n_features))
    _, weights = found("auto", X, validated=False)
    assert weights[1:] == pytest.approx([min(0.03, 0.002 * n_features)] * 3)
    assert weights.sum() == pytest.approx(1)


def test_weights_are_chosen_by_rows_that_were_not_trained_on(X):
    assert found("auto", X)[1][0] > 0.3
    X = X.copy()
    X[75:] *= 10  # the validation rows lie where the flow has no density
    assert found("auto", X)[1][0] < 0.1


def test_what_a_first_look_finds_worthless_is_not_fitted_again(monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((400, 3))  # the Gaussian is the truth
    order = torch.from_numpy(rng.permutation(400)).view(5, 80)
    rest = torch.stack([order[[f for f in range(5) if f != e]].ravel() for e in range(5)])
    stack = FlowStack(masks.parity(2, 3)[None].repeat(5, axis=0), dtype=torch.float64)
    stack.initialize(make_generators(range(5))).theta.mul_(3)
    fits = []

    def spy(U, *given, **options):
        components = fit_components(U, *given, **options)
        fits.append((len(U), list(components)))
        return components

    monkeypatch.setattr(groups, "fit_components", spy)
    mixture, scores = fit_mixture("auto", FlowModel(stack), rows_of(X), (rest, order))
    assert [n_rows for n_rows, _ in fits] == [*[320] * 5, 400]
    assert set(fits[-1][1]) == set(mixture.models) - {"flow"}
    assert set(fits[1][1]) < set(fits[0][1])
    assert {"gaussian", *HEAVY_TAILED} <= set(fits[1][1])
    # the weights are those of all rows, none of which the components had seen
    assert scores[0] == pytest.approx(stats.norm.logpdf(X).sum(axis=1).mean(), abs=0.1)


def test_a_long_table_has_its_components_fitted_once(monkeypatch):
    X, n_fits = np.random.RandomState(0).standard_normal((FEW_ROWS + 10, 3)), []

    def spy(*given, **options):
        n_fits.append(1)
        return fit_components(*given, **options)

    monkeypatch.setattr(groups, "fit_components", spy)
    components, weights = found("auto", X)
    assert len(n_fits) == 1
    assert len(weights) == 1 + len(components)


# ---- estimators


@pytest.mark.parametrize("n_estimators, n_flows", [(1, 5), (2, 6), (7, 7)])
def test_a_small_table_has_at_least_five_flows(X, n_estimators, n_flows):
    flow = CouplingFlowDensity(n_estimators=n_estimators, mask_layout="random", **QUICK).fit(X)
    stack = flow._density.flow.stack
    assert stack.n_models == n_flows
    assert flow.n_parameters_ == n_flows * stack.n_parameters
    # those of one estimator have its masks
    chosen = flow.masks_.reshape(n_estimators, 2, 3)
    np.testing.assert_array_equal(stack.masks, chosen.repeat(n_flows // n_estimators, axis=0))


def test_rows_count_by_their_weights():
    X = np.random.RandomState(0).standard_normal((FEW_ROWS + 1, 2))
    weight = np.repeat([1.0, 1e-9], [100, FEW_ROWS - 99])
    assert CouplingFlowDensity(**QUICK).fit(X, sample_weight=weight)._density.flow.n_members == 5


def test_a_warm_start_goes_on_with_every_flow(X):
    flow = CouplingFlowDensity(warm_start=True, **QUICK).fit(X)
    before = flow._density.flow.stack.theta.clone()
    flow.fit(X)
    assert flow._density.flow.n_members == 5
    assert (flow._density.flow.stack.theta != before).any(dim=1).all()


@pytest.mark.parametrize("name", ["mixture_2", "gaussian"])
def test_the_weights_find_the_right_component(name):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 4))
    if name == "mixture_2":
        X[:150] = 0.1 * X[:150] + 4
    flow = CouplingFlowDensity(**QUICK).fit(X)
    weights = dict(zip(flow.component_names_.tolist(), flow.weights_))
    right = sum(weights.get(known, 0) for known in (name, f"smooth_{name}"))
    assert right > 0.5


def test_a_small_table_is_modelled_better_than_by_one_split():
    rng = np.random.RandomState(0)
    first = rng.normal(size=1200)
    X = np.column_stack([first, first**2 + 0.3 * rng.normal(size=1200), np.sin(2 * first)])
    X[:, 2] += 0.2 * rng.normal(size=1200)
    given = {"n_layers": 4, "hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0}
    one = CouplingFlowDensity(training=Training(validation_fraction=0.1), **given).fit(X[:200])
    several = CouplingFlowDensity(**given).fit(X[:200])
    assert several.score(X[200:]) > one.score(X[200:]) + 0.02


def test_few_gaussian_rows_are_modelled_by_the_gaussian():
    rng = np.random.RandomState(0)
    mix = rng.normal(size=(20, 20))
    X, X_new = rng.normal(size=(100, 20)) @ mix, rng.normal(size=(1000, 20)) @ mix
    shrunk = LedoitWolf().fit(X)
    gaussian = stats.multivariate_normal(shrunk.location_, shrunk.covariance_).logpdf(X_new)
    flow = CouplingFlowDensity(n_layers=2, max_iter=20, random_state=0).fit(X)
    assert flow.score(X_new) > gaussian.mean() - 0.05 * 20
    assert flow.component_weight_ > 0.5


def test_members_get_fewer_towards_the_size_from_which_there_is_one():
    """Each costs as much as the flow of a table that is a little larger."""
    flow = CouplingFlowDensity()
    rows = [fold_sizes(flow, n, 8, 1)[0] for n in (300, 1200, 1500, 2000, FEW_ROWS + 1)]
    assert rows == [5, 5, 4, 3, 1]
    columns = [fold_sizes(flow, 500, d, 1)[0] for d in (10, 60, 75, 100, 150, 300, 500)]
    assert columns == [5, 5, 4, 3, 2, 1, 1]
    assert fold_sizes(flow, 1797, 64, 1)[0] == 3  # as there are many rows for each column


def test_very_many_columns_are_one_fold():
    flow = CouplingFlowDensity()
    assert fold_sizes(flow, 500, 60, 1) == fold_sizes(flow, 20, 30, 1) == (5, 0.2)
    assert fold_sizes(flow, 500, 600, 1) == (1, 0.2)
    assert fold_sizes(flow, 500, 60, 3) == (2, 0.2)


@pytest.mark.parametrize(
    ("given", "fraction"),
    [
        ({"component_weight": 0}, 0.1),
        ({"component_weight": 0.1}, 0.1),
        ({"early_stopping": False}, None),
        ({"training": Training(validation_fraction=0.3)}, 0.3),
    ],
    ids=str,
)
def test_one_flow_where_there_is_nothing_to_cross_fit(given, fraction):
    assert fold_sizes(CouplingFlowDensity(**given), 100, 3, 1) == (1, fraction)
