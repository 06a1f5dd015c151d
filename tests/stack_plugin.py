"""pytest plugin: runs the local stack and sets its environment before Django reads its settings.

Loaded by `-p tests.stack_plugin`. It also adds --long, and the fixtures with the environment and
the database URL for programs that tests start.
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
"""Role of the containers of a test run, unless DATABASE_URL names the database."""
CONTAINER_PASSWORD_VARIABLE = "CONTAINER_DATABASE_PASSWORD"
"""Variable that `manage.py container_role` reads; set if the test run has that role."""
DOCKER_IMAGE = "batchreel:under-test"
"""The only image that the local Batch of a test run starts in Docker."""
_XDIST_PROCESS = "PYTEST_XDIST_WORKER"
"""Variable set by pytest-xdist in each of its processes, to a name such as `gw0`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long and --every-case."""
    parser.addoption(
        "--long", action="store_true", help="run the tests marked `long` as well, and all cases of the others"
    )
    parser.addoption("--every-case", action="store_true", help="run all cases of the tests marked `few`")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip the tests marked `long`, and most cases of those marked `few`, unless --long is given."""
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes long: run with --long")
    every_case = config.getoption("--every-case") or any("[" in argument for argument in config.args)
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(skip)
        elif item.get_closest_marker("few") is not None and not every_case:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for together in cases.values():
        marker = together[0].get_closest_marker("few")
        number = int(marker.args[0]) if marker else 0
        # Evenly spread over the table of cases, and the same ones each time.
        kept = {at * len(together) // number for at in range(number)}
        # pytest-randomly may have shuffled them.
        for at, item in enumerate(sorted(together, key=_place_in_table)):
            if at not in kept:
                item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Start the stack before pytest-django, which has the same hook, reads the settings."""
    os.environ.update(DJANGO_SETTINGS_MODULE="project.settings", SECRET_KEY=secrets.token_urlsafe(48), HTTPS="off")
    options = parser.parse_known_args(args)
    if options.help or options.version or options.collectonly:
        return
    is_distributed = options.tx if options.numprocesses is None else options.numprocesses
    if is_distributed and _XDIST_PROCESS not in os.environ:
        return  # each of the xdist processes starts its own stack
    for state_dir in _state_dirs():
        try:
            _start_stack(state_dir, early_config)
        except FolderInUseError:
            continue
        except StackError as error:
            raise pytest.UsageError(str(error)) from None
        return


def _state_dirs() -> Iterator[Path]:
    """Yield candidate folders, so that several test runs can run in parallel."""
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
    shutil.rmtree(media_root, ignore_errors=True)  # left by the last run
    media_root.mkdir()


@pytest.fixture(scope="session")
def program_environment(django_db_setup: None) -> dict[str, str]:
    """Environment for programs that tests start: that of this process, with the test database."""
    from django.db import connection  # noqa: PLC0415 - the settings are not read yet when this module is imported

    database = quote(str(connection.settings_dict["NAME"]), safe="")
    return {**os.environ, "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()}


@pytest.fixture(scope="session")
def container_database_url(program_environment: dict[str, str]) -> str:
    """DATABASE_URL for containers."""
    url = urlsplit(program_environment["DATABASE_URL"])
    if password := os.environ.get(CONTAINER_PASSWORD_VARIABLE):
        url = url._replace(netloc=f"{CONTAINER_ROLE}:{password}@{url.netloc.rpartition('@')[2]}")
    return url.geturl()


def _test_database() -> str:
    """Return the name that Django gives to the database of the test run."""
    given = os.environ.get("DATABASE_URL")
    name = unquote(urlsplit(given).path.lstrip("/")) if given else DATABASE
    return "_".join(["test", name, *filter(None, [os.environ.get(_XDIST_PROCESS)])])


def _place_in_table(item: pytest.Item) -> tuple[int, ...]:
    return tuple(item.callspec.indices.values())  # type: ignore[attr-defined]  # of parametrized functions
