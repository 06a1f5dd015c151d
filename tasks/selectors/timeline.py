"""Events in words: what happened to a job or a video, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..lifecycle.reasons import Reason
from ..lifecycle.states import AttemptEvent, JobEvent, UnitEvent
from ..models import Event

TIMELINE_LIMIT = 200
"""Most entries of one timeline. A job that failed twenty times has about a hundred and fifty events besides its units'."""

EVENT_LABELS: dict[str, str] = {
    "job.request": "The video was asked for",
    JobEvent.GRANT: "An attempt was granted",
    JobEvent.CLAIM: "A container took the job up",
    JobEvent.RETRY: "The job waits for another attempt",
    JobEvent.PREVIEW: "A preview was published: the file as it was uploaded",
    JobEvent.PUBLISH: "The job was published",
    JobEvent.REJECT: "The file was refused",
    JobEvent.DEAD: "The job was parked",
    JobEvent.CANCEL: "The job was cancelled",
    JobEvent.REVIVE: "The job was revived",
    "job.purge": "The job's objects were removed",
    AttemptEvent.SUBMIT: "Submitted to AWS Batch",
    AttemptEvent.CLAIM: "The container started",
    AttemptEvent.SUCCEED: "The container finished",
    AttemptEvent.FAIL: "The attempt failed",
    AttemptEvent.LOSE: "The attempt was lost",
    AttemptEvent.CANCEL: "The attempt was cancelled",
    "attempt.reason": "AWS Batch told that memory ran out",
    "attempt.counted": "AWS Batch told why the attempt ended",
    "attempt.resubmit": "AWS Batch does not know the attempt: it is submitted again",
    "batch.status": "AWS Batch changed the status",
    "batch.stuck_runnable": "AWS Batch has not started the attempt for long",
    "rescue.terminate_failed": "A Batch job could not be terminated",
    UnitEvent.LEASE: "A unit was begun",
    UnitEvent.FINISH: "A unit was finished",
    UnitEvent.REDO: "A bad unit is done again",
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
        "purge.failed",
        "tick.failed",
    }
)
_EVERYDAY = (UnitEvent.LEASE, UnitEvent.FINISH)
"""Two events for each minute of video: the units' own table says it better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of a timeline. `tone` is good, bad or plain."""

    at: datetime
    kind: str
    words: str
    details: str
    attempt_number: int | None
    tone: str


def job_timeline(job_id: uuid.UUID) -> list[TimelineEntry]:
    """What happened to a job, its attempts and their Batch jobs; newest first, at most TIMELINE_LIMIT entries."""
    return _entries(Event.objects.filter(job_id=job_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT])


def video_timeline(video_id: uuid.UUID) -> list[TimelineEntry]:
    """What happened to a video and all its jobs; newest first, at most TIMELINE_LIMIT entries."""
    return _entries(Event.objects.filter(video_id=video_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT])


def _entries(events: Iterable[Event]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            at=event.created_at,
            kind=event.kind,
            words=EVENT_LABELS.get(event.kind, event.kind),
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
    # The text often is the reason's sentence, or the attempt that the entry names anyway.
    text = event.text if event.text not in {message, f"attempt {event.attempt_number}"} else ""
    return "; ".join(part for part in (change, message.rstrip("."), text) if part)
