"""Writes events to the outbox, in the transaction of the change: what is rolled back is never reported.

A video's events are numbered under a row lock that is held until the commit, so the numbers have the order
of the commits. That lock comes after those of video, job, attempt and unit.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from ...lifecycle.states import AnyEvent, JobEvent, OutboxKind
from ...models import Job, OutboxEvent, OutboxSequence, Video

PAYLOAD_VERSION = 1
"""Version of the payloads. New members do not change it; it rises if one is removed or changes its meaning."""

SOURCE, GROWING, PUBLISHED = "source", "growing", "published"
"""What can be watched when `video.playable` is written: the uploaded file itself, a growing playlist, or everything."""


def announce_change(event: AnyEvent, job: Job) -> None:
    """Write what this change of the locked job means for receivers, if it means anything to them.

    Called by the transition function alone, after it has changed the row.
    """
    data: dict[str, Any]
    if event is JobEvent.PUBLISH:
        announce_playable(job, what=PUBLISHED)
        data = {"playlist_key": job.playlist_key, "poster_key": job.poster_key, "duration_s": job.duration_s}
        _append(OutboxKind.PUBLISHED, job.video_id, job=job, data=data)
    elif event in {JobEvent.REJECT, JobEvent.DEAD}:
        older = Video.objects.filter(pk=job.video_id, published_job__isnull=False).exists()
        data = {
            "reason": job.reason,
            "message": job.reason_message,
            "details": job.reason_details or {},
            "older_version_is_published": older,
        }
        _append(OutboxKind.FAILED, job.video_id, job=job, data=data)


def announce_playable(job: Job, *, what: str) -> None:
    """Write `video.playable`, unless the locked job's uploaded file, or another publication, could be watched before.

    `what` is SOURCE, GROWING or PUBLISHED.
    """
    known = Job.objects.filter(video_id=job.video_id, source_name=job.source_name, playable_at__isnull=False)
    if not Video.objects.filter(pk=job.video_id, published_job=None).exists() or known.exists():
        return
    Job.objects.filter(pk=job.pk).update(playable_at=Now())
    _append(OutboxKind.PLAYABLE, job.video_id, job=job, data={"what": what})


def announce_deletion(video_id: uuid.UUID) -> None:
    """Write `video.deleted`. The caller has marked the video, and locks none of its rows after this."""
    _append(OutboxKind.DELETED, video_id, job=None, data={})


def forget_sequence(video_id: uuid.UUID) -> None:
    """Remove the number of the video's last event, after its row. No event can follow."""
    OutboxSequence.objects.filter(pk=video_id).delete()


def _append(kind: OutboxKind, video_id: uuid.UUID, *, job: Job | None, data: dict[str, Any]) -> None:
    if not connection.in_atomic_block:
        message = "an event is written in the transaction of the change that it reports"
        raise RuntimeError(message)
    about = {"version": PAYLOAD_VERSION, "video_id": str(video_id)}
    if job is not None:
        about |= {"job_id": str(job.pk), "profile": job.profile}
    OutboxEvent.objects.create(
        kind=kind.value, video_id=video_id, sequence=_next_number(video_id), payload={**about, **data}
    )


def _next_number(video_id: uuid.UUID) -> int:
    table = connection.ops.quote_name(OutboxSequence._meta.db_table)  # noqa: SLF001 - Django's documented API
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (video_id, last) VALUES (%s, 1)"  # noqa: S608 - the table's own name
            f" ON CONFLICT (video_id) DO UPDATE SET last = {table}.last + 1 RETURNING last",
            [video_id],
        )
        (number,) = cursor.fetchone()
    return int(number)
