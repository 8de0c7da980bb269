"""What holds of every density, whatever the table: examples by hypothesis, always the same."""

import pickle
import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as tables

from skflow import CouplingFlowDensity

quick = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
KINDS = st.sampled_from(["affine", "spline"])
SHAPES = st.tuples(st.integers(12, 30), st.integers(1, 3))
# on a grid, so that no two columns are equal up to rounding, and with repeated values
ROWS = SHAPES.flatmap(
    lambda shape: tables.arrays(np.int64, shape, elements=st.integers(-1000, 1000))
).map(lambda X: X / 64)


def fit(X, coupling="spline", sample_weight=None, **params):
    small = {"hidden_layer_sizes": (8,), "max_iter": 2, "component_weight": 0.1}
    params = {**small, "random_state": 0, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of constant columns, copies, few values
        return CouplingFlowDensity(2, coupling=coupling, **params).fit(X, None, sample_weight)


@quick
@given(ROWS, KINDS)
def test_the_latent_space_leads_back(X, coupling):
    flow = fit(X, coupling)
    size = 1 + np.abs(X).max()
    np.testing.assert_allclose(flow.inverse_transform(flow.transform(X)), X, atol=1e-8 * size)


@quick
@given(ROWS, KINDS)
def test_scores_are_finite_saved_and_those_of_each_row_alone(X, coupling):
    flow = fit(X, coupling)
    scores = flow.score_samples(X)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(flow)).score_samples(X), scores)
    np.testing.assert_allclose(flow.score_samples(X[::-1])[::-1], scores, rtol=1e-10)
    np.testing.assert_allclose(flow.score_samples(X[:1]), scores[:1], rtol=1e-10)


@quick
@given(ROWS, KINDS)
def test_the_log_determinant_is_that_of_finite_differences(X, coupling):
    flow = fit(X, coupling, component_weight=0)
    x, d = X[:1] + 1e-3, X.shape[1]
    steps = 1e-6 * flow.scale_ * np.eye(d)
    slopes = (flow.transform(x + steps) - flow.transform(x - steps)) / 2e-6
    z = flow.transform(x)[0]
    log_det = np.linalg.slogdet(slopes)[1] - np.log(flow.scale_).sum()
    expected = -0.5 * (z @ z + d * np.log(2 * np.pi)) + log_det
    np.testing.assert_allclose(flow.score_samples(x)[0], expected, rtol=1e-3, atol=1e-2)


@quick
@given(tables.arrays(np.int64, 30, elements=st.integers(-1000, 1000)), KINDS)
def test_a_density_of_one_column_integrates_to_one(column, coupling):
    flow = fit(column[:, None] / 64, coupling)
    location, scale = flow.location_[0], flow.scale_[0]
    # even steps of arcsinh: fine near the rows, and far enough for the heaviest tail
    t = np.linspace(-14, 14, 40_001)
    x, slope = location + scale * np.sinh(t), scale * np.cosh(t)
    density = np.exp(flow.score_samples(x[:, None])) * slope
    assert abs((density[1:] + density[:-1]).sum() * (t[1] - t[0]) / 2 - 1) < 1e-3


@quick
@given(ROWS, st.sampled_from([2.0**-20, 0.25, 2.0, 2.0**30]))
def test_units_shift_the_log_density(X, unit):
    one, other = fit(X).score_samples(X), fit(unit * X).score_samples(unit * X)
    varying = int((np.ptp(X, axis=0) > 0).sum())  # a constant column has variance 1 in any unit
    np.testing.assert_allclose(other + varying * np.log(unit), one, rtol=1e-6, atol=1e-6)


@quick
@given(ROWS, st.sampled_from([1e-6, 0.5, 2.0, 1e6]), st.integers(0, 99))
def test_only_ratios_of_weights_matter(X, factor, seed):
    weights = np.random.default_rng(seed).integers(1, 9, len(X)).astype(float)
    one, other = fit(X, sample_weight=weights), fit(X, sample_weight=factor * weights)
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X), rtol=1e-4, atol=1e-4)
    same = fit(X, sample_weight=np.full(len(X), factor)).score_samples(X)
    np.testing.assert_array_equal(same, fit(X).score_samples(X))
