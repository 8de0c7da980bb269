"""The report in words: rounding, partners, categories, missing cells."""

import numpy as np
import pandas
import pytest

from skflow import CouplingFlowDensity, FlowOutlierDetector
from skflow._outliers.report import Reasons, decimals, make_report
from skflow._table.table import UNKNOWN, Table

NAMES = ["radius", "area", "noise", "kind"]
TABLE = Table(4, {3: np.array(["cat", "dog", "horse"], dtype=object)}, "pandas", NAMES, [])


def seen_rows(n_rows=500):
    """The area is the square of the radius; the kind is a dog if the radius is above 20."""
    rng = np.random.default_rng(0)
    radius = rng.uniform(10, 30, n_rows).round(1)
    area = np.round(radius**2 + rng.normal(0, 3, n_rows))
    return np.column_stack([radius, area, rng.standard_normal(n_rows), (radius > 20) * 1.0])


def reasons_of(row, reason=None, usual=None, outlier=True):
    """Reasons of a row with one column that is to blame."""
    X, seen = np.array([row], dtype=float), seen_rows()
    nats = np.zeros((1, 4))
    ends = np.zeros((1, 4, 2))
    if reason is not None:
        nats[0, reason], ends[0, reason] = 5.0, usual
    ends_of_all = np.array([seen.min(axis=0), seen.max(axis=0)])
    return Reasons(X, nats, ends, np.array([outlier]), seen, ends_of_all, TABLE)


@pytest.mark.parametrize(
    ("row", "reason", "usual", "sentence"),
    [
        # the radius is what the area goes with, not noise or kind
        ([18, 500, 0, 0], 1, (309.7, 338.2),
         "area 500: unusual with radius 18.0; usually 310 to 338"),
        ([18, 2000, 0, 0], 1, (310, 338),
         "area 2000: higher than in all rows of fit; usually 310 to 338"),
        ([18, 324, 0, 0], 1, (324, 324), "area 324: unusual in such a row; usually 324"),
        ([15, 225, 0, 1], 3, (0, 0), "kind dog: unusual with radius 15.0; usually cat"),
        ([15, 225, 0, UNKNOWN], 3, (0, 1),
         "kind (unknown): not among the categories of fit; mostly cat"),
        ([18, 500, np.nan, np.nan], 1, (310, 338),
         "area 500: unusual with radius 18.0; usually 310 to 338 (missing: noise, kind)"),
        ([18, 500, 0, 0], 1, (np.nan, np.nan), "area 500: unusual with radius 18.0"),
        ([18, 324, 0, 0], None, None, "no single column: the values are unusual only together"),
    ],
)  # fmt: skip
def test_sentences(row, reason, usual, sentence):
    reasons = reasons_of(row, reason, usual)
    assert reasons.sentence(0) == sentence
    if sentence.startswith("no single"):
        assert reasons_of(row, outlier=False).sentence(0) == "no single column: nothing unusual"


def test_many_missing_cells_are_counted():
    row = [np.nan, 2000, np.nan, np.nan]
    assert reasons_of(row, 1, (1, 2)).sentence(0).endswith("(missing: radius, noise, kind)")
    row[1] = np.nan
    assert reasons_of(row).sentence(0).endswith("(4 values are missing)")


def test_at_most_eight_columns_with_the_row():
    table = make_report(pandas.DataFrame({"pvalue": [0.01]}), reasons_of([18, 500, 0, 0]), False)
    assert 1 + len(table.columns) <= 8


def test_values_are_rounded_as_their_column_is():
    reasons = reasons_of([18, 500, 0, 0], 1, (309.71, 338.24))
    row = make_report(pandas.DataFrame(index=["p"]), reasons, True).loc["p"]
    assert (row.column, row.value, row.usual_from, row.usual_to) == ("area", 500, 310, 338)
    assert isinstance(row.usual_from, int) and row.nats == 5
    assert row.column_2 == row.column_3 == "" and np.isnan(row.nats_2)
    kind = make_report(pandas.DataFrame(index=["p"]), reasons_of([15, 225, 0, 1], 3, (0, 0)), False)
    assert kind.loc["p", ["value", "usual_from"]].tolist() == ["dog", "cat"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1.0, 2.0, 1e6], 0),
        ([1.5, 2.25, np.nan], 2),
        (np.float32([0.1, 0.7]), 1),
        (np.pi * np.arange(1, 100), 0),  # spread over hundreds: no digits behind the point
        (np.pi * np.arange(1, 100) / 1e3, 3),
        (170 + np.pi * np.arange(1, 10), 1),  # far from 0
        ([1 / 3] * 5, 6),
    ],
)
def test_decimals(column, expected):
    assert decimals(np.asarray(column, dtype=float)) == expected


def test_small_values_are_not_rounded_away():
    seen = seen_rows()
    reasons = Reasons(
        np.array([[1e-9, 500, 0, 0]]), np.array([[9.0, 0, 0, 0]]), np.tile([15.0, 16.0], (1, 4, 1)),
        np.array([True]), seen, np.array([seen.min(axis=0), seen.max(axis=0)]), TABLE,
    )  # fmt: skip
    assert reasons.sentence(0).startswith("radius 1e-09: lower than in all rows of fit")


def test_a_category_that_fit_did_not_see_is_shown_as_the_user_wrote_it():
    seen = pandas.DataFrame(seen_rows(200), columns=NAMES)
    seen["kind"] = np.where(seen["kind"] == 1, "dog", "cat")
    density = CouplingFlowDensity(2, hidden_layer_sizes=(4,), max_iter=1, component_weight=0)
    detector = FlowOutlierDetector(density, random_state=0).fit(seen)
    rows = seen.iloc[[5, 6, 7]].assign(kind=["cat", "ferret", "dgo"])
    report = detector.report(rows)
    for row, kind in ((6, "ferret"), (7, "dgo")):
        assert report.loc[row, "value"] == kind
        assert report.loc[row, "reason"].startswith(f"kind {kind}: not among the categories of fit")
