"""Start and stop of the external services that the project needs, and the environment to use them.

A service that the environment already names (DATABASE_URL, REDIS_URL, AWS_ENDPOINT_URL) is used as
it is, and not started.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from project.local.aws.resources import aws_environment, ensure_job_queue
from project.local.aws.server import start_aws, wait_for_aws
from project.local.errors import PortTakenError, StackError
from project.local.proxies import bypass_proxies_for_loopback
from project.local.servers.ports import free_port
from project.local.servers.postgres import prepare_data_folder, start_postgres, wait_for_postgres
from project.local.servers.redis import redis_url, start_redis, wait_for_redis
from project.local.state_lock import PREVIOUS_STACK_LIMIT_S, lock_state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from project.local.servers.server import Service

STACK_VARIABLES = ("DATABASE_URL", "REDIS_URL", "AWS_ENDPOINT_URL")

_START_TRIES = 3


@contextmanager
def running_stack(
    state_dir: Path,
    *,
    container_database: str | None = None,
    site: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> Iterator[dict[str, str]]:
    """Run a `Stack` while the block runs, and yield its environment. Raises StackError."""
    stack = Stack(state_dir, container_database=container_database, site=site, report=report)
    try:
        yield stack.start()
    finally:
        stack.stop()


class Stack:
    """The servers of one state folder.

    `container_database` names the database that the containers of the local AWS Batch use, if it is
    not the one in DATABASE_URL: a test runner creates its own. `container_login` is the role and
    password with which they connect to a PostgreSQL started by this stack, if not as its owner.
    `site` is the folder of a site of your own, whose Python and environment the containers use.
    `report` receives a line for each slow step. `previous_limit_s` is how long to wait for another
    stack on the folder to end.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        container_database: str | None = None,
        container_login: tuple[str, str] | None = None,
        site: Path | None = None,
        report: Callable[[str], None] | None = None,
        previous_limit_s: float = PREVIOUS_STACK_LIMIT_S,
    ) -> None:
        self._state_dir = state_dir.resolve()
        self._container_database = container_database
        self._container_login = None if os.environ.get("DATABASE_URL") else container_login
        self._site = site
        self._report = report or _ignore
        self._previous_limit_s = previous_limit_s
        self._lock_descriptor = -1
        self._services: list[Service] = []

    def start(self) -> dict[str, str]:
        """Start the missing services, wait until all of them respond, and return the environment to use them.

        Raises StackError with a message for people, or its subclass FolderInUseError if another
        stack runs on the folder. Services that were already started are stopped then.
        """
        proxies = bypass_proxies_for_loopback()
        if sys.platform != "linux":
            message = (
                f"The local stack needs Linux. On other systems, set {', '.join(STACK_VARIABLES)} to running servers."
            )
            raise StackError(message)
        self._lock_descriptor = lock_state_folder(self._state_dir, report=self._report, limit_s=self._previous_limit_s)
        try:
            return {**proxies, **self._start_on_free_ports()}
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every server that `start` started, and return once they have ended."""
        while self._services:
            self._services.pop().stop()
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def check(self) -> None:
        """Raise StackError, with the end of its log, if a server started here has exited unexpectedly."""
        for service in self._services:
            service.check()

    def _start_on_free_ports(self) -> dict[str, str]:
        for _ in range(_START_TRIES - 1):
            try:
                return self._start_servers()
            except PortTakenError:
                while self._services:
                    self._services.pop().stop()
        return self._start_servers()

    def _start_servers(self) -> dict[str, str]:
        """Start all servers, then wait for them, because each takes about a second to start."""
        environment = {name: os.environ[name] for name in STACK_VARIABLES if os.environ.get(name)}
        waits: list[Callable[[], None]] = []
        if "DATABASE_URL" not in environment:
            prepare_data_folder(self._state_dir, report=self._report)
            postgres, address = start_postgres(self._state_dir, port=free_port(), lock_descriptor=self._lock_descriptor)
            self._services.append(postgres)
            environment["DATABASE_URL"] = address.url()
            waits.append(lambda: wait_for_postgres(postgres, address))
        if "REDIS_URL" not in environment:
            port = free_port()
            redis = start_redis(self._state_dir, port=port, lock_descriptor=self._lock_descriptor)
            self._services.append(redis)
            environment["REDIS_URL"] = redis_url(port)
            waits.append(lambda: wait_for_redis(redis, environment["REDIS_URL"]))
        if "AWS_ENDPOINT_URL" not in environment:
            port = free_port()
            environment |= aws_environment(port)
            aws = start_aws(
                self._state_dir,
                port=port,
                environment=self._container_environment(environment),
                site=self._site,
                lock_descriptor=self._lock_descriptor,
            )
            self._services.append(aws)
            waits.append(lambda: wait_for_aws(aws, port))
            waits.append(lambda: ensure_job_queue(environment))
        for wait in waits:
            wait()
        return environment

    def _container_environment(self, environment: dict[str, str]) -> dict[str, str]:
        """Return the environment of the AWS endpoint, which each container inherits."""
        database_url = urlsplit(environment["DATABASE_URL"])
        if self._container_database is not None:
            database_url = database_url._replace(path=f"/{quote(self._container_database, safe='')}")
        if self._container_login is not None:
            login = ":".join(quote(part, safe="") for part in self._container_login)
            database_url = database_url._replace(netloc=f"{login}@{database_url.netloc.rpartition('@')[2]}")
        return {**os.environ, **environment, "DATABASE_URL": database_url.geturl()}


def _ignore(_line: str) -> None:
    """Discard the line: the default for `report`."""
