"""The outlier detector: single densities and several, explanations, reports, errors."""

import numpy as np
import pandas
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._nn import blocks as _blocks
from skflow._outliers import scorers
from skflow._outliers.fitted import FittedScorers
from skflow._outliers.scorers import Neighbours, Tails, without_farthest

QUICK = {"n_layers": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "component_weight": 0}


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
    density = CouplingFlowDensity(4, hidden_layer_sizes=(32,), max_iter=20, component_weight=0.05)
    return FlowOutlierDetector(density, random_state=0).fit(correlated(2500))


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


def test_explanation_has_mean_zero(flow_detector):
    X = flow_detector.density_.sample(400, random_state=0, tails=True)
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
    assert np.mean(flow_detector.explain(rows).argmax(axis=1) == planted) >= 0.9


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
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", 2000)
    monkeypatch.setattr(_blocks, "LEAST_ROWS", 1)
    sizes = []
    score = FittedScorers.score
    monkeypatch.setattr(
        FittedScorers,
        "score",
        lambda self, name, density, X: sizes.append(len(X)) or score(self, name, density, X),
    )
    np.testing.assert_allclose(detector.explain(rows), expected, rtol=1e-9)
    assert max(sizes) <= 2000 / 5


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


# ---- several densities


@pytest.fixture(scope="module")
def several():
    """The default on a table in which the last column bends with the others."""
    return FlowOutlierDetector(random_state=0).fit(correlated(600))


def test_default_is_three_scorers(several):
    assert list(several.densities_) == ["flow", "neighbours", "tails"]
    assert not hasattr(several, "density_")
    rows = correlated(200, seed=1)
    scores = several.score_samples(rows)
    rarities = [*several._fitted.by_name(rows, scores).values()]
    weights = np.tile([[1.0], [2.0], [2.0]], 200)
    expected = stats.hmean(np.exp(rarities), axis=0, weights=weights)
    np.testing.assert_allclose(np.exp(scores), expected)
    # in nats: about one ordinary row in e is as unusual to one density as one of score -1
    # 200 rows, and the rows set aside: three standard deviations
    n_set_aside = len(several.calibration_scores_)
    part = np.exp(-1)
    three = 3 * np.sqrt(part * (1 - part) * (1 / 200 + 1 / n_set_aside))
    for rarity in rarities:
        assert np.mean(rarity <= -1) == pytest.approx(part, abs=three)
    for level in (0.1, 0.3, 0.5):
        error = np.sqrt(level * (1 - level) * (1 / 200 + 1 / n_set_aside))
        assert np.mean(several.pvalue(rows) <= level) == pytest.approx(level, abs=3 * error)


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_any_finite_row_has_a_score(size):
    detector = FlowOutlierDetector(random_state=0).fit(size * correlated(60))
    far = np.vstack([np.full(5, 1e306), np.full(5, -1e308), [0, 0, 0, 0, 1e200]])
    assert (detector.score_samples(far) < -1e6).all()
    assert (detector.pvalue(far) == detector.pvalue(far).min()).all()


def test_each_scorer_sees_outliers_of_its_own(several):
    broken = np.tile([[1.0, 1.0, 1.0, 1.0, -1.5]], (3, 1))  # the last should be 1
    far = np.full((3, 5), [6.0, 6.0, 6.0, 6.0, 36.0])
    assert (several.pvalue(np.vstack([broken, far])) < 0.05).all()


def test_rows_of_the_fit_are_judged_nearly_like_new_rows(several):
    """Not by how near they are to themselves: one fold in four has not seen them."""
    fitted = several.score_samples(correlated(600))
    new = several.score_samples(correlated(600, seed=1))
    assert new.mean() - 0.1 < fitted.mean() < new.mean() + 0.5
    assert fitted.min() < -5


PAIRS = [("far", Distance()), ("mixture", GaussianMixture(2))]


def test_pairs_have_nested_parameters():
    detector = FlowOutlierDetector(list(PAIRS))
    assert detector.get_params()["mixture__n_components"] == 2
    detector = clone(detector).set_params(mixture__n_components=3, far=Distance(step=0.5))
    assert detector.density[0][1].step == 0.5
    detector = detector.set_params(random_state=0).fit(table(60))
    assert [d.n_components for d in detector.densities_["mixture"]] == [3] * 4
    assert PAIRS[1][1].n_components == 2 and not hasattr(detector.density[1][1], "means_")


def test_a_frozen_density_among_several():
    mixture = GaussianMixture(random_state=0).fit(table(100, seed=3))
    pairs = [("frozen", FrozenEstimator(mixture)), ("far", Distance())]
    detector = FlowOutlierDetector(pairs, random_state=0).fit(table(60))
    scores = detector._fitted.mean_score("frozen", table(9))
    np.testing.assert_allclose(scores, mixture.score_samples(table(9)))


@pytest.mark.parametrize(
    ("density", "message"),
    [
        ([], "a list of pairs"),
        ([GaussianMixture()], "a list of pairs"),
        ([("a", GaussianMixture()), ("a", Distance())], "each name once"),
        ([("a", StandardScaler())], "named 'a' is StandardScaler.* score_samples"),
    ],
)
def test_impossible_pairs(density, message):
    with pytest.raises(ValueError, match=message):
        FlowOutlierDetector(density).fit(table(40))


def test_several_densities_need_rows():
    with pytest.raises(ValueError, match="at least 8 rows besides any set aside.* are 7"):
        FlowOutlierDetector().fit(table(7))


# ---- outliers among the rows of the fit


class Rows(Distance):
    """Remembers how many rows each of its fits had."""

    fits = []

    def fit(self, X, y=None):
        self.fits.append(len(X))
        return super().fit(X)


@pytest.mark.parametrize("density", [GaussianMixture(), [("mixture", GaussianMixture())]])
def test_a_trimmed_fit_leaves_out_the_most_unusual_rows(density):
    X = np.vstack([table(190), 8 + 0.1 * table(10, seed=1)])
    found = {}
    for trim in ("auto", 0.1):
        detector = FlowOutlierDetector(density, trim=trim, random_state=0).fit(X)
        # rows that are left out calibrate nonetheless
        assert len(detector.calibration_scores_) == (200 if isinstance(density, list) else 40)
        mixtures = next(iter(detector.densities_.values()))
        found[trim] = np.abs([mixture.means_ for mixture in mixtures]).max()
    assert found["auto"] > 0.3 > found[0.1]


def test_a_trimmed_fit_is_one_fit():
    Rows.fits.clear()
    FlowOutlierDetector(Rows(), trim=0.1, random_state=0).fit(table(100))
    assert Rows.fits == [72]


def test_nearest_rows_of_the_default_are_all_but_one_in_twenty(several):
    assert len(several.densities_["neighbours"][0].rows_) == 570
    assert len(several.calibration_scores_) == 600


def test_outliers_that_lie_together_are_trimmed():
    X = np.vstack([table(190), 5 + table(10, seed=1)])
    assert np.sum(without_farthest(X, 0.05) >= 190) <= 2
    assert len(without_farthest(X, 0.05)) == 190


def test_outliers_that_lie_together_do_not_hide_each_other():
    rng = np.random.default_rng(0)
    rows, group = rng.normal(size=(600, 4)), rng.normal(5, 0.1, (20, 4))
    pairs = [("neighbours", Neighbours()), ("tails", Tails())]
    detector = FlowOutlierDetector(pairs, trim=0.05, random_state=0)
    detector.fit(np.vstack([rows, group]))
    lowest = np.quantile(detector.score_samples(rows), 0.01)
    assert (detector.score_samples(group) < lowest).all()  # those that it was given
    assert (detector.score_samples(rng.normal(5, 0.1, (20, 4))) < lowest).all()


# ---- columns that spoil a list


def penguins(n_rows, seed=0):
    """Measurements of three species with 18 errors planted, and a year that says nothing."""
    rng = np.random.default_rng(seed)
    species = rng.integers(3, size=n_rows)
    means = np.array([[39, 18, 190, 3700], [49, 18, 196, 3730], [47, 15, 217, 5080.0]])
    size = rng.standard_normal((n_rows, 1))
    X = means[species] + (0.6 * size + 0.8 * rng.standard_normal((n_rows, 4))) * [
        2.7,
        1.1,
        6.5,
        400,
    ]
    X = np.column_stack([X.round(1), rng.integers(2007, 2010, n_rows)])
    rows, columns = rng.choice(n_rows, 18, replace=False), rng.integers(4, size=18)
    X[rows, columns] += rng.choice([-1, 1], 18) * 5 * np.array([2.7, 1.1, 6.5, 400])[columns]
    return pandas.DataFrame(X, columns=["bill", "depth", "flipper", "mass", "year"])


@pytest.mark.filterwarnings("ignore:Column 'year' is of few values")
def test_a_leftover_column_of_few_values_does_not_spoil_the_list():
    X = penguins(340)
    with_year = FlowOutlierDetector(random_state=0).fit(X).report(X, n=18)
    rest = X.drop(columns="year")
    without = FlowOutlierDetector(random_state=0).fit(rest).report(rest, n=18)
    assert len(with_year.index.intersection(without.index)) >= 12
    assert (with_year.column == "year").sum() <= 1


def test_columns_are_warned_of_in_words_about_outliers():
    X = penguins(100).assign(same=1.0, copied=lambda X: 2 * X.mass)
    with pytest.warns(UserWarning) as caught:
        FlowOutlierDetector(random_state=0).fit(X)
    said = [str(warning.message) for warning in caught]
    assert len(said) == 3
    assert said[0].startswith("Column 'year' is of few values") and "leave out codes" in said[0]
    assert said[1].startswith("Column 'same' is constant") and "is an outlier" in said[1]
    assert said[2].startswith("Column 'copied' is a copy of another") and "outliers" in said[2]


# ---- errors


@pytest.mark.parametrize(("n_rows", "fraction"), [(2, 0.2), (10, 0.85), (10, 1)])
def test_too_few_rows_are_left(n_rows, fraction):
    detector = FlowOutlierDetector(Distance(), calibration_fraction=fraction)
    with pytest.raises(ValueError, match=r"calibration_fraction=.* leaves fewer than 2"):
        detector.fit(table(n_rows))


def test_scores_that_are_not_numbers():
    with pytest.raises(ValueError, match=r"score_samples of density=Broken\(.*NaN"):
        FlowOutlierDetector(Broken(), random_state=0).fit(table(20))


def test_no_threshold_where_the_density_is_zero():
    density = KernelDensity(bandwidth=1e-3, kernel="tophat")
    with pytest.raises(ValueError, match="zero at so many rows that there is no threshold"):
        FlowOutlierDetector(density, random_state=0).fit(table(50))


@pytest.mark.parametrize(
    "params",
    [
        {"density": StandardScaler()},
        {"contamination": 0},
        {"contamination": 0.6},
        {"contamination": "some"},
        {"calibration_fraction": 0},
        {"calibration_fraction": 1.5},
        {"trim": 0.5},
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


def test_a_report_of_no_rows_is_an_empty_table(flow_detector):
    rows = correlated(5)
    whole = flow_detector.report(rows, 3)
    with pytest.warns(UserWarning, match="Nothing is selected"):
        empty = flow_detector.report(rows, fdr=1e-9)
    assert len(empty) == 0 and len(flow_detector.report(rows, n=None)) == 5
    assert list(empty.columns) == list(whole.columns)
    assert list(empty.dtypes) == list(whole.dtypes)


# ---- tables as they come


def test_a_list_of_rows_has_a_report_and_infinity_is_refused():
    detector = FlowOutlierDetector(CouplingFlowDensity(**QUICK), random_state=0).fit(table(60, 1))
    report = detector.report([[0.0], [9.0]], n=1)
    assert report.index[0] == 1 and report.value[1] == 9
    for answer in (detector.pvalue, detector.explain, detector.partial_fit):
        with pytest.raises(ValueError, match="infinity in 1 of 2 rows"):
            answer([[0.0], [np.inf]])


@pytest.mark.filterwarnings("ignore:Column 3 is constant")
def test_another_value_in_a_constant_column_is_an_outlier(monkeypatch):
    monkeypatch.setattr(scorers, "default_flow", lambda n_rows: CouplingFlowDensity(**QUICK))
    X = np.column_stack([table(100), np.full(100, 0.3)])
    detector = FlowOutlierDetector(random_state=0).fit(X)
    X[:, 3] = 0.1 + 0.2  # rounding is no other value
    assert detector.pvalue(X).mean() > 0.4
    X[:, 3] = 0.31
    assert (detector.pvalue(X) == 1 / 101).all()
    X[0, 0] = 20
    assert "with x3" not in detector.report(X[:1]).reason[0]
