"""What a job has used up of its budget, read from its attempts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Min, Q
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.reasons import is_loss
from ...lifecycle.retry import BudgetUsage, Decision, decide
from ...lifecycle.states import UnitState
from ...models import Attempt, Job, Unit


def decide_for(job: Job) -> Decision:
    """Whether the due job gets another attempt."""
    conf = bridge_settings()
    return decide(budget_usage(job), max_attempts=conf.max_attempts, max_losses_in_a_row=conf.max_losses_in_a_row)


def budget_usage(job: Job) -> BudgetUsage:
    """Charged executions, open charges, and losses in a row. An open charge that waited too long for its verdict is a charge."""
    counted = counted_attempts(job)
    overdue = Q(counted=None, ended_at__lte=Now() - _final_status_wait())
    return BudgetUsage(
        counted=counted.filter(Q(counted=True) | overdue).count(),
        undecided=counted.filter(counted=None).exclude(overdue).count(),
        losses_in_a_row=_losses_in_a_row(job),
    )


def next_final_status_at(job: Job) -> Any:
    """When the first charge that is still open will be settled at the latest, or now, where that has just happened to the last one."""
    still_open = counted_attempts(job).filter(counted=None, ended_at__gt=Now() - _final_status_wait())
    first = still_open.aggregate(first=Min(F("ended_at")))["first"]
    return Now() if first is None else first + _final_status_wait()


def final_status_deadlines(job: Job) -> list[datetime]:
    """What `next_final_status_at` may have said of this job until now."""
    return [ended_at + _final_status_wait() for ended_at in counted_attempts(job).values_list("ended_at", flat=True)]


def counted_attempts(job: Job) -> Any:
    return Attempt.objects.filter(job=job, number__gt=job.budget_from, ended_at__isnull=False)


def _final_status_wait() -> timedelta:
    return timedelta(seconds=bridge_settings().final_status_wait_s)


def _losses_in_a_row(job: Job) -> int:
    losses = 0
    newest_first = counted_attempts(job).order_by("-number").values_list("pk", "reason")
    for attempt_id, reason in newest_first[: bridge_settings().max_losses_in_a_row]:
        finished_a_unit = Unit.objects.filter(attempt_id=attempt_id, state=UnitState.DONE).exists()
        if finished_a_unit or not is_loss(reason):
            break
        losses += 1
    return losses
