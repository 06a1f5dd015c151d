"""Purging: objects of losing fences, superseded publications, deleted videos. Objects first, then rows; never a unit's current fence."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.files.storage import Storage, default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from tasks.conf import bridge_settings
from tasks.lifecycle.observation import FINAL_STATUSES
from tasks.lifecycle.states import LIVE_ATTEMPT_STATES, JobState, UnitState
from tasks.models import Attempt, Job, Unit, Video
from tasks.services.claim import job_prefix, unit_folder
from tasks.services.locking import lock_job
from tasks.services.transition import record

_ENDED_FOR = timedelta(minutes=10)
"""A container that was told to end is gone after this, though AWS may not have said so yet: 30 s of grace, and a margin."""


def tidy_jobs(*, limit: int) -> int:
    """Remove the objects of losing fences of jobs that have ended. Returns how many jobs were tidied."""
    ended = Job.objects.filter(state__in=["SUCCEEDED", "FAILED", "CANCELLED"], tidied_at=None, purged_at=None)
    return sum(1 for job in _without_containers(ended)[:limit] if _tidy(job))


def purge_superseded(*, limit: int) -> int:
    """Remove publications that no video points to, after their retention. Returns how many."""
    old = Now() - timedelta(seconds=bridge_settings().superseded_retention_s)
    shown = Video.objects.filter(published_job=OuterRef("pk"))
    superseded = Job.objects.filter(~Exists(shown), state=JobState.SUCCEEDED, finished_at__lt=old, purged_at=None)
    for job in (purged := list(_without_containers(superseded)[:limit])):
        remove_folder(job_prefix(job))
        Job.objects.filter(pk=job.pk).update(purged_at=Now())
        record("job.purge", job=job, text="superseded publication")
    return len(purged)


def purge_deleted(*, limit: int) -> int:
    """Remove deleted videos whose containers are gone: source and published objects, then rows. Events stay. Returns how many."""
    busy = _with_containers(Attempt.objects.filter(job__video=OuterRef("pk")))
    deleted = list(Video.objects.filter(~Exists(busy), deleted_at__isnull=False).order_by("deleted_at")[:limit])
    for video in deleted:
        remove_folder(f"published/{video.pk}")
        if video.source:
            default_storage.delete(str(video.source))
        _remove_rows(video.pk)
    return len(deleted)


def _tidy(job: Job) -> bool:
    kept = (
        Unit.objects.filter(job=job, state=UnitState.DONE) if job.state == JobState.SUCCEEDED else Unit.objects.none()
    )
    keep = {unit_folder(unit) for unit in kept}
    prefix = job_prefix(job)
    for folder in _folders(default_storage, prefix):
        if folder not in keep:
            remove_folder(f"{prefix}/{folder}")
    return bool(Job.objects.filter(pk=job.pk, state=job.state).update(tidied_at=Now()))


def _without_containers(jobs: Any) -> Any:
    return jobs.filter(~Exists(_with_containers(Attempt.objects.filter(job=OuterRef("pk"))))).order_by("finished_at")


def _with_containers(attempts: Any) -> Any:
    """Attempts whose container may still write an object."""
    live = Q(state__in=LIVE_ATTEMPT_STATES)
    leaving = ~Q(batch_status__in=FINAL_STATUSES) & Q(ended_at__gt=Now() - _ENDED_FOR) & Q(claimed_at__isnull=False)
    return attempts.filter(live | leaving)


@transaction.atomic
def _remove_rows(video_id: uuid.UUID) -> None:
    for job_id in Job.objects.filter(video_id=video_id).values_list("pk", flat=True):
        job = lock_job(job_id)
        Unit.objects.filter(job=job).delete()
        Attempt.objects.filter(job=job).delete()
    Job.objects.filter(video_id=video_id).delete()
    video = Video.objects.filter(pk=video_id, deleted_at__isnull=False)
    removed = video._raw_delete(video.db)  # noqa: SLF001 - delete() of this model only marks
    record("video.purge", video_id=video_id, text="" if removed else "the row was gone")


def remove_folder(prefix: str) -> None:
    """Delete every object under the prefix. What is gone already is no error."""
    for name in _files(default_storage, prefix):
        default_storage.delete(name)
    for folder in _folders(default_storage, prefix):
        remove_folder(f"{prefix}/{folder}")
    # A folder of the file system, empty now; an object store has none and ignores this.
    default_storage.delete(prefix)


def _files(storage: Storage, prefix: str) -> Iterable[str]:
    return [f"{prefix}/{name}" for name in _listed(storage, prefix)[1]]


def _folders(storage: Storage, prefix: str) -> list[str]:
    return _listed(storage, prefix)[0]


def _listed(storage: Storage, prefix: str) -> tuple[list[str], list[str]]:
    try:
        return storage.listdir(prefix)
    except FileNotFoundError:
        return [], []
