"""Random tables, frames and parameters: every case ends well, or with a sentence.

    python tests/fuzz.py --cases 5000 --seed 0

A case is drawn from its number alone, so `--seed N --cases 1` repeats case N. Even numbers are
tables of numbers of any size and any parameters (`fuzz_tables.py`), odd ones are frames of any
library, dtypes and names beside the plain table of the same values (`fuzz_frames.py`).
"""

import argparse
import sys
import time
from collections import Counter

from fuzz_frames import FrameCase
from fuzz_tables import TableCase


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    arguments = parser.parse_args()
    started, outcomes, findings = time.time(), Counter(), []
    for number in range(arguments.seed, arguments.seed + arguments.cases):
        case = (FrameCase if number % 2 else TableCase)(number)
        outcome, finding = case.run()
        outcomes["finding" if finding else outcome] += 1
        if finding:
            findings.append(number)
            print(f"case {number}: {finding}\n    {case.told}", flush=True)
    counts = ", ".join(f"{count} {outcome}s" for outcome, count in sorted(outcomes.items()))
    print(f"{arguments.cases} cases in {time.time() - started:.0f} s: {counts}")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
