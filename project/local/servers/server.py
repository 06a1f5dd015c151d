"""One server process of the local stack: started under a lifeline, awaited until it answers, stopped."""

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
"""Between the stop signal and SIGKILL, so that nothing outlives a killed parent by 10 s."""

_LOG_TAIL_LINES = 12
_LOOK_INTERVAL_S = 0.02
_PORT_TAKEN_WORDS = ("address already in use", "address in use")


class Service:
    """A server process that ends when this object stops it or when the process that made it ends, whichever is first.

    `lock_descriptor`, if any, is handed to the lifeline, which holds the state folder's lock until the server is gone. The
    server's output goes to `log_path`, written anew at each start.
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
                start_new_session=True,  # a Ctrl-C in the terminal is the parent's business, not the server's
            )

    def wait_until(self, answers: Callable[[], object], *, deadline_s: float) -> None:
        """Call `answers` until it raises nothing.

        Raises StackError, with the log's tail, when the process ends before that or `deadline_s` passes; its
        PortTakenError when the port was the reason.
        """
        give_up_at = time.monotonic() + deadline_s
        while True:
            try:
                answers()
            except Exception as error:
                if self._process.poll() is not None:
                    raise self._ended() from None
                if time.monotonic() > give_up_at:
                    message = f"{self.name} did not answer within {deadline_s:.0f} s ({error})."
                    raise StackError(self._with_log_tail(message)) from error
                time.sleep(_LOOK_INTERVAL_S)
            else:
                return

    def check(self) -> None:
        """Raise StackError, with the log's tail, when the process has ended by itself."""
        if self._process.poll() is not None:
            message = f"{self.name} ended by itself (exit code {self._process.returncode})."
            raise StackError(self._with_log_tail(message))

    def stop(self) -> None:
        """Send the stop signal and wait until the server and everything below it is gone."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ended(self) -> StackError:
        message = f"{self.name} ended while starting (exit code {self._process.returncode})."
        if any(words in self._log_tail().lower() for words in _PORT_TAKEN_WORDS):
            return PortTakenError(self._with_log_tail(message))
        return StackError(self._with_log_tail(message))

    def _with_log_tail(self, message: str) -> str:
        return f"{message} The end of {self.log_path}:\n{self._log_tail()}"

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:]) or "  (empty)"


def plain_environment() -> dict[str, str]:
    """Return an environment for servers that need no settings: neither PG* nor LC_* of the person can change them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
