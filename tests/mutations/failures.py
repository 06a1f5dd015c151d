"""pytest plugin that records how tests failed, to distinguish a broken promise from broken code.

It writes one line per failure to the file named by the variable FAILURES_FILE. The runner of the
mutations loads it by `-p tests.mutations.failures`.
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
"""Errors that a badly written patch causes, and that would fail any test."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write a line for a failure: "promise" if the test itself failed, else what went wrong."""
    report = yield
    if report.failed and call.excinfo is not None:
        with Path(os.environ[FAILURES_FILE]).open("a") as lines:
            lines.write(f"{_what(report.when, call.excinfo)}\t{item.nodeid}\n")
    return report


def _what(when: str | None, error: pytest.ExceptionInfo[BaseException]) -> str:
    if when == "setup":
        return f"its setup failed: {error.typename}"
    if issubclass(error.type, _NOT_CODE):
        return f"the patch is not valid code: {error.exconly()}".splitlines()[0]
    if "pytest-timeout" in str(error.value):
        return "a test did not end"
    return PROMISE
