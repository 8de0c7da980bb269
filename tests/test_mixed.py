"""Tables with categories and spikes: the density of both parts, and what comes out."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.linear_model import LinearRegression
from small_flows import flow

from skflow import CouplingFlowDensity, FlowOutlierDetector, FlowRegressor
from skflow._outliers.reasons import explain_rows
from skflow._table.dtypes import integers


def mixed_table(n_rows=600, seed=0):
    """Two real columns (one is 0 in two fifths of the rows), a category and a truth value."""
    rng = np.random.RandomState(seed)
    kind = rng.choice(3, n_rows, p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {
            "length": rng.normal(size=n_rows) + 2 * kind,
            "kind": pd.Categorical(np.array(["a", "b", "c"])[kind]),
            "income": np.where(rng.uniform(size=n_rows) < 0.4, 0, np.exp(rng.normal(size=n_rows))),
            "member": rng.uniform(size=n_rows) < 0.2 + 0.3 * (kind == 2),
        }
    )


FRAME = mixed_table()


@pytest.fixture(scope="module")
def fitted():
    return flow(max_iter=20, component_weight="auto").fit(FRAME)


def test_samples_look_like_the_table(fitted):
    drawn = fitted.sample(4000, random_state=0)
    assert list(drawn.dtypes) == list(FRAME.dtypes)
    assert (drawn.income == 0).mean() == pytest.approx((FRAME.income == 0).mean(), abs=0.04)
    shares = drawn.kind.value_counts(normalize=True, sort=False)
    np.testing.assert_allclose(
        shares, FRAME.kind.value_counts(normalize=True, sort=False), atol=0.04
    )
    for kind, part in FRAME.groupby("kind", observed=True):
        assert drawn.length[drawn.kind == kind].mean() == pytest.approx(
            part.length.mean(), abs=0.25
        )


def test_the_density_sums_and_integrates_to_one(fitted):
    """Over both real columns and all values of the others, at the spike and beside it."""
    x, step = np.linspace(-6, 12, 91, retstep=True)
    total = 0.0
    for kind in "abc":
        for member in (False, True):
            z = np.linspace(-9, 4, 131)
            # the income is bounded below only by the density: both sides in logarithmic steps
            y = np.concatenate([-np.exp(z[::-1]), np.exp(z)])
            grid = np.array([(a, b) for a in x for b in y])
            frame = pd.DataFrame({"length": grid[:, 0], "kind": kind, "income": grid[:, 1]})
            frame["member"] = member
            density = np.exp(fitted.score_samples(frame)).reshape(len(x), len(y))
            total += step * trapezoid(density, y, axis=1).sum()
            line = pd.DataFrame({"length": x, "kind": kind, "income": 0.0, "member": member})
            total += step * np.exp(fitted.score_samples(line)).sum()
    assert total == pytest.approx(1, abs=0.03)


def test_a_category_that_was_not_seen_is_rare(fitted):
    new = FRAME[:5].assign(kind="d")
    assert (fitted.score_samples(new) < fitted.score_samples(FRAME[:5]) - 2).all()
    strict = flow(handle_unknown="error").fit(FRAME)
    with pytest.raises(ValueError, match="Column 'kind' of X has the category 'd'"):
        strict.score_samples(new)


def test_other_frames_and_arrays_are_the_same_table():
    scores = flow().fit(FRAME).score_samples(FRAME)
    as_polars = polars.DataFrame({name: FRAME[name].to_list() for name in FRAME})
    model = flow().fit(as_polars)
    np.testing.assert_allclose(model.score_samples(as_polars), scores)
    assert model.sample(5, random_state=0).schema == as_polars.schema
    array = FRAME.to_numpy(dtype=object)
    model = flow(categorical_features=[1, 3]).fit(array)
    np.testing.assert_allclose(model.score_samples(array), scores)
    assert set(model.sample(50, random_state=0)[:, 1]) == set("abc")


def test_decimals_are_drawn_as_such_and_objects_as_floats():
    rng = np.random.default_rng(0)
    price = [Decimal(f"{value:.2f}") for value in rng.normal(size=60)]
    size = polars.Series("size", rng.normal(size=60).tolist(), dtype=polars.Object)
    frame = polars.DataFrame({"kind": ["a", "b"] * 30, "price": price}).with_columns(size)
    drawn = flow(max_iter=1).fit(frame).sample(3, random_state=0)
    assert drawn.dtypes == [polars.String, frame.dtypes[1], polars.Float64]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "UInt64"])
def test_integers_go_as_far_as_their_dtype_reaches(dtype):
    limits = np.iinfo(dtype.lower())
    drawn = integers(np.array([-1e30, 0.6, 1e30]), limits.min, limits.max)
    drawn = pd.Series(drawn).astype(dtype)
    assert drawn[0] == limits.min and drawn[1] == 1
    assert drawn[2] == pytest.approx(limits.max, rel=1e-15)


def test_a_spike_in_an_array():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(800, 2))
    X[::4, 1] = 5.0
    model = flow(max_iter=40).fit(X)
    drawn = model.sample(4000, random_state=0)
    assert isinstance(drawn, np.ndarray)
    assert (drawn[:, 1] == 5).mean() == pytest.approx(0.25, abs=0.03)
    truth = np.log(0.25) + norm.logpdf(X[::4, 0])
    assert np.mean(model.score_samples(X[::4]) - truth) == pytest.approx(0, abs=0.1)
    assert not hasattr(flow(spikes=False).fit(X)._density, "chain")


def test_the_latent_space_is_that_of_the_real_part(fitted):
    assert fitted.transform(FRAME).shape == (600, 2)
    assert len(fitted.get_feature_names_out()) == 2
    with pytest.raises(ValueError, match="inverse_transform needs a table"):
        fitted.inverse_transform(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("params", "frame", "match"),
    [
        ({"categorical_features": ["color"]}, FRAME, r"categorical_features=\['color'\]"),
        ({"bounds": {"kind": (0, 1)}}, FRAME, "bounds has limits for column 'kind'"),
        ({}, FRAME[["kind", "member"]], "All columns of X are categorical"),
        (
            {},
            FRAME.assign(name=[f"row {i}" for i in range(len(FRAME))]),
            "Column 'name' of X has more categories than a fifth",
        ),
    ],
)
def test_what_cannot_be_is_said(params, frame, match):
    with pytest.raises(ValueError, match=match):
        CouplingFlowDensity(**params).fit(frame)


# ---- outliers


@pytest.fixture(scope="module")
def detector():
    small = flow(max_iter=25, n_layers=3, random_state=None)
    return FlowOutlierDetector(small, random_state=0).fit(FRAME)


def test_a_category_that_does_not_go_with_the_rest_is_named(detector):
    swapped = FRAME[FRAME.kind == "a"].sort_values("length")[:20].assign(kind="c")
    assert (detector.pvalue(swapped) < 0.05).mean() > 0.9
    report = detector.report(swapped)
    assert report.column.isin(["kind", "length"]).all()
    assert (report.column == "kind").mean() > 0.4
    named = report[report.column == "kind"]
    assert (named.value == "c").all() and (named.usual_from == "a").all()


def test_reasons_do_not_depend_on_units(detector):
    """Also of a column in which some values have a probability, others a density."""
    score = lambda X: norm.logpdf(X[:, 0]) + np.where(X[:, 1] == 0, np.log(0.4), -1.0)  # noqa: E731
    X = np.array([[0.0, 0.0], [0.0, 2.0]])
    tried = np.column_stack([np.linspace(-5, 5, 41), np.linspace(0, 6, 41)])
    nats = explain_rows(score, X, tried, spikes={1: 0.0})[0]
    metres = explain_rows(
        lambda X: score(X / 1000) - np.log(1000) * (X[:, 1] != 0),
        X * 1000,
        tried * 1000,
        spikes={1: 0.0},
    )[0]
    np.testing.assert_allclose(nats[:, 1], metres[:, 1], atol=1e-6)


# ---- regression


def test_features_may_be_categories():
    kind = np.random.RandomState(0).choice(["a", "b"], 300)
    X = pd.DataFrame({"x": np.random.RandomState(1).normal(size=300), "kind": kind})
    y = X.x + 3 * (kind == "b") + 0.3 * np.random.RandomState(2).normal(size=300)
    small = {"n_estimators": 2, "max_iter": 20, "hidden_layer_sizes": (8,), "random_state": 0}
    for mean_estimator in (None, LinearRegression()):
        model = FlowRegressor(mean_estimator=mean_estimator, **small).fit(X, y)
        assert model.score(X, y) > 0.9
        assert model.n_features_in_ == 2
        assert np.isfinite(model.predict(X[:3].assign(kind="new"))).all()


def test_what_the_columns_are(fitted):
    assert fitted.columns_ == {
        "length": "real",
        "kind": "category (3)",
        "income": "real with a spike (at 0)",
        "member": "category (2)",
    }
    assert "1 real, 2 category, 1 real with a spike" in fitted.summary()
    assert np.isnan(fitted.location_).tolist() == [False, True, False, True]
