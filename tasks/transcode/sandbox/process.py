"""Running one child process on untrusted input: confined, with limits and a bare environment."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import EncodeError, StoppedError
from .command import module_command, program_paths
from .idle import IdleWatch
from .read_guard import ReadGuard

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..arrival import ArrivalServer
    from .limits import ChildLimits
    from .read_guard import PartialFile

_POLL_S = 0.25
_STDERR_BYTES = 4096
"""Number of bytes of standard error kept from the beginning, and as many from the end."""

CRASHES = frozenset({-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL})
"""Exit codes of a child that crashed: by its own fault, its input's, or that of the machine's memory or disk."""


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
    paths: Mapping[str, Sequence[Path]] | None = None,
    partial_file: PartialFile | None = None,
    arrivals: ArrivalServer | None = None,
) -> ChildResult:
    """Run `program` (its first item is an absolute path) until it ends, and return how it ended.

    `on_output` receives its standard output as it arrives. `on_wait` is called about four times a
    second or more often, with the number of bytes that the child has read so far, which
    distinguishes a running child from a hung one.

    The child inherits none of this process's environment variables, so none of the credentials in
    them; it gets `environment` and two fixed variables. It runs as the same user, but without
    sockets, and with access only to what it needs to start and to `paths`: files that it may
    `read`, folders that it may `list`, folders below which it may `write`, and folders from which
    it may `run` programs and libraries. `launcher` applies these walls as far as the kernel has
    them. Of `partial_file`, it can read only what is present. It inherits the descriptors of
    `arrivals`, and does not count as hung while it waits for an answer; what that failed with is raised.

    Raises StoppedError once `stop` is set, EncodeError NO_PROGRESS if the child hangs, HOLE_READ or
    READS_UNWATCHED (see `read_guard`), and passes on what a callback raises. However it ends, its
    process group gets SIGKILL and is reaped, so that it leaves no process behind.
    """
    with ExitStack() as cleanup:
        guard = None if partial_file is None else cleanup.enter_context(ReadGuard(partial_file))
        return _run(
            program,
            limits=limits,
            on_output=on_output,
            on_wait=on_wait,
            stop=stop,
            environment=environment or {},
            paths=paths or {},
            guard=guard,
            arrivals=arrivals,
        )


def _run(
    program: Sequence[str],
    *,
    limits: ChildLimits,
    on_output: Callable[[bytes], None],
    on_wait: Callable[[int], None],
    stop: threading.Event | None,
    environment: Mapping[str, str],
    paths: Mapping[str, Sequence[Path]],
    guard: ReadGuard | None,
    arrivals: ArrivalServer | None,
) -> ChildResult:
    guard_descriptor = None if guard is None else guard.child_socket.fileno()
    confinement = {
        "limits": limits.as_rlimits(),
        "paths": {
            "run": [*program_paths(program[0]), *_absolute(paths.get("run", ()))],
            **{kind: _absolute(given) for kind, given in paths.items() if kind != "run"},
        },
        "guard": guard_descriptor,
    }
    child = subprocess.Popen(
        [*module_command("launcher"), str(os.getpid()), json.dumps(confinement), *program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C", "MALLOC_ARENA_MAX": "2", **environment},
        process_group=0,
        pass_fds=[
            *(() if guard_descriptor is None else (guard_descriptor,)),
            *(() if arrivals is None else arrivals.child_descriptors),
        ],
    )

    def check() -> None:
        if guard is not None:
            guard.raise_if_hole_was_read()
        if arrivals is not None:
            arrivals.raise_if_failed()

    try:
        if guard is not None:
            # So that the guard notices if the child ends before it has sent its listener.
            guard.child_socket.close()
        stderr = _follow(
            child,
            idle_limit_s=limits.idle_s,
            is_excused=lambda: arrivals is not None and arrivals.is_awaited,
            check=check,
            on_output=on_output,
            on_wait=on_wait,
            stop=stop,
        )
        result = _end(child, stderr)
        if guard is not None:
            guard.raise_unless_all_was_present()
        return result
    finally:
        if child.returncode is None:
            _end(child, "")
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


def _follow(
    child: subprocess.Popen[bytes],
    *,
    idle_limit_s: float,
    on_output: Callable[[bytes], None],
    on_wait: Callable[[int], None],
    stop: threading.Event | None,
    is_excused: Callable[[], bool],
    check: Callable[[], None],
) -> str:
    """Pass on output until the pipes are closed and the child has ended.

    `check` raises an error that ends the child. Return the start and the end of its standard error.
    """
    watch = IdleWatch(child.pid, is_excused)
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
                    continue
                watch.reset()
                if key.fileobj is child.stdout:
                    on_output(block)
                else:
                    room = _STDERR_BYTES - len(head)
                    head, tail = head + block[:room], (tail + block[room:])[-_STDERR_BYTES:]
            if stop is not None and stop.is_set():
                raise StoppedError
            check()
            watch.look()
            if watch.idle_s > idle_limit_s:
                raise EncodeError(
                    code="NO_PROGRESS",
                    message=f"The process made no progress for {idle_limit_s:g} s and was killed.",
                )
            on_wait(watch.read_bytes)
    check()
    return (head + tail).decode(errors="replace").strip()


def _is_running(child: subprocess.Popen[bytes]) -> bool:
    """Return whether a child that closed its pipes is still running, without reaping it."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _end(child: subprocess.Popen[bytes], stderr: str) -> ChildResult:
    """Kill what is left of the child's process group, and reap the child with its resource usage.

    Until it is reaped, no other group can have its number. As process 1 of a container, this process
    is the parent of the child's orphans, which nobody else would reap.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-child.pid, 0)
    return ChildResult(child.returncode, usage.ru_utime + usage.ru_stime, stderr)
