"""How a container run ends.

Several slots, the heartbeat and a signal may set the outcome; the first one decides.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ..lifecycle.exit_codes import ExitCode
from ..lifecycle.reasons import Reason
from ..services.container_api.claim import NothingToLease

_EVENTS = {
    ExitCode.DONE: "BATCH_JOB_COMPLETED",
    ExitCode.CANCELLED: "BATCH_JOB_CANCELLED",
    ExitCode.FENCED: "BATCH_JOB_FENCED",
    ExitCode.TERMINATED: "BATCH_TERMINATED",
}


class Outcome:
    """The first outcome that was set.

    Setting one stops all slots; without one, the exit code is DONE.
    """

    def __init__(self, *, stop: threading.Event) -> None:
        self._lock = threading.Lock()
        self._stop = stop
        self._set = False
        self.exit_code = ExitCode.DONE
        self.reason: Reason | None = None
        self.code = ""
        self.text = ""
        self.details: dict[str, Any] = {}
        self.unit = ""
        self.event = _EVENTS[ExitCode.DONE]

    @property
    def refusal(self) -> dict[str, Any]:
        """Code, message and details of the file that was rejected or suspected."""
        return {"code": self.code, "message": self.text, "details": self.details}

    def fail(self, exit_code: ExitCode, reason: Reason, text: str) -> None:
        """Fail the attempt; the reason is written to its row."""
        self._decide(exit_code, reason=reason, text=text)

    def reject_input(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        """Reject the input, which cannot be transcoded."""
        self._decide(ExitCode.INPUT_REJECTED, code=code, text=message, details=details)

    def suspect_input(self, code: str, message: str, details: Mapping[str, Any], *, unit: str = "") -> None:
        """Fail the attempt, or the job if other machines have failed in the same way: the row decides.

        `unit` is the one whose encoder crashed, such as "video 3", if one did.
        """
        self._decide(ExitCode.FAILED, reason=Reason.INPUT_SUSPECT, code=code, text=message, unit=unit, details=details)

    def leave(self) -> None:
        """End the run early: EC2 takes the machine back, and no other container works on the job."""
        reason = Reason.SPOT_INTERRUPTION
        self._decide(ExitCode.TERMINATED, reason=reason, text=reason.message)

    def end(self, exit_code: ExitCode, text: str) -> None:
        """End the run without a result to write: the attempt's row has one already, or the database is unavailable."""
        self._decide(exit_code, text=text)

    def record_published(self) -> None:
        """Record that this container published the job.

        Its heartbeat may have received that first, as if another attempt had published; this
        replaces it.
        """
        self._describe("BATCH_JOB_COMPLETED", "published", replace=True)

    def record_nothing_to_lease(self, why: NothingToLease) -> None:
        """Record that there is nothing more to claim.

        This does not end the run: a unit in another slot may still fail.
        """
        if why is NothingToLease.JOB_DONE:
            self._describe("IDEMPOTENT_READY", "another attempt published the job")
        else:
            self._describe("BATCH_JOB_COMPLETED", why.value)

    def _describe(self, event: str, text: str, *, replace: bool = False) -> None:
        with self._lock:
            if not self._set and (replace or not self.text):
                self.event, self.text = event, text

    def _decide(
        self,
        exit_code: ExitCode,
        *,
        text: str,
        reason: Reason | None = None,
        code: str = "",
        unit: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        with self._lock:
            if self._set:
                return
            self._set = True
            self.exit_code, self.reason, self.code, self.text = exit_code, reason, code, text
            self.unit = unit
            self.details = dict(details or {})
            self.event = _EVENTS.get(exit_code, "BATCH_JOB_FAILED")
        self._stop.set()
