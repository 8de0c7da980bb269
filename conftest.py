"""For tests and docstrings alike: pictures without a screen, closed afterwards; what is slow."""

import os
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")  # before anything imports pyplot


#: Files of which most tests fit estimators as users would, as examples in docstrings do; elsewhere
#: single tests are marked.
SLOW_FILES = {
    "test_base.py",
    "test_bounds.py",
    "test_callbacks.py",
    "test_candidates.py",
    "test_cases.py",
    "test_common.py",
    "test_components.py",
    "test_density.py",
    "test_factor_model.py",
    "test_fitting_gaps.py",
    "test_flow_regressor.py",
    "test_fuzz.py",
    "test_imputer.py",
    "test_inference.py",
    "test_inspection.py",
    "test_journal.py",
    "test_metrics.py",
    "test_mixed.py",
    "test_mixed_gaps.py",
    "test_outlier.py",
    "test_outlier_gaps.py",
    "test_properties.py",
    "test_questions.py",
    "test_runtime.py",
    "test_saving.py",
    "test_stacking.py",
    "test_structure_search.py",
    "test_summary.py",
    "test_tested.py",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds; -m 'not slow' leaves it out")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in SLOW_FILES or isinstance(item, pytest.DoctestItem):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
