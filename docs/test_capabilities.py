"""The table of what each estimator takes says what the code does."""

import capabilities


def test_the_table_is_that_of_the_code():
    assert capabilities.TABLE.read_text(encoding="utf-8") == capabilities.table()
