"""A slice of ``fuzz.py``; the command draws as many cases as one likes."""

import functools

import pytest
from fuzz_frames import FrameCase
from fuzz_tables import TableCase

#: Cases that once ended otherwise: subnormal columns; infinities of both signs, also those
#: that float16 makes; values beyond single precision, with and without missing cells; vanishing
#: weights; integers beyond their dtype; columns of polars objects; values that no grid reaches;
#: tiny steps and ranges; means of huge draws.
ONCE_FOUND = [111, 114, 218, 938, 997, 1005, 1055, 1059, 1162, 1703, 3731, 4190, 9041, 9059, 10287]
#: Frames: rows beyond the bounds with missing cells.
FRAMES_ONCE_FOUND = [329]


@functools.cache
def outcome_of(kind, number):
    case = kind(number)
    outcome, finding = case.run()
    return outcome, finding and f"case {number}: {finding} {case.told}"


@pytest.mark.parametrize("number", [*range(15), *ONCE_FOUND])
def test_every_case_ends_well_or_with_a_sentence(number):
    assert outcome_of(TableCase, number)[1] is None


@pytest.mark.parametrize("number", [*range(20), *FRAMES_ONCE_FOUND])
def test_every_frame_is_the_plain_table_of_its_values_or_is_refused(number):
    assert outcome_of(FrameCase, number)[1] is None


def test_most_cases_give_results():
    outcomes = [outcome_of(kind, k)[0] for kind in (TableCase, FrameCase) for k in range(5)]
    assert outcomes.count("result") > 4
