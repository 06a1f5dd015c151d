"""A PostgreSQL of one test, which may crash and come back with what was committed."""

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


class OwnPostgres:
    """A server with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        folder.mkdir()
        prepare_data_folder(folder, say=lambda _: None)
        self._service, self._address = self._start()
        self.url = self._address.url()

    def migrate(self, environment: Mapping[str, str]) -> None:
        """Make the tables."""
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=settings.BASE_DIR,
            env={**environment, "DATABASE_URL": self.url},
            check=True,
            timeout=_MIGRATE_LIMIT_S,
        )

    def crash(self) -> None:
        """End it at once, in the middle of whatever it does ("immediate shutdown"): its next start recovers from its log."""
        os.kill(program_under_lifeline(self._service._process.pid), signal.SIGQUIT)
        self._service.stop()

    def start_again(self) -> None:
        """Start it on its port, and wait until it answers."""
        self._service, _ = self._start()

    def stop(self) -> None:
        """Stop it for good."""
        self._service.stop()

    def _start(self) -> tuple[Service, PostgresLogin]:
        # The lifeline wants the descriptor of a lock, which here guards nothing.
        lock_descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            service, address = start_postgres(self._folder, port=self._port, lock_descriptor=lock_descriptor)
        finally:
            os.close(lock_descriptor)
        wait_for_postgres(service, address)
        return service, address


@contextmanager
def rows_are_in(url: str) -> Iterator[None]:
    """Let this process's Django find its rows in another database for the time of the block."""
    parts = urlsplit(url)
    own = {
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
    }
    before = {name: connection.settings_dict[name] for name in own}
    connection.close()
    # Every thread's connection reads the same settings.
    connection.settings_dict.update(own)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
