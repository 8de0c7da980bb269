"""Pictures in tests and docstrings: drawn without a screen, and closed afterwards."""

import os
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")  # before anything imports pyplot


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
