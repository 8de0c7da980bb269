"""Fits, imputers and detectors on tables with missing cells beside categories and spikes."""

import io
from copy import deepcopy

import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.base import clone
from small_flows import flow
from test_mixed import FRAME, mixed_table

from skflow import FlowImputer, FlowOutlierDetector

SMALL = flow(max_iter=10, component_weight=0.3, mask_layout="parity")


def with_missing(frame, part=0.25, seed=0):
    missing = np.random.RandomState(seed).uniform(size=frame.shape) < part
    numbers = dict.fromkeys(frame.select_dtypes("number"), float)
    return frame.astype(object).mask(missing).astype(numbers)


INCOMPLETE = with_missing(FRAME[:300])


@pytest.fixture(scope="module")
def imputer():
    return FlowImputer(clone(SMALL), n_draws=30, random_state=0).fit(INCOMPLETE)


@pytest.fixture(scope="module")
def filled(imputer):
    return imputer.transform(INCOMPLETE)


def test_the_density_of_rows_with_missing_is_that_of_the_table(imputer):
    """The spike is found among the numbers that are known, and drawn as often as it is there."""
    model = imputer.density_
    assert model.columns_["income"] == "real with a spike (at 0)"
    drawn = model.sample(3000, random_state=0)
    assert (drawn.income == 0).mean() == pytest.approx(0.4, abs=0.07)
    assert (drawn.kind == "a").mean() == pytest.approx(0.5, abs=0.07)
    means = drawn.groupby("kind").length.mean()
    # a short training on few rows; were the kinds not told apart, these would be 1.2, 0.8, 2.8
    assert (np.abs(means - [0, 2, 4]) < [0.7, 0.6, 1.8]).all()
    new = mixed_table(1000, seed=1)
    dropped = [clone(SMALL).set_params(random_state=k).fit(INCOMPLETE.dropna()) for k in range(3)]
    assert model.score(new) > np.mean([flow.score(new) for flow in dropped])


def test_missing_are_filled_and_nothing_else(filled):
    assert not filled.isna().any(axis=None)
    assert filled.index.equals(INCOMPLETE.index)
    assert list(filled.dtypes) == list(INCOMPLETE.dtypes)
    known = INCOMPLETE.notna()
    assert (filled.where(known) == INCOMPLETE.where(known)).to_numpy()[known].all()


def test_a_category_is_filled_with_the_one_that_goes_with_the_row(imputer):
    row = pd.DataFrame({"length": [-2.0, 2.5], "kind": None, "income": 0.0, "member": False})
    assert imputer.transform(row).kind.tolist() == ["a", "b"]
    new = row.assign(kind="not seen", income=np.nan)
    assert (imputer.transform(new).kind == "not seen").all()


def test_draws_are_tables_and_strategies_are_of_them(imputer, filled):
    drawn = imputer.sample(INCOMPLETE, 30)
    assert len(drawn) == 30
    lengths = np.mean([table.length for table in drawn], axis=0)
    np.testing.assert_allclose(filled.length, lengths)
    one = deepcopy(imputer).set_params(strategy="draw").transform(INCOMPLETE)
    unknown = INCOMPLETE.income.isna()
    assert (one.income[unknown] == 0).mean() == pytest.approx(0.37, abs=0.12)  # 74 cells


@pytest.fixture
def one_round(monkeypatch):
    """For tests in which it does not matter what is filled in."""
    monkeypatch.setattr("skflow._missing.fitting.N_MIXTURES", 1)


def test_empty_columns_and_indicators_in_frames(imputer, one_round):
    frame = INCOMPLETE[:60].assign(nothing=None, number=np.nan)[["nothing", *INCOMPLETE, "number"]]
    model = clone(imputer).set_params(add_indicator=True, keep_empty_features=True).fit(frame)
    found = model.transform(frame)
    assert list(found) == list(model.get_feature_names_out())
    assert (found[["nothing", "number"]] == 0).all(axis=None)
    assert (found.missingindicator_kind == frame.kind.isna()).all()
    assert list(model.sample(frame, 1)[0]) == list(frame)
    assert list(clone(imputer).fit(frame).transform(frame)) == list(INCOMPLETE)


def test_other_tables_are_filled_too(one_round):
    array = INCOMPLETE[:60].to_numpy(dtype=object)
    small = clone(SMALL).set_params(categorical_features=[1, 3])
    imputer = FlowImputer(small, n_draws=5, random_state=0).fit(array)
    filled = imputer.transform(array)
    assert imputer.sample(array, 2).shape == (60, 4, 2)
    columns = INCOMPLETE[:60].astype(object).where(INCOMPLETE[:60].notna(), None)
    frame = polars.DataFrame({name: columns[name].to_list() for name in columns})
    again = FlowImputer(clone(SMALL), n_draws=5, random_state=0).fit(frame).transform(frame)
    assert again.schema == frame.schema
    assert again.rows() == [tuple(row) for row in filled]


def test_an_array_with_a_spike_is_filled_with_it_and_with_the_rest(one_round):
    X = np.random.RandomState(0).standard_normal((300, 2))
    X[::3, 1] = 5.0
    missing = np.random.RandomState(1).uniform(size=X.shape) < 0.2
    imputer = FlowImputer(clone(SMALL), strategy="draw", random_state=0)
    filled = imputer.fit_transform(np.where(missing, np.nan, X))
    assert imputer.density_.columns_[1] == "real with a spike (at 5)"
    np.testing.assert_array_equal(filled[~missing], X[~missing])
    assert (filled[missing[:, 1], 1] == 5).mean() == pytest.approx(1 / 3, abs=0.2)
    assert (imputer.sample(X[:2] * np.nan, 3) != 0).all()


# ---- outliers


def test_a_detector_takes_missing_beside_categories():
    frame = FRAME[:200].copy()
    frame.loc[:4, "income"] = np.nan
    detector = FlowOutlierDetector(clone(SMALL).set_params(random_state=None), random_state=0)
    detector.fit(frame)
    usual = FRAME[FRAME.kind == "a"].sort_values("length")[15:30]
    strange = usual.assign(kind="c", income=np.nan, member=None)
    assert (detector.pvalue(usual.assign(income=np.nan)) < 0.05).mean() < 0.2
    assert (detector.pvalue(strange) < 0.1).all()
    report = detector.report(strange, n=5)
    assert report.column.isin(["kind", "length"]).all()
    assert (detector.explain(strange[:3])[:, 2:] == 0).all()
    nothing = {"length": np.nan, "kind": None, "income": np.nan, "member": None}
    assert (detector.pvalue(usual.assign(**nothing)) == 1).all()


def test_from_a_file_to_a_report():
    text = FRAME[:150].to_csv(index=False) + "9.5,a,,True\n"
    frame = pd.read_csv(io.StringIO(text))
    detector = FlowOutlierDetector(clone(SMALL), random_state=0).fit(frame[:150])
    report = detector.report(frame, n=3)
    assert report.index[0] == 150
    assert report.column.iloc[0] in ("length", "kind")


def test_polars_may_be_asked_of_a_frame_that_it_cannot_read(one_round):
    """Text needs pyarrow, and sparse columns are not read even with it."""
    frame = INCOMPLETE[:60].assign(member=FRAME.member[:60].astype(pd.SparseDtype(bool)))
    imputer = FlowImputer(clone(SMALL), n_draws=5, add_indicator=True, random_state=0).fit(frame)
    expected = imputer.transform(frame)
    found = imputer.set_output(transform="polars").transform(frame)
    assert isinstance(found, polars.DataFrame)
    assert found.columns == list(expected)
    assert found.rows() == [tuple(row) for row in expected.to_numpy(object).tolist()]
