"""Cancelling a job.

Its attempts end in their rows immediately. Containers stop at their next heartbeat, and the reap tick
terminates the Batch jobs.
"""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models.functions import Now

from ...lifecycle.reasons import Reason
from ...lifecycle.states import ACTIVE_JOB_STATES, JobEvent, JobState
from ...models import Job
from ..state.attempt_end import end_job_attempts
from ..state.locking import lock_job, lock_video
from ..state.transition import transition


@transaction.atomic
def cancel_job(*, job_id: uuid.UUID, reason: Reason = Reason.CANCELLED) -> bool:
    """Cancel the job. Return False, without a change, if it has already ended. Raises NotFoundError."""
    job = lock_job(job_id)
    return cancel_locked(job, reason=reason)


@transaction.atomic
def cancel_making(*, video_id: uuid.UUID) -> bool:
    """Cancel what is being made of the video; what is published stays. Return False if nothing is being made."""
    lock_video(video_id)
    active = Job.objects.filter(video_id=video_id, state__in=ACTIVE_JOB_STATES)
    cancelled = [cancel_locked(lock_job(pk), reason=Reason.CANCELLED) for pk in active.values_list("pk", flat=True)]
    return any(cancelled)


def cancel_locked(job: Job, *, reason: Reason) -> bool:
    """Cancel a job whose row the caller has locked. Return False if it has already ended."""
    if job.state not in ACTIVE_JOB_STATES | {JobState.DEAD}:
        return False
    transition(job, JobEvent.CANCEL, reason=reason, next_attempt_at=None, finished_at=Now())
    end_job_attempts(job, reason=reason)
    return True
