"""Table at the end of a run with --long: each promise, the results of its tests, and their counts.

Loaded by `-p tests.promise_table`. docs/promises.md lists the tests of each promise. Tests report
counts by `record_property`, under the names in COUNTS; the fixture `faults` does it by itself.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[1] / "docs" / "promises.md"
COUNTS = ("faults", "lost", "doubled", "recovered")


@dataclass
class PromiseRow:
    """Results of the tests of one promise."""

    title: str
    tests: frozenset[str]
    outcomes: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    reported: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        """Add one report of a test. The teardown report, a test's last one, contains the counts."""
        if report.when == "call" or report.outcome == "failed":
            self.outcomes[report.outcome] += 1
        self.seconds += report.duration
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name in COUNTS and isinstance(value, int):
                self.counts[name] += value
                self.reported.add(name)

    def cells(self) -> list[str]:
        """Return the row's cells; a dash if no test reported the count."""
        counted = [f"{self.counts[name]:,}" if name in self.reported else "-" for name in COUNTS]
        outcomes = [str(self.outcomes[name]) for name in ("passed", "failed")]
        return [self.title, *outcomes, *counted, f"{self.seconds:.0f}"]


def read_promises(page: str) -> list[PromiseRow]:
    """Return a row for each promise of the page, with the names of its tests."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return [
        PromiseRow(
            title, frozenset(re.findall(r"`(test_\w+)`", "".join(re.findall(r"^- .+$", text, flags=re.MULTILINE))))
        )
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
        if re.match(r"\d+\. |All of them", title)
    ]


def table_lines(rows: list[PromiseRow]) -> Iterator[str]:
    """Yield the table's lines."""
    head = ["promise", "passed", "failed", *COUNTS, "s"]
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for title, *cells in lines:
        yield "  ".join(
            [title.ljust(widths[0]), *(each.rjust(width) for each, width in zip(cells, widths[1:], strict=True))]
        )


class PromiseTable:
    """Plugin that collects the reports of a run, including those of xdist processes."""

    def __init__(self) -> None:
        self.rows = read_promises(PAGE.read_text())

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the report to the promises of its test."""
        name = report.location[2].partition("[")[0]
        for row in self.rows:
            if name in row.tests:
                row.add(report)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the table."""
        terminalreporter.section("promises")
        for line in table_lines(self.rows):
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Register the table in a long run, in the process that writes to the terminal."""
    if config.getoption("--long", default=False) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(PromiseTable(), "promise-table-of-run")
