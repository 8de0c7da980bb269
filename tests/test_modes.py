"""The best completion of a row, beside closed forms and a grid of values."""

import numpy as np
import pandas as pd
import pytest

from skflow import CouplingFlowDensity, FlowImputer
from skflow._models.mixture import Mixture

NAN = np.nan


def fitted(X, **params):
    small = CouplingFlowDensity(1, hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    return small.set_params(**params).fit(X)


@pytest.fixture(scope="module")
def groups():
    """Three rows of five lie wide around (3, 0), two close to (-3, 0)."""
    rng = np.random.default_rng(0)
    wide = rng.uniform(size=(1500, 1)) < 0.6
    X = np.where(wide, 1.0, 0.2) * rng.standard_normal((1500, 2))
    X[:, 0] += np.where(wide[:, 0], 3.0, -3.0)
    return fitted(X)


@pytest.fixture(scope="module")
def table():
    """A category, a number that depends on it, and a waiting time that is often 0."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 400, p=[0.3, 0.7])
    size = np.where(kind == "a", -5.0, 5.0) + rng.standard_normal(400)
    wait = np.where(rng.uniform(size=400) < 0.8, 0.0, rng.exponential(size=400))
    return pd.DataFrame({"kind": kind, "size": size, "wait": wait})


@pytest.fixture(scope="module")
def mixed(table):
    return fitted(table)


def test_of_a_gaussian_it_is_the_conditional_mean():
    X = np.random.default_rng(0).standard_normal((200, 3)) @ np.triu(np.ones((3, 3)))
    model = fitted(X)
    gaussian, columns = model._density.mixture.models["gaussian"], model._density.columns
    model._density.mixture = Mixture({"flow": None, "gaussian": gaussian}, np.array([0.0, 1.0]))
    mean = columns.location + columns.scale * gaussian.centres[0]
    C = np.linalg.inv(gaussian.factors[0] @ gaussian.factors[0].T)
    C *= np.outer(columns.scale, columns.scale)
    found = model.mode_given([[NAN, 3, NAN], [0, NAN, NAN], [NAN, NAN, NAN], [7, 7, 7]])
    for row, known in zip(found, ([1], [0], [], [0, 1, 2])):
        slopes = C[:, known] @ np.linalg.inv(C[np.ix_(known, known)])
        np.testing.assert_allclose(row, mean + slopes @ (row - mean)[known], atol=1e-6)


def test_the_taller_mode_is_taken_though_the_other_has_more_rows(groups):
    found = groups.mode_given([[NAN, NAN], [NAN, 1.5]])
    # beside 0 by 1.5, which is more than seven of its deviations, the narrow group is the lower one
    np.testing.assert_allclose(found, [[-3, 0], [3, 1.5]], atol=0.2)
    np.testing.assert_allclose(groups.mode_given({0: (0, None)}), [[3, 0]], atol=0.4)
    at_the_end = groups.mode_given({0: (-9, -4), 1: 0.0})
    np.testing.assert_allclose(at_the_end, [[-4, 0]], atol=1e-6)


def test_no_value_of_a_grid_is_better(groups):
    rows = np.column_stack([np.linspace(-4, 4, 9), np.full(9, NAN)])
    found = groups.score_samples(groups.mode_given(rows))
    grid = np.linspace(-4, 4, 401)
    scores = [groups.score_samples(np.column_stack([np.full(401, x), grid])) for x in rows[:, 0]]
    assert (found > np.max(scores, axis=1) - 0.01).all()


def test_categories_and_spikes_of_a_frame(mixed, table):
    rows = pd.DataFrame(
        {"kind": [None, None, "a"], "size": [-5.0, 5.0, NAN], "wait": [0.0, 1.0, NAN]},
        index=[7, 8, 9],
    )
    found = mixed.mode_given(rows)
    assert found.index.tolist() == [7, 8, 9]
    assert found.kind.tolist() == ["a", "b", "a"]
    assert found["size"].to_numpy() == pytest.approx([-5, 5, -5], abs=0.5)
    assert found.wait.tolist() == [0, 1, 0]  # the value of most rows is more than a density
    answer = mixed.mode_given({"kind": {"a"}, "wait": (0.5, None)})
    assert answer.kind.tolist() == ["a"] and answer.wait[0] >= 0.5
    pd.testing.assert_frame_equal(mixed.mode_given(table[:5]), table[:5])


def test_an_imputer_fills_in_the_mode(table):
    incomplete = table.mask(np.random.default_rng(1).uniform(size=table.shape) < 0.1)[:100]
    small = CouplingFlowDensity(1, hidden_layer_sizes=(4,), max_iter=2)
    imputer = FlowImputer(small, strategy="mode", random_state=0).fit(incomplete)
    filled = imputer.transform(incomplete)
    known = incomplete.notna()
    assert not filled.isna().any(axis=None)
    assert (filled.where(known) == incomplete.where(known)).where(known, True).all(axis=None)
    best = imputer.density_.score_samples(filled)
    drawn = imputer.sample(incomplete, 5, random_state=0)
    same = [(one.wait == 0) == (filled.wait == 0) for one in drawn]
    for one, comparable in zip(drawn, same):
        assert (best >= imputer.density_.score_samples(one) - 0.05)[comparable].all()


def test_what_cannot_be_completed_is_said(groups):
    with pytest.raises(ValueError, match="X names 5, which is not a column"):
        groups.mode_given({5: 1.0})
    with pytest.raises(ValueError, match="has 3 features"):
        groups.mode_given([[NAN, 1.0, 2.0]])
