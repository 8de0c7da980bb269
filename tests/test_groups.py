"""Groups of rows against tables of which the density is known."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder
from small_flows import flow

from skflow._models import groups as module
from skflow._models.components import fit_components
from skflow._models.groups import ComponentFitter, fit_groups
from skflow._models.mixture import Context
from skflow._table.schema import Schema
from skflow._table.table import UNKNOWN


def given_of(discrete, n_columns=2, absent=None):
    """What rows are given: a number of 0 and 1 for each value of three."""
    discrete = np.asarray(discrete)
    context = (discrete[:, :, None] == np.arange(3)).reshape(len(discrete), -1).astype(float)
    if absent is None:
        absent = np.zeros((len(discrete), n_columns), bool)
    return Context(context, discrete, absent)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_numbers_of_categories_are_what_the_encoder_of_scikit_learn_returns():
    sizes = np.array([3, 2, 4])
    schema = Schema({}, np.arange(3), np.zeros(0, int), np.zeros(0), np.array([3]), sizes)
    rng = np.random.default_rng(0)
    discrete = np.column_stack([rng.integers(UNKNOWN, size, 50) for size in sizes])
    encoder = OneHotEncoder(
        categories=[np.arange(size) for size in sizes],
        drop="if_binary",
        handle_unknown="ignore",
        sparse_output=False,
    )
    expected = encoder.fit(discrete[:1].clip(0)).transform(discrete)
    found, matrix = schema.numbers(discrete), rng.standard_normal((8, 2))
    np.testing.assert_array_equal(np.asarray(found), expected)
    np.testing.assert_allclose(found @ matrix, expected @ matrix, atol=1e-12)
    pairs = rng.integers(50, size=(4, 6))
    np.testing.assert_array_equal(np.asarray(found[pairs]), expected[pairs])


COVARIANCES = [np.array([[1, r], [r, 1]]) for r in (0.9, -0.9, 0.0)]


def draws(labels, covariances=COVARIANCES, seed=0):
    rng = np.random.RandomState(seed)
    U = np.empty((len(labels), 2))
    for k, covariance in enumerate(covariances):
        rows = labels == k
        U[rows] = rng.multivariate_normal([0, 0], covariance, rows.sum())
    return U


@pytest.fixture(scope="module")
def crossed():
    """A table whose second category changes the correlation alone; the first changes nothing."""
    rng = np.random.RandomState(1)
    discrete = np.column_stack([rng.choice(3, 600), rng.choice(2, 600)])
    return draws(discrete[:, 1]), given_of(discrete)


def parts(groups, given):
    """The partition of the rows, whatever the numbers of the groups."""
    group = groups.group(given)
    return {tuple(np.flatnonzero(group == k)) for k in np.unique(group)}


def partition(*labels):
    labels = np.column_stack(labels)
    return {tuple(np.flatnonzero((labels == row).all(axis=1))) for row in np.unique(labels, axis=0)}


def components(groups, U, given, weight=None, names=None):
    """Components of given groups, fitted to all rows."""
    fitter = ComponentFitter(U, given, weight)
    fitter.groups = groups
    return fitter.fit(slice(None), np.random.RandomState(0), names)


def gaussians(groups, U, given, weight=None):
    return components(groups, U, given, weight, ["gaussian"])["gaussian"]


# ---- which groups there are


def test_rows_are_split_where_only_the_dependence_changes(crossed):
    U, given = crossed
    groups = fit_groups(U, given)
    assert parts(groups, given) == partition(given.discrete[:, 1])
    assert groups.columns[0] == 1


def test_the_density_of_each_group_is_its_own(crossed):
    U, given = crossed
    component = gaussians(fit_groups(U, given), U, given)
    new = given_of(np.tile([[0, 0], [2, 1]], (2000, 1)))
    V = draws(new.discrete[:, 1], seed=2)
    truth = np.stack([multivariate_normal([0, 0], c).logpdf(V) for c in COVARIANCES[:2]])
    own = truth[new.discrete[:, 1], np.arange(len(V))]
    pooled = multivariate_normal([0, 0], np.eye(2)).logpdf(V)
    assert own.mean() - pooled.mean() > 0.7
    assert component.log_prob(V, new).mean() == pytest.approx(own.mean(), abs=0.05)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_rows_are_not_split_where_nothing_changes_but_the_mean(shift):
    """Shifts are subtracted: they are worth no group."""
    rng = np.random.RandomState(0)
    discrete = rng.choice(2, (600, 2))
    U = rng.normal(size=(600, 2)) + shift * discrete
    given = given_of(discrete)
    groups = fit_groups(U, given)
    assert len(parts(groups, given)) == 1
    np.testing.assert_allclose(U - groups.location(given), U - shift * discrete, atol=0.4)


def test_a_split_inside_a_split():
    """The second column changes something only where the first is 1."""
    discrete = np.random.RandomState(0).choice(2, (900, 2))
    labels = np.where(discrete[:, 0] == 0, 2, discrete[:, 1])
    given = given_of(discrete)
    groups = fit_groups(draws(labels, [*COVARIANCES[:2], 25 * np.eye(2)]), given)
    assert parts(groups, given) == partition(labels)
    rows = given_of(list(product((0, 1), (0, 1))))
    found = groups.group(rows)
    assert found[0] == found[1] and len(set(found)) == 3


def test_the_numbers_of_the_categories_do_not_matter(crossed):
    U, given = crossed
    renumbered = given_of(np.array([[2, 0, 1], [1, 0, 2]])[[0, 1], given.discrete])
    assert parts(fit_groups(U, renumbered), renumbered) == parts(fit_groups(U, given), given)


@pytest.mark.parametrize(("n_rare", "own_group"), [(40, True), (10, False)])
def test_rare_categories_share_a_group_or_go_to_the_largest(n_rare, own_group):
    """Two rare ones of 20 rows are a group of 40; two of 5 are none."""
    column = np.repeat([0, 1, 2, 3], [300, 200, n_rare // 2, n_rare // 2])
    labels = np.minimum(column, 2)
    given = given_of(column[:, None])
    found = fit_groups(draws(labels), given).group(given)
    assert found[0] != found[300]
    rare = set(found[column > 1])
    assert len(rare) == 1
    assert (rare != {found[0]}) == own_group
    assert rare != {found[300]}


@pytest.mark.parametrize("n_rare", [0, 10, 40])
def test_a_category_that_was_not_seen_goes_where_the_rare_ones_are(n_rare):
    column = np.repeat([0, 1, 2, 3], [300, 200, n_rare // 2, n_rare // 2])
    groups = fit_groups(draws(np.minimum(column, 2)), given_of(column[:, None]))
    assert groups.group(given_of([[UNKNOWN]])) == groups.group(given_of([[3]]))


def test_rare_categories_of_a_long_table_have_a_group(monkeypatch):
    """Those that are not among the rows by which the groups are found (these are every third)."""
    monkeypatch.setattr(module, "MOST_ROWS", 250)
    kind = np.random.RandomState(0).choice(["a", "b"], 601).astype(object)
    frame = pd.DataFrame(draws((kind == "b").astype(int)), columns=["x", "y"])
    kind[[1, 2, 4, 5]] = ["y", "y", "z", "z"]
    model = flow(max_iter=1, n_layers=1, component_weight="auto").fit(frame.assign(kind=kind))
    assert np.isfinite(model.score_samples(frame[:9].assign(kind=kind[:9]))).all()


def test_no_group_is_too_small_and_there_are_not_too_many(monkeypatch):
    discrete = np.random.RandomState(0).choice(2, (400, 2))
    U = draws(
        2 * (discrete[:, 0] == discrete[:, 1]) + discrete[:, 0], [*COVARIANCES, 4 * COVARIANCES[0]]
    )
    given = given_of(discrete)
    assert len(parts(fit_groups(U, given), given)) == 4
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    assert len(parts(fit_groups(U, given), given)) == 3
    column = (2 * discrete[:, :1] + discrete[:, 1:])[:, :1]  # a single split would make four
    assert len(parts(fit_groups(U, given_of(column)), given_of(column))) == 1
    monkeypatch.setattr(module, "LEAST_ROWS", 150)
    assert min(map(len, parts(fit_groups(U, given), given))) >= 150
    monkeypatch.setattr(module, "ROWS_A_COLUMN", 101)
    assert min(map(len, parts(fit_groups(U, given), given))) >= 202


def test_what_a_group_costs_is_the_criterion_of_schwarz():
    """Twice a negative log-likelihood but for constants, and the price of its parameters."""
    U = draws(np.zeros(5000, int))
    tree = module._Tree(U, np.zeros((5000, 1), int), None)
    deviance = 5000 * np.linalg.slogdet(ledoit_wolf(U)[0])[1]
    assert tree._cost(np.arange(5000)) == pytest.approx(deviance + 5 * np.log(5000), abs=0.2)
    tree.weight = np.where(U[:, 0] > 0, 2.0, 1.0)
    centre = np.average(U, axis=0, weights=tree.weight)
    covariance = np.cov(U.T, aweights=tree.weight, bias=True)
    kish = tree.weight.sum() ** 2 / (tree.weight**2).sum()
    deviance = -2 * multivariate_normal(centre, covariance).logpdf(U)
    deviance = kish * (np.average(deviance, weights=tree.weight) - 2 - 2 * np.log(2 * np.pi))
    cost = tree._cost(np.arange(5000))
    assert cost == pytest.approx(deviance + 5 * np.log(kish), rel=0.01)  # shrinkage


def test_rows_that_hardly_count_make_no_group(crossed):
    U, given = crossed
    odd = given.discrete[:, 1] == 1
    rest = (np.cumsum(odd) <= 60) & odd  # sixty of them are as the others
    U = np.where(rest[:, None], draws(np.zeros(600, int), seed=5), U)
    groups = fit_groups(U, given, np.where(odd & ~rest, 1e-9, 1.0))
    assert len(parts(groups, given)) == 1
    assert len(parts(fit_groups(U, given), given)) == 2


def test_long_tables_are_split_by_some_of_their_rows(monkeypatch, crossed):
    order = np.argsort(crossed[1].discrete[:, 1], kind="stable")  # not by its first rows alone
    U, given = crossed[0][order], crossed[1][order]
    monkeypatch.setattr(module, "MOST_ROWS", 300)
    every_second = fit_groups(U[::2], given[slice(None, None, 2)])
    found = fit_groups(U, given)
    np.testing.assert_array_equal(found.columns, every_second.columns)
    np.testing.assert_array_equal(found.children, every_second.children)
    assert parts(found, given) == partition(given.discrete[:, 1])


# ---- shifts


def test_shifts_are_those_of_ridge_regression(crossed):
    U, given = crossed
    weight = np.random.RandomState(0).uniform(0.1, 2, len(U))
    absent = np.random.RandomState(1).uniform(size=U.shape) < 0.3
    given = replace(given, absent=absent)
    found = fit_groups(U, given, weight).location(given)
    for j in range(2):
        there = ~absent[:, j]
        ridge = Ridge(alpha=1).fit(given.numbers[there], U[there, j], weight[there])
        np.testing.assert_allclose(found[there, j], ridge.predict(given.numbers[there]), atol=1e-6)
        assert (found[~there, j] == 0).all()


def test_weights_are_repeated_rows(crossed):
    U, given = crossed
    times = np.where(np.abs(U[:, 0]) < 0.5, 8, 1)
    again = np.repeat(np.arange(len(U)), times)
    weighted = fit_groups(U, given, times.astype(float))
    repeated = fit_groups(U[again], given[again])
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients)
    assert parts(weighted, given) == parts(repeated, given)
    p = gaussians(weighted, U, given, times.astype(float)).log_prob(U, given)
    q = gaussians(repeated, U[again], given[again]).log_prob(U, given)
    unweighted = gaussians(weighted, U, given).log_prob(U, given)
    near = np.abs(p - q).mean()  # shrinkage counts the rows
    assert near < 0.1 and np.abs(p - unweighted).mean() > 4 * near


def test_other_rows_move_the_shifts_and_not_the_groups(crossed):
    U, given = crossed
    groups, moves = fit_groups(U, given), 5.0 * (given.discrete[:, [0]] == 1)
    moved = gaussians(groups, U + moves, given).groups
    np.testing.assert_allclose(moved.location(given), groups.location(given) + moves, atol=0.05)
    assert parts(moved, given) == parts(groups, given)
    found = gaussians(groups, U + moves, given).log_prob(U + moves, given)
    before = gaussians(groups, U, given).log_prob(U, given)
    assert np.abs(found - before).mean() < 0.1  # the ridge shrinks a shift of 5 a little


# ---- components


@pytest.fixture(scope="module")
def component(crossed):
    U, given = crossed
    shifted = U + 2 * (given.discrete[:, [0]] == 1)
    return gaussians(fit_groups(shifted, given), shifted, given)


@pytest.mark.parametrize("values", list(product((0, 1, 2, UNKNOWN), (0, 1, UNKNOWN))))
def test_the_density_integrates_to_one_whatever_is_given(component, values):
    x = np.linspace(-8, 10, 181)
    grid = np.array([(a, b) for a in x for b in x])
    density = np.exp(component.log_prob(grid, given_of(np.tile(values, (len(grid), 1)))))
    assert trapezoid(trapezoid(density.reshape(181, 181), x), x) == pytest.approx(1, abs=1e-3)


def test_draws_have_the_mean_and_the_covariance_of_their_group(component):
    discrete = np.tile([[0, 0], [1, 1], [1, 0]], (4000, 1))
    given = given_of(discrete)
    drawn = component.sample(len(given), np.random.RandomState(0), given)
    for k, (mean, correlation) in enumerate([(0, 0.9), (2, -0.9), (2, 0.9)]):
        own = drawn[k::3]
        np.testing.assert_allclose(own.mean(axis=0), mean, atol=0.15)
        assert np.corrcoef(own.T)[0, 1] == pytest.approx(correlation, abs=0.04)


@pytest.mark.parametrize("sizes", [(200, 400), (10, 590), (31, 2500)])
def test_components_suit_the_smallest_group_and_the_largest(sizes, monkeypatch):
    monkeypatch.setattr(module, "LEAST_ROWS", 10)
    column = np.repeat([0, 1], sizes)
    U, given = draws(column), given_of(column[:, None])
    groups = fit_groups(U, given)
    assert len(parts(groups, given)) == 2
    found = components(groups, U, given)
    alone = [set(fit_components(U[column == k], rng=np.random.RandomState(0))) for k in (0, 1)]
    assert set(found) == alone[0] & alone[1]


def test_rows_come_back_in_their_order(component):
    given = given_of(np.random.RandomState(0).choice(2, (50, 2)))
    U = np.random.RandomState(1).normal(size=(50, 2))
    found = component.log_prob(U, given)
    alone = [component.log_prob(U[[i]], given[[i]])[0] for i in range(50)]
    np.testing.assert_allclose(found, alone)


# ---- a value that is all that some rows have


def test_a_column_that_is_constant_in_a_group_is_no_narrower_there_than_elsewhere():
    rng = np.random.RandomState(0)
    label = np.repeat([0, 1], 300)
    U = np.column_stack([rng.standard_normal(600), np.zeros(600)])
    U[label == 1, 1] = rng.uniform(size=300) < 0.05
    U /= U.std(axis=0)
    given = given_of(label[:, None])
    names = ["gaussian", "mixture_2", "kernel_0.2"]
    found = ComponentFitter(U, given).fit(slice(None), rng, names)
    asked = np.zeros((2, 2))
    for name, component in found.items():
        first, second = component.log_prob(asked, given_of([[0], [1]]))
        # the true odds at the value are 1 to 0.95; a hundredth of the deviation is 4.6 nats
        assert -0.5 < first - second < 5, name


def test_values_of_their_own_may_be_as_narrow_in_a_group_as_they_are():
    rng = np.random.RandomState(0)
    label = np.repeat([0, 1], 300)
    U = rng.standard_normal((600, 2)) * np.where(label, 1.0, 1e-6)[:, None]
    given = given_of(label[:, None])
    gaussian = ComponentFitter(U, given).fit(slice(None), rng, ["gaussian"])["gaussian"]
    narrow = gaussian.log_prob(U[label == 0], given_of(label[label == 0][:, None])).mean()
    assert narrow == pytest.approx(-2 * np.log(1e-6 * np.sqrt(2 * np.pi * np.e)), abs=0.1)


def test_rows_of_a_fold_that_lack_a_rare_value_leave_it_possible():
    rng = np.random.RandomState(0)
    U = np.column_stack([rng.standard_normal(400), np.arange(400) < 4]).astype(float)
    U = (U - U.mean(axis=0)) / U.std(axis=0)
    gaussian = ComponentFitter(U, None).fit(slice(4, None), rng, ["gaussian"])
    assert gaussian["gaussian"].log_prob(U[:4]).min() > -1e6
