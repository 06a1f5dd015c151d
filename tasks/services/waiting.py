"""Batch jobs that wait in RUNNABLE for too long: an event says so once, with Batch's own reason. Nothing is ended: capacity may come."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.states import AttemptState
from tasks.models import Attempt, Event
from tasks.services.transition import record

EVENT = "batch.waiting"
_NO_REASON = "AWS Batch gives no reason: look at the compute environment's limits, or run `manage.py doctor`."


def note_waiting(*, limit: int = 50) -> int:
    """Append the event for each attempt that has waited too long and has none yet. Returns how many."""
    patience = timedelta(seconds=bridge_settings().runnable_alert_s)
    told = Event.objects.filter(kind=EVENT, job_id=OuterRef("job_id"), attempt_number=OuterRef("number"))
    waiting = Attempt.objects.filter(
        ~Exists(told),
        state=AttemptState.SUBMITTED,
        batch_status=BatchStatus.RUNNABLE,
        batch_changed_at__lt=Now() - patience,
    ).select_related("job")[:limit]
    for attempt in waiting:
        record(
            EVENT,
            job=attempt.job,
            attempt_number=attempt.number,
            text=f"In RUNNABLE for over {patience}: {attempt.batch_status_reason or _NO_REASON}",
        )
    return len(waiting)
