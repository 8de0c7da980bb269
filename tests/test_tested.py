"""Searches that are tested on rows of their own, and searches with a price."""

import numpy as np
import pytest

from skflow import FlowRegressor, StructureSearchFlow, masks
from skflow._flows.training_data import set_aside
from skflow._support.streams import RandomStreams


def a_tested_search(**params):
    small = {"hidden_layer_sizes": (), "coupling": "affine", "max_iter": 20, "tail_weight": 0}
    return StructureSearchFlow(
        2, n_search_iter=12, n_candidate_steps=10, test_fraction=0.3, **small, **params
    )


def test_a_search_is_tested_on_rows_of_its_own():
    X = np.random.default_rng(0).normal(size=(400, 1)) + 0.1 * np.random.default_rng(1).normal(
        size=(400, 5)
    )
    flow = a_tested_search(n_estimators=3, random_state=0).fit(X)
    test = flow.structure_test_
    assert test.n_rows == 120
    found = {name for named in test.sources for name in named.split(" and ")}
    assert found == {"searched", "random", "parity", "derived"}
    assert len({masks.tobytes() for masks in test.masks}) == len(test.masks)
    # those served are the first of the set
    served = flow.masks_ if flow.masks_.ndim == 3 else flow.masks_[None]
    kept = np.flatnonzero(test.in_set | (np.arange(len(test.masks)) == 0))[:3]
    assert np.array_equal(served, test.masks[kept])
    assert "searched masks on 120 rows that had no part" in flow.summary()
    # and the same seed gives the same test
    again = a_tested_search(n_estimators=3, random_state=0).fit(X)
    assert np.array_equal(again.structure_test_.p_values, test.p_values)


def test_rows_that_test_have_no_part_in_the_training():
    X = np.random.default_rng(0).normal(size=(200, 4))
    first = a_tested_search(standardize=False, random_state=0).fit(X)
    changed = X.copy()
    changed[set_aside(200, 0.3, RandomStreams(first._seed))[1]] += 1
    second = a_tested_search(standardize=False, random_state=0).fit(changed)
    assert np.array_equal(first.score_samples(X), second.score_samples(X))
    assert not np.array_equal(first.structure_test_.scores, second.structure_test_.scores)


def test_where_a_search_cannot_be_tested():
    X = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(ValueError, match="not with warm_start=True"):
        a_tested_search(warm_start=True).fit(X)
    layout = masks.EvolutionarySearch(3, test_fraction=0.2)
    with pytest.raises(ValueError, match="is for estimators of a density"):
        FlowRegressor(mask_layout=layout, n_estimators=1).fit(X[:, :1], X[:, 1:])


def test_a_price_makes_smaller_flows():
    X = np.random.default_rng(0).normal(size=(400, 12))
    X[:, 6:] += X[:, :6]
    small = {"hidden_layer_sizes": (), "coupling": "affine", "max_iter": 5, "tail_weight": 0}
    n_parameters = [
        StructureSearchFlow(
            2,
            search_space="sparse",
            parameter_price=price,
            n_search_iter=30,
            n_candidate_steps=20,
            random_state=0,
            **small,
        )
        .fit(X)
        .n_parameters_
        for price in (0.0, 0.01)
    ]
    assert n_parameters[1] < 0.8 * n_parameters[0]
    with pytest.raises(ValueError, match="not possible with candidate_start='inherit'"):
        StructureSearchFlow(search_space="sparse", candidate_start="inherit").fit(X)
