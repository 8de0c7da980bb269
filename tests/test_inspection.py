"""Displays: their arrays against other ways to compute them, their labels, and what they refuse."""

import sys
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.covariance import EmpiricalCovariance
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skflow import CouplingFlowDensity, StructureSearchFlow, inspection, masks
from skflow.inspection import (
    ConditionalDisplay,
    DensityDisplay,
    MaskDisplay,
    PairPlotDisplay,
    PITDisplay,
    SearchHistoryDisplay,
    TrainingCurveDisplay,
)

FAST = {
    "coupling": "affine",
    "hidden_layer_sizes": (),
    "max_iter": 10,
    "component_weight": 0,
    "random_state": 0,
}
NAMES = ["length", "width", "height", "weight"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 4)) + [1, 2, 3, 4]
    return pandas.DataFrame(X, columns=NAMES)


@pytest.fixture(scope="module")
def flow(table):
    search = StructureSearchFlow(2, n_search_iter=12, n_candidate_steps=5, **FAST)
    return search.fit(table)


@pytest.fixture(scope="module")
def ensemble(table):
    return CouplingFlowDensity(2, mask_layout="random", n_estimators=2, **FAST).fit(table)


def texts(labels):
    return [label.get_text() for label in labels]


def record(iteration, cost, accepted, best_cost):
    return SimpleNamespace(iteration=iteration, cost=cost, accepted=accepted, best_cost=best_cost)


# ---- what all share


def without_rows(display):
    return lambda estimator, X, **kwargs: display.from_estimator(estimator, **kwargs)


FROM_ESTIMATOR = {
    "masks": without_rows(MaskDisplay),
    "training": without_rows(TrainingCurveDisplay),
    "search": without_rows(SearchHistoryDisplay),
    "density": DensityDisplay.from_estimator,
    "conditional": lambda estimator, X, **kwargs: ConditionalDisplay.from_estimator(
        estimator, X, 0, X[:2], grid_resolution=9, **kwargs
    ),
    "pairs": PairPlotDisplay.from_estimator,
    "quantiles": partial(PITDisplay.from_estimator, scale="normal"),
    "latent PIT": PITDisplay.from_estimator,
    "density PIT": partial(PITDisplay.from_estimator, values="density", n_samples=50),
}


@pytest.mark.parametrize("label", FROM_ESTIMATOR)
def test_draws_into_given_axes_or_a_figure_of_its_own(label, flow, table):
    figure, axes = plt.subplots(1, 2)
    display = FROM_ESTIMATOR[label](flow, table, ax=axes[1])
    assert display.figure_ is figure
    assert getattr(display, "ax_", axes[1]) is axes[1]
    figure.canvas.draw()
    own = FROM_ESTIMATOR[label](flow, table, name="a title")
    assert own.figure_ is not figure
    assert plt.get_fignums() == [figure.number, own.figure_.number]
    own.figure_.canvas.draw()
    assert "a title" in texts(own.figure_.findobj(Text))
    assert display.plot() is display
    assert display.figure_ not in (figure, own.figure_)


@pytest.mark.parametrize("label", FROM_ESTIMATOR)
def test_refuses_what_is_not_fitted_or_no_flow(label, table):
    with pytest.raises(NotFittedError):
        FROM_ESTIMATOR[label](StructureSearchFlow(), table)
    with pytest.raises(TypeError, match="EmpiricalCovariance"):
        FROM_ESTIMATOR[label](EmpiricalCovariance().fit(table), table)
    with pytest.raises(TypeError):
        FROM_ESTIMATOR[label](np.zeros((3, 4)), table)


@pytest.mark.parametrize("label", ["training", "quantiles", "latent PIT"])
def test_a_pipeline_is_told_to_give_its_last_step(label, flow, table):
    pipeline = make_pipeline(StandardScaler(), CouplingFlowDensity(2, **FAST)).fit(table)
    with pytest.raises(TypeError, match=r"last step, pipeline\[-1\]"):
        FROM_ESTIMATOR[label](pipeline, table)


@pytest.mark.parametrize("label", ["quantiles", "latent PIT"])
def test_a_latent_view_needs_a_single_member(label, ensemble, table):
    with pytest.raises(ValueError, match="n_estimators=1"):
        FROM_ESTIMATOR[label](ensemble, table)


def test_without_matplotlib_it_says_what_to_install(monkeypatch, flow):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"MaskDisplay.plot requires matplotlib"):
        MaskDisplay.from_estimator(flow)


def test_all_displays_are_public():
    assert {name for name in vars(inspection) if name.endswith("Display")} == set(
        inspection.__all__
    )


WRONG = {
    "dtype float64": lambda flow, X: MaskDisplay.from_masks(np.ones((2, 3))),
    r"shape \(3,\)": lambda flow, X: MaskDisplay.from_masks(np.ones(3, dtype=bool)),
    "1 names": lambda flow, X: MaskDisplay.from_masks(masks.parity(2, 3), feature_names=["a"]),
    "history is empty": lambda flow, X: SearchHistoryDisplay.from_history([]),
    "'depth', which is not a column": partial(DensityDisplay.from_estimator, features=("depth", 1)),
    "0 to 3": partial(DensityDisplay.from_estimator, features=(0, 4)),
    "two different": partial(DensityDisplay.from_estimator, features=(1, "width")),
    r"at has shape \(2,\)": partial(DensityDisplay.from_estimator, at=[1.0, 2.0]),
    r"in \(0, 1\)": partial(DensityDisplay.from_estimator, grid_resolution=5, shares=[0.5, 1.0]),
    "from 0 to 1": lambda flow, X: PITDisplay.from_values([0.5, 1.5]),
    "'latent' or 'density'": partial(PITDisplay.from_estimator, values="rank"),
    "rows has shape": partial(ConditionalDisplay.from_estimator, feature=0, rows=np.zeros(4)),
    "features has 9": partial(ConditionalDisplay.from_estimator, feature=9, rows=np.zeros((1, 4))),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_drawn_is_a_sentence(flow, table, message):
    with pytest.raises(ValueError, match=message):
        WRONG[message](flow, table)


# ---- masks


def test_masks_are_the_cells(flow):
    display = MaskDisplay.from_estimator(flow)
    display.figure_.canvas.draw()
    colors = display.mesh_.get_facecolors()[:, :3].reshape(2, 4, 3)
    dark = np.linalg.norm(colors - to_rgb("#0072b2"), axis=2) < 1e-6
    assert np.array_equal(dark, flow.masks_)
    assert display.ax_.yaxis_inverted()  # data enter at the top
    assert texts(display.ax_.get_yticklabels()) == ["1", "2"]
    assert texts(display.ax_.get_xticklabels()) == NAMES


def test_masks_of_a_pipeline_and_of_a_grid(table):
    pipeline = make_pipeline(StandardScaler(), CouplingFlowDensity(2, **FAST))
    grid = GridSearchCV(pipeline, {"couplingflowdensity__n_bins": [4]}, cv=2)
    with pytest.raises(NotFittedError):
        MaskDisplay.from_estimator(grid)
    grid.fit(table)
    for estimator in (grid, grid.best_estimator_):
        display = MaskDisplay.from_estimator(estimator, feature_names=NAMES)
        assert np.array_equal(display.masks, grid.best_estimator_[-1].masks_)
        assert display.feature_names == NAMES
    with pytest.raises(ValueError, match="has 1 names, but masks 4"):
        MaskDisplay.from_estimator(grid, feature_names=["a"])


def test_masks_have_the_names_of_columns_that_are_no_categories(table):
    mixed = table.assign(**{NAMES[1]: np.arange(len(table)) % 2 > 0})
    flow = CouplingFlowDensity(2, **FAST).fit(mixed)
    assert MaskDisplay.from_estimator(flow).feature_names == [NAMES[0], *NAMES[2:]]


def test_idle_features_are_white():
    roles = masks.Triangular(order="given").make(1, 3)
    display = MaskDisplay.from_masks(roles)
    display.figure_.canvas.draw()
    colors = display.mesh_.get_facecolors()[:, :3].reshape(3, 3, 3)
    assert np.array_equal((colors == 1).all(axis=2), roles == masks.IDLE)
    labels = texts(display.ax_.get_legend().get_texts())
    assert labels == ["transformed", "conditions", "idle"]


def test_members_one_at_a_time(ensemble):
    display = MaskDisplay.from_estimator(ensemble, member=1)
    assert np.array_equal(display.masks, ensemble.masks_[1])
    assert display.name == "member 1 of 2"
    with pytest.raises(ValueError, match="from 0 to 1"):
        MaskDisplay.from_estimator(ensemble, member=2)


@pytest.mark.parametrize("name", [None, "band {}", "a rather long name, {}"])
@pytest.mark.parametrize("shape", [(1, 1), (8, 60), (40, 200)])
def test_labels_of_masks_do_not_overlap(shape, name):
    names = name and [name.format(j) for j in range(shape[1])]
    display = MaskDisplay.from_masks(np.ones(shape, dtype=bool), feature_names=names)
    if shape == (8, 60) and name == "band {}":  # all are written
        assert texts(display.ax_.get_xticklabels()) == names
    display.figure_.canvas.draw()
    for axis in (display.ax_.xaxis, display.ax_.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert boxes
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
        assert min(label.get_fontsize() for label in axis.get_ticklabels()) >= 6.5


# ---- curves


def test_training_curves_are_log_densities(flow):
    display = TrainingCurveDisplay.from_estimator(flow)
    training, validation = display.lines_
    assert np.array_equal(training.get_ydata(), -np.array(flow.loss_curve_))
    assert np.array_equal(validation.get_ydata(), flow.validation_scores_)
    assert training.get_xdata().tolist() == list(range(1, flow.n_iter_ + 1))
    assert display.best_epoch_ == 1 + int(np.argmax(flow.validation_scores_))


def test_without_validation_the_lowest_loss_is_best(table):
    flow = CouplingFlowDensity(2, early_stopping=False, **FAST).fit(table)
    display = TrainingCurveDisplay.from_estimator(flow)
    assert len(display.lines_) == 1
    assert display.best_epoch_ == 1 + int(np.argmin(flow.loss_curve_))


def test_a_huge_first_loss_does_not_flatten_the_curve():
    display = TrainingCurveDisplay(loss_curve=[1e12, np.inf, 3.0, 2.0, 1.0, 1.5]).plot()
    low, high = display.ax_.get_ylim()
    assert low < -3 and high > -1 and high - low < 10
    marked = display.ax_.lines[1]
    assert marked.get_marker() == "v"
    assert marked.get_xdata().tolist() == [1, 2]


def test_history_of_a_search(flow):
    display = SearchHistoryDisplay.from_estimator(flow)
    assert display.iteration.tolist() == list(range(13))
    assert np.array_equal(np.minimum.accumulate(display.cost), display.best_cost)
    rejected, accepted, best = display.ax_.lines
    assert len(rejected.get_xdata()) + len(accepted.get_xdata()) == 13
    assert accepted.get_xdata().tolist() == np.flatnonzero(display.accepted).tolist()
    assert np.array_equal(best.get_ydata(), display.best_cost)
    assert best.get_drawstyle() == "steps-post"


def test_huge_and_infinite_costs_are_marked_at_the_edge():
    costs = [1e300, np.inf, 5.0, 4.0, 6.0, 5.0, 3.0, 7.0]
    best = np.minimum.accumulate(costs)
    history = [record(t, c, c == b, b) for t, (c, b) in enumerate(zip(costs, best))]
    display = SearchHistoryDisplay.from_history(history)
    low, high = display.ax_.get_ylim()
    assert low < 3 and 7 < high < 10
    marked = display.ax_.lines[-1]
    assert marked.get_xdata().tolist() == [0, 1]
    assert (marked.get_ydata() == high).all()
    display.figure_.canvas.draw()


@pytest.mark.parametrize("cost", [2.5, np.inf])
def test_a_search_of_one_record(cost):
    display = SearchHistoryDisplay.from_history([record(0, cost, True, cost)])
    display.figure_.canvas.draw()
    assert np.isfinite(display.ax_.get_ylim()).all()


def test_history_that_is_absent(ensemble):
    with pytest.raises(TypeError, match="mask_layout='search'"):
        SearchHistoryDisplay.from_estimator(ensemble)


# ---- a density over a plane


def test_regions_of_a_gaussian_are_its_ellipses():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((2000, 2)) * [1, 100]
    gaussian = GaussianMixture(1, random_state=0).fit(X)
    shares = [0.5, 0.9]
    display = DensityDisplay.from_estimator(
        gaussian, X, grid_resolution=300, margin=0.3, shares=shares
    )
    peak = gaussian.score_samples(gaussian.means_)[0]
    # of a Gaussian, -2 (log p - log p_max) is chi-squared with two degrees of freedom
    expected = peak - stats.chi2.ppf(shares, 2) / 2
    assert display.levels_ == pytest.approx(sorted(expected), abs=0.02)
    assert texts(display.colorbar_.ax.get_yticklabels()) == ["90 %", "50 %"]


@pytest.mark.parametrize("at", [None, 7])
@pytest.mark.parametrize("features", [("width", "weight"), (1, 3), (1, -1)])
def test_a_slice_holds_the_other_features(flow, table, features, at):
    point = table.median() if at is None else table.iloc[at].copy()
    display = DensityDisplay.from_estimator(
        flow, table, features=features, at=None if at is None else point, grid_resolution=5
    )
    point["width"], point["weight"] = display.xx0[2, 3], display.xx1[2, 3]
    expected = flow.score_samples(point.to_frame().T)[0]
    assert display.log_density[2, 3] == pytest.approx(expected)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("width", "weight")
    assert ("median" if at is None else "given values") in display.name


def test_a_flat_density_has_one_region():
    X = np.random.RandomState(0).uniform(size=(50, 2))
    kernels = KernelDensity(kernel="tophat", bandwidth=100.0).fit(X)
    display = DensityDisplay.from_estimator(kernels, X, grid_resolution=10)
    assert len(display.levels_) == 1
    display.figure_.canvas.draw()


# ---- pairs


def test_pairs_mirror_each_other(flow, table):
    display = PairPlotDisplay.from_estimator(
        flow, table, features=["height", 0], n_samples=100, random_state=1
    )
    drawn = flow.sample(100, random_state=1)[["height", "length"]].to_numpy()
    assert np.array_equal(display.samples, drawn)
    (below,), (above,) = display.axes_[1, 0].collections, display.axes_[0, 1].collections
    assert np.array_equal(below.get_offsets(), table[["height", "length"]])
    assert np.array_equal(above.get_offsets(), drawn[:, ::-1])
    assert display.axes_[1, 0].get_xlim() == display.axes_[0, 0].get_xlim()
    assert display.axes_[1, 0].get_xlabel() == "height"
    assert display.axes_[1, 0].get_ylabel() == "length"


def test_samples_far_away_do_not_ruin_the_axes_and_are_counted(table):
    samples = table.to_numpy().copy()
    samples[:7, 1] = 1e6
    display = PairPlotDisplay.from_samples(table, samples)
    assert display.n_outside_ == 7
    assert display.axes_[1, 0].get_ylim()[1] < 100
    assert display.feature_names == NAMES
    assert any("7 of 400" in text for text in texts(display.figure_.findobj(Text)))


def test_pairs_of_models_that_sample_otherwise(table):
    mixture = GaussianMixture(1, random_state=0).fit(table)
    with pytest.raises(TypeError, match="from_samples"):
        PairPlotDisplay.from_estimator(mixture, table)
    display = PairPlotDisplay.from_samples(table, mixture.sample(50)[0])
    assert display.samples.shape == (50, 4)
    with pytest.raises(ValueError, match="4 columns"):
        PairPlotDisplay.from_samples(table, np.zeros((5, 3)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pairs_with_categories_by_colour(table, library):
    frames = pytest.importorskip(library)
    kind = ["b" if length > 1 else "a" for length in table.length]
    X = frames.DataFrame({"kind": kind, **{name: table[name].to_list() for name in NAMES}})
    display = PairPlotDisplay.from_samples(X, X[:100], hue="kind")
    assert display.feature_names == NAMES  # those that are numbers
    (below,), (above,) = display.axes_[1, 0].collections, display.axes_[0, 1].collections
    colors = np.array([to_rgb("#d55e00" if k == "a" else "#0072b2") for k in kind])
    np.testing.assert_allclose(below.get_facecolors()[:, :3], colors)
    np.testing.assert_allclose(above.get_facecolors()[:, :3], colors[:100])
    assert {"a", "b"} < set(texts(display.figure_.findobj(Text)))
    with pytest.raises(ValueError, match="hue='kind' shows it by colour"):
        PairPlotDisplay.from_samples(X, X, features=["length", "kind"])


def test_pairs_of_many_categories_and_of_missing(table):
    X = table.assign(code=np.arange(400) % 9)
    X.loc[X.code == 8, "length"] = np.nan
    X.loc[0, "code"] = np.nan
    display = PairPlotDisplay.from_samples(X, X, features=[0, 1], hue="code")
    said = texts(display.figure_.findobj(Text))
    assert {"0.0", "6.0", "others"} < set(said)
    assert not {"7.0", "8.0"} & set(said)
    assert display.hue[0] == "missing"
    assert np.isfinite(display.axes_[0, 0].get_xlim()).all()


# ---- is the latent space Gaussian, is the model calibrated?


def test_quantiles_are_those_of_scipy(flow, table):
    display = PITDisplay.from_estimator(flow, table, scale="normal")
    Z = flow.transform(table)
    (_, ordered), _ = stats.probplot(Z[:, 2])
    normal = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    distance = [stats.kstest(column, "norm").statistic for column in Z.T]
    assert display.distance_[:4] == pytest.approx(distance)
    curves = {line.get_label(): line.get_xydata() for line in display.ax_.get_lines()}
    named = [[*NAMES, "distance from the origin"][j] for j in np.argsort(-display.distance_)[:3]]
    assert set(texts(display.ax_.get_legend().get_texts())) == {*named, "95 % of points"}
    for j, name in enumerate(NAMES):
        if name in named:
            expected = np.column_stack([normal, np.sort(Z[:, j])])
            assert curves[name] == pytest.approx(expected, abs=1e-9)
    shown = [line.get_ydata() for line in display.ax_.get_lines()]
    assert any(len(y) == 400 and np.allclose(y, ordered) for y in shown)
    PITDisplay.from_values([0.0, 0.5, 1.0]).plot(scale="normal").figure_.canvas.draw()
    with pytest.raises(ValueError, match="scale='log' is not known. Use 'uniform'"):
        display.plot(scale="log")


def test_transforms_of_the_models_own_rows_are_uniform(flow):
    own = pandas.DataFrame(flow.sample(2000, random_state=0, tails=True), columns=NAMES)
    display = PITDisplay.from_estimator(flow, own)
    Z = flow.transform(own)
    expected = [stats.kstest(column, "norm") for column in Z.T]
    expected.append(stats.kstest((Z**2).sum(axis=1), "chi2", args=(4,)))
    assert display.distance_ == pytest.approx([test.statistic for test in expected])
    assert display.pvalue_ == pytest.approx([test.pvalue for test in expected], rel=0.01)
    assert (display.pvalue_ > 0.01).all()
    whole = PITDisplay.from_estimator(flow, own, values="density", random_state=1)
    drawn = flow.sample(10_000, random_state=1, tails=True)
    drawn = pandas.DataFrame(drawn, columns=NAMES)
    test = stats.ks_2samp(flow.score_samples(own), flow.score_samples(drawn))
    assert whole.distance_[0] == pytest.approx(test.statistic, abs=1e-3)
    assert whole.pvalue_[0] == pytest.approx(test.pvalue, abs=0.05)
    assert whole.pvalue_[0] > 0.01


def test_the_whole_model_may_be_an_ensemble_or_a_mixture(ensemble, table):
    mixture = GaussianMixture(1, random_state=0).fit(table.to_numpy())
    for model, X in ((ensemble, table), (mixture, table.to_numpy())):
        display = PITDisplay.from_estimator(model, X, values="density", n_samples=500)
        assert display.values.shape == (400, 1)
    assert display.pvalue_[0] > 0.01  # the data are Gaussian


def test_values_that_are_given():
    u = np.random.RandomState(0).uniform(size=300)
    display = PITDisplay.from_values(u)
    test = stats.kstest(u, "uniform")
    assert display.pvalue_ == pytest.approx([test.pvalue])


def top(patch):
    """The upper end of a patch in units of the data, whatever kind Matplotlib makes it."""
    return patch.get_path().transformed(patch.get_patch_transform()).get_extents().y1


def test_the_band_holds_calibrated_curves_and_no_other():
    rng = np.random.RandomState(0)
    values = rng.uniform(size=(100, 100, 3))
    half = top(PITDisplay(values=values[0], names=["a", "b", "c"]).plot().ax_.patches[0])
    distances = stats.kstest(values, stats.uniform.cdf, axis=1).statistic
    n_outside = (distances.max(axis=1) > half).sum()
    assert 1 <= n_outside <= 11  # of 100 about 5 are expected; these are the 0.6 % tails


# ---- a column given others


def test_conditional_densities_integrate_to_one_and_are_of_the_rows(flow, table):
    rows = np.array(table[:2], dtype=float)
    rows[1, 1:] = np.nan  # nothing is given
    display = ConditionalDisplay.from_estimator(flow, table, 0, rows, grid_resolution=50)
    curves = np.vstack([display.density, display.marginal])
    assert trapezoid(curves, display.x) == pytest.approx(1)
    assert display.density[1] == pytest.approx(display.marginal)
    changed = np.tile(rows[0], (50, 1))
    changed[:, 0] = display.x
    changed = type(table)(changed, columns=table.columns)
    ratio = np.log(display.density[0]) - flow.score_samples(changed)
    assert np.ptp(ratio) < 1e-6
    assert display.labels[1] == "nothing"
    assert len(display.lines_) == 2


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_conditionals_of_a_table_with_categories(library):
    frame = pytest.importorskip(library).DataFrame
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 600, p=[0.5, 0.3, 0.2])
    means = {"a": -2.0, "b": 0.0, "c": 3.0}
    x = rng.normal(size=600) + [means[name] for name in kind]
    X = frame({"x": x, "kind": kind, "yes": x > 0})
    flow = CouplingFlowDensity(2, max_iter=10, component_weight=0, random_state=0).fit(X)

    rows = frame({"x": [-2.0, 3.0], "kind": [None, "c"], "yes": [None, None]})
    display = ConditionalDisplay.from_estimator(flow, X, "kind", rows)
    assert display.x.tolist() == ["a", "b", "c"]
    assert display.labels == ["x -2", "x 3"]
    shares = np.exp(-0.5 * (np.array([[-2.0], [3.0]]) - [list(means.values())]) ** 2)
    shares *= [0.5, 0.3, 0.2]  # Bayes' rule
    assert display.density == pytest.approx(shares / shares.sum(axis=1)[:, None], abs=0.05)
    assert display.marginal == pytest.approx(
        [np.mean(kind == name) for name in display.x], abs=0.01
    )
    assert len(display.lines_) == 2 and display.ax_.get_ylabel() == "probability"

    rows = frame({"x": [None, None], "kind": ["a", "c"], "yes": [None, True]})
    display = ConditionalDisplay.from_estimator(flow, X, "x", rows)
    assert display.labels == ["kind a", "kind c, yes True"]
    modes = display.x[display.density.argmax(axis=1)]
    assert modes == pytest.approx([-2, 3], abs=0.8)
    assert trapezoid(display.density, display.x) == pytest.approx(1)


def test_conditionals_of_columns_with_pandas_own_missing_value():
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 300)
    X = pandas.DataFrame(
        {
            "count": pandas.array(rng.integers(0, 50, 300), dtype="Int64"),
            "kind": pandas.array(kind, dtype="string"),
        }
    )
    flow = CouplingFlowDensity(2, max_iter=5, component_weight=0, random_state=0).fit(X)
    X.iloc[0] = pandas.NA
    rows = X.iloc[:2].copy()
    rows.iloc[1, 0] = 7
    for feature in X:
        display = ConditionalDisplay.from_estimator(flow, X, feature, rows)
        assert display.labels[0] == "nothing"
        assert display.density[0] == pytest.approx(display.marginal)
    assert display.x.tolist() == ["a", "b"] and display.labels[1] == "count 7"
