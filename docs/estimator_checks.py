"""scikit-learn's checks of the estimators, as a table: by running them.

    python docs/estimator_checks.py  # writes docs/estimator_checks.md, which a page shows

Estimators and expected failures are those of ``tests/test_common.py``, so the table and the tests
cannot disagree. ``docs/test_estimator_checks.py`` tests that the table lists today's checks.
"""

import sys
from pathlib import Path

from sklearn.utils.estimator_checks import (
    check_estimator,
    estimator_checks_generator,
)

DOCS = Path(__file__).parent
TABLE = DOCS / "estimator_checks.md"
sys.path.insert(0, str(DOCS.parent / "tests"))
from test_common import ESTIMATORS, expected_failures  # noqa: E402


def listed():
    """The estimators that each check is for, without running it."""
    found = {}
    for label, estimator in ESTIMATORS.items():
        for _, check in estimator_checks_generator(estimator):
            found.setdefault(check.func.__name__, set()).add(label)
    return found


def table():
    """The checks in Markdown: those that do not pass with the reason, then all of them."""
    failed, reasons = {}, {}
    for label, estimator in ESTIMATORS.items():
        expected = expected_failures(estimator)
        for result in check_estimator(estimator, expected_failed_checks=expected):
            if result["status"] != "passed":
                name = result["check_name"]
                failed.setdefault(name, []).append(label)
                reasons[name] = expected.get(name) or str(result["exception"])
    lines = ["## Skipped checks and expected failures", ""]
    lines += ["| check | estimators | reason |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {together(labels)} | {reasons[name]} |"
        for name, labels in sorted(failed.items())
    ]
    return "\n".join([*lines, "", *by_estimators()]) + "\n"


def by_estimators():
    """All checks, by the estimators that scikit-learn has them for."""
    groups = {}
    for name, labels in sorted(listed().items()):
        groups.setdefault(together(labels), []).append(f"`{name}`")
    lines = [
        "## All checks by estimator",
        "",
        "| estimators | checks |",
        "| --- | --- |",
    ]
    return [
        *lines,
        *(f"| {who} | {', '.join(names)} |" for who, names in groups.items()),
    ]


def together(labels):
    """Some estimators in a cell, in their order."""
    labels = [label for label in ESTIMATORS if label in labels]
    return "all" if len(labels) == len(ESTIMATORS) else ", ".join(labels)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
