"""Running the container program as Batch runs it, and finding the processes of a running one."""

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

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.models import Attempt

_PROGRAM = b"tasks.container"


class ContainerRun:
    """One run of `python -m tasks.container`, for a Batch job of this id. Without arguments it gets none."""

    def __init__(self, *arguments: object, environment: Mapping[str, str], batch_job_id: str | None = None) -> None:
        named = {} if batch_job_id is None else {"AWS_BATCH_JOB_ID": batch_job_id}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks.container", *map(str, arguments)],
            cwd=settings.BASE_DIR,
            env={**environment, **named},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self, *, limit_s: float = 40.0) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the end; the exit code, and the lines of the log, each of which is JSON."""
        _, errors = self._process.communicate(timeout=limit_s)
        return self._process.returncode, [json.loads(line) for line in errors.splitlines()]

    def end(self) -> None:
        """Kill what is left of it."""
        if self._process.poll() is None:
            for process_id in (*encoder_pids(self.pid), self.pid):
                with suppress(ProcessLookupError):  # an encoder dies with its container, or has just ended
                    os.kill(process_id, signal.SIGKILL)
            self._process.communicate()


class Run(Protocol):
    """Starts a container."""

    def __call__(self, attempt: Attempt, **environment: str) -> ContainerRun: ...


def container_pid(batch_job_id: str | None) -> int:
    """Wait for the container program of a Batch job, and return its process id. Its lifeline is another process."""
    mark = f"AWS_BATCH_JOB_ID={batch_job_id}".encode()

    def look() -> int | None:
        for process in Path("/proc").glob("[0-9]*"):
            command = _words(process / "cmdline")
            if command[1:3] == [b"-m", _PROGRAM] and mark in _words(process / "environ"):
                return int(process.name)
        return None

    return wait_for(look, what=f"the container of Batch job {batch_job_id}")


def encoder_pids(container: int) -> list[int]:
    """The ids of all ffmpeg processes below a container program, and of scripts that will become one."""
    found = []
    for child in _children(container):
        if any(b"ffmpeg" in word for word in _words(Path(f"/proc/{child}/cmdline"))[:2]):
            found.append(child)
        found += encoder_pids(child)
    return found


def hold_encoder(container: int) -> int:
    """Stop an ffmpeg below a container program, wherever in its unit it is, and return its id: the unit can't end now."""

    def look() -> int | None:
        for encoder in encoder_pids(container):
            with suppress(ProcessLookupError):
                os.kill(encoder, signal.SIGSTOP)
            if _state(encoder) == "T":
                return encoder
        return None

    return wait_for(look, what=f"an encoder of process {container}")


class EncoderBrake:
    """A script to run in ffmpeg's place: it stops itself before it encodes pictures, and waits for the test, however late that comes.

    A container gets it as `environment`. Its process id stays the same when it becomes ffmpeg; all else that ffmpeg is asked goes on.
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
        """Wait until an encoder below the container program has stopped itself, another one than `after`; its process id."""

        def look() -> int | None:
            held = (each for each in encoder_pids(container) if each != after and _state(each) == "T")
            return next(held, None)

        return wait_for(look, what=f"a held encoder of process {container}")

    def wait_for_second_encoder(self, container: int) -> int:
        """Let the first encoder do its unit, and wait until the second one has stopped itself; its process id."""
        first = self.wait_for_encoder(container)
        os.kill(first, signal.SIGCONT)
        return self.wait_for_encoder(container, after=first)

    def release(self) -> None:
        """From now on no encoder stops itself. One that is stopped goes on when it gets SIGCONT."""
        self._applied.unlink()


def _state(process_id: int) -> str:
    """The letter that the kernel has for a process's state: T is stopped; empty where there is no process."""
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
            continue  # it ended meanwhile
    return children


def _words(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split(b"\0")
    except OSError:
        return []  # it ended meanwhile, or is another user's
