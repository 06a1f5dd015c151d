"""How rows are locked: the job row always first. Whoever holds it may change the job's attempts and units."""

from __future__ import annotations

from typing import Any

from tasks.lifecycle.errors import NotFoundError
from tasks.models import Attempt, Job


def lock_job(job_id: Any) -> Job:
    """The job, its row locked until the transaction ends; without plan and manifest, which are large. Raises NotFoundError."""
    job = Job.objects.select_for_update(of=("self",)).defer("plan", "manifest").filter(pk=job_id).first()
    if job is None:
        message = f"no job {job_id}"
        raise NotFoundError(message)
    return job


def read_attempt(job: Job, number: int) -> Attempt:
    """The attempt of a locked job. Raises NotFoundError."""
    attempt = Attempt.objects.filter(job=job, number=number).first()
    if attempt is None:
        message = f"job {job.pk} has no attempt {number}"
        raise NotFoundError(message)
    attempt.job = job
    return attempt
