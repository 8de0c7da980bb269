"""Scores of predictive distributions, against closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import GridSearchCV, cross_validate

from skflow import FlowRegressor, metrics


class Normal:
    """Predicts a normal distribution around the first feature."""

    def score_samples(self, X, y):
        return stats.norm(X[:, 0], 1).logpdf(y)

    def sample_y(self, X, n_samples=1, random_state=0):
        return X[:, :1] + np.random.RandomState(random_state).standard_normal((len(X), n_samples))

    def predict_quantiles(self, X, alpha):
        return X[:, 0] + stats.norm.ppf(alpha)


rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 2))
y = X[:, 0] + rng.normal(size=2000)


def test_crps_of_a_normal_distribution():
    z = y - X[:, 0]
    exact = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert metrics.crps(Normal(), X, y).mean() == pytest.approx(exact.mean(), abs=0.005)
    assert metrics.neg_crps(Normal(), X, y) == -metrics.crps(Normal(), X, y).mean()


def test_log_density_and_pinball():
    weight = rng.random(2000)
    expected = np.average(stats.norm.logpdf(y - X[:, 0]), weights=weight)
    assert metrics.log_density(Normal(), X, y, weight) == pytest.approx(expected)
    expected = -mean_pinball_loss(y, X[:, 0] + stats.norm.ppf(0.9), alpha=0.9)
    assert metrics.PinballScorer(0.9)(Normal(), X, y) == pytest.approx(expected)


def test_in_scikit_learns_searches():
    quick = FlowRegressor(n_estimators=1, max_iter=2, mean_estimator=None, random_state=0)
    scoring = {
        "log density": metrics.log_density,
        "crps": metrics.neg_crps,
        "pinball": metrics.PinballScorer(0.9),
    }
    found = cross_validate(quick, X[:200], y[:200], cv=2, scoring=scoring)
    assert all(np.isfinite(found[f"test_{name}"]).all() for name in scoring)
    search = GridSearchCV(clone(quick), {"n_layers": [1, 2]}, cv=2, scoring=metrics.log_density)
    assert search.fit(X[:200], y[:200]).best_score_ < 0


def test_crps_of_several_targets_is_their_mean():
    Y = np.column_stack([y, X[:, 1] + y**2])
    quick = FlowRegressor(n_estimators=1, max_iter=2, mean_estimator=None, random_state=0)
    regressor = quick.fit(X[:200], Y[:200])
    assert metrics.crps(regressor, X[:9], Y[:9]).shape == (9,)
