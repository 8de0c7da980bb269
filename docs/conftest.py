"""The pages are doctests; what sphinx makes is not.

Pages show what a training gives on one machine. Another machine or version rounds differently and
trains a slightly different flow, so a decimal number of an output may be off by a fifth, or by 0.2;
words and whole numbers have to agree. Draws, which are other ones then, are shown with the flag
``+SKIP``, which a built page leaves out. ``python docs/refresh.py`` writes the present outputs.
"""

import doctest
import re

collect_ignore = [
    "conf.py",
    "folded.py",
    "gallery.py",
    "refresh.py",
    "_build",
    "auto_examples",
    "generated",
]

DECIMAL = re.compile(r"(?<![\w.])-?\d+\.\d*(?:e[+-]?\d+)?")
check_exactly = doctest.OutputChecker.check_output


def check_roughly(checker, want, got, flags):
    if check_exactly(checker, want, got, flags):
        return True
    wanted, found = ([float(x) for x in DECIMAL.findall(text)] for text in (want, got))
    if "..." not in want and len(wanted) != len(found):
        return False
    loose = flags | doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # spaces differ where a number has a digit more
    if not check_exactly(
        checker, DECIMAL.sub(" ... ", want), DECIMAL.sub(" 0 ", got), loose
    ):
        return False
    return "..." in want or all(
        abs(x - y) <= max(0.2 * abs(x), 0.2) for x, y in zip(wanted, found)
    )


doctest.OutputChecker.check_output = check_roughly
