"""What both density estimators owe to ``BaseFlowDensity``: units, weights, state, bad input."""

import copy
import io
import math
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skflow import CouplingFlowDensity, StructureSearchFlow, _blocks, _training

SMALL = {
    "n_layers": 2,
    "hidden_layer_sizes": (8,),
    "max_iter": 5,
    "tail_weight": 0,
    "random_state": 0,
}
ESTIMATORS = {
    "spline": CouplingFlowDensity(**SMALL),
    "tails": CouplingFlowDensity(coupling="affine", **{**SMALL, "tail_weight": "auto"}),
    "affine": CouplingFlowDensity(coupling="affine", early_stopping=False, **SMALL),
    "ensemble": CouplingFlowDensity(n_estimators=2, n_init=2, mask_layout="random", **SMALL),
    "search": StructureSearchFlow(n_search_iter=4, n_candidate_steps=3, **SMALL),
}
FLOW = ESTIMATORS["spline"]


@pytest.fixture
def X():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 3)) * [1, 10, 0.1] + [0, 100, -3]
    X[:, 1] += 5 * X[:, 0] ** 2
    return X


@pytest.fixture(params=ESTIMATORS)
def estimator(request):
    return clone(ESTIMATORS[request.param])


def flow(**params):
    return clone(FLOW).set_params(**params)


# ---- units


def test_scaling_columns_shifts_the_log_density(estimator, X):
    units = np.array([2.0, 0.25, 1024.0])  # powers of two leave every other digit as it was
    expected = estimator.fit(X).score_samples(X) - np.log(units).sum()
    np.testing.assert_allclose(estimator.fit(X * units).score_samples(X * units), expected)


def test_moving_and_scaling_by_any_factor(X):
    a, b = np.array([3.7, 1e-4, 2e5]), np.array([-1.0, 5.0, 7e5])
    expected = flow().fit(X).score_samples(X) - np.log(a).sum()
    found = flow().fit(X * a + b).score_samples(X * a + b)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_standardize_is_a_scaler_whose_density_is_in_the_units_of_the_data(X):
    scaler = StandardScaler().fit(X)
    Z = scaler.transform(X)
    expected = flow(standardize=False).fit(Z).score_samples(Z) - np.log(scaler.scale_).sum()
    np.testing.assert_allclose(flow().fit(X).score_samples(X), expected, atol=1e-3)


def test_without_standardize_densities_are_in_the_units_of_the_data():
    X = np.random.RandomState(0).standard_normal((1000, 2)) * 0.5 + 1
    model = flow(standardize=False, max_iter=20, n_layers=4).fit(X)
    truth = multivariate_normal([1, 1], 0.25 * np.eye(2)).logpdf(X).mean()
    assert model.location_.tolist() == [0, 0] and model.scale_.tolist() == [1, 1]
    assert model.score(X) == pytest.approx(truth, abs=0.1)


def test_noise_is_a_part_of_the_standard_deviation_of_a_column():
    X = np.random.RandomState(0).standard_normal((2000, 2)) * [1.0, 100.0]
    model = flow(noise=1.0, max_iter=20, n_layers=4).fit(X)
    truth = multivariate_normal([0, 0], 2 * np.diag([1.0, 1e4]))  # the variance is doubled
    drawn = model.sample(2000, random_state=0)
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(2) * np.array([1, 100]), rtol=0.1)
    assert model.score(drawn) == pytest.approx(truth.logpdf(drawn).mean(), abs=0.1)


def test_score_is_the_mean_and_bits_per_dim_the_formula_of_the_paper(estimator, X):
    log_density = estimator.fit(X).score_samples(X)
    assert log_density.shape == (300,) and log_density.dtype == np.float64
    score = estimator.score(X)
    assert type(score) is float and score == pytest.approx(log_density.mean())
    # Eq. 6 of Gonsior et al. (2021): minus the mean of log2 p(x), over the dimension
    bits = -np.mean(log_density / math.log(2)) / 3
    assert type(estimator.bits_per_dim(X)) is float
    assert estimator.bits_per_dim(X) == pytest.approx(bits)


def test_curves_are_in_the_units_of_the_data(X):
    model = flow(early_stopping=True).fit(X)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 5
    # an eventual likelihood on new rows, without a shift by the columns' units (log 1 here)
    assert max(model.validation_scores_) == pytest.approx(model.score(X), abs=0.5)
    assert -model.loss_curve_[-1] == pytest.approx(model.score(X), abs=0.5)


# ---- densities


@pytest.mark.slow
@pytest.mark.parametrize("tail_weight", [0, 0.2, "auto"])
@pytest.mark.parametrize("coupling", ["spline", "affine"])
@pytest.mark.parametrize("n_features", [1, 2])
def test_density_integrates_to_one(n_features, coupling, tail_weight):
    rng = np.random.RandomState(1)
    X = rng.standard_normal((300, n_features)) + 3 * rng.randint(2, size=(300, 1))
    model = flow(coupling=coupling, tail_weight=tail_weight, max_iter=20, n_estimators=2).fit(X)
    # fine where the data are, and far enough for a tail that falls with the third power
    u, step = np.linspace(-8, 8, 401, retstep=True)
    grid, weight = 1.5 + 0.2 * np.sinh(u), 0.2 * np.cosh(u) * step
    points = np.stack(np.meshgrid(*[grid] * n_features), -1).reshape(-1, n_features)
    weights = np.stack(np.meshgrid(*[weight] * n_features), -1).reshape(-1, n_features)
    mass = np.exp(model.score_samples(points)) @ weights.prod(axis=1)
    assert mass == pytest.approx(1, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["spline", "affine"])
def test_gaussian_with_known_covariance(coupling):
    mean = np.array([1.0, -20.0, 300.0])
    scale = np.array([0.1, 1.0, 50.0])
    correlation = np.array([[1, 0.8, -0.3], [0.8, 1, 0.2], [-0.3, 0.2, 1]])
    truth = multivariate_normal(mean, correlation * np.outer(scale, scale))
    X, X_new = np.split(truth.rvs(14_000, random_state=0), [4000])
    # without the tails, whose Gaussian would do it alone
    model = flow(n_layers=4, coupling=coupling, hidden_layer_sizes=(16,), max_iter=15).fit(X)
    # its expectation is the true entropy; the same rows on both sides take the noise out
    assert model.score(X_new) == pytest.approx(truth.logpdf(X_new).mean(), abs=3 * 0.02)
    sample = model.sample(20_000, random_state=0)
    np.testing.assert_allclose((sample.mean(axis=0) - mean) / scale, 0, atol=0.08)
    deviation = np.cov((sample - mean) / scale, rowvar=False) - correlation
    np.testing.assert_allclose(deviation, 0, atol=0.1)


def test_density_is_that_of_the_change_of_variables(X):
    model = flow().fit(X[:, :2])
    points, h = X[:20, :2], 1e-6
    slopes = [
        (model.transform(points + h * e) - model.transform(points - h * e)) / (2 * h)
        for e in np.eye(2)
    ]
    log_det = np.linalg.slogdet(np.stack(slopes, -1))[1]
    base = multivariate_normal(np.zeros(2)).logpdf(model.transform(points))
    np.testing.assert_allclose(model.score_samples(points), base + log_det, atol=1e-5)


def test_transform_and_back(X):
    model = flow(max_iter=30).fit(X)
    Z = model.transform(X)
    np.testing.assert_allclose(model.inverse_transform(Z), X, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(np.cov(Z, rowvar=False), np.eye(3), atol=0.5)
    np.testing.assert_array_equal(model.fit_transform(X), Z)
    names = [f"couplingflowdensity{i}" for i in range(3)]
    assert model.get_feature_names_out().tolist() == names


def test_members_of_an_ensemble_have_no_common_latent_space(X):
    model = flow(n_estimators=2).fit(X)
    for method in (model.transform, model.inverse_transform):
        with pytest.raises(ValueError, match="n_estimators"):
            method(X)


def test_one_row_scores_as_in_a_block_whatever_its_size(estimator, X, monkeypatch):
    estimator.fit(X)
    together = estimator.score_samples(X)
    alone = np.concatenate([estimator.score_samples(row[None]) for row in X[:20]])
    np.testing.assert_allclose(alone, together[:20], rtol=1e-12)
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", 100)
    np.testing.assert_allclose(estimator.score_samples(X), together, rtol=1e-12)


def test_sample(estimator, X):
    estimator.fit(X)
    assert estimator.sample().shape == (1, 3)
    first = estimator.sample(50, random_state=3)
    np.testing.assert_array_equal(first, estimator.sample(50, random_state=3))
    assert np.isfinite(first).all() and len(np.unique(first[:, 0])) == 50
    assert not np.array_equal(first, estimator.sample(50, random_state=4))
    one_by_one = np.random.RandomState(0)
    drawn = [estimator.sample(1, random_state=one_by_one)[0, 0] for _ in range(3)]
    assert len(set(drawn)) == 3


# ---- restarts, weights, warm starts


def test_n_init_keeps_the_best():
    X = np.random.RandomState(0).standard_normal((400, 3)) ** 3
    # the first start of many is the only one of few
    best = [max(flow(n_init=n).fit(X).validation_scores_) for n in (1, 2, 4, 8)]
    assert best == sorted(best) and best[-1] > best[0]


def test_validation_keeps_the_best_state_and_patience_ends_the_training(X):
    params = {"max_iter": 60, "learning_rate_init": 0.1, "learning_rate": "constant"}
    model = flow(n_iter_no_change=3, **params).fit(X)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == np.argmax(scores) + 4 < 60
    assert flow(n_iter_no_change=3, tol=100.0, **params).fit(X).n_iter_ == 4


def test_rows_of_weight_zero_are_left_out(estimator, X):
    weight = np.where(np.arange(300) < 200, 1.0, 0.0)
    polluted = np.where(weight[:, None] > 0, X, 1e6)
    expected = estimator.fit(X[:200], sample_weight=np.ones(200)).score_samples(X)
    found = estimator.fit(polluted, sample_weight=weight).score_samples(X)
    np.testing.assert_array_equal(found, expected)


def test_only_ratios_of_weights_matter(X):
    weight = np.random.RandomState(0).uniform(1, 2, size=300)
    expected = flow().fit(X, sample_weight=weight).score_samples(X)
    np.testing.assert_allclose(
        flow().fit(X, sample_weight=1024 * weight).score_samples(X), expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [True, False])
def test_weights_act_as_repetitions_do(early_stopping):
    rng = np.random.RandomState(0)
    far = rng.randint(2, size=400)
    X = rng.standard_normal((400, 2)) + 6 * far[:, None]
    weight = np.where(far, 3, 1)
    params = {"max_iter": 30, "batch_size": 32, "early_stopping": early_stopping}
    weighted = flow(**params).fit(X, sample_weight=weight)
    repeated = flow(**params).fit(X.repeat(weight, axis=0))
    share = np.average(far, weights=weight)
    for model in (weighted, repeated):
        sample = model.sample(4000, random_state=0)
        assert np.mean(sample[:, 0] > 3) == pytest.approx(share, abs=0.04)
    assert weighted.score(X, sample_weight=weight) == pytest.approx(
        repeated.score(X, sample_weight=weight), abs=0.15
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
    with pytest.raises(ValueError, match=r"warm_start.*n_features_in_ was 3, now 2"):
        model.fit(X[:, :2])
    assert model.n_features_in_ == 3  # as before
    assert model.set_params(warm_start=False).fit(X[:, :2]).n_features_in_ == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"n_layers": 3}, "n_layers was 2, now 3"),
        ({"coupling": "affine"}, "coupling was 'spline', now 'affine'"),
        ({"hidden_layer_sizes": (4, 4)}, r"hidden_layer_sizes was \(8,\), now \(4, 4\)"),
        ({"standardize": False}, "standardize was True, now False"),
        ({"dequantize": True}, "dequantize was False, now True"),
        ({"bounds": (-1e9, None)}, "bounds was None, now"),
        ({"n_estimators": 2}, "n_estimators was 1, now 2"),
        ({"mask_layout": "random"}, "mask_layout was 'Parity', now 'Random'"),
        ({"n_bins": 4, "activation": "tanh"}, "activation was 'relu', now 'tanh'; n_bins was 8"),
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


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("copied", [by_pickle, by_joblib, copy.deepcopy])
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


@pytest.mark.slow
def test_integer_seeds_reproduce_exactly(estimator, X):
    expected = clone(estimator).fit(X).score_samples(X)
    np.testing.assert_array_equal(estimator.fit(X).score_samples(X), expected)
    np.testing.assert_array_equal(estimator.fit(X).score_samples(X), expected)  # again
    other = clone(estimator).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.score_samples(X), expected)


def test_an_instance_of_random_state_goes_on(X):
    model = flow(random_state=np.random.RandomState(0))
    assert not np.array_equal(model.fit(X).score_samples(X), model.fit(X).score_samples(X))


@pytest.mark.parametrize(
    "call",
    [
        lambda model, X: model.score_samples(X),
        lambda model, X: model.score(X),
        lambda model, X: model.bits_per_dim(X),
        lambda model, X: model.sample(10),
        lambda model, X: model.get_feature_names_out(),
        lambda model, X: model.transform(X),
        lambda model, X: model.inverse_transform(X),
    ],
    ids=["score_samples", "score", "bits_per_dim", "sample", "names", "transform", "inverse"],
)
def test_calls_after_fit_change_nothing(X, call):
    model = flow().fit(X)
    before, attributes, rows = pickle.dumps(model), dict(vars(model)), X.copy()
    call(model, X)
    assert all(vars(model)[name] is value for name, value in attributes.items())
    assert vars(model).keys() == attributes.keys() and pickle.dumps(model) == before
    np.testing.assert_array_equal(X, rows)


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


def test_another_default_dtype(X):
    torch.set_default_dtype(torch.float64)
    try:
        assert np.isfinite(flow().fit(X).score(X))
    finally:
        torch.set_default_dtype(torch.float32)


# ---- what goes wrong


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("coupling", ["spline", "affine"])
def test_a_diverging_model_is_recovered(X, coupling, early_stopping):
    diverging = flow(
        coupling=coupling,
        early_stopping=early_stopping,
        learning_rate="constant",
        learning_rate_init=1e3,
        max_iter=40,
        batch_size=100,
    )
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        diverging.fit(X)
    assert np.isfinite(diverging.score_samples(X)).all()
    # it diverges at once and comes back; at this rate it may diverge again in any later epoch
    assert not np.isfinite(diverging.loss_curve_[0])
    assert np.isfinite(diverging.loss_curve_).sum() > 20
    assert np.nanmin(diverging.loss_curve_) < 1e3


def test_a_model_that_never_was_finite_is_an_error(X):
    hopeless = flow(learning_rate_init=1e38, solver="sgd", coupling="affine", max_iter=2)
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
    model = flow(max_iter=2, tail_weight="auto").fit(X)
    density = model._density
    mixtures = [name for name in density.components if "mixture_" in name]
    assert sum(dict(zip(density.components, density.weights[1:]))[name] for name in mixtures) > 0.1
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
    assert vars(estimator) == clone(estimator).get_params()
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


# ---- bad input


def with_value(value, dtype=np.float64):
    X = np.random.RandomState(0).standard_normal((30, 3)).astype(dtype)
    X[4, 1] = value
    return X


BAD_TABLES = {
    "NaN": (with_value(np.nan), ValueError, "X contains NaN"),
    "infinity": (with_value(np.inf), ValueError, "X contains infinity"),
    "strings": (with_value("a", dtype=object), ValueError, "'a'"),
    "complex": (with_value(1j, dtype=complex), ValueError, "Complex"),
    "sparse": (scipy.sparse.csr_array(np.eye(9)), TypeError, "Sparse data was passed for X"),
    "no rows": (np.empty((0, 3)), ValueError, r"0 sample\(s\)"),
    "one row": (np.ones((1, 3)), ValueError, r"1 sample\(s\).*minimum of 2"),
    "no columns": (np.empty((9, 0)), ValueError, r"0 feature\(s\)"),
    "one dimension": (np.ones(9), ValueError, "Expected 2D array"),
    "too few rows": (np.eye(2), ValueError, r"validation_fraction=0\.[12].*n_samples=2"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_table(estimator, name):
    X, error, message = BAD_TABLES[name]
    if name == "too few rows":
        estimator.set_params(early_stopping=True)
    with pytest.raises(error, match=message):
        estimator.fit(X)
    assert vars(estimator) == clone(estimator).get_params()


def bad(name, *values):
    return [pytest.param(name, value, id=f"{name}={value!r}") for value in values]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *bad("n_layers", 0, 1.5),
        *bad("n_conditioning", 0, 3, -1, 1.0, 1.5, "half", True),
        *bad("coupling", "additive"),
        *bad("n_bins", 1),
        *bad("hidden_layer_sizes", (0,), (2.5,), "64", -1),
        *bad("activation", "step"),
        *bad("standardize", "yes"),
        *bad("tail_weight", 1, -0.1, "none"),
        *bad("n_init", 0),
        *bad("n_estimators", 0),
        *bad("solver", "newton"),
        *bad("learning_rate", "warm"),
        *bad("learning_rate_init", 0, np.inf, np.nan),
        *bad("alpha", -1),
        *bad("batch_size", 0),
        *bad("max_iter", 0, np.nan),
        *bad("validation_fraction", 0, 1, 0.999),
        *bad("n_iter_no_change", 0),
        *bad("tol", -1),
        *bad("device", "abacus", "cuda:99", "meta", ""),
        *bad("random_state", -1, "seed"),
    ],
)
def test_bad_parameter(X, name, value):
    with pytest.raises(ValueError, match=name) as caught:
        flow(**{name: value}).fit(X)
    assert str(value) in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(300), "[Ss]ample.weight"),
        (np.full(300, -1.0), "sample_weight"),
        (np.ones(299), "sample_weight"),
        (np.ones((300, 2)), "[Ss]ample.weight"),
        (np.full(300, np.nan), "sample_weight"),
        (np.eye(300)[7], "sample_weight is positive in 1 of 300 rows"),
        (["heavy"] * 300, "heavy"),
    ],
)
def test_bad_weights(X, weight, message):
    with pytest.raises(ValueError, match=message):
        flow().fit(X, sample_weight=weight)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3", None])
def test_bad_n_samples(X, n_samples):
    with pytest.raises(ValueError, match=f"n_samples={n_samples!r}"):
        flow().fit(X).sample(n_samples)


def test_bad_rows_after_fit(X):
    model = flow().fit(X)
    for method in (model.score_samples, model.score, model.transform, model.inverse_transform):
        with pytest.raises(ValueError, match="features"):
            method(X[:, :2])
        with pytest.raises(ValueError, match="NaN"):
            method(np.full((2, 3), np.nan))


@pytest.mark.parametrize("value", [0.0, 5.0, 1e30])
def test_constant_column(X, value):
    others = flow(max_iter=30).fit(X[:, [0, 2]]).score(X[:, [0, 2]])
    X[:, 1] = value
    with pytest.warns(UserWarning, match="Column 1 is constant"):
        model = flow(max_iter=30).fit(X)
    # as announced: a normal distribution of variance 1 around the value
    surplus = model.score(X) - others
    assert surplus == pytest.approx(-0.5 * math.log(2 * math.pi), abs=0.5)
    assert model.sample(500, random_state=0)[:, 1].mean() == pytest.approx(value, abs=0.3)


def test_constant_column_without_standardize():
    X = np.random.RandomState(0).standard_normal((300, 2))
    X[:, 1] = 5
    with pytest.warns(UserWarning, match="Column 1 is constant"):
        model = flow(standardize=False, max_iter=100, learning_rate_init=0.05).fit(X)
    assert model.sample(500, random_state=0)[:, 1].mean() == pytest.approx(5, abs=0.5)


def test_constant_and_copied_columns_are_named(X):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["b"] = 1.0
    frame["d"] = frame["a"]
    with pytest.warns(UserWarning) as caught:
        flow().fit(frame)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert messages[0].startswith("Column 'b' is constant")
    assert messages[1].startswith("Column 'd' is a copy")


def test_nearly_discrete_columns_are_named_and_nothing_else_is_said():
    X = np.random.RandomState(0).randint(2, size=(300, 3)).astype(float)
    with pytest.warns(UserWarning) as caught:
        model = flow(tail_weight="auto").fit(X)
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith("Each of the columns 0, 1, 2 is nearly discrete")
    assert np.isfinite(model.score(X))
    assert np.isfinite(flow(dequantize=True).fit(X).score(X))  # as the warning advises


def test_warnings_point_at_the_line_of_the_user(X):
    X[:, 1] = 0
    pipe = make_pipeline(StandardScaler(), flow())
    grid = GridSearchCV(flow(), {"n_layers": [1, 2]}, cv=2)
    for model in (flow(), pipe, grid):
        with pytest.warns(UserWarning, match="constant") as caught:
            model.fit(X)
        assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(ConvergenceWarning) as caught:
        flow(learning_rate_init=1e3, max_iter=40).fit(X[:, [0, 2]])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("factor", [-1, 1, 2.54])
def test_copied_column_in_any_unit(X, factor):
    X[:, 2] = factor * X[:, 0] + (factor != 1)
    with pytest.warns(UserWarning, match="Column 2 is a copy"):
        flow().fit(X)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_tiny_and_huge_values(X, size):
    expected = flow().fit(X).score(X)
    found = flow().fit(X * size).score(X * size)
    assert found + 3 * math.log(size) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("value", [1e30, -1e300])
def test_a_single_huge_value_spoils_no_number(X, value):
    X[3, 1] = value
    model = flow().fit(X)
    assert np.isfinite(model.score_samples(X)).all()


def test_huge_values_without_standardize(X):
    with pytest.raises(ValueError, match="standardize=True"):
        flow(standardize=False).fit(X * 1e30)


@pytest.mark.parametrize("n_rows", [2, 3, 5])
def test_few_rows(estimator, X, n_rows):
    estimator.set_params(early_stopping=n_rows > 2).fit(X[:n_rows])
    assert np.isfinite(estimator.score_samples(X)).all()


def test_one_feature(estimator, X):
    estimator.fit(X[:, :1])
    assert np.isfinite(estimator.score(X[:, :1]))
    assert estimator.sample(7).shape == (7, 1)
    assert estimator.masks_.all()


def test_input_that_is_not_an_array_of_floats(X):
    rounded = np.round(X * 100)
    expected = flow().fit(rounded).score_samples(rounded)
    for table in (rounded.tolist(), rounded.astype(int), rounded.astype(np.float32)):
        np.testing.assert_allclose(flow().fit(table).score_samples(table), expected)
    frame = pd.DataFrame(rounded, columns=["a", "b", "c"])
    model = flow().fit(frame)
    np.testing.assert_allclose(model.score_samples(frame), expected)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(frame[["b", "a", "c"]])
