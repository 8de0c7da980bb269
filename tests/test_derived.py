"""The code length against ordinary least squares, and the choice against exhaustive search."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from skflow import masks
from skflow._nn.mask_arrays import layer_sizes
from skflow._structure.derived import (
    _ridge_regression,
    code_length,
    derive,
    importances,
    linear_flow,
    linear_optimum,
)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def gaussian(rng):
    """Correlated Gaussian rows, standardised, and their covariance."""
    X = rng.standard_normal((5000, 6)) @ rng.standard_normal((6, 6))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X, X.T @ X / len(X)


def masks_of(d, n_transformed):
    return [np.isin(np.arange(d), part) for part in itertools.combinations(range(d), n_transformed)]


def conditional_variances(covariance, mask):
    """Of part A given part B, by the formula of the multivariate normal."""
    a, b = np.flatnonzero(mask), np.flatnonzero(~mask)
    gain = covariance[np.ix_(a, b)] @ np.linalg.inv(covariance[np.ix_(b, b)])
    return np.diag(covariance[np.ix_(a, a)] - gain @ covariance[np.ix_(b, a)])


def test_gaussian_code_length_is_the_conditional_entropy(gaussian):
    X, covariance = gaussian
    for mask in masks_of(6, 3)[:5]:
        expected = 0.5 * np.log(conditional_variances(covariance, mask)).sum()
        assert_allclose(code_length(X, mask), expected, atol=0.01)
        assert_allclose(code_length(X, mask, n_layers=1), expected, atol=0.01)


def test_scale_that_depends_on_part_b_shortens_the_code(rng):
    n = 4000
    b = rng.standard_normal(n)
    a = rng.standard_normal(n) * np.exp(0.8 * b)
    X = np.column_stack([a, b])
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    # knowing the scale gains log E[a^2] / 2 = 0.8**2 nats
    first = code_length(X, np.array([True, False]), n_layers=1)
    assert -(0.8**2) - 0.05 < first < -0.3
    assert code_length(X, np.array([False, True]), n_layers=1) == pytest.approx(0, abs=0.05)


def test_linear_optimum_beats_all_of_its_swaps_and_often_all_masks(gaussian):
    _, covariance = gaussian

    def total(mask):
        return np.log(conditional_variances(covariance, mask)).sum()

    least = min(map(total, masks_of(6, 3)))
    found = []
    for start in masks_of(6, 3):
        mask = linear_optimum(np.linalg.inv(covariance), start)
        assert mask.sum() == 3
        assert total(mask) <= total(start) + 1e-9
        for a, b in itertools.product(np.flatnonzero(mask), np.flatnonzero(~mask)):
            swapped = mask.copy()
            swapped[[a, b]] = False, True
            assert total(mask) <= total(swapped) + 1e-9
        found.append(total(mask))
    assert np.isclose(found, least).mean() > 0.3


def test_fewer_rows_than_features_are_ridge_regression(rng):
    """Both forms of the normal equations are those of scikit-learn's ridge regression."""
    A = rng.standard_normal((20, 2))
    for m in (5, 30):
        B = rng.standard_normal((20, m))
        expected = Ridge(alpha=20 * 0.3, fit_intercept=False).fit(B, A).predict(B)
        assert_allclose(_ridge_regression(B)(A, 0.3), expected)


@pytest.mark.parametrize(("d", "n_scored"), [(12, 30), (101, 3)])
def test_of_very_many_features_only_the_starts_are_scored(rng, monkeypatch, d, n_scored):
    scored = []
    monkeypatch.setattr(
        "skflow._structure.derived.code_length",
        lambda X, mask, depth: scored.append(mask) or len(scored),
    )
    chosen, _ = derive(rng.standard_normal((30, d)), d // 2, 2, rng)
    assert len(scored) == n_scored and (chosen == scored[0]).all()
    assert (~chosen).sum() == d // 2


def test_few_masks_are_all_scored(gaussian, rng):
    X, _ = gaussian
    X = np.sinh(X)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    X = X[:2000]
    chosen, _ = derive(X, 3, 2, rng)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    shortest = min(code_length(X, mask) for mask in masks_of(6, 3))
    assert code_length(X, chosen) == pytest.approx(shortest, abs=1e-9)


def test_swaps_come_close_to_the_best_of_many_masks(rng):
    X = np.sinh(rng.standard_normal((500, 10)) @ rng.standard_normal((10, 10)) / 3)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    lengths = np.array([code_length(X, mask) for mask in masks_of(10, 5)])
    chosen, _ = derive(X, 5, 2, rng)
    assert chosen.sum() == 5
    assert (lengths < code_length(X, chosen) - 1e-9).mean() < 0.02


@pytest.mark.parametrize("n_conditioning", [1, 2, 4, 0.6])
@pytest.mark.parametrize("max_scored", [1, 500])
def test_sizes_are_those_asked_for(gaussian, monkeypatch, n_conditioning, max_scored):
    monkeypatch.setattr("skflow._structure.derived.MAX_SCORED", max_scored)
    X, _ = gaussian
    layout = masks.Derived(n_conditioning=n_conditioning)
    made = layout.make(3, 6, random_state=0, X=X)
    expected = masks.check_n_conditioning(n_conditioning, 6)
    assert (~made[[0, 2]]).sum(axis=1).tolist() == [expected, expected]
    assert masks.is_alternating(made[:2])


def test_every_pair_is_chosen_for_what_the_previous_ones_leave(rng):
    """Three features that are alike: a pair of layers has two of them on one side."""
    X = rng.standard_normal((1000, 1)) + 0.5 * rng.standard_normal((1000, 3))
    X = np.hstack([X, rng.standard_normal((1000, 1))])
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    first, second, third = derive(X, 2, 5, rng)[::2]
    remains = linear_flow(X, first)[1]
    shortest = min(code_length(remains, mask) for mask in masks_of(4, 2))
    assert code_length(remains, second) == pytest.approx(shortest, abs=1e-6)
    alike = [j for j in range(3) if (first[:3] == first[j]).sum() == 2]
    assert second[alike[0]] != second[alike[1]]
    last = linear_flow(remains, second)[1]
    shortest = min(code_length(last, mask, n_layers=1) for mask in masks_of(4, 2))
    assert code_length(last, third, n_layers=1) == pytest.approx(shortest, abs=1e-6)


def test_least_squares_needs_different_masks_to_be_a_gaussian(gaussian):
    """Six layers of derived masks leave nothing of it; parity stays where its first pair ends."""
    X, covariance = gaussian
    truth, X = 0.5 * np.linalg.slogdet(covariance)[1], X[:2000]

    def lengths(structure):
        rows, found = X, []
        for mask in structure[::2]:
            length, rows = linear_flow(rows, mask)
            found.append(length)
        return np.cumsum(found) - truth

    derived = lengths(derive(X, 3, 6, np.random.default_rng(0)))
    parity = lengths(masks.parity(6, 6))
    assert derived[0] > 0.1 and abs(derived[2]) < 0.05
    assert parity[2] == pytest.approx(parity[0], abs=0.02) and parity[2] > derived[2] + 0.1


def test_alternating_search_of_many_layers_starts_from_the_first_pair(gaussian):
    X, _ = gaussian
    made = masks.Derived().make(6, 6, X=X, random_state=0)
    assert not masks.is_alternating(made)
    start = masks.EvolutionarySearch().make(6, 6, X=X, random_state=0)
    assert np.array_equal(start, masks.alternating(made[0], 6))


def test_constant_and_equal_columns_and_a_single_one(rng):
    X = rng.standard_normal((100, 3))
    X[:, 1] = X[:, 0]
    X[:, 2] = 4.0
    assert masks.Derived().make(2, 3, X=X).shape == (2, 3)
    assert masks.Derived().make(2, 1, X=X[:, :1]).all()


@pytest.mark.parametrize("n_rows", [2, 3, 10])
def test_few_rows(rng, n_rows):
    made = masks.Derived().make(2, 20, X=rng.standard_normal((n_rows, 20)), random_state=0)
    assert (made.sum(axis=1) == 10).all()


def test_importances_are_what_leaving_a_column_out_costs():
    rng = np.random.default_rng(0)
    B = rng.standard_normal((4000, 4))
    A = np.column_stack([B[:, 0] + rng.standard_normal(4000), rng.standard_normal(4000)])
    A[:, 1] *= np.exp(0.5 * B[:, 2])
    found = importances(A, B)
    # half the logarithm of 2 for the shift; a quarter of the variance of the log-square
    assert found == pytest.approx([0.5 * np.log(2), 0, 0.25, 0], abs=0.05)


def test_the_least_important_features_are_idle():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 8))
    X[:, 4:6] = X[:, :2] + 0.1 * X[:, 4:6]
    made = masks.Derived(conditioning_share=0.5).make(2, 8, X=X, random_state=0)
    assert layer_sizes(made).tolist() == [[4, 2], [4, 2]]
    whole = masks.Derived().make(2, 8, X=X, random_state=0)
    assert ((made == 1) == whole).all()
    for layer in made[:1]:
        for i in range(2):  # a pair is divided, and the one conditions the other
            assert sorted(layer[[i, i + 4]]) == [0, 1]
    with pytest.raises(ValueError, match="conditioning_share=0 is not possible"):
        masks.Derived(conditioning_share=0).make(2, 8, X=X)
