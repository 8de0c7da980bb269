"""The table of scikit-learn's checks lists those that the tests run."""

import estimator_checks


def test_the_table_lists_the_checks_of_the_tests():
    text = estimator_checks.TABLE.read_text(encoding="utf-8")
    assert text.endswith("\n".join(["", *estimator_checks.by_estimators(), ""]))


def test_the_table_gives_the_reasons_of_the_tests():
    text = estimator_checks.TABLE.read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    given = {line[0].strip("`"): line[2] for line in lines if len(line) == 3}
    for estimator in estimator_checks.ESTIMATORS.values():
        for name, reason in estimator_checks.expected_failures(estimator).items():
            assert given[name] == reason
