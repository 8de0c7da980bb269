"""Bounded columns: the map, densities inside, samples that never leave."""

import numpy as np
import pandas as pd
import pytest

from skflow import CouplingFlowDensity, FlowOutlierDetector, StructureSearchFlow
from skflow._table.bounds import Bounds, check_bounds

INF = np.inf
QUICK = {
    "n_layers": 2,
    "hidden_layer_sizes": (16,),
    "max_iter": 8,
    "component_weight": 0,
    "random_state": 0,
}


def flow(**params):
    return CouplingFlowDensity(**{**QUICK, **params})


# ---- what a user may pass


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (None, [(-INF, INF), (-INF, INF)]),
        ((0, None), [(0, INF), (0, INF)]),
        ([None, 1.5], [(-INF, 1.5), (-INF, 1.5)]),
        ([(0, 1), None], [(0, 1), (-INF, INF)]),
        ({"b": (None, 3)}, [(-INF, INF), (-INF, 3)]),
        ({}, [(-INF, INF), (-INF, INF)]),
    ],
)
def test_forms_of_bounds(bounds, expected):
    found = check_bounds(bounds, 2, np.array(["a", "b"], dtype=object))
    assert list(zip(*found)) == expected


def test_numbers_are_keys_where_columns_have_no_names():
    assert check_bounds({1: (0, 1)}, 2)[0].tolist() == [-INF, 0]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1, 0), "lower bound first"),
        ([(0, 1)], "1 pairs, but X has 2 columns"),
        ({"c": (0, 1)}, "'c', which is not a column"),
        ([(0, 1, 2), None], "not a pair of numbers"),
        ([("a", 1), None], "not a pair of numbers"),
        (3, "bounds=3 is not possible"),
        ((np.nan, 1), "is empty"),
    ],
)
def test_what_is_no_bound_is_an_error(bounds, message):
    with pytest.raises(ValueError, match=message):
        check_bounds(bounds, 2, np.array(["a", "b"], dtype=object))


# ---- the map


@pytest.mark.parametrize("ends", [(0, INF), (-INF, 2), (0, 2)])
def test_the_map_is_increasing_smooth_and_invertible(ends):
    X = np.linspace(1e-3, 2 - 1e-3, 200)[:, None]
    bounds = Bounds(*np.array(ends, dtype=float)[:, None]).fit(X, np.zeros(1))
    V, log_slope = bounds.forward(X)
    assert (np.diff(V[:, 0]) > 0).all()
    np.testing.assert_allclose(bounds.inverse(V), X, rtol=1e-12)
    h = 1e-7
    slope = (bounds.forward(X + h)[0] - bounds.forward(X - h)[0]) / (2 * h)
    np.testing.assert_allclose(np.exp(log_slope), slope[:, 0], rtol=1e-5)


def test_one_bound_is_linear_far_away():
    bounds = Bounds(np.zeros(1), np.full(1, INF)).fit(np.ones((10, 1)), np.zeros(1))
    V, log_slope = bounds.forward(np.array([[50.0], [1e6]]))
    np.testing.assert_allclose(V[:, 0], [50.0, 1e6])
    np.testing.assert_allclose(log_slope, 0, atol=1e-12)


# ---- densities


def density_table(n_columns):
    rng = np.random.RandomState(0)
    return np.column_stack([rng.gamma(2, 1, 800), rng.beta(2, 3, 800)])[:, :n_columns]


def test_samples_never_leave_and_their_mean_is_stable():
    X = density_table(2)
    model = flow(bounds=[(0, None), (0, 1)], max_iter=20).fit(X)
    drawn = model.sample(100_000, random_state=0)
    assert (drawn >= 0).all() and (drawn[:, 1] <= 1).all() and np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), rtol=0.1)
    for part in np.split(drawn, 4):
        np.testing.assert_allclose(part.mean(axis=0), drawn.mean(axis=0), rtol=0.1)


def test_a_density_that_ends_at_its_bound_is_modelled_up_to_it():
    X = np.random.RandomState(0).exponential(size=(4000, 1))
    model = flow(bounds=(0, None), n_layers=3, max_iter=15).fit(X)
    points = np.array([[0.05], [0.2], [1.0], [3.0]])
    assert model.score_samples(points) == pytest.approx(-points[:, 0], abs=0.25)


def test_rows_outside_raise_in_fit_and_score_minus_infinity_afterwards():
    frame = pd.DataFrame(density_table(2), columns=["amount", "share"])
    model = flow(bounds={"amount": (0, None), "share": (0, 1)}, max_iter=2).fit(frame)
    outside = pd.DataFrame({"amount": [-1.0, 1.0, 1e308], "share": [0.5, 0.5, 0.5]})
    scores = model.score_samples(outside)
    assert scores[0] == -INF and np.isfinite(scores[1:]).all()
    wrong = frame.copy()
    wrong.loc[:2, "share"] = 1.5
    with pytest.raises(ValueError, match=r"3 rows lie beyond the bounds, in column 'share'"):
        model.fit(wrong)
    assert np.isfinite(model.score_samples(frame)).all()  # as it was


def test_rows_far_outside_raise_the_same_sentence():
    X = density_table(2)
    X[:2, 1] = [1e300, -1e300]
    with pytest.raises(ValueError, match=r"2 rows lie beyond the bounds, in column 1"):
        flow(bounds=[None, (-10, 10)]).fit(X)


@pytest.mark.parametrize("bounds", [(0, None), (None, 1e301), (0, 1e301)])
def test_distances_from_a_bound_of_any_size(bounds):
    X = np.array([[5e-324], [1e-310], [1e-300], [1.0], [1e300], [1e300]])
    mapped, log_slope = Bounds(*check_bounds(bounds, 1)).fit(X, np.zeros(1)).forward(X)
    assert np.isfinite(mapped).all() and np.isfinite(log_slope).all()


def test_many_rows_on_a_bound_are_named():
    X = density_table(2)
    X[:200, 0] = 0.0
    with pytest.warns(UserWarning, match=r"Column 0 is exactly on a bound in up to 25%"):
        flow(bounds=[(0, None), None], spikes=False).fit(X)


def test_reasons_of_rows_with_missing_cells_and_bounds_are_finite():
    """They try values that may lie beyond the bounds."""
    X = density_table(2)[:60]
    X[::4, 1] = np.nan
    bounded = flow(bounds=[(0, None), (0, 1)], component_weight=0.1, max_iter=1)
    reasons = FlowOutlierDetector(bounded, random_state=0).fit(X).explain(X[:4])
    assert np.isfinite(reasons[~np.isnan(X[:4])]).all()


def test_a_row_on_a_bound_that_no_row_of_fit_lies_on():
    model = flow(bounds=[(0, None), (0, 1)]).fit(density_table(2))
    scores = model.score_samples(np.array([[0.0, 0.5], [1.0, 0.0], [1.0, 1.0]]))
    assert np.isfinite(scores).all()
    assert scores.max() < model.score_samples(density_table(2)).max() + 2


def test_units_do_not_matter():
    X, unit = density_table(2), np.array([1024.0, 0.25])
    expected = flow(bounds=[(0, None), (0, 1)]).fit(X).score_samples(X) - np.log(unit).sum()
    found = flow(bounds=[(0, None), (0, 0.25)]).fit(X * unit).score_samples(X * unit)
    np.testing.assert_allclose(found, expected)


def test_open_bounds_change_nothing():
    X = density_table(2)
    expected = flow().fit(X).score_samples(X)
    np.testing.assert_array_equal(flow(bounds=(None, None)).fit(X).score_samples(X), expected)


def test_the_search_takes_bounds_and_curves_are_in_the_units_of_the_data():
    X = density_table(2)
    model = StructureSearchFlow(
        bounds=[(0, None), (0, 1)],
        n_search_iter=2,
        n_candidate_steps=3,
        **QUICK,
    ).fit(X)
    assert max(model.validation_scores_) == pytest.approx(model.score(X), abs=0.25)
