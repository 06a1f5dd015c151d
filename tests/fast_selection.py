"""pytest plugin: `--fast` selects the quick tests.

Loaded by `-p tests.fast_selection`. Quick tests are unit tests and tests of single calls on
PostgreSQL. Simulations are not, although they need nothing else: they compute for minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.xdist_scheduler import FAST_FOLDERS, SIMULATIONS

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fast."""
    parser.addoption("--fast", action="store_true", help="run only unit tests and tests of services on PostgreSQL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that are not quick, if that was requested."""
    if config.getoption("--fast"):
        fast = [
            item for item in items if item.nodeid.startswith(FAST_FOLDERS) and not item.nodeid.startswith(SIMULATIONS)
        ]
        chosen = set(fast)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = fast
