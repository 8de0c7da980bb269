"""A slice of ``fuzz.py``; the command draws as many cases as one likes."""

import pytest
from fuzz_frames import FrameCase
from fuzz_tables import TableCase

#: Cases that once ended otherwise: subnormal columns; infinities of both signs, also those that
#: float16 makes; values beyond single precision, with and without gaps; vanishing weights; integers
#: beyond their dtype; columns of polars objects; values that no grid reaches; tiny
#: steps and ranges; means of huge draws.
ONCE_FOUND = [111, 114, 218, 938, 997, 1005, 1055, 1059, 1162, 1703, 3731, 4190, 9041, 9059, 10287]
#: Frames: rows beyond the bounds that have gaps.
FRAMES_ONCE_FOUND = [329]


@pytest.mark.parametrize("number", [*range(40), *ONCE_FOUND])
def test_every_case_ends_well_or_with_a_sentence(number):
    case = TableCase(number)
    _, finding = case.run()
    assert finding is None, f"case {number}: {finding} {case.told}"


@pytest.mark.parametrize("number", [*range(40), *FRAMES_ONCE_FOUND])
def test_every_frame_is_the_plain_table_of_its_values_or_is_refused(number):
    case = FrameCase(number)
    _, finding = case.run()
    assert finding is None, f"case {number}: {finding} {case.told}"


def test_most_cases_give_results():
    outcomes = [TableCase(number).run()[0] for number in range(5)]
    outcomes += [FrameCase(number).run()[0] for number in range(5)]
    assert outcomes.count("result") > 4
