"""Runs the local stack for the time of a test run, and puts its environment in place before Django reads its settings.

Loaded by `-p tests.stack_plugin`. Also adds --long, and the fixture that programs started by tests need.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import pytest

from project.local.errors import FolderInUseError, StackError
from project.local.servers.postgres import DATABASE
from project.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCAL_DIR = Path(__file__).resolve().parents[1] / ".local"
CONTAINER_ROLE = "batchreel_container"
"""Containers of a test run connect as it, unless the database is one that is given by DATABASE_URL."""
CONTAINER_PASSWORD_VARIABLE = "CONTAINER_DATABASE_PASSWORD"
"""What `manage.py container_role` reads; set where the test run has that role."""
DOCKER_IMAGE = "batchreel:under-test"
"""The one image that the local Batch of a test run starts in Docker."""
_XDIST_PROCESS = "PYTEST_XDIST_WORKER"
"""Set by pytest-xdist in each of its processes, to a name such as `gw0`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip the tests marked `long`, unless asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long: run with --long"))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Start the stack before pytest-django, which has the same hook, reads the settings."""
    os.environ.update(DJANGO_SETTINGS_MODULE="project.settings", SECRET_KEY=secrets.token_urlsafe(48), HTTPS="off")
    options = parser.parse_known_args(args)
    if options.help or options.version or options.collectonly:
        return
    is_dealt_out = options.tx if options.numprocesses is None else options.numprocesses
    if is_dealt_out and _XDIST_PROCESS not in os.environ:
        return  # each of those processes starts a stack of its own
    for state_dir in _state_dirs():
        try:
            _start_stack(state_dir, early_config)
        except FolderInUseError:
            continue
        except StackError as error:
            raise pytest.UsageError(str(error)) from None
        return


def _state_dirs() -> Iterator[Path]:
    """Yield folder after folder, so that several test runs may go side by side."""
    yield LOCAL_DIR / "test"
    yield from (LOCAL_DIR / f"test-{number}" for number in itertools.count(2))


def _start_stack(state_dir: Path, config: pytest.Config) -> None:
    media_root = state_dir / "media"
    os.environ.update(MEDIA_ROOT=str(media_root), LOCAL_BATCH_DOCKER_IMAGE=DOCKER_IMAGE)
    if "DATABASE_URL" not in os.environ:
        os.environ[CONTAINER_PASSWORD_VARIABLE] = secrets.token_urlsafe(24)
    login = (CONTAINER_ROLE, os.environ.get(CONTAINER_PASSWORD_VARIABLE, ""))
    stack = Stack(state_dir, container_database=_test_database(), container_login=login, previous_limit_s=0)
    os.environ.update(stack.start())
    config.add_cleanup(stack.stop)
    shutil.rmtree(media_root, ignore_errors=True)  # what the last run left
    media_root.mkdir()


@pytest.fixture(scope="session")
def program_environment(django_db_setup: None) -> dict[str, str]:
    """The environment for programs that a test starts: this process's, with the test runner's database."""
    from django.db import connection  # noqa: PLC0415 - the settings are not read yet when this module is imported

    database = quote(str(connection.settings_dict["NAME"]), safe="")
    return {**os.environ, "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()}


@pytest.fixture(scope="session")
def container_database_url(program_environment: dict[str, str]) -> str:
    """DATABASE_URL as containers have it."""
    url = urlsplit(program_environment["DATABASE_URL"])
    if password := os.environ.get(CONTAINER_PASSWORD_VARIABLE):
        url = url._replace(netloc=f"{CONTAINER_ROLE}:{password}@{url.netloc.rpartition('@')[2]}")
    return url.geturl()


def _test_database() -> str:
    """Return the name that Django gives the database of a test run."""
    given = os.environ.get("DATABASE_URL")
    name = unquote(urlsplit(given).path.lstrip("/")) if given else DATABASE
    return "_".join(["test", name, *filter(None, [os.environ.get(_XDIST_PROCESS)])])
