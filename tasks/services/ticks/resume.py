"""Resuming: an active job that nobody works on and that has no due time is made due.

This is the last safety net of promise 1. No code path leaves such a job behind, but restoring a
backup or editing a row by hand may.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from ...lifecycle.reasons import Reason
from ...lifecycle.states import JobState
from ...models import Job
from ..state.attempt_end import at_work, retry_if_idle
from ..state.locking import lock_job


def resume_idle(*, limit: int = 50) -> int:
    """Move idle jobs to RETRY_WAIT, and return their number."""
    return sum(resume(job_id) for job_id in idle_jobs().values_list("pk", flat=True)[:limit])


def idle_jobs() -> Any:
    """Return active jobs that nobody works on and that have no due time."""
    return Job.objects.filter(
        ~Exists(at_work(OuterRef("pk"))), state__in=[JobState.QUEUED, JobState.RUNNING], next_attempt_at=None
    )


@transaction.atomic
def resume(job_id: Any) -> bool:
    """Move the job to RETRY_WAIT if it is idle. Raises NotFoundError."""
    job = lock_job(job_id)
    if not idle_jobs().filter(pk=job.pk).exists():
        return False
    retry_if_idle(job, reason=Reason.NO_LIVE_ATTEMPT)
    return True
