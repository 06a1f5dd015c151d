"""A plugin of pytest: writes down how tests failed, one line each, so that a promise that broke is told from code that is broken.

The runner loads it by `-p tests.mutations.failures`, and names the file in FAILURES_FILE.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

FAILURES_FILE = "MUTATIONS_FAILURES_FILE"
PROMISE = "promise"
_NOT_CODE = (NameError, SyntaxError, ImportError)
"""What a patch that is badly written leads to: it would fail any test."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write a line for a failure: "promise" where the test itself failed, else what else went wrong."""
    report = yield
    if report.failed and call.excinfo is not None:
        with Path(os.environ[FAILURES_FILE]).open("a") as lines:
            lines.write(f"{_what(report.when, call.excinfo)}\t{item.nodeid}\n")
    return report


def _what(when: str | None, error: pytest.ExceptionInfo[BaseException]) -> str:
    if when == "setup":
        return f"its preparation failed: {error.typename}"
    if issubclass(error.type, _NOT_CODE):
        return f"the patch is no code: {error.exconly()}".splitlines()[0]
    if "pytest-timeout" in str(error.value):
        return "a test did not end"
    return PROMISE
