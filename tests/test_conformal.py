"""Conformal p-values, selection and thresholds, with densities whose scores are known."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from test_outlier import Distance, table

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._outliers import scorers
from skflow._outliers.scorers import Neighbours, Tails

LEVELS = np.array([0.05, 0.1, 0.2, 0.5, 0.9])


class Known(Distance):
    """Scores known cells, like a flow, so that rows with missing cells are the detector's."""

    sample_given = None

    def fit(self, X, y=None):
        self.mean_ = np.nanmean(X, axis=0)
        return self

    def score_samples(self, X):
        return -np.nansum(np.abs(X - self.mean_), axis=1)


QUICK = CouplingFlowDensity(
    1, coupling="affine", hidden_layer_sizes=(), max_iter=1, component_weight=0
)
SCORERS = [("neighbours", Neighbours()), ("tails", Tails())]
ENCODER = make_column_transformer(
    (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["x1"]), remainder="passthrough"
)


def incomplete(X):
    """Rows that lack their high values: what is missing depends on what it would be."""
    X = np.where(X > 1.5, np.nan, X)
    X[X[:, 0] < -1.5, 1] = np.nan
    return X


def frame(X):
    X = pd.DataFrame(X, columns=["x0", "x1", "x2"])
    return X.assign(x1=np.where(X.x1 > 0.5, "high", np.where(X.x1 > 0, "middle", "low")))


SPLIT = {"calibration_fraction": 0.2}
CASES = {
    "trimming": (80, Distance(), {"trim": 0.2}, np.asarray),
    "trimming with the default's scorers": (60, SCORERS, SPLIT | {"trim": 0.1}, np.asarray),
    "a list": (80, [("far", Distance()), ("steps", Distance(step=1.0))], SPLIT, np.asarray),
    "ties": (80, Distance(step=1.0), {}, np.asarray),
    "categories": (80, make_pipeline(ENCODER, Distance()), {}, frame),
    "missing cells": (120, Known(), {}, incomplete),
    "missing cells, trimming": (120, Known(), {"trim": 0.1}, incomplete),
    "20 rows": (20, SCORERS, SPLIT, np.asarray),
    "20 rows with missing cells": (20, Known(), {"calibration_fraction": 0.5}, incomplete),
    "missing cells, the default": (60, None, SPLIT, incomplete),
}
#: Cases in which every row is a calibration row.
CROSS = {
    "cross: 20 rows": (20, SCORERS, {}, np.asarray),
    "cross: 20 rows, the default": (20, None, {}, np.asarray),
    "cross: a list": (40, [("far", Distance()), ("mixture", GaussianMixture())], {}, np.asarray),
    "cross: ties": (40, SCORERS, {}, np.round),
    "cross: trimming": (40, SCORERS, {"trim": 0.1}, np.asarray),
    "cross: categories": (40, [("far", make_pipeline(ENCODER, Distance()))], {}, frame),
    "cross: missing cells": (60, None, {}, incomplete),
}


@pytest.mark.filterwarnings("ignore:Only .* of 60 rows to fit to")
@pytest.mark.parametrize("case", CASES | CROSS)
def test_pvalues_are_valid_at_five_levels(case, monkeypatch):
    """The part of new rows below a level has, over many fits, a mean of at most the level.

    Of one fit it is of a beta distribution, with a number of rows that is binomial given that. If
    no rows are set aside, the mean may be half as much again.
    """
    monkeypatch.setattr(scorers, "default_flow", lambda n_rows: QUICK)
    n_rows, density, params, make = (CASES | CROSS)[case]
    n_fits, n_new = 8 if density is None or make is frame else 25, 100
    rng, rates = np.random.default_rng(0), []
    for seed in range(n_fits):
        X = make(rng.standard_t(3, (n_rows + n_new, 3)))
        detector = FlowOutlierDetector(density, random_state=seed, **params).fit(X[:n_rows])
        n = len(detector.calibration_scores_)
        fraction = params.get("calibration_fraction", 0.2)
        assert n == (n_rows if case in CROSS else np.ceil(n_rows * fraction))
        rates.append((detector.pvalue(X[n_rows:])[:, None] <= LEVELS + 1e-12).mean(axis=0))
    due = np.floor(LEVELS * (n + 1) + 1e-9) / (n + 1)
    error = np.sqrt(due * (1 - due) * (1 / (n + 2) + 1 / n_new) / n_fits)
    most = np.minimum(1, 1.5 * due) if case in CROSS else due
    assert (np.mean(rates, axis=0) <= most + 4 * error + 1e-12).all()
    assert (np.mean(rates, axis=0) >= 0.7 * due - 3 * error).all()  # and can be small


def test_a_small_table_finds_what_a_part_of_it_cannot():
    """Every row calibrates: 20 rows have p-values of 1 / 21, four set aside of 1 / 5."""
    X, far = table(20), np.full((1, 3), 9.0)
    crossed = FlowOutlierDetector(SCORERS, random_state=0).fit(X)
    split = FlowOutlierDetector(SCORERS, calibration_fraction=0.2, random_state=0).fit(X)
    assert crossed.pvalue(far)[0] == 1 / 21 and crossed.select(far, fdr=0.1)[0]
    with pytest.warns(UserWarning, match="Nothing is selected. With 4 calibration rows"):
        assert split.pvalue(far)[0] == 1 / 5 and not split.select(far, fdr=0.1)[0]
    assert crossed.calibration_scores_.max() < 0.5
    # of a fold each row is scored by the fit that left it out
    pair = [("mixture", GaussianMixture())]
    fitted = FlowOutlierDetector(pair, random_state=0).fit(X)
    mixtures, left_out = fitted.densities_["mixture"], fitted.reference_scores_["mixture"]
    found = np.array([mixture.score_samples(X) for mixture in mixtures])
    owner = [[m for m in range(4) if np.isclose(found[m, i], left_out).any()] for i in range(20)]
    assert all(owner) and {m for own in owner for m in own} == set(range(4))


def test_pvalue_is_the_rank_among_the_rows_set_aside():
    X, new = table(50), table(30, seed=1)
    detector = FlowOutlierDetector(Distance(step=0.5), random_state=0).fit(X)
    held_out = detector.calibration_scores_
    assert len(held_out) == 10
    scores = detector.score_samples(new)
    expected = [(1 + sum(s <= score for s in held_out)) / 11 for score in scores]
    np.testing.assert_array_equal(detector.pvalue(new), expected)


def test_copies_tie_however_they_are_rounded():
    class Rounded(Distance):
        def score_samples(self, X):  # one row alone, or many at once
            return np.full(len(X), -0.3 if len(X) > 1 else -0.1 - 0.2)

    assert -0.1 - 0.2 < -0.3
    detector = FlowOutlierDetector(Rounded()).fit(table(50))
    assert detector.pvalue(table(1)) == 1
    assert detector.predict(table(1)) == 1


def test_density_does_not_see_the_rows_set_aside():
    X = table(41)
    detector = FlowOutlierDetector(Distance(), calibration_fraction=0.3, random_state=0).fit(X)
    seen = {tuple(row) for row in detector.density_.X_}
    others = np.array([row for row in X if tuple(row) not in seen])
    assert len(seen) == 41 - 13
    scores = detector.score_samples(others)
    np.testing.assert_array_equal(np.sort(scores), detector.calibration_scores_)


# ---- selection


def hand_made_selection(pvalues, fdr):
    """Benjamini and Hochberg (1995): the largest k with p_(k) <= k / m fdr."""
    m = len(pvalues)
    ks = [k for k in range(1, m + 1) if np.sort(pvalues)[k - 1] <= k / m * fdr]
    return pvalues <= (np.sort(pvalues)[ks[-1] - 1] if ks else -1)


@pytest.mark.slow
@pytest.mark.parametrize("fdr", [0.1, 0.3])
def test_selection_keeps_the_false_discovery_rate(fdr):
    rng = np.random.default_rng(0)
    false, power = [], []
    for _ in range(100):
        X = rng.standard_normal((600, 2))
        new = rng.standard_normal((60, 2))
        new[:12] += 4
        detector = FlowOutlierDetector(Distance(), calibration_fraction=0.5, random_state=0)
        selected = detector.fit(X).select(new, fdr=fdr)
        np.testing.assert_array_equal(
            selected, hand_made_selection(detector.pvalue(new), fdr + 1e-12)
        )
        false.append(selected[12:].sum() / max(1, selected.sum()))
        power.append(selected[:12].mean())
    assert np.mean(false) < 0.8 * fdr + 3 * np.std(false) / 10  # 0.8: part of nulls
    assert np.mean(false) > 0.4 * fdr
    assert np.mean(power) > 0.9


def test_too_few_calibration_rows_select_nothing():
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(50))
    new = np.vstack([table(98, seed=1), np.full((2, 3), 100.0)])
    assert detector.pvalue(new).min() == 1 / 11
    # ten of 100 rows may have 0.1 * 10 / 100 = 1 / 100
    assert np.sum(detector.pvalue(new) == 1 / 11) == 10
    text = r"no p-value is below 1/11\..* 91 rows would .* and 10 of 100 are\. To select 10 .* 99 "
    with pytest.warns(UserWarning, match=text):
        assert not detector.select(new, fdr=0.1).any()
    # what it says is so: with 99 rows set aside, in place of 10, it selects these ten
    finer = FlowOutlierDetector(Distance(), random_state=0).fit(table(50)).partial_fit(table(89))
    assert len(finer.calibration_scores_) == 99
    far = np.vstack([np.zeros((90, 3)), np.full((10, 3), 100.0)])
    assert finer.select(far, fdr=0.1).sum() == 10
    with pytest.warns(UserWarning, match=r"and 0 of 2 are\. To select 1 takes at least 19 calib"):
        assert not detector.select(np.zeros((2, 3)), fdr=0.1).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not finer.select(np.zeros((10, 3)), fdr=0.1).any()  # a single one could be


@pytest.mark.parametrize("fdr", [0, 1, -0.1, "a", None])
def test_select_refuses_impossible_rates(fdr):
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(50))
    with pytest.raises(ValueError, match="fdr=.* between 0 and 1"):
        detector.select(table(5), fdr=fdr)


# ---- thresholds


@pytest.mark.parametrize(
    ("n_rows", "level"), [(10, 1 / 3), (90, 1 / 19), (95, 1 / 20), (500, 5 / 101)]
)
def test_auto_calls_outliers_by_their_pvalue(n_rows, level):
    detector = FlowOutlierDetector(Distance(step=0.1), random_state=0).fit(table(n_rows))
    new = 1.5 * table(1000, seed=1)
    outlier = detector.predict(new) == -1
    assert 0 < outlier.mean() < 1
    np.testing.assert_array_equal(outlier, detector.pvalue(new) <= level + 1e-12)


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_contamination_is_exact_on_the_rows_of_fit(contamination):
    X = table(300)
    detector = FlowOutlierDetector(GaussianMixture(), contamination=contamination, random_state=0)
    assert np.sum(detector.fit_predict(X) == -1) == round(300 * contamination)
    decision = detector.decision_function(X)
    np.testing.assert_array_equal(decision, detector.score_samples(X) - detector.offset_)
    np.testing.assert_array_equal(detector.predict(X), np.where(decision < 0, -1, 1))
