"""Runs one child process on untrusted input: limits, a bare environment, a deadline, and an end however it goes."""

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
_LOOK_S = 0.25
_STDERR_BYTES = 4096
"""Kept of a child's complaints, from the beginning and from the end."""


@dataclass(frozen=True)
class ChildEnd:
    """How a child ended: its exit code (minus the signal's number), its CPU time, and the first and last of its complaints."""

    returncode: int
    cpu_s: float
    complaint: str


def run_child(
    program: Sequence[str],
    *,
    limits: ChildLimits,
    on_output: Callable[[bytes], None],
    on_wait: Callable[[int], None] = lambda _: None,
    stop: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildEnd:
    """Run `program` (its first item is an absolute path) until it ends and return how.

    `on_output` gets its standard output as it comes; `on_wait` is called at least four times a second, with the bytes that
    the child has read so far: they tell one that is at work from one that hangs. The child gets only the environment given
    here, so that no credential of this process can reach it. Whatever is raised by either call, by `stop` (StoppedError) or by
    the deadline (EncodeError), the child's whole process group is dead by then.
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
        complaint = _follow(child, limits.deadline_s, on_output, on_wait, stop)
        return _wait(child, complaint)
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
    """Pass on output until both pipes are closed; return the first and the last of what was written to standard error."""
    end = time.monotonic() + deadline_s
    begun, complaint = b"", b""
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            if pipe:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() or _lives(child):
            for key, _ in selector.select(timeout=_LOOK_S):
                block = os.read(key.fd, 65536)
                if not block:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stdout:
                    on_output(block)
                else:
                    room = _STDERR_BYTES - len(begun)
                    begun, complaint = begun + block[:room], (complaint + block[room:])[-_STDERR_BYTES:]
            if stop is not None and stop.is_set():
                raise StoppedError
            if time.monotonic() > end:
                raise EncodeError(
                    code="DEADLINE_PASSED", message=f"The work was not done within {deadline_s:.0f} s and was ended."
                )
            on_wait(_read_bytes(child))
    return (begun + complaint).decode(errors="replace").strip()


def _read_bytes(child: subprocess.Popen[bytes]) -> int:
    """Return the bytes that the child has read (proc_pid_io(5): rchar); 0 once it has ended, or where the kernel does not tell."""
    with suppress(OSError):
        for line in Path(f"/proc/{child.pid}/io").read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "rchar":
                return int(value)
    return 0


def _lives(child: subprocess.Popen[bytes]) -> bool:
    """Tell whether a child that closed its pipes still runs, without collecting it."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _wait(child: subprocess.Popen[bytes], complaint: str) -> ChildEnd:
    """Collect the child with its resource usage, which subprocess itself does not give."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return ChildEnd(child.returncode, usage.ru_utime + usage.ru_stime, complaint)
