"""What several test modules share: the paper's data, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from small_flows import ESTIMATORS

from skflow._core.runtime import threads_for

PAPER_FILES = [f"{name}.csv.gz" for name in ("magic", "sonar", "turbine", "yeast")]
_BESIDE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data"
# Looked up once, because tests change the environment.
PAPER_HOME = Path(os.environ.get("SKFLOW_DATA") or _BESIDE_REPOSITORY).expanduser()


def pytest_configure(config):
    config.addinivalue_line("markers", "paper_data: needs the paper's prepared data sets")


def pytest_collection_modifyitems(items):
    absent = [name for name in PAPER_FILES if not (PAPER_HOME / name).is_file()]
    if not absent:
        return
    reason = (
        f"needs {', '.join(absent)}: put the prepared files into a directory "
        "and name it in the environment variable SKFLOW_DATA"
    )
    for item in items:
        if item.get_closest_marker("paper_data"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def one_thread(request):
    """A single thread for tests that call below the estimators, which limit threads themselves."""
    if request.module.__name__.split(".")[-1] in {
        "test_candidates",
        "test_conditioners",
        "test_couplings",
        "test_density",
        "test_fitting",
        "test_flow",
        "test_kernels",
        "test_optimizers",
        "test_training",
    }:
        with threads_for(0):
            yield
    else:
        yield


@pytest.fixture
def paper_data():
    """Return the directory of the prepared data, for tests marked ``paper_data``."""
    return PAPER_HOME


@pytest.fixture
def X():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 3)) * [1, 10, 0.1] + [0, 100, -3]
    X[:, 1] += 5 * X[:, 0] ** 2
    return X


# Components beside a flow take longer than it.
SLOW = {"tails": pytest.mark.slow}


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in ESTIMATORS])
def estimator(request):
    return clone(ESTIMATORS[request.param])
