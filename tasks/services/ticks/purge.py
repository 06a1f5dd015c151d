"""Pruning and purging of stored objects that are no longer needed.

Ended jobs are pruned: a successful one keeps the objects of its finished units, any other keeps
none. Superseded publications and deleted videos are purged: objects first, then rows. What a video
shows is never removed.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import chain
from typing import Any

from django.core.files.storage import Storage, default_storage
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES
from ...lifecycle.states import LIVE_ATTEMPT_STATES, JobState, UnitState
from ...models import Attempt, DirectUpload, Job, Unit, Video
from ...storage.bucket import default_bucket
from ...storage.keys import job_folder, published_folder, sources_folder, unit_folder
from ..state.locking import lock_job
from ..state.transition import append_event

logger = logging.getLogger(__name__)

POLL_ENDED_FOR = timedelta(days=1)
"""How long the Batch job of an ended attempt is polled. AWS keeps ended Batch jobs for longer than that."""

_FAILED_LAST = F("purge_failed_at").asc(nulls_first=True)
"""Rows that could not be purged are retried after all others."""


def prune_jobs(*, limit: int) -> int:
    """Remove objects of superseded leases of ended jobs. Return the number of pruned jobs.

    At most `limit` jobs in a final state and `limit` DEAD ones: each kind has its own index.
    """
    # A DEAD job can no longer be revived once its video has a newer one.
    newer = Job.objects.filter(video=OuterRef("video"), created_at__gt=OuterRef("created_at"))
    unpruned = Job.objects.filter(pruned_at=None, purged_at=None)
    ended = unpruned.filter(state__in=[JobState.CANCELLED, JobState.FAILED, JobState.SUCCEEDED])
    dead = unpruned.filter(Exists(newer), state=JobState.DEAD)
    return _purge_each(chain.from_iterable(_without_containers(jobs)[:limit] for jobs in (ended, dead)), _prune)


def purge_superseded(*, limit: int) -> int:
    """Remove publications that were superseded longer than their retention ago. Return their number."""
    shown = Video.objects.filter(published_job=OuterRef("pk"))
    old = _retention_cutoff()
    superseded = Job.objects.filter(~Exists(shown), superseded_at__lt=old, state=JobState.SUCCEEDED, purged_at=None)
    return _purge_each(_without_containers(superseded)[:limit], _purge_publication)


def purge_deleted(*, limit: int) -> int:
    """Remove deleted videos without running containers, and return their number.

    Source and published objects go first, then the rows. Events stay.
    """
    busy = _with_containers(Attempt.objects.filter(job__video=OuterRef("pk")))
    deleted = Video.objects.filter(~Exists(busy), deleted_at__isnull=False)
    return _purge_each(deleted.order_by(_FAILED_LAST, "deleted_at")[:limit], _purge_video)


def _retention_cutoff() -> Any:
    """Return the time before which a superseded publication is assumed to have no viewers left."""
    return Now() - timedelta(seconds=bridge_settings().superseded_retention_s)


def _purge_each(rows: Iterable[Any], purge_row: Callable[[Any], None]) -> int:
    """Purge each row, and return the number of rows purged.

    A row that cannot be purged is recorded, and from then on retried after all others.
    """
    purged = 0
    stop_at_s = time.monotonic() + bridge_settings().purge_time_limit_s
    for row in rows:
        if time.monotonic() > stop_at_s:
            break
        try:
            purge_row(row)
            purged += 1
        except Exception as error:  # storages and a site's own foreign keys may raise anything
            if time.monotonic() > stop_at_s:
                # Celery's soft time limit may have interrupted it, which is not the row's fault.
                raise
            logger.exception("PURGE_FAILED %s", row)
            _record_failure(row, str(error))
    return purged


@transaction.atomic
def _record_failure(row: Video | Job, text: str) -> None:
    """Record the failure, which moves the row behind all others. Only the first one appends an event."""
    first = row.purge_failed_at is None
    type(row).objects.filter(pk=row.pk).update(purge_failed_at=Now())
    if first:
        append_event(
            "purge.failed",
            job=row if isinstance(row, Job) else None,
            video_id=row.pk if isinstance(row, Video) else None,
            text=text,
        )


def _purge_publication(job: Job) -> None:
    remove_folder(job_folder(job))
    Job.objects.filter(pk=job.pk).update(purged_at=Now())
    append_event("job.purge", job=job, text="superseded publication")


def _purge_video(video: Video) -> None:
    upload, bucket = DirectUpload.objects.filter(video=video).first(), default_bucket()
    if upload and bucket:
        bucket.abort_upload(str(video.source), upload.upload_id)
    remove_folder(published_folder(video))
    # Earlier uploads too: each job names the source that it was requested for.
    for source in {str(video.source), *video.jobs.values_list("source_name", flat=True)} - {""}:
        default_storage.delete(source)
    remove_folder(sources_folder(video))
    _remove_rows(video.pk)


def _prune(job: Job) -> None:
    finished = Unit.objects.filter(job=job, state=UnitState.DONE)
    keep = {unit_folder(unit) for unit in finished} if job.state == JobState.SUCCEEDED else set()
    prefix = job_folder(job)
    for folder in _folders(default_storage, prefix):
        if folder not in keep:
            remove_folder(f"{prefix}/{folder}")
    Job.objects.filter(pk=job.pk, state=job.state).update(pruned_at=Now(), purge_failed_at=None)


def _without_containers(jobs: Any) -> Any:
    busy = _with_containers(Attempt.objects.filter(job=OuterRef("pk")))
    return jobs.filter(~Exists(busy)).order_by(_FAILED_LAST, "finished_at")


def _with_containers(attempts: Any) -> Any:
    """Return the attempts whose container may still write an object.

    These are live ones, and ended ones until AWS reports their Batch job as ended or missing.
    """
    live = Q(state__in=LIVE_ATTEMPT_STATES)
    gone = Q(batch_status__in=FINAL_STATUSES) | Q(missing_responses__gte=bridge_settings().missing_responses_limit)
    exiting = ~gone & ~Q(state="SUCCEEDED") & Q(claimed_at__isnull=False, ended_at__gt=Now() - POLL_ENDED_FOR)
    return attempts.filter(live | exiting)


@transaction.atomic
def _remove_rows(video_id: uuid.UUID) -> None:
    Video.objects.select_for_update(of=("self",)).filter(pk=video_id).first()
    for job_id in Job.objects.filter(video_id=video_id).values_list("pk", flat=True):
        job = lock_job(job_id)
        Unit.objects.filter(job=job).delete()
        Attempt.objects.filter(job=job).delete()
    Job.objects.filter(video_id=video_id).delete()
    DirectUpload.objects.filter(video_id=video_id).delete()
    video = Video.objects.filter(pk=video_id, deleted_at__isnull=False)
    removed = video._raw_delete(video.db)  # noqa: SLF001 - delete() of this model only marks
    append_event("video.purge", video_id=video_id, text="" if removed else "the row no longer existed")


def remove_folder(prefix: str) -> None:
    """Delete every object under the prefix. Objects that no longer exist are not an error."""
    for name in _files(default_storage, prefix):
        default_storage.delete(name)
    for folder in _folders(default_storage, prefix):
        remove_folder(f"{prefix}/{folder}")
    # A directory, now empty, in a file system. An object store has none and ignores this.
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
