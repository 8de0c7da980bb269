"""The table of scikit-learn's checks lists those that the tests run."""

import estimator_checks


def rows(section):
    """Cells of a table of the page, line by line."""
    text = estimator_checks.TABLE.read_text(encoding="utf-8").split("\n## ")[section]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if "|" in line]
    return [
        [cell.strip("`") for cell in line] for line in lines if "---" not in line[0]
    ]


def test_the_table_lists_the_checks_of_the_tests():
    head, *lines = rows(1)
    assert head[1:] == list(estimator_checks.ESTIMATORS)
    found = {
        name: {label for label, cell in zip(head[1:], cells) if cell != "–"}
        for name, *cells in lines
    }
    assert found == estimator_checks.listed()


def test_the_table_gives_the_reasons_of_the_tests():
    given = {name: reason for name, _, reason in rows(0)[1:]}
    for estimator in estimator_checks.ESTIMATORS.values():
        for name, reason in estimator_checks.expected_failures(estimator).items():
            assert given[name] == reason
