"""The deadline of a fit with ``max_time``, and how its parts share the time.

A limit holds for all code that runs within its context in the same thread, including fits of other
estimators. Of several limits, the earliest holds.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

_running = threading.local()
_T = TypeVar("_T")


def clock() -> float:
    """Return seconds from a fixed moment."""
    return time.monotonic()


def time_left() -> float:
    """Return the seconds until the deadline: at least 0, infinite without a limit."""
    return max(0.0, getattr(_running, "deadline", math.inf) - clock())


@contextmanager
def time_limit(seconds: float | None, anew: bool = False) -> Iterator[None]:
    """Limit the code in the context to so many seconds from now on; None adds no limit.

    ``anew`` lifts outer limits.
    """
    before = getattr(_running, "deadline", math.inf)
    others = math.inf if anew else before
    _running.deadline = others if seconds is None else min(others, clock() + seconds)
    try:
        yield
    finally:
        _running.deadline = before


def share_of_time(part: float) -> float | None:
    """Return a fraction of the seconds left, for ``time_limit``; None without a limit."""
    left = time_left()
    return None if math.isinf(left) else part * left


def in_turn(steps: list[_T]) -> Iterator[_T]:
    """Yield the steps of a loop, each limited to an even share of the time left."""
    for k, step in enumerate(steps):
        with time_limit(share_of_time(1 / (len(steps) - k))):
            yield step
