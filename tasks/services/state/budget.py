"""How much of its attempt limit a job has used, computed from its rounds (`state.rounds`).

`attempt_end` explains which attempts count, and what happens at the limit.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import Any

from django.db.models import F, Min
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.retry import BudgetUsage, Decision, decide
from ...models import Job
from .rounds import ended_attempts, ended_rounds, final_status_wait


def decide_for(job: Job) -> Decision:
    """Decide whether the due job gets another attempt."""
    conf = bridge_settings()
    return decide(budget_usage(job), max_attempts=conf.max_attempts, max_consecutive_losses=conf.max_consecutive_losses)


def budget_usage(job: Job) -> BudgetUsage:
    """Return the numbers of counted rounds, undecided rounds and losses in a row.

    An undecided attempt whose wait for the final status has run out is counted.
    """
    rounds = ended_rounds(job)
    return BudgetUsage(
        counted=sum(each.counted for each in rounds),
        undecided=sum(each.undecided for each in rounds),
        consecutive_losses=sum(1 for _ in takewhile(lambda each: each.is_loss, reversed(rounds))),
    )


def next_final_status_at(job: Job) -> Any:
    """Return when the wait of the first undecided attempt runs out, or now if none is undecided any more."""
    undecided = ended_attempts(job).filter(counted=None, ended_at__gt=Now() - final_status_wait())
    first = undecided.aggregate(first=Min(F("ended_at")))["first"]
    return Now() if first is None else first + final_status_wait()


def final_status_deadlines(job: Job) -> list[datetime]:
    """Return when the waits for the final status of the undecided attempts run out."""
    ended: list[Any] = list(ended_attempts(job).filter(counted=None).values_list("ended_at", flat=True))
    return [ended_at + final_status_wait() for ended_at in ended]
