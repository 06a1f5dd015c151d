"""Requests to make a video playable.

Unique indexes, not checks in code, guarantee one active job per video and one automatic job per
source.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass

from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError, NotFoundError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import ACTIVE_JOB_STATES, JobEvent, JobState
from ...models import NEEDS_JOB, Job, Unit, Video
from ...selectors.videos import can_retry
from ...tracing import current_traceparent
from ...wakeup import wake_on_commit
from ..state.locking import lock_job, lock_video, lock_video_of
from ..state.transition import append_event, transition
from .cancel import cancel_locked

logger = logging.getLogger(__name__)


class RetryNotOfferedError(ConflictError):
    """A retry is not possible now; the message gives the reason."""

    code = "RETRY_NOT_OFFERED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """The job that serves a request, and whether this request created it."""

    job_id: uuid.UUID
    created: bool


@transaction.atomic
def request_automatically(*, video_id: uuid.UUID) -> RequestResult | None:
    """Request a job for an upload. Return None if the source is incomplete or was requested before.

    An active job for an older source of the video is cancelled: its output would never be shown.
    """
    if not _videos_needing_job().filter(pk=video_id).exists():
        return None
    # Read again under the lock: another source may have replaced this one in the meantime.
    video = lock_video(video_id)
    if video is None or not _videos_needing_job().filter(pk=video_id).exists():
        return None
    if Job.objects.filter(video=video, source_name=str(video.source)).exists():
        _record_request(video)
        return None
    for older in Job.objects.filter(video=video, state__in=ACTIVE_JOB_STATES).exclude(source_name=str(video.source)):
        cancel_locked(lock_job(older.pk), reason=Reason.SUPERSEDED)
    return _insert(video, automatic=True)


@transaction.atomic
def request_again(*, video_id: uuid.UUID) -> RequestResult:
    """Request a job regardless of earlier ones: retry and re-transcode on the page and in the admin.

    Return the active job if there is one. Raises NotFoundError, or ConflictError with a message for
    the user.
    """
    video = lock_video(video_id)
    if video is None:
        message = "The video was deleted or does not exist."
        raise NotFoundError(message)
    if not video.source or not video.source_complete:
        message = "The upload is not complete. Upload the file again."
        raise ConflictError(message)
    return _insert(video, automatic=False)


def request_missing_jobs(*, limit: int) -> int:
    """Request jobs for complete videos without one, and return their number: bulk creates send no signal."""
    requested = 0
    for video_id in _videos_needing_job().values_list("pk", flat=True)[:limit]:
        try:
            requested += request_automatically(video_id=video_id) is not None
        except (DatabaseError, ConflictError) as error:
            # A row that another transaction has locked must not block the others. The next tick finds it again.
            logger.warning("REQUEST_FAILED %s: %s", video_id, error)
    return requested


def _videos_needing_job() -> QuerySet[Video]:
    """Return complete videos whose source is not recorded as requested.

    A job may exist nevertheless, created by code that did not record it.
    """
    return Video.objects.filter(NEEDS_JOB)


@transaction.atomic
def revive(*, job_id: uuid.UUID) -> None:
    """Revive a DEAD job: it is due now, and its earlier attempts no longer count.

    Raises ConflictError if it is not DEAD, or if the video has a newer job, which takes precedence.
    """
    lock_video_of(job_id)
    job = lock_job(job_id)
    if job.state != JobState.DEAD:
        message = f"Only a DEAD job can be revived; this one is {job.state}."
        raise ConflictError(message)
    if Job.objects.filter(video_id=job.video_id, created_at__gt=job.created_at).exists():
        message = "This video has a newer job. Retry that one instead."
        raise ConflictError(message)
    transition(
        job,
        JobEvent.REVIVE,
        reason=Reason.REVIVED,
        budget_from=F("fence"),
        next_attempt_at=Now(),
        finished_at=None,
        tallied=False,
    )
    Unit.objects.filter(job=job).update(redo_count=0)
    wake_on_commit()


@transaction.atomic
def retry_video(*, video_id: uuid.UUID) -> RequestResult:
    """Continue the video's DEAD job where it stopped, or start a new job after any other unsuccessful end.

    Raises NotFoundError, RetryNotOfferedError (being processed, ready, or not uploaded yet) or
    ConflictError.
    """
    video = lock_video(video_id)
    if video is None:
        message = "The video was deleted or does not exist."
        raise NotFoundError(message)
    offer = can_retry(video)
    if not offer.possible:
        raise RetryNotOfferedError(offer.message)
    newest = Job.objects.filter(video=video).order_by("-created_at").first()
    if newest is not None and newest.state == JobState.DEAD:
        revive(job_id=newest.pk)
        return RequestResult(job_id=newest.pk, created=False)
    return request_again(video_id=video_id)


def _record_request(video: Video) -> None:
    Video.objects.filter(pk=video.pk).update(requested_source=str(video.source))


def _insert(video: Video, *, automatic: bool) -> RequestResult:
    job = Job(
        video=video,
        source_name=str(video.source),
        profile=bridge_settings().profile,
        automatic=automatic,
        traceparent=current_traceparent(),
    )
    Job.objects.bulk_create([job], ignore_conflicts=True)
    if not Job.objects.filter(pk=job.pk).exists():
        standing = Job.objects.filter(video=video).order_by("-created_at").first()
        if standing is None:
            message = "Another request for this video is in progress. Try again."
            raise ConflictError(message)
        return RequestResult(job_id=standing.pk, created=False)
    _record_request(video)
    append_event("job.request", job=job, to_state=job.state, text="automatic" if automatic else "manual")
    extra = {"job_id": job.pk, "video": video.pk}
    transaction.on_commit(lambda: logger.info("JOB_REQUESTED", extra=extra))
    wake_on_commit()
    return RequestResult(job_id=job.pk, created=True)
