"""Thresholds, p-values, selection and explanations of the outlier detector."""

import pickle
from functools import lru_cache

import numpy as np
import pandas
import pytest
from scipy.stats import beta, binomtest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from skflow import CouplingFlowDensity, FlowOutlierDetector, _blocks

QUICK = {"n_layers": 4, "hidden_layer_sizes": (16,), "max_iter": 20}


class Distance(BaseEstimator):
    """Scores by the distance from the mean, in whole steps if wanted; remembers its rows."""

    def __init__(self, step=0.0, random_state=None):
        self.step = step
        self.random_state = random_state

    def fit(self, X, y=None):
        self.X_ = X
        self.mean_ = X.mean(axis=0)
        return self

    def score_samples(self, X):
        distance = np.abs(X - self.mean_).sum(axis=1)
        return -distance if self.step == 0 else -np.floor(distance / self.step)


class Broken(Distance):
    def score_samples(self, X):
        return np.where(X[:, 0] > 0, np.nan, 0.0)


def table(n_rows, n_features=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n_rows, n_features))


def correlated(n_rows, n_features=5, seed=0, noise=0.4):
    """Columns that share a factor; the last one bends with it."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n_rows, 1))
    X = factor + noise * rng.standard_normal((n_rows, n_features))
    X[:, -1] = factor[:, 0] ** 2 + noise * rng.standard_normal(n_rows)
    return X


@pytest.fixture(scope="module")
def flow_detector():
    density = CouplingFlowDensity(n_layers=4, hidden_layer_sizes=(32,), max_iter=30)
    return FlowOutlierDetector(density, random_state=0).fit(correlated(2500))


# ---- p-values


@pytest.fixture(scope="module")
def null_pvalues():
    """p-values of one new row after each of many fits, by numbers of calibration rows."""

    @lru_cache
    def draw(n_calibration, step, n_repetitions=1200):
        rng = np.random.default_rng([n_calibration, int(10 * step)])
        detector = FlowOutlierDetector(
            Distance(step), calibration_fraction=0.5, random_state=np.random.RandomState(0)
        )
        pvalues = []
        for _ in range(n_repetitions):
            X = rng.standard_t(3, size=(2 * n_calibration + 1, 2))
            pvalues.append(detector.fit(X[:-1]).pvalue(X[-1:])[0])
        return np.array(pvalues)

    return draw


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.02, 0.05, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n_calibration", [2, 19, 60])
def test_pvalues_are_valid_at_every_level(null_pvalues, n_calibration, level):
    pvalues = null_pvalues(n_calibration, 0.0)
    # without ties it is known exactly how often
    exact = np.floor(level * (n_calibration + 1) + 1e-9) / (n_calibration + 1)
    n_small = int(np.sum(pvalues <= level + 1e-12))
    assert exact <= level
    assert binomtest(n_small, len(pvalues), exact).pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.05, 0.2, 0.5, 0.9])
def test_pvalues_are_valid_with_ties(null_pvalues, level):
    pvalues = null_pvalues(19, 1.0)
    assert pvalues.mean() > 0.55  # 0.525 without ties
    n_small = int(np.sum(pvalues <= level))
    assert binomtest(n_small, len(pvalues), level, alternative="greater").pvalue > 1e-3


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


@pytest.mark.slow
def test_pvalues_of_a_flow_on_new_rows(flow_detector):
    pvalues = flow_detector.pvalue(correlated(20_000, seed=1))
    n = len(flow_detector.calibration_scores_)
    assert n == 500
    for level in [0.01, 0.05, 0.2, 0.5]:
        # given the rows set aside, the true rate is that of an order statistic
        k = np.floor(level * (n + 1))
        low, high = beta.ppf([5e-4, 1 - 5e-4], k, n + 1 - k)
        error = 3.3 * np.sqrt(level / len(pvalues))
        assert low - error < np.mean(pvalues <= level) < high + error
    assert flow_detector.pvalue([[5.0, -5.0, 5.0, -5.0, 5.0]]) == 1 / (n + 1)


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
    for _ in range(300):
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
    assert np.mean(false) < 0.8 * fdr + 3 * np.std(false) / np.sqrt(300)  # 0.8: part of nulls
    assert np.mean(false) > 0.4 * fdr
    assert np.mean(power) > 0.9


def test_too_few_calibration_rows_select_nothing():
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(50))
    new = np.vstack([table(98, seed=1), np.full((2, 3), 100.0)])
    assert detector.pvalue(new).min() == 1 / 11
    assert not detector.select(new, fdr=0.1).any()


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


# ---- explanations


def test_explanation_of_a_gaussian_is_half_its_squared_residuals():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 4))
    X = rng.standard_normal((3000, 4)) @ A * [1.0, 100.0, 0.01, 5.0] + [0, 1e3, 0, -7]
    detector = FlowOutlierDetector(GaussianMixture(), random_state=0).fit(X)
    gaussian = detector.density_
    # the conditional of a usual row lies well within the range of values
    usual = gaussian.score_samples(X) > np.median(gaussian.score_samples(X))
    rows = np.flatnonzero(usual)[:100]
    X[rows, 1] += 100 * np.linspace(-1, 1, 100)
    precision = gaussian.precisions_[0]
    z = (X - gaussian.means_[0]) @ precision / np.sqrt(np.diag(precision))
    found = detector.explain(X[rows])
    np.testing.assert_allclose(found, (z[rows] ** 2 - 1) / 2, rtol=0.1, atol=0.25)


@pytest.mark.slow
def test_explanation_has_mean_zero(flow_detector):
    X = flow_detector.density_.sample(400, random_state=0)
    contributions = flow_detector.explain(X)
    error = contributions.std(axis=0) / np.sqrt(len(X))
    assert (np.abs(contributions.mean(axis=0)) < 4 * error + 0.05).all()


def test_explanation_has_no_units():
    scale = np.array([1.0, 1000.0, 1e-3, 7.0, 1.0])
    X, rows = correlated(500), correlated(50, seed=2)
    detector = FlowOutlierDetector(GaussianMixture(reg_covar=0), random_state=0)
    expected = detector.fit(X).explain(rows)
    found = detector.fit(X * scale).explain(rows * scale)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def hit_rate(detector, rows, planted):
    return np.mean(detector.explain(rows).argmax(axis=1) == planted)


def test_explanation_finds_a_feature_far_from_its_values(flow_detector):
    rng = np.random.default_rng(3)
    rows, planted = correlated(300, seed=4), rng.integers(5, size=300)
    rows[np.arange(300), planted] += rng.choice([-1, 1], 300) * 5
    assert hit_rate(flow_detector, rows, planted) >= 0.9


def test_explanation_finds_a_usual_value_that_does_not_go_with_the_others(flow_detector):
    rng = np.random.default_rng(5)
    rows, planted = correlated(3000, seed=6), rng.integers(4, size=3000)
    mean = rows[:, :4].mean(axis=1)
    now = rows[np.arange(3000), planted]
    then = np.where(mean > 0, -1.5, 1.5)  # within one and a half standard deviations
    chosen = (np.abs(now - then) > 2.5) & (np.abs(then) < 2)
    rows[np.arange(3000), planted] = then
    rows, planted = rows[chosen][:300], planted[chosen][:300]
    assert len(rows) == 300
    assert (np.abs(rows[:, :4]) < 4).all()
    assert hit_rate(flow_detector, rows, planted) >= 0.9


def test_features_that_go_together_out_of_range_get_no_blame():
    factor = np.random.default_rng(0).standard_normal((1000, 1))
    detector = FlowOutlierDetector(GaussianMixture(), random_state=0)
    detector.fit(factor + 0.1 * table(1000))
    found = detector.explain([[8.0, 8.0, 8.0], [8.0, 8.0, 5.0], [8.0, 8.0, 12.0]])
    assert (np.abs(found[0]) < 2).all()
    np.testing.assert_array_equal(found[1:].argmax(axis=1), 2)
    assert (found[1:, 2] > 100).all()


def test_explanation_in_blocks_is_the_same(monkeypatch):
    detector = FlowOutlierDetector(GaussianMixture(2), random_state=0).fit(correlated(200))
    rows = correlated(23, seed=1)
    expected = detector.explain(rows)
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", 500)
    sizes = []
    scores = FlowOutlierDetector._scores
    monkeypatch.setattr(
        FlowOutlierDetector,
        "_scores",
        lambda self, density, X: sizes.append(len(X)) or scores(self, density, X),
    )
    np.testing.assert_allclose(detector.explain(rows), expected, rtol=1e-9)
    assert max(sizes) <= 500 / 5


def test_explanation_where_the_density_is_zero():
    X = table(200, 2)
    detector = FlowOutlierDetector(
        KernelDensity(bandwidth=0.5, kernel="tophat"), contamination=0.2, random_state=0
    ).fit(X)
    found = detector.explain([[50.0, 0.0], [50.0, 50.0]])
    # the first row is mended by its first feature, the second by neither
    np.testing.assert_array_equal(found, [[np.inf, 0], [0, 0]])


def test_explanation_of_a_constant_feature():
    X = np.column_stack([table(200, 2), np.full(200, 7.0)])
    detector = FlowOutlierDetector(GaussianMixture(reg_covar=0.01), random_state=0).fit(X)
    found = detector.explain(np.column_stack([np.zeros((2, 2)), [7.0, 8.0]]))
    assert np.abs(found[0, 2]) < 1e-6
    np.testing.assert_allclose(found[1, 2], 1 / (2 * 0.01), rtol=1e-3)


# ---- manners


def test_same_seed_same_result_and_parameters_stay():
    X = table(60)
    flow = CouplingFlowDensity(**QUICK)
    fits = [FlowOutlierDetector(flow, random_state=1).fit(X) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].score_samples(X), fits[1].score_samples(X))
    np.testing.assert_array_equal(fits[0].calibration_scores_, fits[1].calibration_scores_)
    assert flow.random_state is None
    assert not hasattr(flow, "masks_")
    other = FlowOutlierDetector(flow, random_state=2).fit(X)
    assert not np.array_equal(other.score_samples(X), fits[0].score_samples(X))


def test_random_state_of_the_density_is_kept_or_filled():
    nested = make_pipeline(PowerTransformer(), Distance(random_state=5))
    fitted = FlowOutlierDetector(nested, random_state=0).fit(table(30)).density_
    assert fitted[-1].random_state == 5
    nested.set_params(distance__random_state=None)
    fitted = FlowOutlierDetector(nested, random_state=0).fit(table(30)).density_
    assert isinstance(fitted[-1].random_state, int)


def test_default_is_a_flow():
    detector = FlowOutlierDetector(random_state=0).fit(table(40, 2))
    assert isinstance(detector.density_, CouplingFlowDensity)
    # but for the seed, with its defaults
    default = CouplingFlowDensity(random_state=detector.density_.random_state)
    assert repr(detector.density_) == repr(default)


def test_pickle(flow_detector):
    X = correlated(20, seed=3)
    copy = pickle.loads(pickle.dumps(flow_detector))
    for method in ["score_samples", "decision_function", "predict", "pvalue", "select", "explain"]:
        expected = getattr(flow_detector, method)(X)
        np.testing.assert_array_equal(getattr(copy, method)(X), expected)
        assert len(expected) == 20


def test_density_sees_the_names_of_columns():
    X = pandas.DataFrame(table(80), columns=["a", "b", "c"])
    density = make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "c"])), GaussianMixture()
    )
    detector = FlowOutlierDetector(density, random_state=0).fit(X)
    assert list(detector.feature_names_in_) == ["a", "b", "c"]
    contributions = detector.explain(X[:5])
    np.testing.assert_allclose(contributions[:, 1], 0, atol=1e-9)  # a feature that is not used
    assert (np.abs(contributions[:, [0, 2]]) > 1e-3).all()
    with pytest.raises(ValueError, match="feature names"):
        detector.pvalue(X[["b", "a", "c"]])


def test_missing_values_are_up_to_the_density():
    X = table(80)
    X[::7, 1] = np.nan
    density = make_pipeline(SimpleImputer(), GaussianMixture())
    detector = FlowOutlierDetector(density, random_state=0).fit(X)
    assert np.isfinite(detector.pvalue(X)).all()
    assert np.isfinite(detector.explain(X[:8])).all()
    with pytest.raises(ValueError, match="NaN"):
        FlowOutlierDetector(GaussianMixture()).fit(X)


def test_frozen_density_is_only_calibrated():
    fit_rows = pandas.DataFrame(table(100), columns=["a", "b", "c"])
    calibration_rows = pandas.DataFrame(table(39, seed=1), columns=["a", "b", "c"])
    mixture = GaussianMixture(random_state=0).fit(fit_rows)
    before = mixture.means_.copy()
    detector = FlowOutlierDetector(FrozenEstimator(mixture), calibration_fraction=1)
    detector.fit(calibration_rows)
    np.testing.assert_array_equal(mixture.means_, before)
    np.testing.assert_array_equal(
        detector.calibration_scores_, np.sort(mixture.score_samples(calibration_rows))
    )
    assert detector.pvalue(fit_rows + 100).max() == 1 / 40


def test_in_a_pipeline():
    X = table(80)
    detector = FlowOutlierDetector(GaussianMixture(), random_state=0)
    pipeline = make_pipeline(StandardScaler(), detector).fit(X)
    assert set(pipeline.fit_predict(X)) == {-1, 1}
    scaled = pipeline[0].transform(X)
    np.testing.assert_array_equal(
        pipeline.decision_function(X), pipeline[-1].decision_function(scaled)
    )


# ---- errors


@pytest.mark.parametrize(("n_rows", "fraction"), [(2, 0.2), (10, 0.85), (10, 1)])
def test_too_few_rows_are_left(n_rows, fraction):
    detector = FlowOutlierDetector(Distance(), calibration_fraction=fraction)
    with pytest.raises(ValueError, match=r"calibration_fraction=.* leaves fewer than 2"):
        detector.fit(table(n_rows))


def test_scores_that_are_not_numbers():
    with pytest.raises(ValueError, match=r"score_samples of density=Broken\(.*NaN"):
        FlowOutlierDetector(Broken()).fit(table(20))


def test_no_threshold_where_the_density_is_zero():
    density = KernelDensity(bandwidth=1e-3, kernel="tophat")
    with pytest.raises(ValueError, match="density is zero at so many rows that contamination"):
        FlowOutlierDetector(density, random_state=0).fit(table(50))


def test_a_failed_fit_leaves_the_results_as_they_were():
    detector = FlowOutlierDetector(Distance(), random_state=0).fit(table(40))
    expected = detector.pvalue(table(5, seed=1))
    detector.set_params(density=Broken())
    with pytest.raises(ValueError):
        detector.fit(table(50, seed=2))
    np.testing.assert_array_equal(detector.pvalue(table(5, seed=1)), expected)


@pytest.mark.parametrize("method", ["explain", "pvalue", "select", "predict", "score_samples"])
def test_methods_need_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(FlowOutlierDetector(), method)(table(3))


@pytest.mark.parametrize(
    "params",
    [
        {"density": StandardScaler()},
        {"contamination": 0},
        {"contamination": 0.6},
        {"contamination": "some"},
        {"calibration_fraction": 0},
        {"calibration_fraction": 1.5},
    ],
)
def test_impossible_parameters(params):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter"):
        FlowOutlierDetector(**params).fit(table(20))


def test_a_failed_fit_leaves_the_detector_as_it_was():
    rng = np.random.default_rng(0)
    X, wider = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    detector = FlowOutlierDetector(GaussianMixture(), random_state=0)
    with pytest.raises(ValueError, match="n_components"):
        detector.set_params(density__n_components=0).fit(X)
    with pytest.raises(NotFittedError):
        detector.score_samples(X)
    scores = detector.set_params(density__n_components=1).fit(X).score_samples(X)
    with pytest.raises(ValueError, match="n_components"):
        detector.set_params(density__n_components=0).fit(wider)
    np.testing.assert_array_equal(detector.score_samples(X), scores)
