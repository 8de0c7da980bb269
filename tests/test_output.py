"""Samples in the container that scikit-learn's configuration asks for."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from small_flows import flow as small_flow

from skflow.inspection import PITDisplay

NAMES = ["length", "width"]
TABLE = pd.DataFrame(np.random.RandomState(0).standard_normal((60, 2)), columns=NAMES)


@pytest.fixture(scope="module")
def flow():
    return small_flow().fit(TABLE)


def test_an_array_by_default(flow):
    assert type(flow.sample(3, random_state=0)) is np.ndarray


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_a_data_frame_where_the_configuration_asks_for_it(flow, container):
    frame = pytest.importorskip(container)
    with config_context(transform_output=container):
        drawn = flow.sample(3, random_state=0)
    assert isinstance(drawn, frame.DataFrame) and list(drawn.columns) == NAMES
    np.testing.assert_array_equal(drawn, flow.sample(3, random_state=0))


def test_a_data_frame_where_the_estimator_asks_for_it(flow):
    asked = small_flow().set_output(transform="pandas")
    drawn = asked.fit(TABLE).sample(3, random_state=0)
    pd.testing.assert_frame_equal(
        drawn, pd.DataFrame(flow.sample(3, random_state=0), columns=NAMES)
    )
    assert asked.score_samples(drawn).shape == (3,)


def test_no_names_no_data_frame():
    with config_context(transform_output="pandas"):
        unnamed = small_flow().fit(TABLE.to_numpy())
        assert type(unnamed.sample(3)) is np.ndarray


def test_displays_draw_from_either(flow):
    with config_context(transform_output="pandas"):
        display = PITDisplay.from_estimator(flow, TABLE, values="density", random_state=0)
    assert display.values.shape == (60, 1)
