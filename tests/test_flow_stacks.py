"""Flows fitted side by side: the same as alone, each with what its folds left out."""

import numpy as np
import pytest

from skflow import CouplingFlowDensity, Training
from skflow._outliers.flow_stacks import fit_side_by_side
from skflow._outliers.resolutions import folds

QUICK = {"n_layers": 2, "hidden_layer_sizes": (8,), "max_iter": 4, "component_weight": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((60, 3)) * [1.0, 10.0, 0.1] + 5


@pytest.fixture(scope="module")
def fitted(X):
    flows = {
        "fine": CouplingFlowDensity(random_state=0, **QUICK),
        "coarse": CouplingFlowDensity(training=Training(noise=0.5), random_state=1, **QUICK),
        "other": CouplingFlowDensity(random_state=2, **QUICK).set_params(n_layers=3),
    }
    held_out, others = folds(len(X), np.random.RandomState(0))
    table = CouplingFlowDensity(**QUICK).fit(X)._table
    return flows, held_out, fit_side_by_side(flows, X, table, others, held_out)


def test_members_are_estimators_like_any_other(fitted, X):
    flows, held_out, members = fitted
    for name, flow in flows.items():
        assert len(members[name]) == len(held_out)
        for member in members[name]:
            assert type(member) is CouplingFlowDensity
            assert repr(member) == repr(flow)
            assert member.masks_.shape == (flow.n_layers, 3)
            assert len(member.loss_curve_) == member.n_iter_ == len(member.validation_scores_)
            assert member.n_parameters_ == member._density.flow.n_parameters > 0
            assert member.transform(X).shape == member.sample(60, random_state=0).shape
            rows = member.inverse_transform(member.transform(X))
            np.testing.assert_allclose(rows, X, rtol=1e-6)


def test_the_fold_is_what_validation_rows_are(fitted, X):
    """The curve's best value is the mean log-density of the rows that were left out."""
    _, held_out, members = fitted
    for member, rows in zip(members["fine"], held_out):
        best = max(member.validation_scores_)
        assert best == pytest.approx(member.score(X[rows]), abs=1e-4)


def test_members_differ_by_fold_and_noise(fitted, X):
    _, _, members = fitted
    scores = np.array([member.score_samples(X) for group in members.values() for member in group])
    assert len(np.unique(scores[:, 0])) == len(scores)
    fine, coarse = (np.mean([m.score(X) for m in members[name]]) for name in ("fine", "coarse"))
    assert fine > coarse


def test_members_can_be_trained_further(fitted, X):
    _, _, members = fitted
    member = members["fine"][0]
    before, masks = member.score(X), member.masks_
    member.set_params(warm_start=True, max_iter=20).fit(X)
    assert (member.masks_ == masks).all() and member.score(X) > before


def test_the_flows_that_were_given_are_not_fitted(fitted):
    flows, _, _ = fitted
    assert not any(hasattr(flow, "masks_") for flow in flows.values())
