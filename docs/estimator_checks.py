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

CELLS = {"passed": "yes", "skipped": "skipped", "xfail": "fails"}


def listed():
    """The estimators that each check is for, without running it."""
    found = {}
    for label, estimator in ESTIMATORS.items():
        for _, check in estimator_checks_generator(estimator):
            found.setdefault(check.func.__name__, set()).add(label)
    return found


def table():
    """The checks in Markdown: those that do not pass with the reason, then all of them."""
    found, reasons = {}, {}
    for label, estimator in ESTIMATORS.items():
        expected = expected_failures(estimator)
        for result in check_estimator(estimator, expected_failed_checks=expected):
            name, status = result["check_name"], result["status"]
            found.setdefault(name, {})[label] = CELLS[status]
            if status != "passed":
                reasons[name] = expected.get(name) or str(result["exception"])
    lines = ["## Skipped checks and expected failures", ""]
    lines += ["| check | estimators | reason |", "| --- | --- | --- |"]
    for name, reason in sorted(reasons.items()):
        labels = [label for label, cell in found[name].items() if cell != "yes"]
        whose = "all" if len(labels) == len(ESTIMATORS) else ", ".join(labels)
        lines.append(f"| `{name}` | {whose} | {reason} |")
    lines += ["", "## All checks by estimator", ""]
    lines += [f"| check | {' | '.join(ESTIMATORS)} |"]
    lines += [f"| --- {'| :-: ' * len(ESTIMATORS)}|"]
    for name, cells in sorted(found.items()):
        row = (cells.get(label, "–") for label in ESTIMATORS)
        lines.append(f"| `{name}` | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
