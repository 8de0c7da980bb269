"""For tests and docstrings alike: pictures without a screen, closed afterwards; what is slow."""

import os
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")  # before anything imports pyplot


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds; -m 'not slow' leaves it out")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name == "README.md":  # its examples train flows as users would
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
