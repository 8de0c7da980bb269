"""Missing cells beside categories and spikes: sums over what is discrete, and its posterior."""

import pickle

import numpy as np
import pandas as pd
import polars
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import kstest, norm
from small_flows import flow
from test_mixed import FRAME

from skflow._missing import completions
from skflow._missing.questions import EXACT, RoughRows, log_prob_known

NEW = "not seen in fit"
ROWS = FRAME[:12]
NOTHING = {"length": np.nan, "kind": None, "income": np.nan, "member": None}


@pytest.fixture(scope="module")
def fitted():
    return flow(max_iter=15, component_weight=0.3).fit(FRAME)  # parts of flow and components


def draws_of(model, row, n_draws, n_times=30):
    """Draws of one row: tables of many rows are made sooner than many tables."""
    frame = pd.concat([row] * n_times, ignore_index=True)
    return pd.concat(model.sample_given(frame, n_draws // n_times, random_state=0))


def scores_of_each(model, frame, **columns):
    """Scores of the rows with a column set to one value after another."""
    ((name, values),) = columns.items()
    return np.array([model.score_samples(frame.assign(**{name: value})) for value in values])


@pytest.mark.filterwarnings("ignore:No category in column 'member'")  # text for a truth value
def test_a_missing_category_is_summed_over(fitted):
    """All that there are, and one that was not seen: the density is that of whole rows, exactly."""
    each = scores_of_each(fitted, ROWS, kind=[*"abc", NEW])
    missing = fitted.score_samples(ROWS.assign(kind=None))
    np.testing.assert_allclose(missing, logsumexp(each, axis=0), rtol=1e-12)
    both = [
        scores_of_each(fitted, ROWS.assign(member=member), kind=[*"abc", NEW])
        for member in (True, False, NEW)
    ]
    missing = fitted.score_samples(ROWS.assign(kind=None, member=None))
    np.testing.assert_allclose(missing, logsumexp(both, axis=(0, 1)), rtol=1e-12)


def test_a_missing_number_is_integrated_over(fitted):
    grid = np.linspace(-12, 14, 1001)
    density = [
        np.exp(fitted.score_samples(pd.concat([row] * len(grid)).assign(length=grid)))
        for row in (ROWS[k : k + 1] for k in range(4))
    ]
    expected = np.log(trapezoid(density, grid, axis=1))
    assert fitted.score_samples(ROWS[:4].assign(length=np.nan)) == pytest.approx(expected, abs=0.06)


def test_a_missing_number_may_be_at_its_spike(fitted):
    """Its marginal is the density at the spike, plus the integral of the rest."""
    side = np.exp(np.linspace(-12, 6, 1001))
    grid = np.concatenate([-side[::-1], side])
    for k in range(3):
        row = ROWS[k : k + 1]
        beside = np.exp(fitted.score_samples(pd.concat([row] * len(grid)).assign(income=grid)))
        at_spike = np.exp(fitted.score_samples(row.assign(income=0.0)))
        expected = np.log(trapezoid(beside, grid) + at_spike)
        assert fitted.score_samples(row.assign(income=np.nan)) == pytest.approx(expected, abs=0.06)


def test_what_is_not_known_at_all_adds_nothing(fitted):
    assert (fitted.score_samples(ROWS.assign(**NOTHING)) == 0).all()
    # only a category is known: the frequency of it
    known = {name: value for name, value in NOTHING.items() if name != "kind"}
    shares = FRAME.kind.value_counts(normalize=True)[ROWS.kind]
    assert np.exp(fitted.score_samples(ROWS.assign(**known))) == pytest.approx(shares, abs=0.02)


def test_scores_are_the_same_each_time_and_do_not_depend_on_other_rows(fitted):
    frame = FRAME[:8].copy()
    missing = np.random.RandomState(0).uniform(size=frame.shape) < 0.4
    frame = frame.astype(object).mask(missing).astype({"length": float, "income": float})
    scores = fitted.score_samples(frame)
    assert np.isfinite(scores).all()
    assert np.array_equal(fitted.score_samples(frame), scores)
    order = np.random.RandomState(1).permutation(len(frame))
    np.testing.assert_allclose(fitted.score_samples(frame.iloc[order]), scores[order], rtol=1e-9)
    alone = [fitted.score_samples(frame[k : k + 1])[0] for k in range(len(frame))]
    np.testing.assert_allclose(alone, scores, rtol=1e-9)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.score_samples(frame), scores)


def test_of_too_many_cases_some_are_drawn(fitted):
    """With the probability of the others given what is known: the mean is nearly the sum."""
    frame = ROWS.assign(kind=None, member=None)
    expected = fitted.score_samples(frame)
    few = fitted._log_prob(fitted._encode(fitted._source(frame)), EXACT._replace(n_completions=8))
    assert not np.array_equal(few, expected)
    assert few == pytest.approx(expected, abs=0.3)
    # each draw counts as the probability of what is known, so that completions add up to it
    X = np.full((1, 4), np.nan)
    X[0, 3] = 1.0
    drawn = completions.find_completions(fitted._density, X, 2)
    whole = log_prob_known(fitted._density, X, RoughRows())
    assert logsumexp(drawn.log_weight) == pytest.approx(whole[0], abs=0.35)


def test_draws_of_categories_are_those_of_their_posterior(fitted):
    row = ROWS[:1].assign(kind=None)
    each = np.exp(scores_of_each(fitted, row, kind="abc")[:, 0])
    drawn = draws_of(fitted, row, 1500)
    shares = drawn.kind.value_counts(normalize=True)[list("abc")]
    np.testing.assert_allclose(shares, each / each.sum(), atol=0.03)
    assert (drawn.drop(columns="kind") == row.drop(columns="kind").iloc[0]).all(axis=None)


def test_draws_of_numbers_go_with_those_of_categories(fitted):
    """At the spike as often as its posterior says, and beside it by the density there."""
    row = ROWS[:1].assign(income=np.nan, kind=None)
    drawn = draws_of(fitted, row, 3000)
    total = fitted.score_samples(row)[0]
    at_spike = np.exp(fitted.score_samples(row.assign(income=0.0))[0] - total)
    assert (drawn.income == 0).mean() == pytest.approx(at_spike, abs=0.04)
    for kind in "abc":
        share = np.exp(fitted.score_samples(row.assign(kind=kind))[0] - total)
        assert (drawn.kind == kind).mean() == pytest.approx(share, abs=0.04)
    # given the kind, the length is that of the rows of the kind
    row = ROWS[:1].assign(**NOTHING).assign(kind="b")
    drawn = draws_of(fitted, row, 990)
    lengths = FRAME.length[FRAME.kind == "b"]
    assert kstest(drawn.length, norm(lengths.mean(), lengths.std()).cdf).statistic < 0.12


def test_draws_are_tables_like_the_one_that_was_given(fitted):
    frame = ROWS.assign(kind=[None, NEW, *"abcabcabca"], income=np.nan).set_index(ROWS.index + 7)
    drawn, ess = fitted.sample_given(frame, 3, random_state=0, return_ess=True)
    assert len(drawn) == 3 and ess.shape == (12,)
    for table in drawn:
        assert list(table.index) == list(frame.index)
        assert table.kind.iloc[1] == NEW
        assert table.kind.iloc[2:].tolist() == frame.kind.iloc[2:].tolist()
        assert not table.isna().any(axis=None)
        assert table.member.dtype == FRAME.member.dtype
    empty = fitted.sample_given(ROWS.assign(**NOTHING), 1, random_state=0)[0]
    assert list(empty.dtypes) == list(FRAME.dtypes)


def test_draws_of_other_tables():
    array = FRAME.to_numpy(dtype=object)
    model = flow(categorical_features=[1, 3]).fit(array)
    incomplete = array[:5].copy()
    incomplete[:, 1], incomplete[:, 2] = None, np.nan
    drawn = model.sample_given(incomplete, 4, random_state=0)
    assert drawn.shape == (5, 4, 4)
    assert set(drawn[:, 1].ravel()) <= set("abc")
    frame = polars.DataFrame({name: FRAME[name].to_list() for name in FRAME})
    model = flow().fit(frame)
    drawn = model.sample_given(frame[:5].with_columns(kind=polars.lit(None)), 2, random_state=0)
    assert drawn[1].schema == frame.schema


def test_a_row_beyond_the_bounds_has_no_case_that_is_possible():
    """What is known of it has no density, whatever the rest is; nothing is divided by that."""
    model = flow(max_iter=3, bounds={"income": (0, None)}).fit(FRAME)
    row = ROWS[:2].assign(kind=None, length=np.nan, income=[-1.0, 1.0])
    assert np.isinf(model.score_samples(row)).tolist() == [True, False]
