"""Marginals and conditionals of mixtures of ellipses: closed forms against each other and SciPy."""

import numpy as np
import pytest
from scipy import stats

from skflow._models.components import COMPONENTS, fit_components
from skflow._models.ellipses import precision_factors, reordered


@pytest.fixture(scope="module")
def U():
    rng = np.random.RandomState(0)
    U = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 4))
    U[:200, 1] += U[:200, 0] ** 2 / 2
    return (U - U.mean(axis=0)) / U.std(axis=0)


@pytest.fixture(scope="module")
def components(U):
    return fit_components(U, rng=np.random.RandomState(0), names=list(COMPONENTS))


@pytest.mark.parametrize("known", [[0, 2], [3], [0, 1, 3], []])
@pytest.mark.parametrize("name", COMPONENTS)
def test_marginal_times_conditional_is_the_density(components, U, name, known):
    known = np.isin(np.arange(4), known)
    rows = U[:20] + 0.1
    answers = components[name].conditionals(known).given(rows[:, known])
    conditional = answers.conditional_log_prob(rows[:, None, ~known])[:, 0]
    expected = components[name].log_prob(rows)
    assert answers.log_prob + conditional == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", COMPONENTS)
def test_draws_have_the_conditional_distribution(components, U, name):
    known = np.array([True, False, True, True])
    conditionals = components[name].conditionals(known)
    drawn = conditionals.given(np.tile(U[0, known], (2000, 1))).sample(np.random.RandomState(0))
    # the distribution function by quadrature of the conditional density
    grid = np.linspace(-40, 40, 40_001)
    answers = conditionals.given(U[:1, known])
    density = np.exp(answers.conditional_log_prob(grid[None, :, None])[0])
    cumulative = density.cumsum() * (grid[1] - grid[0])
    assert cumulative[-1] == pytest.approx(1, abs=1e-3)
    assert stats.kstest(drawn[:, 0], lambda x: np.interp(x, grid, cumulative)).pvalue > 1e-3


def test_marginal_of_a_student_t_is_scipys(components, U):
    t, known = components["t"], np.array([False, True, True, False])
    shape = np.linalg.inv(t.factors[0] @ t.factors[0].T)
    expected = stats.multivariate_t(t.centres[0][known], shape[np.ix_(known, known)], 3.0)
    found = t.conditionals(known).given(U[:, known]).log_prob
    assert found == pytest.approx(expected.logpdf(U[:, known]))


def test_conditionals_of_a_factor_model_are_those_of_its_covariance():
    U = np.random.RandomState(0).standard_normal((60, 320))
    U[:, 1:] += U[:, :1]
    gaussian = fit_components(U, rng=np.random.RandomState(0), names=["gaussian"])["gaussian"]
    assert gaussian.factors[0].shape[1] < 320
    known = np.arange(320) % 3 > 0
    answers = gaussian.conditionals(known).given(U[:5, known])
    conditional = answers.conditional_log_prob(U[:5, None, ~known])[:, 0]
    assert answers.log_prob + conditional == pytest.approx(gaussian.log_prob(U[:5]))


def test_factors_follow_the_order_of_the_columns():
    rng = np.random.RandomState(0)
    roots = rng.standard_normal((3, 4, 4))
    shapes, order = roots @ roots.transpose(0, 2, 1), [2, 0, 3, 1]
    found = reordered(precision_factors(shapes), order)
    expected = precision_factors(shapes[:, order][:, :, order])
    assert found == pytest.approx(expected)
