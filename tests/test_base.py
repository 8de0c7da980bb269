"""Fits of both density estimators: restarts, weights, warm starts, state, failures."""

import copy
import math
import pickle

import numpy as np
import pytest
import sklearn
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version
from small_flows import ESTIMATORS, flow

from skflow._nn import training as _training

# ---- restarts, weights, warm starts


def test_n_init_keeps_the_best():
    X = np.random.RandomState(0).standard_normal((400, 3)) ** 3
    derived = {"mask_layout": "derived"}
    # the first start of many is the only one of few
    best = [
        max(flow(**derived, training__n_init=n).fit(X).validation_scores_) for n in (1, 2, 4, 8)
    ]
    assert best == sorted(best) and best[-1] > best[0]


def test_validation_keeps_the_best_state_and_patience_ends_the_training(X):
    params = {"max_iter": 60, "training__learning_rate_init": 0.1}
    params["training__learning_rate"] = "constant"
    model = flow(training__n_iter_no_change=3, **params).fit(X)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == np.argmax(scores) + 4 < 60
    assert flow(training__n_iter_no_change=3, training__tol=100.0, **params).fit(X).n_iter_ == 4


def test_rows_of_weight_zero_are_left_out(estimator, X):
    weight = np.where(np.arange(300) < 200, 1.0, 0.0)
    polluted = np.where(weight[:, None] > 0, X, 1e6)
    expected = estimator.fit(X[:200], sample_weight=np.ones(200)).score_samples(X)
    found = estimator.fit(polluted, sample_weight=weight).score_samples(X)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_weights_act_as_repetitions_do(early_stopping):
    rng = np.random.RandomState(0)
    far = rng.randint(2, size=400)
    X = rng.standard_normal((400, 2)) + 6 * far[:, None]
    weight = np.where(far, 3, 1)
    params = {"max_iter": 30, "training__batch_size": 32, "early_stopping": early_stopping}
    weighted = flow(**params).fit(X, sample_weight=weight)
    repeated = flow(**params).fit(X.repeat(weight, axis=0))
    share = np.average(far, weights=weight)
    for model in (weighted, repeated):
        sample = model.sample(4000, random_state=0)
        assert np.mean(sample[:, 0] > 3) == pytest.approx(share, abs=0.04)
    assert weighted.score(X, sample_weight=weight) == pytest.approx(
        repeated.score(X, sample_weight=weight), abs=0.05
    )


def test_score_takes_weights(X):
    model = flow().fit(X)
    weight = np.arange(300.0)
    expected = np.average(model.score_samples(X), weights=weight)
    assert model.score(X, sample_weight=weight) == pytest.approx(expected)
    assert model.bits_per_dim(X, sample_weight=weight) == pytest.approx(-expected / 3 / math.log(2))


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.7"),
    reason="before 1.7 a grid of pipelines does not route the weights of score",
)
def test_weights_are_routed_through_a_pipeline_and_a_grid_search(X):
    weight = np.where(np.arange(300) % 2, 1.0, 0.01)
    with config_context(enable_metadata_routing=True):
        requesting = flow().set_fit_request(sample_weight=True)
        requesting.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        search = GridSearchCV(
            make_pipeline(scaler, requesting), {"couplingflowdensity__n_layers": [1, 2]}, cv=2
        ).fit(X, sample_weight=weight)
    Z = StandardScaler().fit_transform(X)
    alone = flow(n_layers=search.best_params_["couplingflowdensity__n_layers"])
    expected = alone.fit(Z, sample_weight=weight).score_samples(Z)
    np.testing.assert_array_equal(search.best_estimator_.score_samples(X), expected)
    # the folds are scored with weights, too
    halves = [X[:150], X[150:]]
    weights = [weight[:150], weight[150:]]
    scores = []
    for i in (0, 1):
        pipe = make_pipeline(StandardScaler(), flow(n_layers=1))
        pipe.fit(halves[1 - i], couplingflowdensity__sample_weight=weights[1 - i])
        held_out = pipe[0].transform(halves[i])
        scores.append(pipe[-1].score(held_out, sample_weight=weights[i]))
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][0], np.mean(scores))


def test_warm_start_goes_on_from_the_last_fit(X):
    model = flow(warm_start=True, mask_layout="random", early_stopping=False).fit(X)
    first, masks, location = model.score(X), model.masks_, model.location_
    cold = flow(mask_layout="random", early_stopping=False).fit(X)
    np.testing.assert_array_equal(cold.score_samples(X), model.score_samples(X))
    model.set_params(max_iter=20).fit(X[10:])
    np.testing.assert_array_equal(model.masks_, masks)
    np.testing.assert_array_equal(model.location_, location)
    assert model.score(X) > first and model.n_iter_ == 20
    with pytest.raises(ValueError, match="X has 2 features.*warm_start=False"):
        model.fit(X[:, :2])
    assert model.n_features_in_ == 3  # as before
    assert model.set_params(warm_start=False).fit(X[:, :2]).n_features_in_ == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"n_layers": 3}, "n_layers was 2, now 3"),
        ({"coupling": "affine"}, "coupling was 'spline', now 'affine'"),
        ({"hidden_layer_sizes": (4, 4)}, r"hidden_layer_sizes was \(8,\), now \(4, 4\)"),
        ({"training__standardize": False}, r"training\.standardize was True, now False"),
        ({"dequantize": True}, "dequantize was False, now True"),
        ({"bounds": (-1e9, None)}, "bounds was None, now"),
        ({"n_estimators": 2}, "n_estimators was 1, now 2"),
        ({"mask_layout": "random"}, "mask_layout was 'parity', now 'random'"),
        (
            {"n_bins": 4, "training__activation": "tanh"},
            r"n_bins was 8.*training\.activation was 'relu'",
        ),
    ],
)
def test_warm_start_refuses_what_it_cannot_do(X, changed, told):
    model = flow(warm_start=True, mask_layout="parity").fit(X)
    before = model.score_samples(X)
    with pytest.raises(ValueError, match=rf"warm_start=True.*{told}"):
        model.set_params(**changed).fit(X)
    np.testing.assert_array_equal(model.score_samples(X), before)
    assert by_pickle(model).set_params(warm_start=False).fit(X).n_iter_ == 5


def test_warm_start_of_a_search_may_change_its_length_only(X):
    model = clone(ESTIMATORS["search"]).set_params(warm_start=True).fit(X)
    assert len(model.set_params(n_search_iter=6).fit(X).search_history_) == 7
    with pytest.raises(ValueError, match="move was 'shuffle', now 'swap'"):
        model.set_params(move="swap").fit(X)


# ---- state


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("copied", [by_pickle, copy.deepcopy])
def test_copies_score_the_same(estimator, X, copied):
    estimator.fit(X)
    other = copied(estimator)
    np.testing.assert_array_equal(other.score_samples(X), estimator.score_samples(X))
    np.testing.assert_array_equal(other.sample(5, 0), estimator.sample(5, 0))
    other.fit(X[:, :2])
    assert estimator.n_features_in_ == 3


def test_fitted_state_holds_no_reference_to_the_data(X):
    small, large = (len(pickle.dumps(flow().fit(rows))) for rows in (X[:100], X))
    assert abs(large - small) < 200


def test_integer_seeds_reproduce_exactly(estimator, X):
    expected = clone(estimator).fit(X).score_samples(X)
    np.testing.assert_array_equal(estimator.fit(X).score_samples(X), expected)
    np.testing.assert_array_equal(estimator.fit(X).score_samples(X), expected)  # again
    other = clone(estimator).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.score_samples(X), expected)


def test_an_instance_of_random_state_goes_on(X):
    model = flow(random_state=np.random.RandomState(0))
    assert not np.array_equal(model.fit(X).score_samples(X), model.fit(X).score_samples(X))


def test_global_state_is_neither_touched_nor_used(estimator, X):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), np.random.get_state()[2]
    settings = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    expected = estimator.fit(X).score_samples(X)
    estimator.sample(3, random_state=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert np.random.get_state()[2] == before[2]
    now = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    assert now == settings
    torch.manual_seed(1)
    np.random.seed(1)
    np.testing.assert_array_equal(estimator.fit(X).score_samples(X), expected)


# ---- what goes wrong


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("coupling", ["spline", "affine"])
def test_a_diverging_model_is_recovered(X, coupling, early_stopping):
    diverging = flow(
        coupling=coupling,
        early_stopping=early_stopping,
        training__learning_rate="constant",
        training__learning_rate_init=1e3,
        max_iter=40,
        training__batch_size=100,
    )
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        diverging.fit(X)
    assert np.isfinite(diverging.score_samples(X)).all()
    # it diverges at once and comes back; at this rate it may diverge again in any later epoch
    assert not np.isfinite(diverging.loss_curve_[0])
    assert np.isfinite(diverging.loss_curve_).sum() > 20
    assert np.nanmin(diverging.loss_curve_) < 1e3


def test_a_model_that_never_was_finite_is_an_error(X):
    hopeless = flow(
        training__learning_rate_init=1e38, training__solver="sgd", coupling="affine", max_iter=2
    )
    with pytest.raises(ValueError, match="learning_rate_init"):
        hopeless.fit(X)


@pytest.mark.parametrize("unit", [1e-3, 1.0])
def test_finite_rows_far_away_are_the_clearest_outliers(estimator, X, unit):
    X = unit * X
    estimator.fit(X)
    far = [X[:5] * factor for factor in (1e3, 1e10, 1e30, -1e100)]
    far += [np.full((1, 3), 1e306), np.array([[1e308, -1e308, 0.0]])]
    scores = estimator.score_samples(np.concatenate(far))
    assert np.isfinite(scores).all()
    assert scores.max() < estimator.score_samples(X).min()
    if estimator.n_estimators == 1:
        assert np.isfinite(estimator.transform(far[-1])).all()
        extreme = np.array([[1e308, -1e308, 0.0], [1e300, 1.0, -1e308]])
        assert np.isfinite(estimator.inverse_transform(extreme)).all()


def test_finite_rows_far_away_also_where_a_gaussian_mixture_has_weight():
    rng = np.random.RandomState(0)
    X = 1e-3 * (10 * rng.randn(6, 3)[rng.randint(6, size=800)] + 0.3 * rng.randn(800, 3))
    model = flow(max_iter=2, component_weight="auto").fit(X)
    weights = dict(zip(model.component_names_, model.weights_))
    assert sum(weight for name, weight in weights.items() if "mixture_" in name) > 0.1
    (score,) = model.score_samples(np.full((1, 3), 1e306))
    assert np.isfinite(score) and score < model.score_samples(X).min()


def interrupt_after(n_calls, function):
    """The function until it was called that often, then KeyboardInterrupt."""
    left = [n_calls]

    def interrupted(*args, **kwargs):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*args, **kwargs)

    return interrupted


@pytest.mark.filterwarnings("ignore:The structure search was interrupted")
@pytest.mark.parametrize("n_epochs", [0, 1, 3])
def test_interrupted_fit_leaves_the_estimator_as_it_was(estimator, X, monkeypatch, n_epochs):
    def fit_interrupted():
        with monkeypatch.context() as patch:
            epoch = interrupt_after(n_epochs, _training.Trainer._epoch)
            patch.setattr(_training.Trainer, "_epoch", epoch)
            with pytest.raises(KeyboardInterrupt):
                estimator.fit(X[:, :2])

    fit_interrupted()
    assert vars(estimator).keys() == estimator.get_params(deep=False).keys()
    with pytest.raises(NotFittedError):
        estimator.score_samples(X)
    expected = estimator.fit(X).score_samples(X)
    fit_interrupted()
    np.testing.assert_array_equal(estimator.score_samples(X), expected)
    assert estimator.n_features_in_ == 3


def test_failed_fit_leaves_the_estimator_as_it_was(estimator, X):
    expected = estimator.fit(X).score_samples(X)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.full((10, 2), np.nan))
    with pytest.raises(ValueError, match="n_layers"):
        clone(estimator).set_params(n_layers=0).fit(X)
    np.testing.assert_array_equal(estimator.score_samples(X), expected)
