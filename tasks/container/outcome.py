"""How a container run ends. Several slots, the heartbeat and a signal may all have a say; the first one that matters decides."""

from __future__ import annotations

import threading

from ..lifecycle.exit_codes import ExitCode
from ..lifecycle.reasons import Reason
from ..services.container_api.claim import NothingToClaim

_EVENTS = {
    ExitCode.DONE: "BATCH_JOB_COMPLETED",
    ExitCode.CANCELLED: "BATCH_JOB_CANCELLED",
    ExitCode.FENCED: "BATCH_JOB_FENCED",
    ExitCode.TERMINATED: "BATCH_TERMINATED",
}


class Outcome:
    """The first ending that was set; setting one stops all slots. Without any, the work is done."""

    def __init__(self, *, stop: threading.Event) -> None:
        self._lock = threading.Lock()
        self._stop = stop
        self._set = False
        self.exit_code = ExitCode.DONE
        self.reason: Reason | None = None
        self.code = ""
        self.text = ""
        self.event = _EVENTS[ExitCode.DONE]

    def failed(self, exit_code: ExitCode, reason: Reason, text: str) -> None:
        """The attempt fails, and its row is to say why."""
        self._decide(exit_code, reason=reason, text=text)

    def input_rejected(self, code: str, message: str) -> None:
        """The input cannot be transcoded."""
        self._decide(ExitCode.INPUT_REJECTED, code=code, text=message)

    def ended(self, exit_code: ExitCode, text: str) -> None:
        """Somebody else has ended the attempt; the row says so already, or cannot be reached."""
        self._decide(exit_code, text=text)

    def published_here(self) -> None:
        """This container published the job. Its heartbeat may have heard of that first, and not know whose doing it was."""
        self._say("BATCH_JOB_COMPLETED", "published", instead=True)

    def nothing_left(self, why: NothingToClaim) -> None:
        """There is nothing more to claim. Not an ending by itself: a neighbour's unit may still fail."""
        if why is NothingToClaim.JOB_DONE:
            self._say("IDEMPOTENT_READY", "another attempt published the job")
        else:
            self._say("BATCH_JOB_COMPLETED", why.value)

    def _say(self, event: str, text: str, *, instead: bool = False) -> None:
        with self._lock:
            if not self._set and (instead or not self.text):
                self.event, self.text = event, text

    def _decide(self, exit_code: ExitCode, *, text: str, reason: Reason | None = None, code: str = "") -> None:
        with self._lock:
            if self._set:
                return
            self._set = True
            self.exit_code, self.reason, self.code, self.text = exit_code, reason, code, text
            self.event = _EVENTS.get(exit_code, "BATCH_JOB_FAILED")
        self._stop.set()
