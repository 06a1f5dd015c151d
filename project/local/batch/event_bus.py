"""AWS Batch's events: each change of a job's status goes to moto's EventBridge, which delivers it to SQS.

Planted faults lose, repeat, reorder and delay events, as AWS's delivery may: it promises "at least
once", and no order.
"""

from __future__ import annotations

import json
import logging
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends

from project.local.batch.control_plane import ACCOUNT_ID
from project.local.batch.faults.plan import FaultKind
from project.local.batch.job import QUEUE_BLOCKED

if TYPE_CHECKING:
    from threading import RLock

    from project.local.batch.faults.plan import FaultTable
    from project.local.batch.job import BatchJob

_REORDERED_AT_MOST_S = 1.0
"""After this, a reordered event is sent although no other one followed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """An event that is sent later: at `due_s`, or as soon as another one has overtaken it."""

    due_s: float
    region: str
    entry: dict[str, Any]
    until_overtaken: bool = False


class EventBus:
    """Sender of events. Jobs publish without waiting; one thread sends."""

    def __init__(self, moto_lock: RLock, faults: FaultTable) -> None:
        self._moto_lock = moto_lock
        self._faults = faults
        self._published: queue.SimpleQueue[tuple[str, str, dict[str, Any]]] = queue.SimpleQueue()
        self._held: list[_Held] = []

    def publish(self, kind: str, job: BatchJob) -> None:
        """Accept an event with the job's present detail, if there is a rule. Called under the table's lock."""
        region = job.submission.queue.region
        if not any(bus.rules for bus in list(events_backends[ACCOUNT_ID][region].event_buses.values())):
            return
        entry = {
            "Source": "aws.batch",
            "DetailType": kind,
            "Detail": json.dumps(job.detail()),
            "Resources": [job.arn, job.submission.queue.arn] if kind == QUEUE_BLOCKED else [job.arn],
            "Time": time.time(),
        }
        self._published.put((region, job.submission.name, entry))

    def send_forever(self) -> None:
        """Send events as they are published. Never returns; call it in its own thread."""
        while True:
            try:
                self._send_next()
            except Exception:  # noqa: BLE001 - one event must not end the thread
                _log.exception("An event could not be sent.")

    def _send_next(self) -> None:
        try:
            region, name, entry = self._published.get(timeout=self._pause_s())
        except queue.Empty:
            self._send_held()
            return
        self._send_held()
        if self._faults.take({FaultKind.EVENT_DROPPED}, job_name=name):
            return
        now_s = time.monotonic()
        if late := self._faults.take({FaultKind.EVENT_LATE}, job_name=name):
            self._held.append(_Held(now_s + (late.hold_s or 0.0), region, entry))
        elif self._faults.take({FaultKind.EVENT_REORDERED}, job_name=name):
            self._held.append(_Held(now_s + _REORDERED_AT_MOST_S, region, entry, until_overtaken=True))
        else:
            self._send(region, entry)
            if self._faults.take({FaultKind.EVENT_DOUBLED}, job_name=name):
                self._send(region, entry)
            self._send_held(overtaken=True)

    def _pause_s(self) -> float | None:
        if not self._held:
            return None
        return max(0.0, min(each.due_s for each in self._held) - time.monotonic())

    def _send_held(self, *, overtaken: bool = False) -> None:
        now_s = time.monotonic()
        due = [each for each in self._held if each.due_s <= now_s or (overtaken and each.until_overtaken)]
        self._held = [each for each in self._held if each not in due]
        for each in sorted(due, key=lambda held: held.due_s):
            self._send(each.region, each.entry)

    def _send(self, region: str, entry: dict[str, Any]) -> None:
        with self._moto_lock:
            events_backends[ACCOUNT_ID][region].put_events([entry])
