"""How much of its attempt limit a job has used, computed from its attempts.

`attempt_end` explains which attempts count, and what happens at the limit.
"""

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
    """Decide whether the due job gets another attempt."""
    conf = bridge_settings()
    return decide(budget_usage(job), max_attempts=conf.max_attempts, max_consecutive_losses=conf.max_consecutive_losses)


def budget_usage(job: Job) -> BudgetUsage:
    """Return the numbers of counted attempts, undecided attempts and losses in a row.

    An undecided attempt whose wait for the final status has run out is counted.
    """
    ended = ended_attempts(job)
    overdue = Q(counted=None, ended_at__lte=Now() - _final_status_wait())
    return BudgetUsage(
        counted=ended.filter(Q(counted=True) | overdue).count(),
        undecided=ended.filter(counted=None).exclude(overdue).count(),
        consecutive_losses=_consecutive_losses(job),
    )


def next_final_status_at(job: Job) -> Any:
    """Return when the wait of the first undecided attempt runs out, or now if none is undecided any more."""
    undecided = ended_attempts(job).filter(counted=None, ended_at__gt=Now() - _final_status_wait())
    first = undecided.aggregate(first=Min(F("ended_at")))["first"]
    return Now() if first is None else first + _final_status_wait()


def final_status_deadlines(job: Job) -> list[datetime]:
    """Return when the waits for the final status of the undecided attempts run out."""
    undecided = ended_attempts(job).filter(counted=None)
    return [ended_at + _final_status_wait() for ended_at in undecided.values_list("ended_at", flat=True)]


def ended_attempts(job: Job) -> Any:
    """Return the ended attempts since the job was created or last revived, counted or not."""
    return Attempt.objects.filter(job=job, number__gt=job.budget_from, ended_at__isnull=False)


def _final_status_wait() -> timedelta:
    return timedelta(seconds=bridge_settings().final_status_wait_s)


def _consecutive_losses(job: Job) -> int:
    losses = 0
    newest_first = ended_attempts(job).order_by("-number").values_list("pk", "reason")
    for attempt_id, reason in newest_first[: bridge_settings().max_consecutive_losses]:
        finished_a_unit = Unit.objects.filter(attempt_id=attempt_id, state=UnitState.DONE).exists()
        if finished_a_unit or not is_loss(reason):
            break
        losses += 1
    return losses
