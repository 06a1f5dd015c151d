"""The table at the end of a long run adds up the results of the tests of each promise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.promise_table import PAGE, PromiseTable, read_promises, table_lines


def report(name: str, *, outcome: Any = "passed", when: Any = "call", **counts: int) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"tests/x.py::{name}",
        location=("tests/x.py", 1, name),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        duration=2.0,
        user_properties=list(counts.items()),
    )


def test_promise_table_has_all_promises_when_the_page_is_read() -> None:
    rows = read_promises(PAGE.read_text())
    assert [row.title.partition(".")[0] for row in rows] == [*map(str, range(1, 19)), "All of them at once"]
    assert all(row.tests for row in rows)


def test_promise_table_adds_up_counts_when_reports_arrive() -> None:
    table = PromiseTable()
    table.rows = read_promises(
        "## 1. One\n\n- `test_a`\n- `test_b`\n\n## 2. Two\n\n- `test_b`\n\n## Protections\n\n- `test_a`\n"
    )
    for each in (
        report("test_a[1]", faults=2, lost=0),
        report("test_a[1]", when="teardown", faults=2, lost=0),
        report("test_a[2]"),
        report("test_a[2]", when="teardown", faults=3, lost=0),
        report("test_b", outcome="failed", when="setup"),
        report("test_c", when="teardown", faults=7),
    ):
        table.pytest_runtest_logreport(each)
    assert [" ".join(line.split()) for line in table_lines(table.rows)] == [
        "promise passed failed faults lost doubled recovered s",
        "1. One 2 1 5 0 - - 10",
        "2. Two 0 1 - - - - 2",
    ]
