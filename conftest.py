"""For tests and docstrings alike: pictures without a screen, closed afterwards; what is slow."""

import doctest
import os
import re
import sys

import pytest
import torch
from threadpoolctl import ThreadpoolController

os.environ.setdefault("MPLBACKEND", "agg")  # before anything imports pyplot


#: Files of which most tests fit estimators as users would, as examples in docstrings do, or repeat
#: something often; elsewhere single tests are marked.
SLOW_FILES = {
    "test_candidates.py",
    "test_chain.py",
    "test_common.py",
    "test_completions.py",
    "test_components.py",
    "test_confidence_set.py",
    "test_conformal.py",
    "test_deadline.py",
    "test_density.py",
    "test_detectors.py",
    "test_displays.py",
    "test_events.py",
    "test_factor_model.py",
    "test_fitting_missing.py",
    "test_flow_density.py",
    "test_flow_regressor.py",
    "test_fuzz.py",
    "test_groups.py",
    "test_imputer.py",
    "test_inference.py",
    "test_inspection.py",
    "test_inverses.py",
    "test_journal.py",
    "test_martingale.py",
    "test_member_masks.py",
    "test_memory.py",
    "test_mixed.py",
    "test_mixed_missing.py",
    "test_modes.py",
    "test_outlier.py",
    "test_outlier_fitting.py",
    "test_outlier_missing.py",
    "test_output.py",
    "test_progress.py",
    "test_properties.py",
    "test_questions.py",
    "test_race.py",
    "test_reasons.py",
    "test_runtime.py",
    "test_saving.py",
    "test_scorers.py",
    "test_settings_of_others.py",
    "test_stacking.py",
    "test_structure_search.py",
    "test_summary.py",
    "test_tables.py",
    "test_typical.py",
    "test_unchanged.py",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds; -m 'not slow' leaves it out")


def pytest_ignore_collect(collection_path, config):
    """To read a file of which all tests are left out would only take time."""
    if config.option.markexpr == "not slow" and collection_path.name in SLOW_FILES:
        return True
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in SLOW_FILES or isinstance(item, pytest.DoctestItem):
            item.add_marker("slow")


def pytest_collection_finish():
    """Each of several workers takes its share of the cores."""
    share = max(1, os.cpu_count() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))
    torch.set_num_threads(min(share, torch.get_num_threads()))
    for pool in ThreadpoolController().lib_controllers:
        pool.set_num_threads(min(share, pool.num_threads))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def rough_numbers(request, monkeypatch):
    """Pages show what a training gives on one machine; another one trains a slightly other flow."""
    if request.path.suffix == ".md":
        monkeypatch.setattr(doctest.OutputChecker, "check_output", check_roughly)


DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d*(?:e[+-]?\d+)?")
check_exactly = doctest.OutputChecker.check_output


def check_roughly(checker, want, got, flags):
    """Whether words and whole numbers agree, and decimal numbers but for a fifth or for 0.2."""
    if check_exactly(checker, want, got, flags):
        return True
    wanted, found = ([float(x) for x in DECIMAL.findall(text)] for text in (want, got))
    loose = flags | doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # spaces differ where a number has a digit more
    words = DECIMAL.sub(" ... ", want), DECIMAL.sub(" 0 ", got)
    if not check_exactly(checker, *words, loose):
        return False
    if "..." in want:
        return True
    return len(wanted) == len(found) and all(
        abs(x - y) <= max(0.2 * abs(x), 0.2) for x, y in zip(wanted, found)
    )
