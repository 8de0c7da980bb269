"""Write what the examples of pages print into the pages.

    python docs/refresh.py docs/index.md docs/quickstart.md README.md
    python docs/refresh.py --full docs/index.md  # also where an ``...`` stands for numbers

Runs the examples of each page from top to bottom and puts what they print in the place of what the
page shows, so that its figures are those of the code as it is. An output that the page already
matches, say by an ``...``, is kept as it is written. Read the difference before you commit it.
"""

import contextlib
import doctest
import io
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def refreshed(text, full=False):
    """The text of a page with the outputs that its examples have now."""
    lines, names, moved = text.splitlines(), {"__name__": "__main__"}, 0
    for example in doctest.DocTestParser().get_examples(text):
        got = run(example, names)
        if same(example.want, got) and not (full and "..." in example.want):
            continue
        if example.exc_msg or "seconds" in example.want:
            continue
        start = example.lineno + moved + example.source.count("\n")
        old = example.want.count("\n")
        new = [
            "<BLANKLINE>" if not line.strip() else line.rstrip()
            for line in got.splitlines()
        ]
        lines[start : start + old] = [" " * example.indent + line for line in new]
        moved += len(new) - old
    return "\n".join(lines) + "\n"


def run(example, names):
    """What an example prints, with the value of an expression as the prompt shows it."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(example.source, "<page>", "single"), names)
    except Exception as error:
        if example.exc_msg is None:
            raise
        return f"Traceback (most recent call last):\n    ...\n{type(error).__name__}: {error}\n"
    return printed.getvalue()


def same(want, got):
    if "Traceback (most recent call last)" in want:
        start = want.splitlines()[-1].partition(" ...")[0]
        return start.split("...")[0] in got
    return doctest.OutputChecker().check_output(want, got, FLAGS)


if __name__ == "__main__":
    full = "--full" in sys.argv
    for path in [Path(name) for name in sys.argv[1:] if name != "--full"]:
        text = refreshed(path.read_text(encoding="utf-8"), full)
        path.write_text(text, encoding="utf-8")
