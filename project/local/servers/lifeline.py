"""Wrapper that runs one program, so that neither it nor its descendants outlive the calling process.

The caller starts this file as an intermediate process; `lifeline_command` builds its arguments. The
caller holds the other end of a pipe that is this process's standard input. When the caller ends,
however it ends, the kernel closes that pipe. This process is the "subreaper" of its descendants:
orphaned processes become its children, so it also finds a grandchild in a separate process group or
session. Only Linux supports this.

Signals: on SIGTERM, it sends the chosen stop signal to the program, and kills everything after the
grace period. If it is killed with SIGKILL itself, the kernel kills the program as well.

It deliberately imports little, so that it starts within some 20 ms: each container of the local AWS
Batch needs one.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

# Not typing.TYPE_CHECKING: importing typing would take as long as everything else together.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

COMMAND_NOT_STARTED_EXIT_CODE = 127
"""The exit code of a shell for a command that was not found."""

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_PARENT_CHECK_INTERVAL_S = 0.5
_LAST_KILL_LIMIT_S = 5.0
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def lifeline_command(
    command: Sequence[str], *, stop_signal: signal.Signals, grace_s: float, orphan_grace_s: float
) -> list[str]:
    """Return the arguments that run `command` under a lifeline to the calling process.

    Start it with `stdin=subprocess.PIPE`, and keep the pipe open as long as the program should run.
    `grace_s` is the time between the stop signal and SIGKILL after a SIGTERM to the lifeline,
    `orphan_grace_s` the same after the calling process ended; 0 kills immediately.
    """
    return [
        # -I and -S skip the search for site packages, which are not needed.
        *(sys.executable, "-I", "-S", __file__),
        *(str(os.getpid()), str(int(stop_signal)), str(grace_s), str(orphan_grace_s)),
        *command,
    ]


def die_with_parent(stop_signal: signal.Signals) -> None:
    """Make the kernel send `stop_signal` to this process when the thread that started it ends.

    Raises OSError.
    """
    _prctl(_PR_SET_PDEATHSIG, int(stop_signal))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Lifeline:
    """State of the one program that this process supervises."""

    def __init__(self, *, parent_pid: int, stop_signal: int, grace_s: float, orphan_grace_s: float) -> None:
        self._parent_pid = parent_pid
        self._stop_signal = stop_signal
        self._grace_s = grace_s
        self._orphan_grace_s = orphan_grace_s
        self._kill_at: float | None = None
        self._program_pid = 0
        self._exit_code: int | None = None

    def run(self, command: Sequence[str]) -> int:
        """Run `command` and return its exit code, or 128 + the signal number if a signal ended it."""
        signals_seen = self._watch_signals()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        # Block signals until the child has the default handlers: it would ignore a stop signal that
        # arrives earlier.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._program_pid = os.fork()
        if self._program_pid == 0:
            _become(command)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._wait_for_end(signals_seen)
        self._kill_everything_below()
        assert self._exit_code is not None  # noqa: S101 - _wait_for_end returns only when it is set
        return self._exit_code

    def _watch_signals(self) -> int:
        """Return the descriptor on which the number of each signal arrives as one byte."""
        signals_seen, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, _ignore)
        return signals_seen

    def _wait_for_end(self, signals_seen: int) -> None:
        poll = select.poll()
        poll.register(signals_seen, select.POLLIN)
        poll.register(0, 0)  # POLLHUP is always reported; it means that the other end of the pipe is closed
        while self._exit_code is None:
            for descriptor, _ in poll.poll(self._poll_timeout_ms()):
                if descriptor == 0:
                    poll.unregister(0)
                    self._stop_within(self._orphan_grace_s)
                elif signal.SIGTERM in os.read(signals_seen, 512):
                    self._stop_within(self._grace_s)
            # A process forked by the parent may hold a copy of the pipe's other end, so check the
            # parent as well.
            if os.getppid() != self._parent_pid:
                self._stop_within(self._orphan_grace_s)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill_children()
            self._reap()

    def _poll_timeout_ms(self) -> float:
        wait_s = _PARENT_CHECK_INTERVAL_S
        if self._kill_at is not None:
            wait_s = min(wait_s, max(0.01, self._kill_at - time.monotonic()))
        return wait_s * 1000

    def _stop_within(self, grace_s: float) -> None:
        kill_at = time.monotonic() + grace_s
        if self._kill_at is None:
            self._send(self._program_pid, self._stop_signal)
            self._kill_at = kill_at
        else:
            self._kill_at = min(self._kill_at, kill_at)

    def _reap(self) -> bool:
        """Reap the children that have ended. Return whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._program_pid:
                code = os.waitstatus_to_exitcode(status)
                self._exit_code = code if code >= 0 else 128 - code

    def _kill_everything_below(self) -> None:
        give_up_at = time.monotonic() + _LAST_KILL_LIMIT_S
        while self._reap() and time.monotonic() < give_up_at:
            # The children of a killed child become children of this process, and are killed in the
            # next round.
            self._kill_children()
            time.sleep(0.002)

    def _kill_children(self) -> None:
        for pid in _children_of_this_process():
            self._send(pid, signal.SIGKILL)

    @staticmethod
    def _send(pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: with a handler, the signal arrives on the wakeup descriptor instead of ending the process."""


def _children_of_this_process() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _become(command: Sequence[str]) -> None:
    """Replace the forked child by the program. Never returns."""
    try:
        os.setsid()
        die_with_parent(signal.SIGKILL)
        for number in (*_SIGNALS, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], list(command))  # noqa: S606 - an argument list, and no shell is wanted
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(COMMAND_NOT_STARTED_EXIT_CODE)


def main(arguments: Sequence[str]) -> int:
    """Run the program that `lifeline_command` describes and return its exit code."""
    parent_pid, stop_signal, grace_s, orphan_grace_s, *command = arguments
    lifeline = _Lifeline(
        parent_pid=int(parent_pid),
        stop_signal=int(stop_signal),
        grace_s=float(grace_s),
        orphan_grace_s=float(orphan_grace_s),
    )
    return lifeline.run(command)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
