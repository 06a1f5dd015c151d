"""A Redis master with a replica and three sentinels, all with passwords, whose processes can be killed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.sentinel import MasterNotFoundError, Sentinel

from project.local.servers.ports import LOOPBACK, free_port
from project.local.servers.redis import find_redis
from project.local.servers.server import Service, plain_environment
from tests.polling import wait_for
from tests.processes import program_under_lifeline

if TYPE_CHECKING:
    from pathlib import Path

MASTER_NAME = "lectures"
PASSWORD = "of the servers"
SENTINEL_PASSWORD = "of the sentinels"

_SENTINELS = 3
_QUORUM = 2
_START_LIMIT_S = 30.0


class SentinelRedis:
    """Two Redis servers, one of them the master at first, and three sentinels that fail over within seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = find_redis()[0]
        self._services: dict[int, Service] = {}
        self.server_ports = [free_port() for _ in range(2)]
        self.sentinel_ports = [free_port() for _ in range(_SENTINELS)]
        first, *others = self.sentinel_ports
        self.url = ";".join(
            [
                f"sentinel://:{PASSWORD.replace(' ', '%20')}@{LOOPBACK}:{first}/0",
                *(f"{LOOPBACK}:{each}" for each in others),
            ]
        )
        """The value of REDIS_URL. Only the first sentinel has the password and the database."""
        self.environment = {
            "REDIS_URL": self.url,
            "REDIS_SENTINEL_MASTER": MASTER_NAME,
            "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        }

    def start(self) -> None:
        """Start everything, and wait until all sentinels have found each other and the replica."""
        master, replica = self.server_ports
        self._run(master, self._words(master))
        self._run(replica, [*self._words(replica), "--replicaof", LOOPBACK, str(master)])
        for port in self.sentinel_ports:
            file = self._folder / f"sentinel-{port}.conf"
            file.write_text(
                f'port {port}\nbind {LOOPBACK}\ndir {self._folder}\nrequirepass "{SENTINEL_PASSWORD}"\n'
                f"sentinel monitor {MASTER_NAME} {LOOPBACK} {master} {_QUORUM}\n"
                f'sentinel auth-pass {MASTER_NAME} "{PASSWORD}"\n'
                f"sentinel down-after-milliseconds {MASTER_NAME} 1000\n"
                f"sentinel failover-timeout {MASTER_NAME} 5000\n"
            )
            self._run(port, [str(file), "--sentinel"])
        for port in self.sentinel_ports:
            wait_for(lambda port=port: self._is_complete(port), limit_s=_START_LIMIT_S, what=f"sentinel {port}")

    def stop(self) -> None:
        """Stop everything that still runs."""
        for service in self._services.values():
            service.stop()
        self._services.clear()

    def kill(self, port: int) -> None:
        """Kill the server or sentinel at this port, as a power failure would."""
        service = self._services.pop(port)
        os.kill(program_under_lifeline(service._process.pid), signal.SIGKILL)
        service.stop()

    def master_port(self) -> int:
        """Return the port of the server that the sentinels regard as the master, or 0 if there is none now."""
        running = [(LOOPBACK, port) for port in self.sentinel_ports if port in self._services]
        options = {"password": SENTINEL_PASSWORD, "socket_timeout": 2}
        with Sentinel(running, sentinel_kwargs=options) as sentinel:  # type: ignore[no-untyped-call]
            try:
                return int(sentinel.discover_master(MASTER_NAME)[1])
            except MasterNotFoundError:
                return 0

    def _is_complete(self, port: int) -> bool:
        try:
            with Redis(LOOPBACK, port, password=SENTINEL_PASSWORD, socket_timeout=2) as sentinel:
                state: Any = sentinel.sentinel_master(MASTER_NAME)
        except OSError:
            return False
        return (state["num-other-sentinels"], state["num-slaves"]) == (_SENTINELS - 1, 1)

    @staticmethod
    def _words(port: int) -> list[str]:
        options = {"port": str(port), "bind": LOOPBACK, "requirepass": PASSWORD, "masterauth": PASSWORD, "save": ""}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _run(self, port: int, words: list[str]) -> None:
        folder = self._folder / f"redis-{port}"
        folder.mkdir()
        self._services[port] = Service(
            name=f"Redis {port}",
            command=[str(self._program), *words],
            environment=plain_environment(),
            folder=folder,
            log_path=folder / "log",
        )
