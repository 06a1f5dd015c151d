"""Timelines: the events of a job or a video as readable entries, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..lifecycle.reasons import Reason
from ..lifecycle.states import AttemptEvent, JobEvent, UnitEvent
from ..models import Event

TIMELINE_LIMIT = 200
"""Maximum number of entries. A job that failed 20 times has about 150 events, not counting those of its units."""

EVENT_LABELS: dict[str, str] = {
    "job.request": "Processing was requested",
    JobEvent.GRANT: "A new attempt was scheduled",
    JobEvent.CLAIM: "A container started the job",
    JobEvent.RETRY: "The job is waiting for another attempt",
    JobEvent.PREVIEW: "A preview was published: the file as uploaded",
    JobEvent.PUBLISH: "The video was published",
    JobEvent.REJECT: "The file was rejected",
    JobEvent.DEAD: "The job stopped after too many attempts",
    JobEvent.CANCEL: "The job was cancelled",
    JobEvent.REVIVE: "The job was revived",
    "job.priority": "The job was moved before all bulk jobs",
    "job.purge": "The job's objects were removed",
    AttemptEvent.SUBMIT: "Submitted to AWS Batch",
    AttemptEvent.CLAIM: "The container started",
    AttemptEvent.SUCCEED: "The container finished",
    AttemptEvent.FAIL: "The attempt failed",
    AttemptEvent.LOSE: "The attempt was lost",
    AttemptEvent.CANCEL: "The attempt was cancelled",
    "attempt.reason": "AWS Batch reported that the container ran out of memory",
    "attempt.counted": "AWS Batch reported why the attempt ended",
    "attempt.resubmit": "AWS Batch has no job for the attempt; it is submitted again",
    "batch.status": "AWS Batch reported a new status",
    "batch.stuck_runnable": "The attempt has been waiting in AWS Batch for a long time",
    "rescue.terminate_failed": "A Batch job could not be terminated",
    "containers.cut_off": "Many containers could not reach the database",
    UnitEvent.LEASE: "A unit was started",
    UnitEvent.FINISH: "A unit was finished",
    UnitEvent.REDO: "A unit is being redone",
    "upload.complete": "The upload is complete",
    "video.delete": "The video was deleted",
    "video.purge": "The video's objects and rows were removed",
    "purge.failed": "Objects or rows could not be removed",
    "tick.failed": "A scheduled task failed",
    "tick.recovered": "A scheduled task works again",
}

_GOOD = frozenset({JobEvent.PREVIEW, JobEvent.PUBLISH, AttemptEvent.SUCCEED, "tick.recovered"})
_BAD = frozenset(
    {
        JobEvent.REJECT,
        JobEvent.DEAD,
        AttemptEvent.FAIL,
        AttemptEvent.LOSE,
        UnitEvent.REDO,
        "rescue.terminate_failed",
        "batch.stuck_runnable",
        "containers.cut_off",
        "purge.failed",
        "tick.failed",
    }
)
_EVERYDAY = (UnitEvent.LEASE, UnitEvent.FINISH)
"""Two events per minute of video. The units' own table is the better place for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One entry of a timeline. `tone` is good, bad or plain."""

    at: datetime
    kind: str
    label: str
    details: str
    attempt_number: int | None
    tone: str


def job_timeline(job_id: uuid.UUID) -> list[TimelineEntry]:
    """Return the events of a job, its attempts and their Batch jobs, newest first, at most TIMELINE_LIMIT entries."""
    return _entries(Event.objects.filter(job_id=job_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT])


def video_timeline(video_id: uuid.UUID) -> list[TimelineEntry]:
    """Return the events of a video and all its jobs, newest first, at most TIMELINE_LIMIT entries."""
    return _entries(Event.objects.filter(video_id=video_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT])


def _entries(events: Iterable[Event]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            at=event.created_at,
            kind=event.kind,
            label=EVENT_LABELS.get(event.kind, event.kind),
            details=_details(event),
            attempt_number=event.attempt_number,
            tone="good" if event.kind in _GOOD else "bad" if event.kind in _BAD else "plain",
        )
        for event in events
    ]


def _details(event: Event) -> str:
    change = f"{event.from_state or 'none'} → {event.to_state}" if event.from_state != event.to_state else ""
    reason = Reason.__members__.get(event.reason)
    message = reason.message if reason else event.reason
    # The text often begins with the reason's message, or is just the attempt that the entry shows anyway.
    text = event.text.removeprefix(message).strip() if event.text != f"attempt {event.attempt_number}" else ""
    return "; ".join(part for part in (change, message.rstrip("."), text) if part)
