"""Progress: silent, a bar, or lines."""

import sys

import numpy as np
import pytest

from skflow import StructureSearchFlow
from skflow._core.progress import Progress


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_silence(capsys):
    progress = Progress(0, "fit", 2)
    progress.update(loss=1.0)
    progress.close()
    assert capsys.readouterr() == ("", "")


def test_lines_without_tqdm(capsys, without_tqdm):
    progress = Progress(1, "fit", 3)
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
    progress = Progress(1, "fit", 2)
    progress.update(loss=1.5, validation=2.5)
    progress.update(loss=1.25, validation=2.25)
    progress.close()
    shown = "".join(capsys.readouterr())
    assert "2/2" in shown
    assert "validation=2.2500" in shown


def test_a_loop_that_ends_early_is_no_failure(capsys):
    pytest.importorskip("tqdm")
    progress = Progress(1, "fit", 100)
    progress.update(loss=1e300, accepted=2)
    progress.close()
    assert progress.bar.n == progress.bar.total == 1
    shown = "".join(capsys.readouterr())
    assert "1/1" in shown
    assert "loss=1e+300, accepted=2]" in shown


def test_search_and_fit_say_what_they_do(capsys, without_tqdm):
    X = 100 * np.random.RandomState(0).normal(size=(100, 4))
    model = StructureSearchFlow(
        2,
        coupling="affine",
        n_search_iter=3,
        n_candidate_steps=2,
        n_finalists=1,
        max_iter=2,
        verbose=1,
    ).fit(X)
    out = capsys.readouterr().out
    assert "search: 4/4, best_cost" in out
    assert "accepted" in out
    assert "fit: 2/2, loss" in out
    assert f"loss {model.loss_curve_[-1]:.4f}" in out  # in the units of the data
    assert f"validation {-model.validation_scores_[-1]:.4f}" in out
    assert f"best_cost {model.search_history_[-1].best_cost:.4f}" in out
    assert "validation" in out
