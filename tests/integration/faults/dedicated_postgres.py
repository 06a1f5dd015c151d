"""A dedicated PostgreSQL for one test, which can crash and come back with all committed data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connection

from project.local.servers.ports import free_port
from project.local.servers.postgres import PostgresLogin, prepare_data_folder, start_postgres, wait_for_postgres
from tests.processes import program_under_lifeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from project.local.servers.server import Service

_MIGRATE_LIMIT_S = 60.0


class DedicatedPostgres:
    """A server with its own data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        folder.mkdir()
        prepare_data_folder(folder, report=lambda _: None)
        self._service, self._login = self._start()
        self.url = self._login.url()

    def migrate(self, environment: Mapping[str, str]) -> None:
        """Create the tables."""
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=settings.BASE_DIR,
            env={**environment, "DATABASE_URL": self.url},
            check=True,
            timeout=_MIGRATE_LIMIT_S,
        )

    def crash(self) -> None:
        """Stop the server abruptly ("immediate shutdown"), so that its next start has to recover from the WAL."""
        os.kill(program_under_lifeline(self._service._process.pid), signal.SIGQUIT)
        self._service.stop()

    def start_again(self) -> None:
        """Start the server on the same port, and wait until it answers."""
        self._service, _ = self._start()

    def stop(self) -> None:
        """Stop the server."""
        self._service.stop()

    def _start(self) -> tuple[Service, PostgresLogin]:
        # The lifeline requires the descriptor of a lock file; this one protects nothing.
        lock_descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            service, login = start_postgres(self._folder, port=self._port, lock_descriptor=lock_descriptor)
        finally:
            os.close(lock_descriptor)
        wait_for_postgres(service, login)
        return service, login


@contextmanager
def use_database(url: str) -> Iterator[None]:
    """Let Django in this process use another database until the block ends."""
    parts = urlsplit(url)
    overrides = {
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
    }
    before = {name: connection.settings_dict[name] for name in overrides}
    connection.close()
    # The connections of all threads share these settings.
    connection.settings_dict.update(overrides)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
