"""Rows with missing cells: marginals and conditional draws of a density, against quadrature."""

import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import clone
from small_flows import ESTIMATORS

from skflow import CouplingFlowDensity
from skflow._models.flow import FlowModel


def bent_rows(n_rows):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_rows, 3))
    X[:, 1] = X[:, 0] ** 2 + 0.4 * X[:, 1]
    X[:, 2] = 100 * (X[:, 1] + 0.5 * X[:, 2])
    return X


@pytest.fixture(scope="module", params=["flow alone", "with components", "bounded"])
def fitted(request):
    given = {} if request.param == "with components" else {"component_weight": 0}
    bounds = {1: (-3, None)} if request.param == "bounded" else None
    flow = CouplingFlowDensity(
        3, hidden_layer_sizes=(16,), max_iter=30, bounds=bounds, random_state=0, **given
    )
    return flow.fit(bent_rows(400))


def integrated(flow, row, j, n=2001):
    """A grid of values of column ``j``, and the density of the row with each of them."""
    X = flow.sample(2000, random_state=0, tails=True)
    spread = np.ptp(X[:, j])
    grid = np.linspace(
        max(X[:, j].min() - spread, -3 if j == 1 else -np.inf), X[:, j].max() + spread, n
    )
    rows = np.tile(row, (n, 1))
    rows[:, j] = grid
    return grid, np.exp(flow.score_samples(rows))


@pytest.mark.parametrize("j", range(3))
def test_marginals_are_those_of_the_density_of_whole_rows(fitted, j):
    X = bent_rows(5)
    expected = [np.log(trapezoid(y, x)) for x, y in (integrated(fitted, row, j) for row in X)]
    X[:, j] = np.nan
    assert fitted.score_samples(X) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("j", [0, 1])
def test_draws_are_of_the_conditional_distribution(fitted, j):
    row = bent_rows(8)[7]
    grid, density = integrated(fitted, row, j)
    cumulative = density.cumsum() / density.sum()
    row[j] = np.nan
    drawn, ess = fitted.sample_given([row], 10_000, random_state=0, return_ess=True)
    known = np.arange(3) != j
    assert (drawn[0, known] == row[known, None]).all()
    distance = stats.kstest(drawn[0, j], lambda x: np.interp(x, grid, cumulative)).statistic
    assert distance < 0.04
    assert ess[0] > 400


def test_rows_that_are_far_away_have_numbers(fitted):
    """Squares are beyond single precision, in which draws are weighed."""
    X = np.array([[1e22, np.nan, np.nan], [2e22, np.nan, np.nan]])
    scores = fitted.score_samples(X)
    assert np.isfinite(scores).all() and (scores < -100).all()
    assert np.isfinite(fitted.sample_given(X, 3, random_state=0)).all()
    if fitted.component_weight != 0:  # the heaviest tails alone say what is known there
        dof = min(model.dof for model in list(fitted._density.mixture.models.values())[1:])
        assert scores[0] - scores[1] == pytest.approx((dof + 1) * np.log(2), abs=1e-3)
    else:  # and without them what the flow says
        assert (scores < -1e40).all()


def test_whole_rows_are_scored_as_ever_and_empty_ones_with_0(fitted):
    X = bent_rows(20)
    expected = fitted.score_samples(X)
    X[3], X[5, 1] = np.nan, np.nan
    found = fitted.score_samples(X)
    kept = np.delete(np.arange(20), [3, 5])
    assert found[kept] == pytest.approx(expected[kept], rel=1e-12)
    assert found[3] == 0
    assert fitted.score(X) == pytest.approx(found.mean())
    drawn = fitted.sample_given(X, 2, random_state=0)
    assert drawn.shape == (20, 3, 2)
    assert (drawn[kept] == X[kept][:, :, None]).all()
    assert np.isfinite(drawn).all()


def test_nothing_is_fitted_where_no_cell_is_missing(fitted, monkeypatch):
    def proposal_of(density):
        raise AssertionError("a proposal is for rows with missing cells")

    monkeypatch.setattr("skflow._missing.questions.proposal_of", proposal_of)
    assert np.isfinite(fitted.score_samples(bent_rows(20))).all()
    with pytest.raises(AssertionError, match="missing cells"):
        fitted.score_samples([[0.5, np.nan, 0.0]])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_answers_of_every_estimator_are_reproducible_also_after_saving(name):
    flow = clone(ESTIMATORS[name]).fit(bent_rows(100))
    X = bent_rows(6)
    X[::2, 1], X[1, [0, 2]] = np.nan, np.nan
    scores, drawn = flow.score_samples(X), flow.sample_given(X, 3, random_state=0)
    again = pickle.loads(pickle.dumps(flow))
    assert np.array_equal(again.score_samples(X), scores)
    assert np.array_equal(again.sample_given(X, 3, random_state=0), drawn)
    assert not np.array_equal(flow.sample_given(X, 3, random_state=1), drawn)


def test_what_cannot_be_answered_is_said(fitted):
    X = bent_rows(3)
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity in 1 of 3 rows, in column 0"):
        fitted.sample_given(X)
    with pytest.raises(ValueError, match="n_samples=0 is not possible"):
        fitted.sample_given(bent_rows(3), 0)
    if fitted._fitted.n_flows == 1:
        Z = fitted.transform(np.where(np.isinf(X), np.nan, X))
        assert np.isnan(Z).all(axis=1).tolist() == [True, False, False]


def test_values_beyond_bounds_have_no_density_and_nothing_given_them():
    X = bent_rows(200)
    flow = clone(ESTIMATORS["tails"]).set_params(bounds={1: (-5, None)}).fit(X)
    X[:2, 0], X[0, 1] = np.nan, -6
    scores = flow.score_samples(X[:2])
    assert scores[0] == -np.inf
    assert np.isfinite(scores[1])
    with pytest.raises(ValueError, match="1 rows lie beyond the bounds, in column 1"):
        flow.sample_given(X)


def test_a_flow_that_adds_nothing_is_not_asked(monkeypatch):
    flow = clone(ESTIMATORS["tails"]).fit(bent_rows(200))
    X = bent_rows(10)
    X[:, 1] = np.nan
    weights = flow._density.mixture.weights
    weights[:] = np.append(1e-5, weights[1:] / weights[1:].sum() * (1 - 1e-5))
    expected = flow.score_samples(X)
    monkeypatch.setattr(FlowModel, "log_prob_of", None)
    assert flow.score_samples(X) == pytest.approx(expected, abs=1e-3)
    assert np.isfinite(flow.sample_given(X, 5, random_state=0)).all()
