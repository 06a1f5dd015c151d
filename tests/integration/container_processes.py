"""Running the container program as Batch runs it, and finding the processes of a running container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings

from tasks.models import Attempt
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROGRAM = b"tasks.container"


class ContainerRun:
    """One run of `python -m tasks.container` with these arguments, for a Batch job with this id."""

    def __init__(self, *arguments: object, environment: Mapping[str, str], batch_job_id: str | None = None) -> None:
        batch_variables = {} if batch_job_id is None else {"AWS_BATCH_JOB_ID": batch_job_id}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks.container", *map(str, arguments)],
            cwd=settings.BASE_DIR,
            env={**environment, **batch_variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def wait(self, *, limit_s: float = 40.0) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the end, and return the exit code and the parsed JSON lines of the log, without SANDBOX."""
        _, errors = self._process.communicate(timeout=limit_s)
        lines = [json.loads(line) for line in errors.splitlines()]
        return self._process.returncode, [line for line in lines if line["event"] != "SANDBOX"]

    def end(self) -> None:
        """Kill the program and its encoders if they still run, and close the pipe."""
        if self._process.poll() is None:
            for process_id in (*encoder_pids(self.pid), self.pid):
                with suppress(ProcessLookupError):  # an encoder dies with its container, or has just ended
                    os.kill(process_id, signal.SIGKILL)
        if self._process.stderr is not None and not self._process.stderr.closed:
            self._process.communicate()


class Run(Protocol):
    """The signature of the fixture `run`, which starts a container."""

    def __call__(self, attempt: Attempt, **environment: str) -> ContainerRun: ...


def container_pid(batch_job_id: str | None) -> int:
    """Wait for the container program of a Batch job, and return its process id, not that of its lifeline."""
    attempt = Attempt.objects.get(batch_job_id=batch_job_id)
    words = [b"-m", _PROGRAM, str(attempt.job_id).encode(), str(attempt.number).encode()]

    def poll() -> int | None:
        for process in Path("/proc").glob("[0-9]*"):
            # Its environment is no mark: the program hides it.
            if _nul_separated(process / "cmdline")[1:5] == words:
                return int(process.name)
        return None

    return wait_for(poll, what=f"the container of Batch job {batch_job_id}")


def encoder_pids(container: int) -> list[int]:
    """Return the ids of all ffmpeg processes below a container program, and of scripts that will exec ffmpeg."""
    found = []
    for child in _children(container):
        if any(b"ffmpeg" in word for word in _nul_separated(Path(f"/proc/{child}/cmdline"))[:2]):
            found.append(child)
        found += encoder_pids(child)
    return found


def hold_encoder(container: int) -> int:
    """Stop an ffmpeg below a container program, so that its unit cannot finish, and return its process id."""

    def poll() -> int | None:
        for encoder in encoder_pids(container):
            with suppress(ProcessLookupError):
                os.kill(encoder, signal.SIGSTOP)
            if _state(encoder) == "T":
                return encoder
        return None

    return wait_for(poll, what=f"an encoder of process {container}")


class EncoderBrake:
    """Script that replaces ffmpeg and stops itself before it encodes video, until the test continues it.

    A container gets it through `environment`. Its process id stays the same when it execs ffmpeg;
    all other ffmpeg commands run normally.
    """

    def __init__(self, folder: Path) -> None:
        self._applied = folder / "brake-is-applied"
        self._applied.touch()
        script = folder / "ffmpeg"
        script.write_text(
            f'#!/bin/sh\ncase "$*" in *libx264*) [ ! -e "{self._applied}" ] || kill -STOP $$ ;; esac\n'
            f'exec "{ffmpeg_binary()}" "$@"\n'
        )
        script.chmod(0o755)
        self.environment = {"FFMPEG_BINARY": str(script)}

    def wait_for_encoder(self, container: int, *, after: int | None = None) -> int:
        """Wait until an encoder below the container program, other than `after`, has stopped itself; return its id."""

        def poll() -> int | None:
            held = (each for each in encoder_pids(container) if each != after and _state(each) == "T")
            return next(held, None)

        return wait_for(poll, what=f"a held encoder of process {container}")

    def wait_for_second_encoder(self, container: int) -> int:
        """Let the first encoder finish its unit, wait until the second has stopped, and return its process id."""
        first = self.wait_for_encoder(container)
        os.kill(first, signal.SIGCONT)
        return self.wait_for_encoder(container, after=first)

    def release(self) -> None:
        """Let no further encoder stop itself. A stopped one continues when it receives SIGCONT."""
        self._applied.unlink()


def _state(process_id: int) -> str:
    """Return the kernel's letter for a process's state, such as T for stopped, or "" if there is no such process."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _children(process_id: int) -> list[int]:
    children = []
    for thread in Path(f"/proc/{process_id}/task").glob("*"):
        try:
            children += [int(each) for each in (thread / "children").read_text().split()]
        except OSError:
            continue  # it has ended meanwhile
    return children


def _nul_separated(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split(b"\0")
    except OSError:
        return []  # it has ended meanwhile, or belongs to another user
