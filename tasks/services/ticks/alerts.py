"""Alerts for what has waited too long: Batch jobs in RUNNABLE, and due jobs that are not submitted.

Nothing is ended; operators are notified by events and log lines.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.observation import BatchStatus
from ...lifecycle.states import AttemptState
from ...models import Attempt, Event, Job
from ..state.transition import append_event
from .grant import waits_for_room

logger = logging.getLogger(__name__)

EVENT = "batch.stuck_runnable"
OVERDUE_S = 600
"""A due job is submitted within two ticks; ten minutes mean that submitting fails or cannot keep up."""

_NO_REASON = "AWS Batch gives no reason. Check the compute environment's limits, or run `manage.py doctor`."


def alert_stuck_runnable(*, limit: int = 50, only_job: uuid.UUID | None = None) -> int:
    """Append an event, with AWS's reason, for each attempt that has been in RUNNABLE for too long.

    There is one event per attempt. Return the number of new ones.
    """
    threshold = _threshold()
    waiting = stuck_runnable().select_related("job")
    if only_job is not None:
        waiting = waiting.filter(job=only_job)
    alerts = waiting[:limit]
    for attempt in alerts:
        append_event(
            EVENT,
            job=attempt.job,
            attempt_number=attempt.number,
            text=f"In RUNNABLE for over {threshold}: {attempt.batch_status_reason or _NO_REASON}",
        )
        extra = {"job": attempt.job_id, "attempt": attempt.number, "batch_reason": attempt.batch_status_reason}
        logger.warning("BATCH_JOB_WAITING", extra=extra)
    return len(alerts)


def stuck_runnable() -> QuerySet[Attempt]:
    """Return the attempts that have been in RUNNABLE for too long, without those that have their event."""
    alerted = Event.objects.filter(kind=EVENT, job_id=OuterRef("job_id"), attempt_number=OuterRef("number"))
    return Attempt.objects.filter(
        ~Exists(alerted),
        state=AttemptState.SUBMITTED,
        batch_status=BatchStatus.RUNNABLE,
        batch_status_at__lt=Now() - _threshold(),
    )


def _threshold() -> timedelta:
    return timedelta(seconds=bridge_settings().runnable_alert_s)


def overdue_jobs() -> QuerySet[Job]:
    """Return the jobs that have been due for more than `OVERDUE_S`, without those that wait for room in AWS Batch."""
    due = Job.objects.filter(next_attempt_at__lt=Now() - timedelta(seconds=OVERDUE_S))
    return due.exclude(waits_for_room()) if due.exists() else due


def alert_overdue() -> None:
    """Log a warning if there are overdue jobs."""
    if count := overdue_jobs().count():
        logger.warning("JOBS_OVERDUE", extra={"jobs": count})
