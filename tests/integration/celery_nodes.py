"""Celery's programs as local processes with the interface of pytest-celery's containers, so no Docker is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from pytest_celery import CeleryTestNode, CeleryTestWorker

from project.local.batch.docker_container import docker_run
from project.local.servers.lifeline import lifeline_command
from tasks.schedule import ticks
from tests.docker_engine import docker
from tests.polling import wait_for
from tests.processes import program_under_lifeline
from tests.stack_plugin import DOCKER_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUEUES = ",".join(ticks.QUEUES)

_CELERY = ("celery", "-A", "project")

_STOP_GRACE_S = 8.0
_GONE_LIMIT_S = 30.0
_START_LIMIT_S = 120.0


class NodeProcess:
    """One program under a lifeline that can be started, killed and restarted; its child processes never outlive it.

    `ready_line` is what the program logs once it is ready. pytest-celery prescribes the method
    names.
    """

    def __init__(
        self, *, name: str, arguments: list[str], environment: Mapping[str, str], log_path: Path, ready_line: str
    ) -> None:
        self.name = self.id = name
        self._environment = environment
        self._command = self._command_for(arguments)
        self._log_path = log_path
        self._ready_line = ready_line
        self._starts = 0
        self._process = self._start()

    def _command_for(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", *_CELERY, *arguments]

    @property
    def status(self) -> str:
        """`running` or `exited`, as Docker reports it."""
        return "running" if self._process.poll() is None else "exited"

    @property
    def celeryconfig(self) -> dict[str, str]:
        """The broker's URL."""
        url = self._environment["REDIS_URL"]
        return {"url": url, "host_url": url}

    def ready(self) -> bool:
        """Wait until the program has logged its ready line once per start."""
        wait_for(
            lambda: self.logs().count(self._ready_line) >= self._starts or self.status == "exited",
            limit_s=_START_LIMIT_S,
            what=f"the start of {self.name}",
        )
        assert self.status == "running", self.logs()
        return True

    def logs(self) -> str:
        """Return everything that the program has written, over all its starts."""
        return self._log_path.read_text(errors="replace")

    def kill(self, signal: str | int = signal.SIGKILL) -> None:
        """Send the signal to the program itself; for SIGKILL, return once it and its children have exited."""
        number = _signal_number(signal)
        os.kill(self._program_pid(), number)
        if number == _signal_number("SIGKILL"):
            self._process.wait(timeout=_GONE_LIMIT_S)

    def restart(self, timeout: float | None = None) -> None:
        """Stop the program if it still runs, start it again, and wait until it is ready."""
        self._end()
        self._process = self._start()
        self.ready()

    def reload(self) -> None:
        """Nothing is cached here."""

    def teardown(self) -> None:
        """Kill the program and its children: rows and messages survive that, and a graceful stop takes seconds."""
        if self.status == "running":
            with suppress(OSError, AssertionError):  # it may exit by itself meanwhile
                self.kill()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def worker_name(self) -> str:
        return self.name

    def worker_queue(self) -> str:
        return QUEUES

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                lifeline_command(
                    self._command, stop_signal=signal.SIGTERM, grace_s=_STOP_GRACE_S, orphan_grace_s=_STOP_GRACE_S
                ),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self._environment),
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )

    def _program_pid(self) -> int:
        return program_under_lifeline(self._process.pid)


class NodeContainer(NodeProcess):
    """The same program from our image, in Docker. It needs no more from the host than a Batch job does."""

    def _command_for(self, arguments: list[str]) -> list[str]:
        self._container = f"batchreel-{self.name}-{uuid.uuid4().hex[:8]}"
        return docker_run(
            DOCKER_IMAGE, "python", "-m", *_CELERY, *arguments, name=self._container, environment=self._environment
        )

    def kill(self, signal: str | int = signal.SIGKILL) -> None:
        """Send the signal to the container's program; for SIGKILL, return once it has exited."""
        docker("kill", "--signal", str(_signal_number(signal)), self._container)
        if _signal_number(signal) == _signal_number("SIGKILL"):
            self._process.wait(timeout=_GONE_LIMIT_S)


class StackBroker:
    """The stack's Redis, which runs already and is not killed by these tests."""

    name = id = "redis"
    status = "running"

    def __init__(self, url: str) -> None:
        self.celeryconfig = {"url": url, "host_url": url}

    def ready(self) -> bool:
        return True

    def logs(self) -> str:
        return ""

    def reload(self) -> None:
        """Nothing is cached here."""

    def teardown(self) -> None:
        """Do nothing: the stack stops it."""


def worker_process(
    environment: Mapping[str, str], folder: Path, *, name: str = "path", kind: type[NodeProcess] = NodeProcess
) -> NodeProcess:
    """Start a worker on all queues with two processes; its log is in `folder`."""
    # Mingle and gossip are for workers that run next to others, and add a second to each start.
    solo_options = ["--without-mingle", "--without-gossip"]
    arguments = [
        "worker",
        "-Q",
        QUEUES,
        "--concurrency",
        "2",
        "--hostname",
        f"{name}@%h",
        "--loglevel",
        "INFO",
        *solo_options,
    ]
    return kind(
        name=name,
        arguments=arguments,
        environment={**environment, "REDIS_SOCKET_TIMEOUT_S": "5"},
        log_path=folder / f"worker-{name}.log",
        ready_line=" ready.",
    )


def beat_process(environment: Mapping[str, str], folder: Path, *, name: str = "beat") -> NodeProcess:
    """Start beat. Its own file, of which only some schedulers have one, is in `folder`."""
    return NodeProcess(
        name=name,
        arguments=["beat", "--loglevel", "INFO", "--schedule", str(folder / "celerybeat-schedule")],
        environment=environment,
        log_path=folder / f"{name}.log",
        ready_line="beat: Starting...",
    )


class ManageProcess(NodeProcess):
    """A command of manage.py that runs until it is stopped."""

    def _command_for(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "manage.py", *arguments]


def listener_process(environment: Mapping[str, str], folder: Path, *, name: str = "listener") -> ManageProcess:
    """Start a listener on the queue in the environment. Its health file is in `folder`."""
    return ManageProcess(
        name=name,
        arguments=["listen", "--health-file", str(folder / f"{name}.health")],
        environment=environment,
        log_path=folder / f"{name}.log",
        ready_line="LISTENER_STARTED",
    )


class RunningSite(NamedTuple):
    """The Celery programs of a site."""

    worker: CeleryTestWorker
    beat: CeleryTestNode


def _signal_number(given: str | int) -> int:
    return signal.Signals[given].value if isinstance(given, str) else int(given)
