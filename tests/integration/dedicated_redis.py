"""A Redis of one test, which may refuse, swallow, lose everything, die, and come back; and how a worker may take it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from redis import Redis

from project.local.servers.ports import free_port
from project.local.servers.redis import redis_url, start_redis, wait_for_redis
from tests.processes import program_under_lifeline

if TYPE_CHECKING:
    from pathlib import Path

    from project.local.servers.server import Service
    from tests.integration.celery_nodes import RunningSite


class OwnRedis:
    """A Redis of one test, which may stop and come back on its port as if it had lost everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._starts = 0
        self._service: Service | None = None
        self.url = redis_url(self._port)

    def start(self) -> None:
        """Start it without any data, and wait until it answers."""
        self._starts += 1
        state_dir = self._folder / f"redis-start-{self._starts}"
        state_dir.mkdir()
        # The lifeline wants the descriptor of a lock, which here guards nothing.
        lock_descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT)
        try:
            self._service = start_redis(state_dir, port=self._port, lock_descriptor=lock_descriptor)
        finally:
            os.close(lock_descriptor)
        wait_for_redis(self._service, self.url)

    def stop(self) -> None:
        """Stop it: from here on its port refuses."""
        if self._service is not None:
            self.thaw()  # a frozen one hears no SIGTERM
            self._end(self._service)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._service is not None:
            self._send(signal.SIGKILL)
            self._end(self._service)

    def freeze(self) -> None:
        """From here on it takes connections and bytes, and answers nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again, what was sent meanwhile as well."""
        self._send(signal.SIGCONT)

    def lose_everything(self) -> None:
        """FLUSHALL, while everybody stays connected."""
        with Redis.from_url(self.url) as redis:
            redis.flushall()

    def _send(self, number: signal.Signals) -> None:
        if self._service is not None:
            os.kill(program_under_lifeline(self._service._process.pid), number)

    def _end(self, service: Service) -> None:
        service.stop()
        self._service = None


def has_ended(site: RunningSite) -> bool:
    """Whether the worker's program is gone. It may have ended for the one known cause only.

    A worker that had a message in hand when Redis went may end: kombu 5.7.0 gives it back on a connection that it has just closed, and
    nothing catches the AttributeError (about one time in ten, measured). Where a site runs, its supervisor starts the worker again.
    """
    if site.worker.container.status == "running":
        return False
    assert "AttributeError(\"'NoneType' object has no attribute 'hostname'\")" in site.worker.logs()
    return True
