"""One server process of the local stack: started under a lifeline, awaited until it responds, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from project.local.errors import PortTakenError, StackError
from project.local.servers.lifeline import lifeline_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

STOP_GRACE_S = 4.0
"""Seconds between the stop signal and SIGKILL, so that nothing outlives a killed parent by 10 s."""

_LOG_TAIL_LINES = 12
_POLL_INTERVAL_S = 0.02
_PORT_TAKEN_WORDS = ("address already in use", "address in use")


class Service:
    """A server process that ends when this object stops it or when its parent process ends.

    `lock_descriptor`, if any, is passed to the lifeline, which holds the state folder's lock until
    the server has ended. The server's output is written to `log_path`, which is truncated at each
    start.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log_path: Path,
        lock_descriptor: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_path = log_path
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                lifeline_command(command, stop_signal=stop_signal, grace_s=STOP_GRACE_S, orphan_grace_s=STOP_GRACE_S),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                pass_fds=() if lock_descriptor is None else (lock_descriptor,),
                start_new_session=True,  # so that a Ctrl-C in the terminal reaches only the parent
            )

    def wait_until(self, check: Callable[[], object], *, deadline_s: float) -> None:
        """Call `check` until it raises no exception.

        Raises StackError with the tail of the log if the process ends earlier or `deadline_s`
        passes, or its subclass PortTakenError if the port was the reason.
        """
        give_up_at = time.monotonic() + deadline_s
        while True:
            try:
                check()
            except Exception as error:
                if self._process.poll() is not None:
                    raise self._ended() from None
                if time.monotonic() > give_up_at:
                    message = f"{self.name} did not respond within {deadline_s:.0f} s ({error})."
                    raise StackError(self._with_log_tail(message)) from error
                time.sleep(_POLL_INTERVAL_S)
            else:
                return

    def check(self) -> None:
        """Raise StackError with the tail of the log if the process has exited unexpectedly."""
        if self._process.poll() is not None:
            message = f"{self.name} exited unexpectedly (exit code {self._process.returncode})."
            raise StackError(self._with_log_tail(message))

    def stop(self) -> None:
        """Send the stop signal, and wait until the server and all its descendants have ended."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ended(self) -> StackError:
        message = f"{self.name} exited while starting (exit code {self._process.returncode})."
        if any(words in self._log_tail().lower() for words in _PORT_TAKEN_WORDS):
            return PortTakenError(self._with_log_tail(message))
        return StackError(self._with_log_tail(message))

    def _with_log_tail(self, message: str) -> str:
        return f"{message} Last lines of {self.log_path}:\n{self._log_tail()}"

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:]) or "  (empty)"


def plain_environment() -> dict[str, str]:
    """Return an environment for servers that the user's PG* and LC_* variables must not affect."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
