"""Row locks, always in the same order: the owner's for a quota, the video's if it is needed, then the job's.

The holder of a job's lock may change the job's attempts and units.
"""

from __future__ import annotations

from typing import Any

from ...lifecycle.errors import NotFoundError
from ...models import Attempt, Job, Video


def lock_job(job_id: Any) -> Job:
    """Lock the job's row until the transaction ends, and return the job. Raises NotFoundError.

    `plan` is deferred because it is large.
    """
    job = Job.objects.select_for_update(of=("self",)).defer("plan").filter(pk=job_id).first()
    if job is None:
        message = f"no job {job_id}"
        raise NotFoundError(message)
    return job


def lock_video(video_id: Any) -> Video | None:
    """Lock the video's row until the transaction ends, which blocks its deletion. Return None if it was deleted.

    Take this lock before those of the video's jobs. Saving a video has the same order: its UPDATE
    runs first, then the receiver requests the job.
    """
    return Video.objects.select_for_update(no_key=True, of=("self",)).filter(pk=video_id, deleted_at=None).first()


def lock_video_of(job_id: Any) -> None:
    """Lock the row of the job's video, before the job's own.

    A no-op if the video was deleted or the job does not exist.
    """
    lock_video(Job.objects.filter(pk=job_id).values_list("video_id", flat=True).first())


def read_attempt(job: Job, number: int) -> Attempt:
    """Return the attempt of the locked job. Raises NotFoundError."""
    attempt = Attempt.objects.filter(job=job, number=number).first()
    if attempt is None:
        message = f"job {job.pk} has no attempt {number}"
        raise NotFoundError(message)
    attempt.job = job
    return attempt
