"""Progress: silent, a bar, or lines."""

import sys

import numpy as np
import pytest

from skflow import CouplingFlowDensity, FlowImputer, FlowOutlierDetector, StructureSearchFlow
from skflow._core.progress import Progress, showing, shown
from skflow._nn.blocks import map_blocks


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_silence(capsys):
    for verbose in (0, None, False):
        with showing(verbose):
            progress = Progress("fit", 2)
            progress.update(loss=1.0)
            progress.close()
    assert capsys.readouterr() == ("", "")


def test_lines_without_tqdm(capsys, without_tqdm):
    with showing(1):
        progress = Progress("fit", 3)
        for loss in (3.0, 2.0, 1.0):
            progress.update(loss=loss, validation=None)
        progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fit: 1/3, loss 3.0000")
    assert lines[-1].startswith("fit: 3/3, loss 1.0000")
    assert lines[-1].endswith("0 s left")
    assert "validation" not in lines[0]


def test_a_bar_with_tqdm(capsys):
    pytest.importorskip("tqdm")
    with showing(1):
        progress = Progress("fit", 2)
        progress.update(loss=1.5, validation=2.5)
        progress.update(loss=1.25, validation=2.25)
        progress.close()
    shown = "".join(capsys.readouterr())
    assert "2/2" in shown
    assert "validation=2.2500" in shown


def test_a_loop_that_ends_early_is_no_failure(capsys):
    pytest.importorskip("tqdm")
    with showing(1):
        progress = Progress("fit", 100)
        progress.update(loss=1e300, accepted=2)
        progress.close()
    shown = "".join(capsys.readouterr())
    assert "1/1" in shown
    assert "loss=1e+300, accepted=2]" in shown


def test_one_bar_stays_of_all_loops(monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    bars = []

    class Counted(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            bars.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(tqdm, "tqdm", Counted)
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[::5, 0] = np.nan
    FlowImputer(CouplingFlowDensity(2, max_iter=2), verbose=1).fit(X)
    assert len(bars) == 1
    FlowOutlierDetector(verbose=1).fit(X[~np.isnan(X).any(axis=1)])
    assert len(bars) == 2


@pytest.mark.parametrize("seconds", [0.4, 4.0])
def test_blocks_of_rows_show_when_they_take_long(capsys, without_tqdm, monkeypatch, seconds):
    now = [0.0]
    monkeypatch.setattr("skflow._core.deadline.time.monotonic", lambda: now[0])
    # of several threads it would be open which block ends first
    monkeypatch.setattr("skflow._nn.blocks.allowed_threads", lambda: 1)

    def work(block):
        now[0] += seconds / 4
        return 2 * block

    with showing(1):
        assert map_blocks(work, [1, 2, 3, 4]) == [2, 4, 6, 8]
        # of loops within loops the outermost is shown, a single block is none
        assert list(shown([1], "one", 1)) == [1]
    lines = capsys.readouterr().out.splitlines()
    expected = ["blocks of rows: 2/4, 2 s left", "blocks of rows: 3/4, 1 s left"]
    assert lines == ([*expected, "blocks of rows: 4/4, 0 s left"] if seconds == 4 else [])


def test_search_and_fit_say_what_they_do(capsys, without_tqdm):
    X = 100 * np.random.RandomState(0).normal(size=(100, 4))
    model = StructureSearchFlow(
        2,
        coupling="affine",
        n_search_iter=3,
        n_candidate_steps=2,
        top_k=1,
        max_iter=2,
        verbose=1,
        random_state=0,
    ).fit(X)
    out = capsys.readouterr().out
    assert "search: 4/4, best_cost" in out
    assert "accepted" in out
    assert "fit: 2/2, loss" in out
    assert f"loss {model.loss_curve_[-1]:.4f}" in out  # in the units of the data
    assert f"validation {-model.validation_scores_[-1]:.4f}" in out
    assert f"best_cost {model.search_history_[-1].best_cost:.4f}" in out
    assert "validation" in out
