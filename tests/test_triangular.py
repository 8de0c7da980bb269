"""The triangular layout and the order and parents that are derived for it."""

import numpy as np
import pytest
from scipy import stats

from skflow import CouplingFlowDensity
from skflow import masks as M
from skflow._structure.derived_order import _bent, causes_first, code, derive_parents, entropy
from skflow._structure.triangular import parents_of


def chain(n, rng):
    """Columns 2 -> 0 -> 3 -> 1, each bent; column 4 depends on nothing."""
    X = rng.normal(size=(n, 5))
    X[:, 0] = X[:, 2] ** 2 + 0.5 * X[:, 0]
    X[:, 3] = np.tanh(X[:, 0] - 1) + 0.3 * X[:, 3]
    X[:, 1] = np.exp(X[:, 3] / 2) * X[:, 1]
    return X


def test_given_order():
    masks = M.Triangular(order=[1, 0, 2]).make(2, 3)
    assert masks.tolist() == 2 * [[0, 0, 1], [1, 0, -1], [-1, 1, -1]]
    truth = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=bool)
    assert (parents_of(masks) == truth).all()


def test_random_and_given_names():
    drawn = M.Triangular(order="random").make(1, 6, random_state=0)
    again = M.Triangular(order="random").make(1, 6, random_state=0)
    assert np.array_equal(drawn, again)
    assert parents_of(drawn).sum() == 15
    assert M.Triangular(order="given").make(1, 3)[::-1].argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_of_a_mechanism_is_found(seed):
    rng = np.random.default_rng(seed)
    X = chain(1000, rng)
    parents = derive_parents(X, rng)
    assert parents == [[2], [3], [], [0], []]
    order = causes_first(parents).tolist()
    assert sorted(order) == list(range(5))
    assert order.index(2) < order.index(0) < order.index(3) < order.index(1)
    # against the order of the mechanism no edge can be right
    turned = derive_parents(X, rng, order[::-1])
    assert all(order.index(i) > order.index(j) for j, given in enumerate(turned) for i in given)


def test_normal_rows_have_the_same_code_in_every_order():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0.1], [0.8, 1, -0.3], [0.1, -0.3, 1]], 20_000)
    X /= X.std(axis=0)
    orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0]]
    lengths = [
        sum(code(X[:, j], [_bent(X[:, k]) for k in order[:i]]) for i, j in enumerate(order))
        for order in orders
    ]
    # up to the ridges, which are of the order 1 / n
    assert np.ptp(lengths) < 0.003
    truth = 0.5 * np.linalg.slogdet(np.corrcoef(X.T))[1]
    assert lengths == pytest.approx(3 * [truth], abs=0.02)


@pytest.mark.parametrize("distribution", [stats.norm, stats.uniform, stats.expon, stats.logistic])
def test_entropy(distribution):
    drawn = distribution.rvs(size=20_000, random_state=0)
    assert entropy(drawn) == pytest.approx(distribution.entropy(), abs=0.03)


def test_entropy_of_values_that_repeat_is_finite():
    assert np.isfinite(entropy(np.zeros(50)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": "best"}, "order='best' is not known"),
        ({"order": [0, 0, 1]}, "is not an order of 3 features"),
        ({"order": [0, 1]}, "is not an order of 3 features"),
        ({"order": "given", "parents": "some"}, "parents='some' is not known"),
        ({}, "is derived from the data: pass X"),
    ],
)
def test_what_is_not_possible(params, message):
    with pytest.raises(ValueError, match=message):
        M.Triangular(**params).make(1, 3)


@pytest.mark.parametrize("X", [np.zeros((5, 2)), np.zeros(3), np.zeros((5, 4))], ids=np.shape)
@pytest.mark.parametrize("params", [{}, {"order": "given", "parents": "derived"}], ids=str)
def test_rows_have_the_features(X, params):
    with pytest.raises(ValueError, match=r"X has shape .* n_features=3 is needed"):
        M.Triangular(**params).make(1, 3, X=X)


def test_estimators_take_it():
    X = chain(300, np.random.default_rng(0))
    small = {"hidden_layer_sizes": (4,), "max_iter": 2, "component_weight": 0, "random_state": 0}
    sparse = M.Triangular(parents="derived")
    flow = CouplingFlowDensity(2, mask_layout=sparse, **small).fit(X)
    assert flow.masks_.shape == (10, 5) and flow.masks_.dtype == np.int8
    dense = CouplingFlowDensity(2, mask_layout=M.Triangular(), **small).fit(X)
    assert flow.n_parameters_ < dense.n_parameters_
    assert "triangular" in flow.summary()
