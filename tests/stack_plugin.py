"""Runs the local stack for the time of a test run, and puts its environment in place before Django reads its settings.

Loaded by `-p tests.stack_plugin`. Also adds --long, and the fixture that programs started by tests need.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import pytest

from project.local.errors import StackError
from project.local.postgres import DATABASE
from project.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL_DIR = Path(__file__).resolve().parents[1] / ".local"


def _free_state_dir() -> Path:
    """A state folder that no other test run is using at this moment, so that several may run side by side."""
    folders = (LOCAL_DIR / ("test" if number == 1 else f"test-{number}") for number in itertools.count(1))
    return next(folder for folder in folders if not _in_use(folder))


def _in_use(folder: Path) -> bool:
    lock = folder / "lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


STATE_DIR = _free_state_dir()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip the tests marked `long`, unless they were asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long: run with --long"))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Start the stack before pytest-django, which has the same hook, reads the settings."""
    os.environ.update(_settings_for_tests())
    options = parser.parse_known_args(args)
    if options.help or options.version or options.collectonly:
        return
    stack = Stack(STATE_DIR, container_database=_test_database())
    early_config.add_cleanup(stack.stop)
    try:
        os.environ.update(stack.start())
    except StackError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def program_environment(django_db_setup: None) -> dict[str, str]:
    """The environment for programs that a test starts: this process's, with the test runner's database."""
    from django.db import connection  # noqa: PLC0415 - the settings are not read yet when this module is imported

    database = quote(str(connection.settings_dict["NAME"]), safe="")
    return {**os.environ, "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()}


def _test_database() -> str:
    """Return the name that Django gives the database of a test run."""
    given = os.environ.get("DATABASE_URL")
    name = unquote(urlsplit(given).path.lstrip("/")) if given else DATABASE
    return f"test_{name}"


def _settings_for_tests() -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "HTTPS": "off",
        "MEDIA_ROOT": str(STATE_DIR / "media"),
    }
