"""FlowImputer: what is filled in, how often, and what of scikit-learn's imputers it shares."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skflow import CouplingFlowDensity, FlowImputer, masks

QUICK = FlowImputer(
    CouplingFlowDensity(4, hidden_layer_sizes=(16,), max_iter=100, component_weight=0),
    n_draws=40,
    random_state=0,
)


@pytest.fixture(scope="module")
def whole():
    X = np.random.RandomState(0).standard_normal((400, 3))
    X[:, 1] = X[:, 0] ** 2 + 0.2 * X[:, 1]
    X[:, 2] = 10 - X[:, 0] + 0.2 * X[:, 2]
    return X


@pytest.fixture(scope="module")
def X(whole):
    return np.where(np.random.RandomState(1).uniform(size=whole.shape) < 0.2, np.nan, whole)


@pytest.fixture(scope="module")
def fitted(X):
    return clone(QUICK).fit(X)


def test_missing_are_filled_and_nothing_else(fitted, whole, X):
    filled, missing = fitted.transform(X), np.isnan(X)
    assert np.array_equal(filled[~missing], X[~missing])
    errors = [
        np.abs(f - whole)[missing].mean() for f in (filled, np.where(missing, whole.mean(0), X))
    ]
    assert errors[0] < 0.7 * errors[1]
    assert np.array_equal(fitted.transform(X), filled)
    assert np.array_equal(fitted.transform(whole), whole)


def test_strategies_are_of_the_draws(fitted, X):
    drawn = fitted.sample(X, 40)
    assert drawn.shape == (400, 3, 40)
    assert fitted.transform(X) == pytest.approx(drawn.mean(axis=2))
    fitted = clone(fitted).set_params(strategy="median").fit(X)
    assert fitted.transform(X) == pytest.approx(np.median(drawn, axis=2))


def test_draws_have_the_spread_of_the_data_and_means_do_not(fitted, whole, X):
    missing = np.isnan(X).any(axis=1)
    draw = fitted.sample(X, 1, random_state=1)[:, :, 0]
    mean = fitted.transform(X)
    assert draw[missing].std(axis=0) == pytest.approx(whole[missing].std(axis=0), rel=0.15)
    assert mean[missing, 2].std() < draw[missing, 2].std()


def test_columns_of_which_nothing_is_known_are_dropped_or_zero(X):
    X = pd.DataFrame(X[:80], columns=list("abc"))
    X.insert(1, "empty", np.nan)
    imputer = clone(QUICK).set_params(add_indicator=True).fit(X)
    names = ["a", "b", "c", *(f"missingindicator_{name}" for name in ["a", "empty", "b", "c"])]
    assert list(imputer.get_feature_names_out()) == names
    filled = imputer.set_output(transform="pandas").transform(X)
    assert list(filled.columns) == names
    assert np.array_equal(filled.to_numpy()[:, 3:], X.isna())
    kept = clone(QUICK).set_params(keep_empty_features=True).fit(X)
    assert (kept.transform(X)["empty"] == 0).all()
    assert [table.shape for table in kept.sample(X, 2)] == [(80, 4)] * 2


def test_grids_and_bounds_are_respected(X):
    X = X.copy()
    X[:, 1] = np.maximum(np.round(2 * X[:, 1]) / 2, 0)
    imputer = clone(QUICK).set_params(density__dequantize=True, density__bounds={1: (0, None)})
    filled = imputer.fit(X).transform(X)[:, 1]
    assert (filled >= 0).all()
    assert np.array_equal(2 * filled, np.round(2 * filled))


def test_rows_and_tables_that_are_new(fitted, whole):
    new = np.array([[np.nan, np.nan, np.nan], [0.0, np.nan, 10.0]])
    filled = fitted.transform(new)
    assert np.isfinite(filled).all()
    assert filled[0] == pytest.approx(whole.mean(axis=0), abs=0.3)
    never = clone(QUICK).fit(whole)  # missing cells where none were in training
    assert np.isfinite(never.transform(new)).all()


def test_in_front_of_a_model(X, whole):
    y = whole.sum(axis=1)
    model = make_pipeline(clone(QUICK).set_params(n_draws=5), LinearRegression())
    assert cross_val_score(model, X, y, cv=3).mean() > 0.8


def test_parameters_of_the_default_density_can_be_set():
    assert FlowImputer().set_params(density__max_iter=3).density.max_iter == 3
    assert FlowImputer().set_params(n_draws=3).density is None


def test_what_cannot_be_filled_is_said(X):
    with pytest.raises(ValueError, match="All values of X are NaN in 5 rows"):
        clone(QUICK).fit(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        clone(QUICK).fit(np.where(X > 11, np.inf, X))
    with pytest.raises(ValueError, match="sample_weight"):
        clone(QUICK).fit(X, sample_weight=np.full(len(X), np.nan))


# ---- parameters by column, beside columns of which nothing is known


def one_epoch(**params):
    params = {"hidden_layer_sizes": (4,), "component_weight": 0, "max_iter": 1, **params}
    return CouplingFlowDensity(2, **params)


def beside_an_empty_column(X):
    return np.insert(X, 1, np.nan, axis=1)


ALIKE = {  # parameters for four columns, the second of which is empty, and for the other three
    "a dict of bounds": ({"bounds": {2: (-9, 9)}}, {"bounds": {1: (-9, 9)}}),
    "a list of bounds": (
        {"bounds": [None, (0, 1), (-9, 9), None]},
        {"bounds": [None, (-9, 9), None]},
    ),
    "masks": (
        {"mask_layout": np.array([[True, True, False, False], [False, False, True, True]])},
        {"mask_layout": np.array([[True, False, False], [False, True, True]])},
    ),
    "masks within a layout": (
        {
            "mask_layout": masks.Repeat(
                masks.Rule([[True, True, False, False], [False, True, True, True]]), 2
            )
        },
        {"mask_layout": masks.Repeat(masks.Rule([[True, False, False], [False, True, True]]), 2)},
    ),
    "as many as there are": (
        {"mask_layout": masks.Rule("random", n_conditioning=3)},
        {"mask_layout": masks.Rule("random", n_conditioning=2)},
    ),
}


@pytest.mark.parametrize("case", ALIKE)
def test_parameters_by_column_go_with_their_columns(whole, case):
    beside, alone = (FlowImputer(one_epoch(**params), random_state=0) for params in ALIKE[case])
    X, wider = whole[:60], beside_an_empty_column(whole[:60])
    scores = beside.fit(wider).score_samples(wider)
    np.testing.assert_array_equal(scores, alone.fit(X).score_samples(X))


def test_categories_by_number_go_with_their_columns(whole):
    X = np.column_stack([whole[:60], np.arange(60) % 3])
    table = pd.DataFrame(beside_an_empty_column(X)).rename(columns=str)
    for chosen in ([4], ["4"], [False, False, False, False, True], [1, 4]):
        density = one_epoch(categorical_features=chosen)
        imputer = FlowImputer(density, random_state=0).fit(table)
        assert list(imputer.density_._table.categories) == [3]


def test_columns_beside_an_empty_one_keep_their_numbers(whole):
    """Messages and the report show the columns of the user's array, not those that are left."""
    rows = beside_an_empty_column(whole[:60])
    with pytest.raises(ValueError, match="beyond the bounds, in column 2"):
        FlowImputer(one_epoch(bounds={2: (100, None)})).fit(rows)
    with pytest.warns(UserWarning, match="Column 3 is constant"):
        imputer = FlowImputer(one_epoch()).fit(np.column_stack([rows[:, :3], np.ones(60)]))
    lines = imputer.report(np.array([[0.0, np.nan, np.nan, 1.0]]))
    assert lines.index.to_list() == ["x2"]


def test_masks_that_need_the_empty_column_are_refused(whole):
    density = CouplingFlowDensity(1, mask_layout=np.array([[False, True, False, False]]))
    with pytest.raises(ValueError, match=r"Without the columns \[1\] of X.*layer 1"):
        FlowImputer(density).fit(beside_an_empty_column(whole))


def test_what_is_known_of_an_empty_column_is_kept(whole):
    rows = beside_an_empty_column(whole[:60])
    imputer = FlowImputer(one_epoch(), n_draws=2, keep_empty_features=True).fit(rows)
    rows = rows[:8]
    rows[3, 1], rows[2:5, 2] = 7.0, np.nan
    assert imputer.transform(rows)[3, 1] == 7 and imputer.transform(rows)[4, 1] == 0
    assert (imputer.sample(rows, 2)[3, 1] == 7).all()


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("names", [[10, 7, 3, 1], ["a", "b", "c", "d"]])
def test_names_of_any_kind(whole, names, kept):
    table = pd.DataFrame(beside_an_empty_column(whole[:60])).set_axis(names, axis=1)
    table[names[3]] = np.array(["long", "short"], dtype=object)[np.arange(60) % 2]
    imputer = FlowImputer(one_epoch(), n_draws=2, keep_empty_features=kept, add_indicator=True)
    imputer.fit(table)
    table = table[:8].copy()
    table.iloc[2:4, 3], table.iloc[3:5, 0] = None, np.nan
    filled = imputer.transform(table)
    shown = [name for name in names if kept or name != names[1]]
    assert list(filled.columns) == [*shown, f"missingindicator_{names[1]}"]
    assert not filled.isna().any(axis=None)
    assert [list(one.columns) for one in imputer.sample(table, 2)] == [shown, shown]


def test_a_report_says_how_surely_cells_are_filled(fitted, whole, X):
    """A column that others determine up to noise of 0.2."""
    report = fitted.report(X[:100])
    assert list(report.index) == ["x0", "x1", "x2"]
    assert report.missing.tolist() == np.isnan(X[:100]).sum(axis=0).tolist()
    third = np.where(np.arange(3) == 2, np.nan, whole[:100])
    line = fitted.report(third).loc["x2"]
    assert line.spread == pytest.approx(0.2, abs=0.12)
    # of the variance in fit, whatever is known of the column in the rows asked about
    assert line.explained == pytest.approx(1 - line.spread**2 / np.nanvar(X[:, 2]))
    assert fitted.report(whole).empty


def test_a_report_gives_the_probability_of_a_category():
    rng = np.random.RandomState(0)
    kind = rng.choice(["x", "y"], 300)
    values = rng.standard_normal(300) + 20 * (kind == "x")
    frame = pd.DataFrame({"kind": pd.Categorical(kind), "value": values})
    incomplete = frame.assign(kind=frame.kind.where(np.arange(300) % 3 > 0, None))
    report = clone(QUICK).fit(incomplete).report(incomplete)
    assert report.probability["kind"] > 0.95
    assert report.loc["kind", ["spread", "explained"]].isna().all()
