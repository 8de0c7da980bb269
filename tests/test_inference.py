"""What a fitted density answers: units, densities, samples, the latent space."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.preprocessing import StandardScaler
from small_flows import flow

from skflow._nn import blocks as _blocks

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
    expected = (
        flow(training__standardize=False).fit(Z).score_samples(Z) - np.log(scaler.scale_).sum()
    )
    np.testing.assert_allclose(flow().fit(X).score_samples(X), expected, atol=1e-3)


def test_without_standardize_densities_are_in_the_units_of_the_data():
    X = np.random.RandomState(0).standard_normal((1000, 2)) * 0.5 + 1
    model = flow(training__standardize=False, max_iter=20, n_layers=4).fit(X)
    truth = multivariate_normal([1, 1], 0.25 * np.eye(2)).logpdf(X).mean()
    assert model.location_.tolist() == [0, 0] and model.scale_.tolist() == [1, 1]
    assert model.score(X) == pytest.approx(truth, abs=0.1)


def test_noise_is_a_part_of_the_standard_deviation_of_a_column():
    X = np.random.RandomState(0).standard_normal((2000, 2)) * [1.0, 100.0]
    model = flow(training__noise=1.0, max_iter=20, n_layers=4).fit(X)
    truth = multivariate_normal([0, 0], 2 * np.diag([1.0, 1e4]))  # the variance is doubled
    drawn = model.sample(2000, random_state=0, tails=True)
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
    X = 1000 * X  # a curve in standardised units would be 20 nats away
    model = flow(early_stopping=True).fit(X)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 5
    assert max(model.validation_scores_) == pytest.approx(model.score(X), abs=0.3)
    assert -model.loss_curve_[-1] == pytest.approx(model.score(X), abs=0.3)


# ---- densities


@pytest.mark.parametrize("component_weight", [0, "auto"])
@pytest.mark.parametrize("coupling", ["spline", "affine"])
@pytest.mark.parametrize("n_features", [1, 2])
def test_density_integrates_to_one(n_features, coupling, component_weight):
    rng = np.random.RandomState(1)
    X = rng.standard_normal((120, n_features)) + 3 * rng.randint(2, size=(120, 1))
    model = flow(
        coupling=coupling, component_weight=component_weight, max_iter=20, n_estimators=2
    ).fit(X)
    # fine where the data are, and far enough for a tail that falls with the third power
    u, step = np.linspace(-8, 8, 401, retstep=True)
    grid, weight = 1.5 + 0.2 * np.sinh(u), 0.2 * np.cosh(u) * step
    points = np.stack(np.meshgrid(*[grid] * n_features), -1).reshape(-1, n_features)
    weights = np.stack(np.meshgrid(*[weight] * n_features), -1).reshape(-1, n_features)
    mass = np.exp(model.score_samples(points)) @ weights.prod(axis=1)
    assert mass == pytest.approx(1, abs=2e-3)


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
    sample = model.sample(20_000, random_state=0, tails=True)
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
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(np.cov(Z, rowvar=False), np.eye(3), atol=0.2)
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
