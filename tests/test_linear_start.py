"""Where linear steps start, against Gaussians whose density is known."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from skflow import masks
from skflow._nn.flow import FlowStack
from skflow._nn.linear_start import start_linear
from skflow._nn.training_data import TrainingData

MIX = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1e-3, 0]])
#: Three parts, their total up to a thousandth, and a column of its own.
COVARIANCE = MIX.T @ MIX + np.diag([0, 0, 0, 0, 1.0])
MEAN = np.array([0.5, 0, -0.5, 1, 0])


def total_and_parts(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    return np.c_[rng.standard_normal((n, 4)) @ MIX[:, :4], rng.standard_normal(n)] + MEAN


def started(structures, X, noise=0.0, rows=None, **data):
    flow = FlowStack(np.asarray(structures), hidden_layer_sizes=(4,), linear=True)
    rows = torch.arange(len(X))[None] if rows is None else rows
    start_linear(flow, TrainingData(torch.as_tensor(X, dtype=torch.float32), rows, **data), noise)
    return flow.to(dtype=torch.float64)


def log_prob(flow, X):
    return flow.log_prob(torch.as_tensor(X))[0].mean().item()


TOTAL_LAST = masks.alternating([False, False, False, True, False], 2)[None]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_total_and_its_parts_have_nearly_their_density(noise):
    new = total_and_parts(seed=1)
    new += noise * np.random.default_rng(2).standard_normal(new.shape)
    truth = multivariate_normal(MEAN, COVARIANCE + noise**2 * np.eye(5)).logpdf(new).mean()
    found = log_prob(started(TOTAL_LAST, total_and_parts(), noise), new)
    if noise:  # then the column is not nearly determined
        assert found < truth - 1
    else:
        # means of parts, of variance 1, are not taken off by a layer that only the total passes
        assert found == pytest.approx(truth, abs=0.3)


def test_any_masks_of_some_layers_find_the_total():
    """Parity splits the parts: what it leaves of them is resolved by masks that split them."""
    structure = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0]])
    new = total_and_parts(seed=1)
    truth = multivariate_normal(MEAN, COVARIANCE).logpdf(new).mean()
    assert log_prob(started(structure[None] == 1, total_and_parts()), new) > truth - 0.1


def test_columns_that_are_not_nearly_determined_start_at_the_identity():
    rng = np.random.default_rng(0)
    X = total_and_parts() + 0.2 * rng.standard_normal((2000, 5))
    assert (started(TOTAL_LAST, X).theta == 0).all()
    # as many rows as columns always determine each other
    assert (started(TOTAL_LAST, rng.standard_normal((6, 5))).theta == 0).all()
    beside = started(TOTAL_LAST, total_and_parts()).parameters[0].linear
    assert beside.weight[0, 0, :3].abs().min() > 0.5 and beside.weight[0, 0, 3] == 0


def test_models_of_a_stack_start_each_by_their_own_rows():
    X = total_and_parts()
    rows = torch.stack([torch.arange(1000), torch.arange(1000, 2000)])
    flow = started(TOTAL_LAST.repeat(2, axis=0), X, rows=rows)
    for k in range(2):
        alone = started(TOTAL_LAST, X[rows[k]])
        torch.testing.assert_close(flow.theta[k], alone.theta[0], rtol=1e-6, atol=1e-6)
    assert (flow.theta[0] != flow.theta[1]).any()


def test_weights_are_as_repeated_rows_and_absent_numbers_are_noise():
    X = total_and_parts(400)
    weight = np.tile([0.0, 2.0], 200)
    weighted = started(TOTAL_LAST, X, weight=torch.as_tensor(weight, dtype=torch.float32))
    repeated = started(TOTAL_LAST, X[1::2].repeat(2, axis=0))
    torch.testing.assert_close(weighted.theta, repeated.theta, rtol=1e-5, atol=1e-5)
    X[::2, 3] = np.nan  # half of the totals are noise: no longer determined
    assert (started(TOTAL_LAST, X).theta == 0).all()


def test_two_linear_layers_of_any_mask_and_its_complement_are_any_gaussian():
    """As docs/theory.md proves: scales give both parts the eigenvalues that one V needs."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 5))
    covariance = A @ A.T + 0.1 * np.eye(5)
    mask = np.array([True, False, False, True, True])
    a, b = np.flatnonzero(mask), np.flatnonzero(~mask)
    of_b = covariance[np.ix_(b, b)]
    slopes = covariance[np.ix_(a, b)] @ np.linalg.inv(of_b)
    given_b = covariance[np.ix_(a, a)] - slopes @ covariance[np.ix_(b, a)]
    spectrum = np.array([1.0, 1e2, 1e4])  # of the larger part; the other has all but the first
    scale_b, (values_b, Q) = with_spectrum(of_b, spectrum[1:])
    scale_a, (_, R) = with_spectrum(np.linalg.inv(given_b), spectrum)
    V = Q * np.sqrt(values_b - 1) @ R[:, 1:].T / scale_b[:, None]  # x_B = z_B / scale_b + V z_A
    # z_A = scale_a^-1 (x_A - W x_B), where W is what is left for it beside V
    W = slopes - scale_a[:, None] * V.T @ np.linalg.inv(of_b)
    flow = FlowStack(masks.alternating(mask, 2)[None], hidden_layer_sizes=(4,), linear=True)
    steps = [(W, -np.log(scale_a)), (V, np.log(scale_b))]
    for parameters, (weight, log_scale) in zip(flow.parameters, steps):
        for start, value in zip(parameters.linear, (weight, log_scale, 0 * log_scale)):
            start.copy_(torch.as_tensor(value).view(start.shape))
    X = rng.multivariate_normal(np.zeros(5), covariance, 50)
    found = flow.to(dtype=torch.float64).log_prob(torch.as_tensor(X))[0]
    truth = multivariate_normal(np.zeros(5), covariance).logpdf(X)
    np.testing.assert_allclose(found, truth, rtol=1e-3)


def with_spectrum(matrix, spectrum):
    """Scales s for which ``s matrix s`` has a spectrum, and its eigenvalues and vectors."""
    scale = np.sqrt(spectrum / np.diag(matrix))
    for _ in range(200):
        values, vectors = np.linalg.eigh(scale[:, None] * matrix * scale)
        scale *= np.sqrt(spectrum / values)
    return scale, (values, vectors)
