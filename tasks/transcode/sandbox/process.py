"""Running one child process on untrusted input, with limits, a bare environment and a deadline."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EncodeError, StoppedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from .limits import ChildLimits

_LAUNCHER = Path(__file__).with_name("launcher.py")
_POLL_S = 0.25
_STDERR_BYTES = 4096
"""Number of bytes of standard error kept from the beginning, and as many from the end."""


@dataclass(frozen=True)
class ChildResult:
    """How a child ended: exit code, CPU time, and the start and end of its standard error.

    A child killed by a signal has the negative signal number as its exit code.
    """

    returncode: int
    cpu_s: float
    stderr: str


def run_child(
    program: Sequence[str],
    *,
    limits: ChildLimits,
    on_output: Callable[[bytes], None],
    on_wait: Callable[[int], None] = lambda _: None,
    stop: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildResult:
    """Run `program` (its first item is an absolute path) until it ends, and return how it ended.

    `on_output` receives its standard output as it arrives. `on_wait` is called about four times a
    second or more often, with the number of bytes that the child has read so far, which
    distinguishes a running child from a hung one.

    The child inherits none of this process's environment variables, so none of the credentials in
    them; it gets `environment` and two fixed variables. It runs as the same user, with the same
    access to files.

    Raises StoppedError once `stop` is set, EncodeError at the deadline, and passes on what a
    callback raises; before that it sends SIGKILL to the child's process group and reaps the child.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), json.dumps(limits.as_rlimits()), *program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C", "MALLOC_ARENA_MAX": "2", **(environment or {})},
        process_group=0,
    )
    try:
        stderr = _follow(child, limits.deadline_s, on_output, on_wait, stop)
        return _wait(child, stderr)
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            _wait(child, "")
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def _follow(
    child: subprocess.Popen[bytes],
    deadline_s: float,
    on_output: Callable[[bytes], None],
    on_wait: Callable[[int], None],
    stop: threading.Event | None,
) -> str:
    """Pass on output until the pipes are closed and the child has ended.

    Return the start and the end of its standard error.
    """
    end = time.monotonic() + deadline_s
    head, tail = b"", b""
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            if pipe:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() or _is_running(child):
            for key, _ in selector.select(timeout=_POLL_S):
                block = os.read(key.fd, 65536)
                if not block:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stdout:
                    on_output(block)
                else:
                    room = _STDERR_BYTES - len(head)
                    head, tail = head + block[:room], (tail + block[room:])[-_STDERR_BYTES:]
            if stop is not None and stop.is_set():
                raise StoppedError
            if time.monotonic() > end:
                raise EncodeError(
                    code="DEADLINE_PASSED",
                    message=f"The process did not finish within {deadline_s:.0f} s and was killed.",
                )
            on_wait(_read_bytes(child))
    return (head + tail).decode(errors="replace").strip()


def _read_bytes(child: subprocess.Popen[bytes]) -> int:
    """Return how many bytes the child has read (rchar in proc_pid_io(5)).

    Return 0 if the child has ended or the kernel does not provide the value.
    """
    with suppress(OSError):
        for line in Path(f"/proc/{child.pid}/io").read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "rchar":
                return int(value)
    return 0


def _is_running(child: subprocess.Popen[bytes]) -> bool:
    """Return whether a child that closed its pipes is still running, without reaping it."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _wait(child: subprocess.Popen[bytes], stderr: str) -> ChildResult:
    """Reap the child with its resource usage, which subprocess itself does not return."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return ChildResult(child.returncode, usage.ru_utime + usage.ru_stime, stderr)
