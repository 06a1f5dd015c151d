"""A dedicated Redis that can refuse, hang, lose all data, die and come back, and the worker exits that it may cause."""

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


class DedicatedRedis:
    """A Redis for one test, which can stop and come back on its port without its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._starts = 0
        self._service: Service | None = None
        self.url = redis_url(self._port)

    def start(self) -> None:
        """Start Redis without any data, and wait until it answers."""
        self._starts += 1
        state_dir = self._folder / f"redis-start-{self._starts}"
        state_dir.mkdir()
        # The lifeline requires the descriptor of a lock file; this one protects nothing.
        lock_descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT)
        try:
            self._service = start_redis(state_dir, port=self._port, lock_descriptor=lock_descriptor)
        finally:
            os.close(lock_descriptor)
        wait_for_redis(self._service, self.url)

    def stop(self) -> None:
        """Stop Redis: its port refuses connections from now on."""
        if self._service is not None:
            self.thaw()  # a stopped process does not handle SIGTERM
            self._end(self._service)

    def kill(self) -> None:
        """Kill Redis, as a power failure would."""
        if self._service is not None:
            self._send(signal.SIGKILL)
            self._end(self._service)

    def freeze(self) -> None:
        """Accept connections and bytes from now on, but respond to nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Respond again, including what was sent meanwhile."""
        self._send(signal.SIGCONT)

    def flush(self) -> None:
        """Run FLUSHALL while all clients stay connected."""
        with Redis.from_url(self.url) as redis:
            redis.flushall()

    def _send(self, number: signal.Signals) -> None:
        if self._service is not None:
            os.kill(program_under_lifeline(self._service._process.pid), number)

    def _end(self, service: Service) -> None:
        service.stop()
        self._service = None


def worker_has_ended(site: RunningSite) -> bool:
    """Return whether the worker has exited, and fail if the reason was not the one known bug.

    A worker that holds a message when Redis goes down may exit: kombu 5.7.0 returns the message on
    a connection that it has just closed, and nothing catches the AttributeError (measured: about
    one time in ten). In production, the supervisor restarts the worker.
    """
    if site.worker.container.status == "running":
        return False
    assert "AttributeError(\"'NoneType' object has no attribute 'hostname'\")" in site.worker.logs()
    return True
