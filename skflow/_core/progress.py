"""Progress of a long loop: a bar where tqdm is installed, lines where it is not."""

import sys
import time
from numbers import Integral


class Progress:
    """A bar or, without tqdm, a line about every second; silent with ``verbose=0``.

    Parameters
    ----------
    verbose : int
    description : str
    total : int
        Number of updates until the end.
    """

    def __init__(self, verbose, description, total):
        self.description, self.total, self.count = description, total, 0
        self.bar = None
        self.silent = not verbose
        if self.silent:
            return
        self.start = self.printed = time.monotonic()
        try:
            # as text also in a notebook, whose exported copy has no room for widgets
            from tqdm import tqdm
        except ImportError:
            return
        self.bar = tqdm(total=total, desc=description, file=sys.stdout, leave=True)

    def update(self, **figures):
        """One step further, with figures to show."""
        self.count += 1
        if self.silent:
            return
        figures = {name: _short(value) for name, value in figures.items() if value is not None}
        if self.bar is not None:
            self.bar.set_postfix(figures, refresh=False)
            self.bar.update()
            return
        now = time.monotonic()
        if now - self.printed >= 1 or self.count in (1, self.total):
            left = (now - self.start) / self.count * (self.total - self.count)
            shown = ", ".join(f"{name} {value}" for name, value in figures.items())
            print(f"{self.description}: {self.count}/{self.total}, {shown}, {left:.0f} s left")
            self.printed = now

    def close(self):
        """The loop has ended, perhaps before its last step."""
        if self.bar is not None:
            self.bar.total = self.bar.n  # what was left is not left any more
            self.bar.close()


def _short(value):
    if isinstance(value, Integral):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.3g}"
