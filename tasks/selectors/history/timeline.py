"""Timelines: the events of a job or a video as readable entries, newest first.

When the events of an ended job have expired, two entries remain, which follow from the job's row: when it was
requested, and how and when it ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...lifecycle.reasons import Reason
from ...lifecycle.states import AttemptEvent, JobEvent, JobState, UnitEvent
from ...models import Event, Job, Visibility
from ...texts.stored import after_message, event_text, from_details, translated

TIMELINE_LIMIT = 200
"""Maximum number of entries. A job that failed 20 times has about 150 events, not counting those of its units."""

EVENT_LABELS = {
    "job.request": _("Processing was requested"),
    JobEvent.GRANT: _("A new attempt was scheduled"),
    JobEvent.HELP: _("A helper was scheduled"),
    JobEvent.CLAIM: _("A container started the job"),
    JobEvent.RETRY: _("The job is waiting for another attempt"),
    "job.source_playable": _("The uploaded file can already be watched"),
    JobEvent.PUBLISH: _("The video was published"),
    JobEvent.REJECT: _("The file was rejected"),
    JobEvent.DEAD: _("The job stopped after too many attempts"),
    JobEvent.CANCEL: _("The job was cancelled"),
    JobEvent.REVIVE: _("The job was revived"),
    "job.priority": _("The job was moved before all bulk jobs"),
    "job.purge": _("The job's objects were removed"),
    AttemptEvent.SUBMIT: _("Submitted to AWS Batch"),
    AttemptEvent.CLAIM: _("The container started"),
    AttemptEvent.SUCCEED: _("The container finished"),
    AttemptEvent.FAIL: _("The attempt failed"),
    AttemptEvent.LOSE: _("The attempt was lost"),
    AttemptEvent.CANCEL: _("The attempt was cancelled"),
    "attempt.reason": _("AWS Batch reported that the container ran out of memory"),
    "attempt.counted": _("AWS Batch reported why the attempt ended"),
    "attempt.resubmit": _("AWS Batch has no job for the attempt; it is submitted again"),
    "attempt.leaving": _("EC2 announced that it takes the machine back"),
    "batch.status": _("AWS Batch reported a new status"),
    "batch.stuck_runnable": _("The attempt has been waiting in AWS Batch for a long time"),
    "rescue.terminate_failed": _("A Batch job could not be terminated"),
    "containers.cut_off": _("Many containers could not reach the database"),
    UnitEvent.LEASE: _("A unit was started"),
    UnitEvent.FINISH: _("A unit was finished"),
    UnitEvent.REDO: _("A unit is being redone"),
    "upload.complete": _("The upload is complete"),
    "source.replace": _("The file was replaced"),
    "video.retry": _("The owner retried the video"),
    "video.title": _("The title was changed"),
    "video.description": _("The description was changed"),
    "video.chapters": _("The chapters were changed"),
    "video.edition": _("Captions and chapters were brought up to date"),
    "captions.add": _("Captions were added"),
    "captions.replace": _("Captions were replaced"),
    "captions.change": _("Captions were changed"),
    "captions.remove": _("Captions were removed"),
    "captions.edit": _("The text of captions was edited"),
    "captions.automatic": _("Automatic captions were added"),
    "captions.own": _("The captions of the file were shown or hidden"),
    "video.visibility": _("Who may watch the video was changed"),
    "share.create": _("A share link was created"),
    "share.revoke": _("A share link was revoked"),
    "video.delete": _("The video was deleted"),
    "video.purge": _("The video's objects and rows were removed"),
    "purge.failed": _("Objects or rows could not be removed"),
    "tick.failed": _("A scheduled task failed"),
    "webhook.disabled": _("An endpoint of webhooks was disabled"),
    "tick.recovered": _("A scheduled task works again"),
}

_GOOD = frozenset({"job.source_playable", JobEvent.PUBLISH, AttemptEvent.SUCCEED, "video.edition", "tick.recovered"})
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
        "webhook.disabled",
    }
)
_ENDS = {
    JobState.SUCCEEDED: JobEvent.PUBLISH,
    JobState.FAILED: JobEvent.REJECT,
    JobState.CANCELLED: JobEvent.CANCEL,
    JobState.DEAD: JobEvent.DEAD,
}
_OF_ENDED = ("created_at", "finished_at", "automatic", "state", "reason", "reason_message", "reason_details")
_VISIBILITIES = dict(Visibility.choices)
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
    events = Event.objects.filter(job_id=job_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT]
    return _with_expired(list(events), Job.objects.filter(pk=job_id))


def video_timeline(video_id: uuid.UUID) -> list[TimelineEntry]:
    """Return the events of a video and all its jobs, newest first, at most TIMELINE_LIMIT entries."""
    events = Event.objects.filter(video_id=video_id).exclude(kind__in=_EVERYDAY)[:TIMELINE_LIMIT]
    return _with_expired(list(events), Job.objects.filter(video=video_id))


def _with_expired(events: list[Event], jobs: QuerySet[Job]) -> list[TimelineEntry]:
    """Return the entries of the events, and those that follow from the rows of jobs whose events have expired."""
    present = {(event.job_id, event.kind) for event in events}
    expired = [
        event
        for job in jobs.filter(finished_at__isnull=False).only(*_OF_ENDED)
        for event in _request_and_end(job)
        if (event.job_id, event.kind) not in present
    ]
    if expired:
        events = sorted([*events, *expired], key=lambda event: event.created_at, reverse=True)
    return _entries(events[:TIMELINE_LIMIT])


def _request_and_end(job: Job) -> Iterator[Event]:
    yield Event(
        kind="job.request", job_id=job.pk, created_at=job.created_at, text="automatic" if job.automatic else "manual"
    )
    ended = Event(
        job_id=job.pk,
        created_at=job.finished_at or job.created_at,
        reason=job.reason,
        text=job.reason_message,
        details=job.reason_details,
    )
    ended.kind = _ENDS[JobState(job.state)]
    yield ended


def _entries(events: Iterable[Event]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            at=event.created_at,
            kind=event.kind,
            label=str(EVENT_LABELS.get(event.kind, event.kind)),
            details=_details(event),
            attempt_number=event.attempt_number,
            tone="good" if event.kind in _GOOD else "bad" if event.kind in _BAD else "plain",
        )
        for event in events
    ]


def _details(event: Event) -> str:
    from_state = event.from_state or gettext("none")
    change = f"{from_state} → {event.to_state}" if event.from_state != event.to_state else ""
    reason = Reason.__members__.get(event.reason)
    message = translated(reason.message) if reason else event.reason
    return "; ".join(part for part in (change, message.rstrip("."), text_of(event)) if part)


def text_of(event: Event) -> str:
    """Return the text of an event, without what its entry shows anyway: the message of the reason, or the attempt."""
    reason = Reason.__members__.get(event.reason)
    if event.kind == "video.visibility":
        return " → ".join(str(_VISIBILITIES.get(each, each)) for each in event.text.split(" → "))
    text = "" if event.text == f"attempt {event.attempt_number}" else event.text
    text = text.removeprefix(reason.message if reason else event.reason).strip()
    if event.details and (made := from_details(event.details)):
        return f"{made} {after_message(text, event.details)}".rstrip()
    return event_text(text)
