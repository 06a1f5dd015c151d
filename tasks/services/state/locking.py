"""How rows are locked: the video's where it matters, then the job's. Whoever holds a job's may change its attempts and units."""

from __future__ import annotations

from typing import Any

from ...lifecycle.errors import NotFoundError
from ...models import Attempt, Job, Video


def lock_job(job_id: Any) -> Job:
    """The job, its row locked until the transaction ends; without plan and manifest, which are large. Raises NotFoundError."""
    job = Job.objects.select_for_update(of=("self",)).defer("plan", "manifest").filter(pk=job_id).first()
    if job is None:
        message = f"no job {job_id}"
        raise NotFoundError(message)
    return job


def lock_video(video_id: Any) -> Video | None:
    """Lock the row of a video that was not deleted, until the transaction ends: no deletion comes between. None where it was deleted.

    Taken before the locks of its jobs, as a save of the video does: its UPDATE comes first, and the receiver asks for the job after it.
    """
    return Video.objects.select_for_update(no_key=True, of=("self",)).filter(pk=video_id, deleted_at=None).first()


def lock_video_of(job_id: Any) -> None:
    """Lock the row of the job's video, before the job's own. Nothing happens where it was deleted, or the job does not exist."""
    lock_video(Job.objects.filter(pk=job_id).values_list("video_id", flat=True).first())


def read_attempt(job: Job, number: int) -> Attempt:
    """The attempt of a locked job. Raises NotFoundError."""
    attempt = Attempt.objects.filter(job=job, number=number).first()
    if attempt is None:
        message = f"job {job.pk} has no attempt {number}"
        raise NotFoundError(message)
    attempt.job = job
    return attempt
