"""The way in and the way back are inverses: a value that repeats comes back, and as often."""

import functools

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from skflow import CouplingFlowDensity, FlowRegressor, Training
from skflow._models.fitting import fit_real_columns
from skflow._table.schema import fit_schema

INF = np.inf
N = 1200


def zeros(rng, part, scale=1.0):
    values = scale * rng.lognormal(size=N)
    values[rng.uniform(size=N) < part] = 0.0
    return values


def near_two_ends(rng):
    return np.clip(rng.normal(0.5, 0.5, N), 0, 1)


def counts_with_many_zeros(rng):
    return np.where(rng.uniform(size=N) < 0.3, 0.0, rng.randint(1, 101, N))


#: Columns with their bounds and whether they are dequantised and have spikes.
COLUMNS = {
    "real": (lambda rng: rng.normal(size=N), (-INF, INF), {}),
    "bounded": (lambda rng: rng.gamma(2, 1, N), (0, INF), {}),
    "few zeros": (lambda rng: zeros(rng, 0.04), (0, INF), {}),
    "many zeros": (lambda rng: zeros(rng, 0.6), (0, INF), {"spikes": False}),
    "tiny units": (lambda rng: zeros(rng, 0.2, 1e-200), (0, INF), {"spikes": False}),
    "an upper bound": (lambda rng: 5 - zeros(rng, 0.2), (-INF, 5), {"spikes": False}),
    "two ends": (near_two_ends, (0, 1), {"spikes": False}),
    "ends alone": (lambda rng: 1.0 * (rng.uniform(size=N) < 0.3), (0, 1), {"spikes": False}),
    "one value between": (
        lambda rng: np.append(0.1, rng.choice([0, 1], N)),
        (0, 1),
        {"spikes": False},
    ),
    "constant on a bound": (lambda rng: np.zeros(N), (0, INF), {}),
    "constant": (lambda rng: np.full(N, 7.0), (-INF, INF), {}),
    "counts": (lambda rng: 1.0 * rng.poisson(2, N), (0, INF), {"dequantize": True}),
    "grades": (lambda rng: 1.0 * rng.binomial(4, 0.5, N), (0, 4), {"dequantize": True}),
    "bounds off a grid": (lambda rng: 1.0 * rng.poisson(2, N), (-0.3, 12.7), {"dequantize": True}),
    "tenths": (lambda rng: rng.choice(np.arange(1, 31), N) / 10, (0, INF), {"dequantize": True}),
    "tiny steps": (lambda rng: 3 + 1e-9 * rng.poisson(2, N), (-INF, INF), {"dequantize": True}),
    "a spike at a bound": (lambda rng: zeros(rng, 0.3), (0, INF), {}),
    "spike and grid": (counts_with_many_zeros, (0, INF), {"dequantize": True}),
    "spike within a grid": (
        lambda rng: counts_with_many_zeros(rng) * rng.choice([-1, 1], N),
        (-200, 200),
        {"dequantize": True},
    ),
    "spike at the end of a grid": (
        lambda rng: 150 - counts_with_many_zeros(rng),
        (0, 150),
        {"dequantize": True},
    ),
}


def column(name):
    make, ends, options = COLUMNS[name]
    options = {"dequantize": False, "spikes": True, **options}
    return make(np.random.RandomState(0))[:, None], np.array(ends, dtype=float)[:, None], options


def repeated(x):
    """Values that are more than a hundredth of the column."""
    values, counts = np.unique(x, return_counts=True)
    return values[counts > 0.01 * len(x)]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_what_goes_in_comes_back(name, standardize):
    X, bounds, options = column(name)
    schema = fit_schema(X, spikes=options.pop("spikes"))
    assert bool(len(schema.sizes)) == ("spike" in name)
    columns = fit_real_columns(
        X, schema, None, bounds=tuple(bounds), names=None, standardize=standardize, **options
    )
    real = X[~np.isnan(schema.split(X)[1])][:, None]
    places = np.random.RandomState(1)
    for U, log_det in (columns.forward(real), *(columns.spread(real, places) for _ in range(20))):
        assert np.isfinite(U).all() and np.isfinite(log_det).all()
        again, whole = columns.draws(U), repeated(real)
        of_value = np.isin(real, whole) | (columns.step > 0)
        np.testing.assert_array_equal(again[of_value], real[of_value])
        assert not np.isin(again[~of_value], whole).any()
        np.testing.assert_allclose(again, real, rtol=1e-9)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_place_comes_back_as_a_value_and_order_is_kept(name):
    X, bounds, options = column(name)
    schema = fit_schema(X, spikes=options.pop("spikes"))
    columns = fit_real_columns(X, schema, None, bounds=tuple(bounds), names=None, **options)
    drawn = columns.draws(np.linspace(-6, 6, 5001)[:, None])
    assert (np.diff(drawn[:, 0]) >= 0).all()
    assert (drawn >= bounds[0]).all() and (drawn <= bounds[1]).all()
    if len(schema.sizes) and columns.step[0] > 0:  # what is a spike is no value beside it
        assert not np.isin(schema.spike_values, drawn).any()


@functools.cache
def density_of(name, **params):
    X, bounds, options = column(name)
    quick = {"n_layers": 3, "max_iter": 30, "hidden_layer_sizes": (16,), "component_weight": 0}
    params = {**quick, **options, **params}
    model = CouplingFlowDensity(**params, bounds=[tuple(bounds[:, 0])], random_state=0)
    return X, bounds, model.fit(X)


TRAINED = [name for name in COLUMNS if name not in ("real", "bounded")]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TRAINED)
def test_samples_have_the_shares_of_the_fit(name):
    X, _, model = density_of(name)
    drawn = model.sample(20_000, random_state=0)
    for value in repeated(X):
        share = (value == X).mean()
        error = np.sqrt(share * (1 - share) * (1 / len(X) + 1 / len(drawn)))
        # binomial error, and that of a short training
        assert (drawn == value).mean() == pytest.approx(share, abs=3 * error + 0.12 * share), value


def integral(model, points):
    """That of the density over the points, by the trapezoidal rule."""
    return trapezoid(np.exp(model.score_samples(points[:, None])), points)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("component_weight", [0, 0.1])
@pytest.mark.parametrize("name", ["few zeros", "many zeros", "an upper bound", "two ends"])
def test_integrals_within_the_bounds_are_one(name, component_weight):
    X, bounds, model = density_of(name, component_weight=component_weight, max_iter=8)
    total = 0.0
    cells = model._density.columns.bounds.cells[:, 0]
    low, high = bounds[:, 0]
    for bound, inward, cell in ((low, 1, cells[0]), (high, -1, cells[1])):
        if np.isfinite(bound):
            part = stats.norm.cdf(np.linspace(-7, 4, 4000)) * 0.999999  # of the cell
            inside = np.sort(bound + inward * cell * part)
            assert integral(model, inside) == pytest.approx((bound == X).mean(), abs=0.05)
            total += integral(model, inside)
    far = np.geomspace(1e-9, 1e4, 40_000)
    if np.isfinite(low) and np.isfinite(high):
        between = np.linspace(low + cells[0], high - cells[1], 100_001)
    elif np.isfinite(low):
        between = low + cells[0] + np.append(0, far)
    else:
        between = np.sort(high - cells[1] - np.append(0, far))
    assert total + integral(model, between) == pytest.approx(1, abs=5e-3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["counts", "grades", "spike and grid", "spike within a grid"])
def test_sums_over_a_grid_are_one(name):
    _, bounds, model = density_of(name)
    grid = np.arange(max(bounds[0, 0], -400), min(bounds[1, 0], 400) + 1)
    p = np.exp(model.score_samples(grid[:, None])) * 1.0  # times the step
    assert p.sum() == pytest.approx(1, abs=0.03)


# ---- regression


def half_discrete(rng, x, part):
    y = np.exp(0.5 * x + 0.5 * rng.normal(size=len(x)))
    y[rng.uniform(size=len(x)) < part * 2 / (1 + np.exp(-x))] = 0
    return y


TARGETS = {
    "continuous": (lambda rng, x: half_discrete(rng, x, 0), {"bounds": (0, None)}),
    "30 % zeros": (lambda rng, x: half_discrete(rng, x, 0.3), {"bounds": (0, None)}),
    "60 % zeros": (lambda rng, x: half_discrete(rng, x, 0.6), {"bounds": (0, None)}),
    "two ends": (
        lambda rng, x: np.clip(x / 2 + rng.normal(size=len(x)), -1, 1),
        {"bounds": (-1, 1)},
    ),
    "counts": (
        lambda rng, x: 1.0 * rng.poisson(np.exp(0.5 * x)),
        {"bounds": (0, None), "dequantize": True},
    ),
}
LEVELS, N_SEEDS, N_ROWS, N_NEW = np.arange(0.1, 0.95, 0.1), 10, 300, 500
TINY_FIT = {
    **{"n_layers": 1, "n_estimators": 1, "max_iter": 2, "mean_estimator": None},
    **{"hidden_layer_sizes": (8,), "calibration_fraction": 0.3},
    "training": Training(noise=0.0, context_noise=0.0),
}


def coverages(name, seed):
    """Of the intervals ``(9,)``, and of the same where atoms are taken apart by chance."""
    make, options = TARGETS[name]
    rng = np.random.RandomState(seed)
    x = rng.normal(size=N_ROWS + N_NEW)
    X, y = x[:, None], make(rng, x)
    regressor = FlowRegressor(**TINY_FIT, **options, random_state=seed).fit(X[:N_ROWS], y[:N_ROWS])
    X, y, density = X[N_ROWS:], y[N_ROWS:], regressor._density
    places = density.columns.spread(y[:, None], rng)[0]
    scores = np.abs(density.marginal_cdf(places, regressor._context(X)) - 0.5)
    intervals = [regressor.predict_interval(X, level) for level in LEVELS]
    whole = [np.mean((low <= y) & (y <= high)) for low, high in (ends.T for ends in intervals)]
    halves = [regressor._calibration.bounds(level) for level in LEVELS]
    return whole, [np.mean(scores <= half) for half in halves]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_intervals_hold_their_level(name):
    found = np.array([coverages(name, seed) for seed in range(N_SEEDS)])
    whole, taken_apart = found.mean(axis=0)
    n_aside = np.ceil(0.3 * N_ROWS)
    error = np.sqrt(LEVELS * (1 - LEVELS) * (1 / n_aside + 1 / N_NEW) / N_SEEDS)
    assert (taken_apart > LEVELS - 3.5 * error).all()
    assert (taken_apart < LEVELS + 1 / (n_aside + 1) + 3.5 * error).all()
    assert (found[:, 0] >= found[:, 1]).all()  # whole atoms may only add to them
    if name == "continuous":
        np.testing.assert_array_equal(whole, taken_apart)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["30 % zeros", "two ends", "counts"])
def test_distribution_functions_step_at_atoms_as_draws_do(name):
    make, options = TARGETS[name]
    rng = np.random.RandomState(0)
    x = rng.normal(size=600)
    regressor = FlowRegressor(**TINY_FIT, **options, random_state=0).fit(x[:, None], make(rng, x))
    X = np.zeros((1, 1))
    draws = regressor.sample_y(X, 20_000, random_state=0)[0]
    values, counts = np.unique(draws, return_counts=True)
    atoms = values[counts > 200]
    assert len(atoms) >= 1
    for value in (*atoms, *(atoms + 1e-6), *(atoms - 1e-6), 0.5):
        found = regressor.cdf(X, [value])[0]
        assert found == pytest.approx((draws <= value).mean(), abs=0.015)
    for value in atoms:  # the quantiles within a step are its value
        below, reached = (draws < value).mean(), (draws <= value).mean()
        levels = below + (reached - below) * np.array([0.2, 0.5, 0.8])
        np.testing.assert_array_equal(regressor.predict_quantiles(X, levels)[0], value)
    assert regressor.predict(X)[0] == pytest.approx(draws.mean(), rel=0.05, abs=0.02)
