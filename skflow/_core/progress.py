"""Progress of long calls: a bar if tqdm is installed, lines of text otherwise, and callbacks.

A public call has one screen with one bar. Its loops, including those of inner estimators, show on
it in turn. Of nested loops the outermost shows.

For scikit-learn's callbacks (since its version 1.9), a fit is a task, and so is each of its long
loops: the search of a member, and the training. Each iteration is a task without parts.
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
        """Stands in for the mixin of newer versions of scikit-learn."""


_running = threading.local()
_T = TypeVar("_T")
#: Seconds before a loop over blocks of rows is shown.
PATIENCE = 2.0
#: Attributes of an estimator that belong to a running fit and are not saved.
SESSION = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx")


@contextmanager
def showing(verbose: int) -> Iterator[None]:
    """Open a screen for the loops in the context, if ``verbose`` and none is open."""
    if not verbose or _screen() is not None:
        yield
        return
    _running.screen = screen = _Screen()
    try:
        yield
    finally:
        del _running.screen
        screen.close()


def _screen() -> _Screen | None:
    return getattr(_running, "screen", None)


class _Screen:
    """Shows the loops of a call one after the other."""

    def __init__(self) -> None:
        self.loop: Progress | None = None
        self.on_bar: Progress | None = None
        self.bar: Any = None
        try:
            # as text also in a notebook, whose exported copy has no room for widgets
            from tqdm import tqdm
        except ImportError:
            tqdm = None
        self.tqdm: Any = tqdm

    def show(self, loop: Progress, figures: dict[str, Any]) -> None:
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

    def _print(self, loop: Progress, shown: dict[str, str]) -> None:
        """Print a line about every second."""
        now = clock()
        if now - loop.printed >= 1 or loop.count in (1, loop.total):
            left = (now - loop.start) / loop.count * (loop.total - loop.count)
            text = "".join(f"{name} {value}, " for name, value in shown.items())
            print(f"{loop.description}: {loop.count}/{loop.total}, {text}{left:.0f} s left")
            loop.printed = now

    def close(self) -> None:
        if self.bar is not None:
            self.bar.total = self.bar.n  # ended before the last step
            self.bar.close()


class Progress:
    """Progress of a loop of ``total`` updates, on the screen of the call if it has one.

    It is shown after ``patience`` seconds. ``task`` is scikit-learn's context, whose callbacks get
    the arguments ``told``.
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
        """Count a step, with figures to show; return whether a callback asks to stop.

        ``fitted`` returns the attributes of an estimator that is fitted up to here.
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
        """End the loop, perhaps before its last step."""
        if self.screen is not None:
            self.screen.loop = self.screen = None
        if self.task is not None:
            self.task.call_on_fit_task_end(**self.told)


class FitProgress:
    """Reports the long loops of a fit to the estimator's callbacks and to the screen.

    ``X`` returns the rows of the fit, as the estimator's methods take them.
    """

    def __init__(self, estimator: Any, X: Callable[[], Any], y: np.ndarray | None = None) -> None:
        self.context: Any = None
        self.told: Any = None
        if getattr(estimator, "_skl_callbacks", None):
            rows = X()
            # scikit-learn's monitor of scores passes over tasks without y, which a density ignores
            self.told = {
                "estimator": estimator,
                "X": rows,
                "y": np.zeros(len(rows)) if y is None else y,
            }
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(**self.told)

    def __call__(self, description: str, total: int) -> Progress:
        """Return the progress of one loop."""
        task = None
        if self.context is not None:
            task = self.context.subcontext(task_name=description, max_subtasks=total)
            task.call_on_fit_task_begin(**self.told)
        return Progress(description, total, task=task, told=self.told)

    def close(self) -> None:
        """End the fit."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})


def shown(steps: Iterable[_T], description: str, total: int) -> Iterator[_T]:
    """Yield the steps of a loop, and show it if it takes more than two seconds."""
    if total <= 1:  # leaves the screen to inner loops
        yield from steps
        return
    progress = Progress(description, total, PATIENCE)
    try:
        for step in steps:
            yield step
            progress.update()
    finally:
        progress.close()


def _short(value: float) -> str:
    if isinstance(value, Integral):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.3g}"
