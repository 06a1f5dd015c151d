"""pytest plugin: `--fast` selects the quick tests, `--not-fast` all others.

Loaded by `-p tests.fast_selection`. Quick tests are unit tests and tests of single calls on
PostgreSQL. Simulations are not, although they need nothing else: they compute for minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.xdist_scheduler import SIMULATIONS

if TYPE_CHECKING:
    import pytest

FAST_FOLDERS = ("tests/unit/", "tests/database/")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fast and --not-fast."""
    parser.addoption("--fast", action="store_true", help="run only unit tests and tests of services on PostgreSQL")
    parser.addoption("--not-fast", action="store_true", help="run all tests except those of --fast")


def is_fast(nodeid: str) -> bool:
    """Return whether `--fast` runs this test."""
    return nodeid.startswith(FAST_FOLDERS) and not nodeid.startswith(SIMULATIONS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that were not requested."""
    for option, wanted in (("--fast", True), ("--not-fast", False)):
        if config.getoption(option):
            deselected = [item for item in items if is_fast(item.nodeid) is not wanted]
            config.hook.pytest_deselected(items=deselected)
            items[:] = [item for item in items if is_fast(item.nodeid) is wanted]
