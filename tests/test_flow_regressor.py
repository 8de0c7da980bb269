"""FlowRegressor: the distribution of targets given features, against truths that are known."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import cumulative_trapezoid, trapezoid
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import check_random_state

from skflow import FlowRegressor, Training, masks
from skflow._core.random import RandomStreams
from skflow._regression.fitting import Calibration, split
from skflow._regression.targets import find_root

QUICK = {
    "n_estimators": 2,
    "max_iter": 15,
    "hidden_layer_sizes": (16,),
    "mean_estimator": None,
    "random_state": 0,
}


def table(n_rows, seed=0):
    """A feature, one that says nothing, and targets whose spread changes with the first."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_rows, 2))
    return X, 3 + X[:, 0] + (0.5 + 0.4 * X[:, 0]) * rng.standard_normal(n_rows)


def two_targets(n_rows, seed=0):
    X, y = table(n_rows, seed)
    return X, np.column_stack([y, y**2 + np.random.default_rng(seed + 1).normal(size=n_rows)])


X, Y1 = table(400)
_, Y2 = two_targets(400)
VARIANTS = {
    "plain": {},
    "default mean": {"mean_estimator": "auto"},
    "affine, bounds": {"coupling": "affine", "bounds": (-5, None), "calibration_fraction": None},
    "mean, noise": {
        "mean_estimator": LinearRegression(),
        "training": Training(noise=0.1, context_noise=0.1),
    },
}


@pytest.fixture(scope="module", params=VARIANTS)
def one(request):
    return FlowRegressor(**{**QUICK, **VARIANTS[request.param]}).fit(X, Y1)


@pytest.fixture(scope="module", params=["parity", "derived"])
def two(request):
    return FlowRegressor(**QUICK, mask_layout=request.param).fit(X, Y2)


@pytest.fixture(scope="module")
def good():
    return FlowRegressor(**{**QUICK, "max_iter": 40}, training=Training(noise=0)).fit(*table(800))


# ---- one target: everything follows from the density


def test_density_has_the_moments_and_the_distribution_function(one):
    y = np.linspace(-40, 60, 40_001)
    for x in X[:3]:
        rows = np.tile(x, (len(y), 1))
        density = np.exp(one.score_samples(rows, y))
        reached = cumulative_trapezoid(density, y, initial=0)
        np.testing.assert_allclose(one.cdf(rows[::50], y[::50]), reached[::50], atol=2e-3)
        mean, std = one.predict([x], return_std=True)
        moments = [trapezoid(density * y**k, y) for k in range(3)]
        assert moments[0] == pytest.approx(1, abs=1e-3)
        assert moments[1] == pytest.approx(mean[0], abs=5e-3 * std[0])
        assert np.sqrt(moments[2] - moments[1] ** 2) == pytest.approx(std[0], rel=2e-2)


def test_quantiles_invert_the_distribution_function(one):
    alpha = [0.001, 0.05, 0.5, 0.9, 0.9999]
    quantiles = one.predict_quantiles(X, alpha)
    assert (np.diff(quantiles, axis=1) > 0).all()
    if one.calibration_fraction is None:
        np.testing.assert_allclose(
            one.predict_interval(X, 0.8), one.predict_quantiles(X, [0.1, 0.9])
        )
    for column, level in zip(quantiles.T, alpha):
        np.testing.assert_allclose(one.cdf(X, column), level, atol=1e-7)
    np.testing.assert_allclose(one.predict_quantiles(X, 0.05), quantiles[:, 1], rtol=1e-7)


ROOTS = {
    "steep": (lambda u: 1e6 * (u - 0.1), lambda z: 0.1 + z / 1e6),
    "curved": (np.arcsinh, np.sinh),
    "flat": (np.cbrt, lambda z: z**3),
}


@pytest.mark.parametrize("name", ROOTS)
def test_roots_are_found(name):
    function, inverse = ROOTS[name]
    z = np.array([[-6, -0.5, 0.0], [1.3, 3.0, 6.0]])
    low, high = np.full(z.shape, -1e3), np.array([[1e3] * 3, [1e3, 1e3, inverse(6.0)]])
    root = find_root(lambda u, rows: function(u) - z[rows], low, high)
    np.testing.assert_allclose(root, inverse(z), rtol=1e-7, atol=1e-8)


def test_draws_have_the_distribution(one):
    draws = one.sample_y(X[:2], 4000, random_state=0)
    assert draws.shape == (2, 4000)
    for x, row in zip(X, draws):
        assert stats.kstest(row, lambda y, x=x: one.cdf(np.tile(x, (len(y), 1)), y)).pvalue > 1e-4
    np.testing.assert_array_equal(draws, one.sample_y(X[:2], 4000))


def test_bounds_hold():
    regressor = FlowRegressor(bounds=(0, None), **QUICK).fit(X, np.exp(Y1))
    far = np.array([[-30.0, 0.0], [1e300, -1e300]])
    assert regressor.sample_y(far, 500).min() >= 0
    assert (regressor.predict_interval(far)[:, 0] >= 0).all()
    np.testing.assert_array_equal(regressor.score_samples(far, [-1, -1]), -np.inf)
    np.testing.assert_array_equal(regressor.cdf(far, [-1, -1]), 0)


def test_targets_beyond_bounds_are_an_error_also_where_they_are_set_aside():
    for row in range(0, 40, 8):
        y = np.abs(Y1[:40]) + 1
        y[row] = -1
        with pytest.raises(ValueError, match="1 rows lie beyond the bounds, in column 'y'"):
            FlowRegressor(bounds=(0, None), **QUICK).fit(X[:40], y)


def test_values_on_a_grid():
    grades = np.round(Y1)
    regressor = FlowRegressor(dequantize=True, **QUICK).fit(X, grades)
    for answer in (regressor.sample_y(X), regressor.predict_quantiles(X, 0.3)):
        np.testing.assert_array_equal(answer, np.round(answer))
    values = np.arange(-20, 30)
    steps = np.diff(regressor.cdf(np.tile(X[0], (len(values), 1)), values))
    share = np.mean(regressor.sample_y(X[:1], 4000)[0] == 3)
    assert steps[values[1:] == 3] == pytest.approx(share, abs=0.04)
    assert regressor.cdf(X[:1], [3.4]) == regressor.cdf(X[:1], [3.0])


# ---- it learns


def test_spread_and_mean_are_learned(good):
    X, y = table(2000, seed=5)
    spread = 0.5 + 0.4 * X[:, 0]
    best = stats.norm(3 + X[:, 0], spread).logpdf(y).mean()
    assert good.score_samples(X, y).mean() > best - 0.1
    mean, std = good.predict(X, return_std=True)
    assert np.abs(mean - 3 - X[:, 0]).mean() < 0.1
    assert np.corrcoef(std, spread)[0, 1] > 0.95
    assert stats.kstest(good.cdf(X, y), "uniform").statistic < 0.06


def test_two_modes():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (600, 1))
    y = np.where(rng.random(600) < 0.5, 2, -2) * (1 + X[:, 0]) + 0.2 * rng.standard_normal(600)
    quiet = {"training": Training(noise=0, context_noise=0), "mean_estimator": None}
    regressor = FlowRegressor(n_estimators=1, max_iter=60, random_state=0, **quiet).fit(X, y)
    density = regressor.score_samples(np.full((3, 1), 0.8), [-3.6, 0, 3.6])
    assert density[[0, 2]].min() > density[1] + 3


def test_mean_estimator_helps_where_it_is_better():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (600, 3))
    y = np.floor(8 * X[:, 0]) % 2 + np.floor(8 * X[:, 1]) % 2 + 0.05 * rng.standard_normal(600)
    trees = HistGradientBoostingRegressor(max_iter=50)
    scores = [
        FlowRegressor(**{**QUICK, "mean_estimator": mean})
        .fit(X[:500], y[:500])
        .score(X[500:], y[500:])
        for mean in (None, trees)
    ]
    assert scores[1] > scores[0] + 0.1


def test_missing_features_are_features():
    """Where a cell is missing may say something, and a row without it gets the others' answer."""
    X, y = table(1500)
    rng, kind = np.random.default_rng(1), np.where(X[:, 1] > 0, "up", "down").astype(object)
    far = rng.random(1500) < 0.3
    X[far, 1], kind[rng.random(1500) < 0.3] = np.nan, None
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": kind})
    regressor = FlowRegressor(**QUICK).fit(frame, y + 4 * far + 2 * (frame.kind == "up"))
    X = pd.DataFrame(
        {"a": [0.2] * 4, "b": [np.nan, 0.5, np.nan, 0.5], "kind": ["up"] * 2 + [None] * 2}
    )
    mean = regressor.predict(X)
    np.testing.assert_allclose(mean, [9.2, 5.2, 7.2, 3.2], atol=0.4)


def test_answers_have_no_kink_at_the_mean_of_a_feature():
    """Slopes to the left and to the right differ no more than elsewhere, over five fits."""
    x, ratios = np.linspace(-1, 1, 201), []
    for seed in range(5):
        X, y = table(300, seed)
        regressor = FlowRegressor(**{**QUICK, "random_state": seed}).fit(X[:, :1], y)
        bends = np.abs(np.diff(regressor.predict(x[:, None])[::5], 2))
        near = np.abs(x[::5][1:-1] - X[:, 0].mean()) < 0.06
        ratios.append(bends[near].max() / np.median(bends))
    assert np.median(ratios) < 6


# ---- intervals


def normal_pairs(n_rows, seed):
    """Two dependent normal targets whose spread grows with the feature, and their levels."""
    rng = np.random.default_rng(seed)
    X, Z = rng.uniform(-1, 1, (n_rows, 1)), rng.standard_normal((n_rows, 2))
    Y = X + np.exp(X) * (Z @ [[1.0, 0.8], [0.0, 0.6]])
    return X, Y, stats.chi2(2).cdf((Z**2).sum(axis=1))


def in_interval(regressor, X, y, coverage):
    low, high = regressor.predict_interval(X, coverage).T
    return (low <= y) & (y <= high)


# draws say how high a density is, 64 in all: levels of regions are whole parts of about as many
@pytest.mark.parametrize(
    ("inside", "make", "coverage", "excess"),
    [
        (in_interval, table, 0.5, 1 / 49),
        (in_interval, table, 0.9, 1 / 49),
        (FlowRegressor.in_region, normal_pairs, 0.9, 1 / 49 + 1 / 64),
    ],
)
def test_intervals_and_regions_cover_what_they_promise(inside, make, coverage, excess):
    """Also where the density is bad: over 15 tables, within four standard errors."""
    bad = {**QUICK, "n_estimators": 1, "max_iter": 1, "calibration_fraction": 0.4}
    shares = []
    for seed in range(15):
        X, y, *_ = make(120, seed)
        regressor = FlowRegressor(**{**bad, "random_state": seed}).fit(X, y**3)
        X, y, *_ = make(300, 100 + seed)
        shares.append(np.mean(inside(regressor, X, y**3, coverage)))
    error = np.std(shares) / np.sqrt(len(shares))
    assert -4 * error < np.mean(shares) - coverage < excess + 4 * error


def test_rows_set_aside_say_nothing_but_how_wide_intervals_are():
    """Location, scale and range of the columns come from the other rows, too."""
    regressor = FlowRegressor(**{**QUICK, "mean_estimator": DecisionTreeRegressor()})
    streams = RandomStreams(int(check_random_state(0).randint(2**31 - 1)))
    *_, aside = split(regressor, len(X), streams)
    other_X, other_y = X.copy(), Y1.copy()
    other_X[aside] *= 3
    other_y[aside] += 10
    other = clone(regressor).fit(other_X, other_y)
    regressor.fit(X, Y1)
    np.testing.assert_array_equal(other.score_samples(X, Y1), regressor.score_samples(X, Y1))
    wider, interval = (np.diff(one.predict_interval(X[:5])) for one in (other, regressor))
    assert (wider > interval).all()


@pytest.mark.parametrize(("n_rows", "n_aside"), [(27, 9), (60, 9), (200, 20)])
def test_few_rows_are_enough_for_default_intervals(n_rows, n_aside):
    regressor = FlowRegressor(**QUICK).fit(X[:n_rows], Y1[:n_rows])
    assert regressor.predict_interval(X[:3]).shape == (3, 2)
    with pytest.raises(ValueError, match=f"more than the {n_aside} rows set aside in fit"):
        regressor.predict_interval(X[:3], coverage=0.99)


@pytest.mark.parametrize("fraction", [0.3, None])
def test_regions_are_those_of_highest_density(fraction):
    """Of a normal distribution they are ellipses; also where it is wide they cover 80 %."""
    X, Y, _ = normal_pairs(800, 0)
    options = {**QUICK, "coupling": "affine", "max_iter": 40, "calibration_fraction": fraction}
    regressor = FlowRegressor(**options).fit(X, Y)
    X, Y, level = normal_pairs(1000, 1)
    inside = regressor.in_region(X, Y, 0.8)
    assert np.mean(inside == (level <= 0.8)) > 0.9
    for half in (X[:, 0] < 0, X[:, 0] > 0):
        assert inside[half].mean() == pytest.approx(0.8, abs=0.06)
    one_by_one = [regressor.in_region(X[[i]], Y[[i]], 0.8)[0] for i in range(5)]
    np.testing.assert_array_equal(one_by_one, inside[:5])


def test_a_region_ends_where_rows_set_aside_lie_below_all_draws():
    """One in 65 does, and more than the coverage leaves out; far off there is no target."""
    X, Y, _ = normal_pairs(800, 0)
    regressor = FlowRegressor(**{**QUICK, "max_iter": 5, "calibration_fraction": 0.5}).fit(X, Y)
    X, Y, _ = normal_pairs(1000, 1)
    assert regressor.in_region(X, Y, 0.995).mean() > 0.98
    assert not regressor.in_region(X[:5], Y[:5] + 100, 0.995).any()


def test_calibration_with_weights_is_that_of_repeated_rows():
    rng = np.random.default_rng(0)
    scores, counts = rng.random((30, 2)) / 2, rng.integers(1, 4, 30)
    repeated = Calibration.of(np.repeat(scores, counts, axis=0))
    # the new row counts as the mean row does
    weighted = Calibration.of(scores, counts.astype(float))
    np.testing.assert_allclose(weighted.bounds(0.8), repeated.bounds(0.8), atol=0.05)
    with pytest.raises(ValueError, match=r"coverage=0.99 is more than the 30 rows set aside"):
        weighted.bounds(0.99)


# ---- several targets


def test_moments_of_several_targets_are_those_of_draws(two):
    draws = two.sample_y(X[:3], 20_000, random_state=1)
    mean, std = two.predict(X[:3], return_std=True)
    np.testing.assert_allclose(draws.mean(axis=2), mean, atol=0.05 * std.max())
    np.testing.assert_allclose(draws.std(axis=2), std, rtol=0.15)
    inside = two.predict_interval(X[:3], 0.8)
    share = ((draws >= inside[..., :1]) & (draws <= inside[..., 1:])).mean(axis=2)
    assert np.ptp(share, axis=0).max() < 0.05  # the same q for every row


def test_one_target_only(two):
    for call in (partial(two.cdf, y=Y2), two.predict_quantiles):
        with pytest.raises(ValueError, match="is for a single target, but y had 2"):
            call(X)


# ---- what goes in


def test_discrete_targets_get_a_warning():
    with pytest.warns(UserWarning, match=r"Column 'y' is nearly discrete.*dequantize=True"):
        FlowRegressor(**QUICK).fit(X, np.round(Y1 / 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda one: one.predict_interval(X, 1.0), "coverage=1.0 is not possible"),
        (lambda one: one.predict_interval(X, 0.999), "coverage=0.999 is more than the 40 rows"),
        (lambda one: one.predict_quantiles(X, [0, 0.5]), r"alpha=\[0, 0.5\] is not possible"),
        (lambda one: one.sample_y(X, 0), "n_samples=0 is not possible"),
        (lambda one: one.score_samples(X, Y2), "y has 2 targets, but fit had 1"),
        (lambda one: one.fit(X[:3], Y1[:3]), "which leaves fewer than 3"),
        (lambda one: one.fit(X[:40], np.ones(40)), "y is constant in column 0"),
        (lambda one: one.fit(X[:40], X[:40, :1] ** range(1, 42)), r"y has 41 targets in \d\d rows"),
        (lambda one: one.fit(X[:40], np.full(40, np.nan)), "Input y contains NaN"),
        (lambda one: one.fit(X[:40], None), "requires y to be passed, but the target y is None"),
        (lambda one: one.in_region(X, Y1), "in_region is for several targets.*predict_interval"),
        (
            lambda one: one.fit(X, np.where(X[:, 0] > 0, Y1, np.nan)),
            r"NaN in \d+ of 400 rows.*leave",
        ),
        (lambda one: one.fit(X, np.where(Y1 > 3, "high", "low")), "not hold numbers.*a classifier"),
    ],
)
def test_sentences(call, message):
    regressor = FlowRegressor(**QUICK).fit(X, Y1)
    before = regressor.predict(X)
    with pytest.raises(ValueError, match=message):
        call(regressor)
    np.testing.assert_array_equal(regressor.predict(X), before)


def test_far_features_get_sane_answers(one):
    far = np.array([[1e300, 0], [-1e10, 1e200], [50, -50]])
    mean, std = one.predict(far, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (one.score_samples(far, [3, 3, 3]) > -20).all()
    low, high = one.score_samples(X[:2], [-1e200, 1e200])
    assert -2000 < high < -1000  # three times log 1e200: the tails fall with the third power
    assert low == -np.inf if one.bounds else low == pytest.approx(high, abs=1)


def test_weights_count_as_copies_in_distribution():
    X, y = table(600)
    weight = np.where(X[:, 0] > 0, 3.0, 1.0)
    shift = np.where(np.arange(600) % 2, 4.0, 0.0)  # half of the rows say something else
    regressor = FlowRegressor(**QUICK).fit(X, y + shift, np.where(shift > 0, 0, weight))
    assert np.abs(regressor.predict(X) - 3 - X[:, 0]).mean() < 0.4


def test_within_scikit_learn():
    pipeline = make_pipeline(StandardScaler(), FlowRegressor(**QUICK))
    assert cross_val_predict(pipeline, X, Y2, cv=2).shape == (400, 2)
    assert pipeline.fit(X, Y1).score(X, Y1) > 0.2
    logs = TransformedTargetRegressor(FlowRegressor(**QUICK), func=np.exp, inverse_func=np.log)
    assert logs.fit(X, Y1).predict(X).shape == (400,)


def test_targets_near_the_largest_number():
    regressor = FlowRegressor(**QUICK).fit(X * 1e300, 1e300 * Y1)
    for answer in (*regressor.predict(X, return_std=True), regressor.predict_interval(X)):
        assert np.isfinite(answer).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_targets_in_frames(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    both = frames.DataFrame({"one": Y2[:, 0], "two": Y2[:, 1]})
    for given, plain in ((frames.Series(Y1), Y1), (both, Y2)):
        fitted, same = (
            FlowRegressor(**QUICK).fit(frame, given),
            FlowRegressor(**QUICK).fit(X, plain),
        )
        scores = fitted.score_samples(frame, given)
        np.testing.assert_allclose(scores, same.score_samples(X, plain), rtol=1e-6)


def test_a_search_over_targets_shows_its_progress(capsys):
    search = masks.EvolutionarySearch(n_iter=2, n_candidate_steps=2)
    params = {**QUICK, "mask_layout": search, "verbose": 1}
    FlowRegressor(**params).fit(X, Y2)
    shown = capsys.readouterr().out
    assert "search" in shown and "best_cost" in shown


def test_the_unit_of_the_target_does_not_change_the_choice_among_equal_splits():
    trees = GradientBoostingRegressor(n_estimators=20, max_depth=4, random_state=0)
    y = np.round(Y1, 1)
    quick = QUICK | {"mean_estimator": trees, "max_iter": 1}
    one, other = (FlowRegressor(**quick).fit(X, unit * y).predict(X) / unit for unit in (1, 0.1))
    assert other == pytest.approx(one, rel=1e-6)


def test_a_value_that_many_targets_share_is_drawn_within_bounds_and_warned_of_without():
    y = np.where(X[:, 0] < 0, 0.0, np.exp(Y1))
    with pytest.warns(UserWarning, match=r"'y' is equal to one value in up to 45% .*bounds=\(0"):
        FlowRegressor(**QUICK | {"max_iter": 1}).fit(X, y)
    with pytest.warns(UserWarning, match="exactly on a bound"):
        bounded = FlowRegressor(bounds=(0, None), **QUICK).fit(X, y)
    zeros = (bounded.sample_y(X, 50) == 0).mean(axis=1)
    assert zeros[X[:, 0] < -0.3].mean() > 0.9 and zeros[X[:, 0] > 0.3].mean() < 0.1
