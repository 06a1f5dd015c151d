"""Rounds of a job: a lead and the helpers that were granted while it worked (`lifecycle.scaling`).

The attempt limit is a limit of rounds, so this is where attempts become what the limit counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from ...conf import bridge_settings
from ...lifecycle.reasons import is_loss
from ...lifecycle.states import AttemptState
from ...models import Attempt, Job

ROUND = Coalesce("helps", "number")
"""The number of an attempt's round."""


@dataclass(slots=True, kw_only=True)
class Round:
    """The ended attempts of one round, by number."""

    number: int
    attempts: list[Any] = field(default_factory=list)

    @property
    def has_progressed(self) -> bool:
        """Whether one of them finished a video or audio unit."""
        return any(each.units_done for each in self.attempts)

    @property
    def counted(self) -> bool:
        """Whether the round counts: one of its attempts does, and none finished a unit."""
        return not self.has_progressed and any(each.counted or each.is_overdue for each in self.attempts)

    @property
    def undecided(self) -> bool:
        """Whether the round will count if a final status that is still missing makes an attempt count."""
        if self.has_progressed or self.counted:
            return False
        return any(each.counted is None for each in self.attempts)

    @property
    def is_loss(self) -> bool:
        """Whether all containers of the round were lost, and none finished a video or audio unit.

        Those that found nothing to do, or that the bridge cancelled, do not matter.
        """
        ran = [each for each in self.attempts if each.state not in (AttemptState.SUCCEEDED, AttemptState.CANCELLED)]
        return not self.has_progressed and bool(ran) and all(is_loss(each.reason) for each in ran)

    @property
    def last(self) -> Any:
        """The attempt that ended the round: the last counted one, else the last one."""
        counting = [each for each in self.attempts if each.counted is not False]
        return (counting or self.attempts)[-1]


def ended_rounds(job: Job) -> list[Round]:
    """Return the rounds since the job was created or last revived, oldest first, with their ended attempts."""
    overdue = Q(counted=None, ended_at__lte=Now() - final_status_wait())
    attempts = (
        ended_attempts(job)
        .annotate(
            is_overdue=ExpressionWrapper(overdue, output_field=BooleanField()),
        )
        .order_by(ROUND, "number")
        .only(
            "number",
            "helps",
            "units_done",
            "state",
            "reason",
            "reason_message",
            "error_code",
            "counted",
            "units_in_progress",
        )
    )
    return [Round(number=number, attempts=list(group)) for number, group in groupby(attempts, lambda each: each.round)]


def ended_attempts(job: Job) -> QuerySet[Attempt]:
    """Return the ended attempts since the job was created or last revived, counted or not."""
    return Attempt.objects.filter(job=job, number__gt=job.budget_from, ended_at__isnull=False)


def final_status_wait() -> timedelta:
    """Return how long the final status of an undecided attempt is waited for."""
    return timedelta(seconds=bridge_settings().final_status_wait_s)
