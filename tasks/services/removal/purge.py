"""Pruning and purging: removal of stored objects and rows that are no longer needed.

Ended jobs are pruned: a successful one keeps the objects of its finished units, any other keeps
none, and none keeps its plan and its units. Superseded publications and deleted videos are purged:
objects first, then rows. What a video shows is never removed. A removal that does not end in time is
continued by the next tick, from where it stopped.
"""

from __future__ import annotations

import logging
import posixpath
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Concat, Now

from ...conf import bridge_settings
from ...lifecycle.states import LIVE_ATTEMPT_STATES, JobState, UnitState
from ...models import Attempt, Captions, DirectUpload, Edition, Job, ShareLink, Unit, Video, WatchPosition
from ...storage.aliases import sources_bucket
from ...storage.folders import remove_folders
from ...storage.keys import EDITION_PREFIX, job_folder, published_folder, sources_folder, unit_folder
from ...transcode.package.playlists import MASTER_NAME
from ..costs.ended import awaits_cost
from ..delivery.expire import expire_outbox
from ..outbox.announce import forget_sequence
from ..requests.direct_upload import give_up_abandoned_uploads
from ..requests.idempotency import expire_keys
from ..state.in_batch import batch_job_is_over, in_batch
from ..state.locking import lock_job
from ..state.transition import append_event
from ..ticks.reap import POLL_ENDED_FOR
from .expire import expire_events

logger = logging.getLogger(__name__)

_FAILED_LAST = F("purge_failed_at").asc(nulls_first=True)
"""Rows that could not be purged are retried after all others."""

OUTBOX_TIME_LIMIT_S = 1.0
"""Seconds of a purge tick for expired events of the outbox. A page of 500 takes milliseconds."""

EDITIONS_TIME_LIMIT_S = 1.0
"""Seconds of a purge tick for editions that are not shown any more. Each is one call to a bucket."""

EDITION_MADE_WITHIN_S = 60
"""Seconds after which no worker writes files of an edition any more: Celery has killed it."""

_KEYS_PER_ROW = 100
"""Expired idempotency keys that one purge tick removes, for each row of `purge_limit`: they are one statement."""

_CheckTime = Callable[[], None]
"""Raises _TimeIsUpError once the time limit has passed."""


class _TimeIsUpError(Exception):
    """The tick has no time left for this row. The next one continues."""


@dataclass(slots=True, kw_only=True)
class PurgeSummary:
    """Counts for one run."""

    expired_events: int = 0
    expired_outbox: int = 0
    purged_videos: int = 0
    purged_jobs: int = 0
    purged_editions: int = 0
    pruned: int = 0


def purge() -> PurgeSummary:
    """Remove what is no longer needed, each kind within its limits.

    Rows that no storage is needed for come first, then what people deleted.
    """
    limit = bridge_settings().purge_limit
    summary = PurgeSummary(expired_events=expire_events())
    summary.expired_outbox = expire_outbox(until_s=time.monotonic() + OUTBOX_TIME_LIMIT_S)
    expire_keys(limit=limit * _KEYS_PER_ROW)
    give_up_abandoned_uploads(limit=limit)
    summary.purged_videos = purge_deleted(limit=limit)
    summary.purged_jobs = purge_superseded(limit=limit)
    summary.pruned = prune_jobs(limit=limit)
    summary.purged_editions = purge_editions(limit=limit)
    return summary


def prune_jobs(*, limit: int) -> int:
    """Remove plan, units and objects of superseded leases of ended jobs. Return the number of pruned jobs.

    At most `limit` jobs in a final state and `limit` DEAD ones: each kind has its own index.
    """
    # A DEAD job can no longer be revived once its video has a newer one.
    newer = Job.objects.filter(video=OuterRef("video"), created_at__gt=OuterRef("created_at"))
    unpruned = Job.objects.filter(pruned_at=None, purged_at=None)
    ended = unpruned.filter(state__in=[JobState.CANCELLED, JobState.FAILED, JobState.SUCCEEDED])
    dead = unpruned.filter(Exists(newer), state=JobState.DEAD)
    return _purge_each(chain.from_iterable(_without_containers(jobs)[:limit] for jobs in (ended, dead)), _prune)


def superseded_publications(*, older_than: timedelta = timedelta()) -> QuerySet[Job]:
    """Return the publications whose retention has been over for `older_than` and that are not shown."""
    shown = Video.objects.filter(published_job=OuterRef("pk"))
    old = Now() - timedelta(seconds=bridge_settings().superseded_retention_s) - older_than
    return Job.objects.filter(~Exists(shown), superseded_at__lt=old, state=JobState.SUCCEEDED, purged_at=None)


def purge_superseded(*, limit: int) -> int:
    """Remove publications that were superseded longer than their retention ago. Return their number."""
    edited = _edition_in_progress().filter(job=OuterRef("pk"))
    publications = superseded_publications().filter(~Exists(edited))
    return _purge_each(_without_containers(publications)[:limit], _purge_publication)


def purge_editions(*, limit: int) -> int:
    """Remove editions that a newer one replaced, or that were never shown, longer than the retention ago.

    Return their number. The publication's own playlists and its media stay as long as the publication does.
    """
    old = Now() - timedelta(seconds=max(bridge_settings().superseded_retention_s, EDITION_MADE_WITHIN_S))
    editions = Edition.objects.annotate(over_at=Coalesce("ended_at", "created_at")).filter(over_at__lt=old)
    shown = Q(job__edition_key=Concat("folder", Value(f"/{MASTER_NAME}")))
    rows = editions.exclude(shown).select_related("job").order_by("over_at")[:limit]
    return _purge_each(rows, _purge_edition, limit_s=EDITIONS_TIME_LIMIT_S)


def purge_deleted(*, limit: int) -> int:
    """Remove deleted videos without containers, running or in AWS Batch's queue, and return their number.

    Source and published objects go first, then the rows. Events stay until they expire.
    """
    # Without its row, a Batch job in the queue would no longer count against the limits of grants and owners,
    # and a cost that is not worked out yet would never be in the sum of its day.
    busy = Attempt.objects.filter(_has_container() | in_batch() | awaits_cost(), job__video=OuterRef("pk"))
    edited = _edition_in_progress().filter(job__video=OuterRef("pk"))
    deleted = Video.objects.filter(~Exists(busy), ~Exists(edited), deleted_at__isnull=False)
    return _purge_each(deleted.order_by(_FAILED_LAST, "deleted_at")[:limit], _purge_video)


def _edition_in_progress() -> QuerySet[Edition]:
    """Return editions whose worker may still write a file."""
    return Edition.objects.filter(ended_at=None, created_at__gt=Now() - timedelta(seconds=EDITION_MADE_WITHIN_S))


def _purge_each(
    rows: Iterable[Any], purge_row: Callable[[Any, _CheckTime], None], *, limit_s: float | None = None
) -> int:
    """Purge each row until `limit_s`, by default `purge_time_limit_s`, has passed; return the number of rows purged.

    A row that cannot be purged is recorded, and from then on retried after all others.
    """
    purged = 0
    stop_at_s = time.monotonic() + (limit_s or bridge_settings().purge_time_limit_s)

    def check_time() -> None:
        if time.monotonic() > stop_at_s:
            raise _TimeIsUpError

    for row in rows:
        try:
            check_time()
            purge_row(row, check_time)
            purged += 1
        except _TimeIsUpError:
            break
        except Exception as error:  # storages and a site's own foreign keys may raise anything
            if time.monotonic() > stop_at_s:
                # Celery's soft time limit may have interrupted it, which is not the row's fault.
                raise
            # PostgreSQL's first line names the constraint and the table of a row that refers to a video.
            logger.exception("PURGE_FAILED %s: %s", row, (str(error) or type(error).__name__).partition("\n")[0])
            if not isinstance(row, Edition):  # its job's folder is removed with the job
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


def _purge_publication(job: Job, check_time: _CheckTime) -> None:
    remove_folders(job_folder(job), *_replaced_sources(job, is_purged=True), before_call=check_time)
    with transaction.atomic():
        _remove_work(job)
        Edition.objects.filter(job=job).delete()
        Job.objects.filter(pk=job.pk).update(purged_at=Now(), transcript=None)
        append_event("job.purge", job=job, text="superseded publication")


def _purge_edition(edition: Edition, check_time: _CheckTime) -> None:
    remove_folders(edition.folder, before_call=check_time)
    edition.delete()


def _purge_video(video: Video, check_time: _CheckTime) -> None:
    upload, bucket = DirectUpload.objects.filter(video=video).first(), sources_bucket()
    if upload and bucket:
        bucket.abort_upload(upload.source_name, upload.upload_id)
    # Earlier uploads too: each job names the source that it was requested for.
    sources = {str(video.source), *video.jobs.values_list("source_name", flat=True)} - {""}
    folder = sources_folder(video)
    elsewhere = [source for source in sources if not source.startswith(f"{folder}/")]
    remove_folders(published_folder(video), folder, names=elsewhere, before_call=check_time)
    _remove_rows(video.pk)


def _prune(job: Job, check_time: _CheckTime) -> None:
    prefix = job_folder(job)
    finished = Unit.objects.filter(job=job, state=UnitState.DONE).only("kind", "index", "fence", "lease_id")
    is_shown = job.state == JobState.SUCCEEDED
    keep = {f"{prefix}/{unit_folder(unit)}" for unit in finished} if is_shown else set()
    if keep or not is_shown:
        # A publication whose units are gone was pruned before: without them, it is unknown which objects it needs.
        # Editions have rows of their own, and one may be made right now.
        remove_folders(prefix, keep=keep, keep_prefix=EDITION_PREFIX if is_shown else "", before_call=check_time)
    remove_folders(*_replaced_sources(job, is_purged=False), before_call=check_time)
    with transaction.atomic():
        current = lock_job(job.pk)
        if current.state == job.state:
            _remove_work(current)
            if not is_shown:
                Edition.objects.filter(job=job).delete()
            Job.objects.filter(pk=job.pk).update(pruned_at=Now(), purge_failed_at=None)


def _replaced_sources(job: Job, *, is_purged: bool) -> set[str]:
    """Return the folders of sources of the job's video that were replaced, and that nothing needs any more.

    A source is kept as long as what was published from it, and until its jobs are pruned. One that is stored
    elsewhere is the site's own, and stays until the video is purged.
    """
    video = Video.objects.get(pk=job.video_id)
    jobs = Job.objects.filter(video=video)
    needs_it = jobs.filter(Q(pruned_at=None) | Q(state=JobState.SUCCEEDED), purged_at=None)
    if is_purged or job.state != JobState.SUCCEEDED:
        needs_it = needs_it.exclude(pk=job.pk)
    kept = {posixpath.dirname(name) for name in (str(video.source), *needs_it.values_list("source_name", flat=True))}
    folders = {posixpath.dirname(name) for name in jobs.values_list("source_name", flat=True)} - kept
    return {folder for folder in folders if posixpath.dirname(folder) == sources_folder(video)}


def _remove_work(job: Job) -> None:
    """Remove the rows by which containers worked. No container can read or write them any more."""
    Unit.objects.filter(job=job).delete()
    Job.objects.filter(pk=job.pk).update(plan=None)


def _without_containers(jobs: Any) -> Any:
    busy = Attempt.objects.filter(_has_container(), job=OuterRef("pk"))
    return jobs.filter(~Exists(busy)).defer("plan").order_by(_FAILED_LAST, "finished_at")


def _has_container() -> Q:
    """Match attempts whose container may still write an object.

    These are live ones, and ended ones until AWS reports their Batch job as ended or missing.
    """
    live = Q(state__in=LIVE_ATTEMPT_STATES)
    exiting = (
        ~batch_job_is_over() & ~Q(state="SUCCEEDED") & Q(claimed_at__isnull=False, ended_at__gt=Now() - POLL_ENDED_FOR)
    )
    return live | exiting


@transaction.atomic
def _remove_rows(video_id: uuid.UUID) -> None:
    Video.objects.select_for_update(of=("self",)).filter(pk=video_id).first()
    for job_id in Job.objects.filter(video_id=video_id).values_list("pk", flat=True):
        job = lock_job(job_id)
        Unit.objects.filter(job=job).delete()
        Attempt.objects.filter(job=job).delete()
    Edition.objects.filter(job__video_id=video_id).delete()
    Captions.objects.filter(video_id=video_id).delete()
    Job.objects.filter(video_id=video_id).delete()
    DirectUpload.objects.filter(video_id=video_id).delete()
    ShareLink.objects.filter(video_id=video_id).delete()
    WatchPosition.objects.filter(video_id=video_id).delete()
    video = Video.objects.filter(pk=video_id, deleted_at__isnull=False)
    removed = video._raw_delete(video.db)  # noqa: SLF001 - delete() of this model only marks
    forget_sequence(video_id)
    append_event("video.purge", video_id=video_id, text="" if removed else "the row no longer existed")
