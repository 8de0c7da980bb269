"""How far a long call is: a bar where tqdm is installed, lines where it is not, and callbacks.

A call at the border of the package has one screen, and one bar stays of it: the loops of the call,
also those of the estimators within, show on it in turn. Of loops within loops the outermost shows.

To scikit-learn's callbacks (from its version 1.9 on) a fit is a task, and so is each of its long
loops: a member's search, and the training. Each of their iterations is a task without parts.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, TypeVar

import numpy as np

from .deadline import clock

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


_running = threading.local()
_T = TypeVar("_T")
#: Seconds before a loop over blocks of rows is shown.
PATIENCE = 2.0
#: Attributes of an estimator that belong to a running fit or a session, and into no file.
SESSION = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx")


@contextmanager
def showing(verbose: int) -> Iterator[None]:
    """A screen for the loops within the context, if ``verbose`` and if there is none yet."""
    if not verbose or _screen() is not None:
        yield
        return
    _running.screen = screen = _Screen()
    try:
        yield
    finally:
        del _running.screen
        screen.close()


def _screen():
    return getattr(_running, "screen", None)


class _Screen:
    """What the loops of a call are shown on, one after the other."""

    def __init__(self):
        self.loop = self.bar = self.on_bar = None
        try:
            # as text also in a notebook, whose exported copy has no room for widgets
            from tqdm import tqdm
        except ImportError:
            tqdm = None
        self.tqdm = tqdm

    def show(self, loop, figures):
        shown = {name: _short(value) for name, value in figures.items() if value is not None}
        if self.tqdm is None:
            self._print(loop, shown)
            return
        if self.bar is None:
            self.bar = self.tqdm(file=sys.stdout, leave=True)
        if self.on_bar is not loop:
            self.on_bar = loop
            self.bar.reset(total=loop.total)
            self.bar.set_description(loop.description, refresh=False)
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(loop.count - self.bar.n)

    def _print(self, loop, shown):
        """A line about every second."""
        now = clock()
        if now - loop.printed >= 1 or loop.count in (1, loop.total):
            left = (now - loop.start) / loop.count * (loop.total - loop.count)
            told = "".join(f"{name} {value}, " for name, value in shown.items())
            print(f"{loop.description}: {loop.count}/{loop.total}, {told}{left:.0f} s left")
            loop.printed = now

    def close(self):
        if self.bar is not None:
            self.bar.total = self.bar.n  # what was left is not left any more
            self.bar.close()


class Progress:
    """Progress of a loop of ``total`` updates, on the screen of the call if it has one.

    It is shown after ``patience`` seconds. ``task`` is the context whose callbacks of scikit-learn
    are told, and ``told`` what.
    """

    def __init__(
        self,
        description: str,
        total: int,
        patience: float = 0.0,
        task: Any = None,
        told: Any = None,
    ) -> None:
        self.description, self.total, self.count = description, total, 0
        self.patience, self.start = patience, clock()
        self.printed = self.start
        self.task, self.told = task, told
        screen = _screen()
        self.screen: Any = screen if screen is not None and screen.loop is None else None
        if self.screen is not None:
            self.screen.loop = self

    def update(self, fitted: Callable | None = None, **figures: Any) -> bool:
        """One step further, with figures to show; True if a callback asks to stop.

        ``fitted`` returns attributes that make the estimator one that was fitted up to here.
        """
        self.count += 1
        if self.screen is not None and clock() - self.start >= self.patience:
            self.screen.show(self, figures)
        if self.task is None:
            return False
        step = self.task.subcontext(task_name="iteration")
        step.call_on_fit_task_begin(**self.told)
        return step.call_on_fit_task_end(**self.told, reconstruction_attributes=fitted)

    def close(self) -> None:
        """The loop has ended, perhaps before its last step."""
        if self.screen is not None:
            self.screen.loop = self.screen = None
        if self.task is not None:
            self.task.call_on_fit_task_end(**self.told)


class FitProgress:
    """Tells the callbacks of an estimator, and the screen, of the long loops of a fit.

    ``X`` returns the rows of the fit, as the estimator's methods take them.
    """

    def __init__(self, estimator, X, y=None):
        self.context = self.told = None
        if getattr(estimator, "_skl_callbacks", None):
            X = X()
            # scikit-learn's monitor of scores passes over tasks without y, which a density ignores
            self.told = {"estimator": estimator, "X": X, "y": np.zeros(len(X)) if y is None else y}
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(**self.told)

    def __call__(self, description, total):
        """The progress of one loop."""
        task = None
        if self.context is not None:
            task = self.context.subcontext(task_name=description, max_subtasks=total)
            task.call_on_fit_task_begin(**self.told)
        return Progress(description, total, task=task, told=self.told)

    def close(self):
        """The fit has ended."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})


def shown(steps: Iterable[_T], description: str, total: int) -> Iterator[_T]:
    """The steps of a loop, which is shown when it takes more than two seconds."""
    if total <= 1:  # it leaves the screen to what is within
        yield from steps
        return
    progress = Progress(description, total, PATIENCE)
    try:
        for step in steps:
            yield step
            progress.update()
    finally:
        progress.close()


def _short(value):
    if isinstance(value, Integral):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.3g}"
