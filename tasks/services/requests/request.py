"""Requests to make a video playable.

Unique indexes, not checks in code, guarantee one active job per video and one automatic job per
source.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext, override

from ...lifecycle.errors import ConflictError, NotFoundError
from ...lifecycle.reasons import Reason
from ...lifecycle.states import ACTIVE_JOB_STATES, JobEvent, JobPriority, JobState
from ...models import NEEDS_JOB, Job, Unit, Video
from ...selectors.videos import can_retry
from ...tracing import current_traceparent
from ...transcode import profile_to_json
from ...wakeup import wake_on_commit
from ..state.locking import lock_job, lock_video, lock_video_of
from ..state.transition import append_event, transition
from .cancel import cancel_locked
from .profiles import ProfileUnavailableError, available_profiles, chosen_profile
from .quota import RETRY_EVENT, check_retry, lock_owner

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
def request_automatically(*, video_id: uuid.UUID, priority: JobPriority = JobPriority.UPLOAD) -> RequestResult | None:
    """Request a job for an upload. Return None if the source is incomplete or was requested before.

    It gets the site's default profile. If that cannot be used, the video stays without a job until it can:
    the submit tick requests it again. An active job for an older source of the video is cancelled: its
    output would never be shown.
    """
    if not videos_needing_job().filter(pk=video_id).exists():
        return None
    try:
        with override(None):  # for the log
            chosen_profile()
    except ProfileUnavailableError as error:
        logger.error("REQUEST_FAILED %s: %s", video_id, error)  # noqa: TRY400 - the message is the whole reason
        return None
    # Read again under the lock: another source may have replaced this one in the meantime.
    video = lock_video(video_id)
    if video is None or not videos_needing_job().filter(pk=video_id).exists():
        return None
    if Job.objects.filter(video=video, source_name=str(video.source)).exists():
        _record_request(video)
        return None
    for older in Job.objects.filter(video=video, state__in=ACTIVE_JOB_STATES).exclude(source_name=str(video.source)):
        cancel_locked(lock_job(older.pk), reason=Reason.SUPERSEDED)
    return insert_job(video, automatic=True, priority=priority)


@transaction.atomic
def request_again(*, video_id: uuid.UUID, profile: str | None = None) -> RequestResult:
    """Request a job regardless of earlier ones: retry and re-transcode on the page and in the admin.

    `profile` is the name of the job's profile, by default the site's.

    Return the active job if there is one; a bulk request's becomes one that a person waits for.
    Raises NotFoundError, or ConflictError with a message for the user.
    """
    video = lock_video(video_id)
    if video is None:
        message = gettext("The video was deleted or does not exist.")
        raise NotFoundError(message)
    if not video.source or not video.source_complete:
        message = gettext("The upload is not complete. Upload the file again.")
        raise ConflictError(message)
    result = insert_job(video, automatic=False, priority=JobPriority.UPLOAD, profile=profile)
    if not result.created:
        move_to_front(job_id=result.job_id)
    return result


@transaction.atomic
def move_to_front(*, job_id: uuid.UUID) -> bool:
    """Make an active job of a bulk request one that a person waits for. Return False if it is none."""
    job = lock_job(job_id)
    if job.state not in ACTIVE_JOB_STATES or job.priority != JobPriority.BULK:
        return False
    # No longer one that an upload began: the metrics measure waiting from the upload.
    Job.objects.filter(pk=job.pk).update(priority=JobPriority.UPLOAD, automatic=False)
    append_event("job.priority", job=job, text=f"{JobPriority.BULK} → {JobPriority.UPLOAD}")
    wake_on_commit()
    return True


def request_missing_jobs(*, limit: int) -> int:
    """Request jobs for complete videos without one, and return their number: bulk creates send no signal.

    They are bulk jobs: an upload has requested its job itself, so these videos were imported.
    """
    return sum(request_missing_job(video_id) for video_id in videos_needing_job().values_list("pk", flat=True)[:limit])


def request_missing_job(video_id: uuid.UUID) -> bool:
    """Request the job of one such video. Return False if it needs none, or cannot get one now."""
    try:
        return request_automatically(video_id=video_id, priority=JobPriority.BULK) is not None
    except (DatabaseError, ConflictError) as error:
        # A row that another transaction has locked must not block the others. The next tick finds it again.
        logger.warning("REQUEST_FAILED %s: %s", video_id, error)
        return False


def videos_needing_job() -> QuerySet[Video]:
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
        message = gettext("Only a DEAD job can be revived; this one is {state}.").format(state=job.state)
        raise ConflictError(message)
    if Job.objects.filter(video_id=job.video_id, created_at__gt=job.created_at).exists():
        message = gettext("This video has a newer job. Retry that one instead.")
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
def retry_video(*, video_id: uuid.UUID, owner: Any = None) -> RequestResult:
    """Continue the video's DEAD job where it stopped, or start a new job after any other unsuccessful end.

    The new job has the profile that a person has requested, if there still is one of that name, else the
    site's default.

    `owner` is the user whose quotas apply, or None for operators. Raises NotFoundError,
    RetryNotOfferedError (being processed, ready, or not uploaded yet), QuotaError or ConflictError.
    """
    lock_owner(owner)
    video = lock_video(video_id)
    if video is None:
        message = gettext("The video was deleted or does not exist.")
        raise NotFoundError(message)
    offer = can_retry(video)
    if not offer.possible:
        raise RetryNotOfferedError(offer.message)
    check_retry(owner)
    newest = Job.objects.filter(video=video).order_by("-created_at").first()
    if owner is not None:
        append_event(RETRY_EVENT, video_id=video_id)
    if newest is not None and newest.state == JobState.DEAD:
        revive(job_id=newest.pk)
        return RequestResult(job_id=newest.pk, created=False)
    return request_again(video_id=video_id, profile=_requested_profile(newest))


def _requested_profile(job: Job | None) -> str | None:
    """Return the name of the profile that a person requested; None for an upload's job, or if it no longer exists."""
    if job is None or job.automatic or job.profile not in available_profiles():
        return None
    return job.profile


def _source_playable_at(video: Video) -> datetime | None:
    """Return when an earlier job's plan showed that browsers can play the video's source as it is, or None."""
    known = video.jobs.filter(source_name=str(video.source), source_playable_at__isnull=False)
    return known.values_list("source_playable_at", flat=True).order_by("source_playable_at").first()


def _record_request(video: Video) -> None:
    Video.objects.filter(pk=video.pk).update(requested_source=str(video.source))


def insert_job(video: Video, *, automatic: bool, priority: JobPriority, profile: str | None = None) -> RequestResult:
    """Insert a job for the locked video, or return the one that stands in its way.

    Without a profile's name it gets the site's default. Raises ConflictError, of which
    ProfileUnavailableError is one.
    """
    chosen = chosen_profile(profile)
    job = Job(
        video=video,
        source_name=str(video.source),
        profile=chosen.name,
        profile_fields=profile_to_json(chosen),
        automatic=automatic,
        priority=priority,
        traceparent=current_traceparent(),
        source_playable_at=_source_playable_at(video),
    )
    Job.objects.bulk_create([job], ignore_conflicts=True)
    if not Job.objects.filter(pk=job.pk).exists():
        standing = Job.objects.filter(video=video).order_by("-created_at").first()
        if standing is None:
            message = gettext("Another request for this video is in progress. Try again.")
            raise ConflictError(message)
        return RequestResult(job_id=standing.pk, created=False)
    _record_request(video)
    append_event("job.request", job=job, to_state=job.state, text="automatic" if automatic else "manual")
    extra = {"job_id": job.pk, "video": video.pk}
    transaction.on_commit(lambda: logger.info("JOB_REQUESTED", extra=extra))
    # Nobody waits for a bulk job, and thousands of them need no message each: the next tick submits it.
    if priority is not JobPriority.BULK:
        wake_on_commit()
    return RequestResult(job_id=job.pk, created=True)
