"""Events in words: what happened to a job or a video, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, JobEvent, UnitEvent
from tasks.models import Event

TIMELINE_LIMIT = 200
"""Most entries of one timeline. A job that failed twenty times has about a hundred and fifty events besides its units'."""

WORDS: dict[str, str] = {
    "job.request": "The video was asked for",
    JobEvent.GRANT: "An attempt was granted",
    JobEvent.CLAIM: "A container took the job up",
    JobEvent.RETRY: "The job waits for another attempt",
    JobEvent.PREVIEW: "A preview was published: the file as it was uploaded",
    JobEvent.PUBLISH: "The job was published",
    JobEvent.REFUSE: "The file was refused",
    JobEvent.PARK: "The job was parked",
    JobEvent.CANCEL: "The job was cancelled",
    JobEvent.REVIVE: "The job was revived",
    "job.purge": "The job's objects were removed",
    AttemptEvent.SUBMIT: "Submitted to AWS Batch",
    AttemptEvent.CLAIM: "The container started",
    AttemptEvent.SUCCEED: "The container finished",
    AttemptEvent.FAIL: "The attempt failed",
    AttemptEvent.LOSE: "The attempt was lost",
    AttemptEvent.CANCEL: "The attempt was cancelled",
    "attempt.cause": "AWS Batch told that memory ran out",
    "attempt.verdict": "AWS Batch told why the attempt ended",
    "attempt.submit_again": "AWS Batch does not know the attempt: it is submitted again",
    "batch.status": "AWS Batch changed the status",
    "batch.waiting": "AWS Batch has not started the attempt for long",
    "rescue.terminate_failed": "A Batch job could not be terminated",
    UnitEvent.LEASE: "A unit was begun",
    UnitEvent.FINISH: "A unit was finished",
    UnitEvent.REDO: "A bad unit is done again",
    "upload.complete": "The upload is complete",
    "video.delete": "The video was deleted",
    "video.purge": "The video's objects and rows were removed",
    "purge.failed": "Objects or rows could not be removed",
    "tick.trouble": "A tick met trouble",
    "tick.well": "A tick's trouble is over",
}

_GOOD = frozenset({JobEvent.PREVIEW, JobEvent.PUBLISH, AttemptEvent.SUCCEED, "tick.well"})
_BAD = frozenset(
    {
        JobEvent.REFUSE,
        JobEvent.PARK,
        AttemptEvent.FAIL,
        AttemptEvent.LOSE,
        UnitEvent.REDO,
        "rescue.terminate_failed",
        "batch.waiting",
        "purge.failed",
        "tick.trouble",
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
            words=WORDS.get(event.kind, event.kind),
            details=_details(event),
            attempt_number=event.attempt_number,
            tone="good" if event.kind in _GOOD else "bad" if event.kind in _BAD else "plain",
        )
        for event in events
    ]


def _details(event: Event) -> str:
    change = f"{event.from_state or 'none'} → {event.to_state}" if event.from_state != event.to_state else ""
    reason = Reason.__members__.get(event.reason)
    sentence = reason.sentence if reason else event.reason
    # The text often is the reason's sentence, or the attempt that the entry names anyway.
    text = event.text if event.text not in {sentence, f"attempt {event.attempt_number}"} else ""
    return "; ".join(part for part in (change, sentence.rstrip("."), text) if part)
