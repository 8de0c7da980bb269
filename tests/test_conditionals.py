"""Marginals and conditionals of mixtures of ellipses: closed forms against each other and SciPy."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import cumulative_trapezoid, trapezoid

from skflow._models.components import COMPONENTS, fit_components
from skflow._models.ellipses import precision_factors, reordered
from skflow._models.factor_model import square_factor


@pytest.fixture(scope="module")
def U():
    rng = np.random.RandomState(0)
    U = rng.standard_normal((160, 4)) @ rng.standard_normal((4, 4))
    U[:80, 1] += U[:80, 0] ** 2 / 2
    return (U - U.mean(axis=0)) / U.std(axis=0)


@pytest.fixture(scope="module")
def components(U):
    return fit_components(U, rng=np.random.RandomState(0), names=list(COMPONENTS))


def on_a_grid(component, row, j):
    """Values of a column, dense where the data are, and the density of the row with each."""
    grid = 0.3 * np.sinh(np.linspace(-7, 7, 2001))
    rows = np.tile(row, (len(grid), 1))
    rows[:, j] = grid
    return grid, np.exp(component.log_prob(rows))


@pytest.mark.parametrize("name", COMPONENTS)
def test_marginals_are_integrals_of_the_density(components, U, name):
    """Rows with other sets of known columns are answered together."""
    known = np.ones((4, 4), dtype=bool)
    np.fill_diagonal(known, False)
    rows = U[:4] + 0.1
    expected = [trapezoid(*on_a_grid(components[name], rows[j], j)[::-1]) for j in range(4)]
    rows[~known] = 5.0  # may be anything
    found = components[name].conditionals(rows, known).log_prob
    assert found == pytest.approx(np.log(expected), abs=1e-4)


@pytest.mark.parametrize("name", COMPONENTS)
def test_of_whole_rows_it_is_the_density_and_of_empty_ones_0(components, U, name):
    known = np.repeat([[True], [False]], 4, axis=1).repeat(5, axis=0)
    found = components[name].conditionals(U[:10], known).log_prob
    assert found[:5] == pytest.approx(components[name].log_prob(U[:5]))
    assert found[5:] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", COMPONENTS)
def test_draws_have_the_conditional_distribution(components, U, name):
    known = np.array([[True, False, True, True], [True, True, True, True]])
    conditionals = components[name].conditionals(U[:2], known)
    rng = np.random.RandomState(0)
    choice, radius = rng.uniform(size=(2, 2000))
    rows = np.arange(2000) % 2
    drawn = conditionals.place(rows, choice, rng.standard_normal((2000, 4)), radius)
    assert (drawn[known[rows]] == U[rows][known[rows]]).all()
    grid, density = on_a_grid(components[name], U[0], 1)
    cumulative = cumulative_trapezoid(density, grid, initial=0)
    cumulative /= cumulative[-1]
    drawn = drawn[rows == 0, 1]
    assert stats.kstest(drawn, lambda x: np.interp(x, grid, cumulative)).pvalue > 1e-3


def test_marginal_of_a_student_t_is_scipys(components, U):
    t, known = components["t"], np.array([False, True, True, False])
    shape = np.linalg.inv(t.factors[0] @ t.factors[0].T)
    expected = stats.multivariate_t(t.centres[0][known], shape[np.ix_(known, known)], 3.0)
    found = t.conditionals(U, np.tile(known, (len(U), 1))).log_prob
    assert found == pytest.approx(expected.logpdf(U[:, known]))


def test_conditionals_of_a_factor_model_are_those_of_its_covariance():
    U = np.random.RandomState(0).standard_normal((60, 320))
    U[:, 1:] += U[:, :1]
    gaussian = fit_components(U, rng=np.random.RandomState(0), names=["gaussian"])["gaussian"]
    assert gaussian.factors[0].shape[1] < 320
    known = np.arange(320) % 40 > 0
    shape = np.linalg.inv((factor := square_factor(gaussian.factors[0])) @ factor.T)
    expected = stats.multivariate_normal(gaussian.centres[0][known], shape[np.ix_(known, known)])
    found = gaussian.conditionals(U[:5], np.tile(known, (5, 1))).log_prob
    assert found == pytest.approx(expected.logpdf(U[:5, known]))


def test_factors_follow_the_order_of_the_columns():
    rng = np.random.RandomState(0)
    roots = rng.standard_normal((3, 4, 4))
    shapes, order = roots @ roots.transpose(0, 2, 1), [2, 0, 3, 1]
    found = reordered(precision_factors(shapes), order)
    expected = precision_factors(shapes[:, order][:, :, order])
    assert found == pytest.approx(expected)
