"""Polling DescribeJobs: which attempts each tick polls. `state.observation` applies the responses.

Heartbeats show that a container is alive, so most attempts are polled rarely, and even more rarely while a
listener receives AWS Batch's events (`state.push`). Which ones a tick polls follows from their age, their last
heartbeat and the tick's number, so no record of the last poll has to be written; nor are rows that did not change.

AWS may be slow. Each page of responses is applied before the next call, none starts after the tick's time limit,
and the pages after the first one come in another order at each tick: so even if there is time for a few only, none
is left out for good.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, Count, F, IntegerField, Q, Value, When
from django.db.models.functions import Mod, Now

from ...batch.port import DESCRIBE_LIMIT_IDS, BatchPort
from ...conf import bridge_settings
from ...lifecycle.observation import FINAL_STATUSES, Observation
from ...lifecycle.states import LIVE_ATTEMPT_STATES, AttemptState
from ...models import Attempt
from ..state.observation import apply_observation
from ..state.push import is_push_healthy

_URGENT_SHARE = 0.75
"""Share of a tick's poll limit for urgent attempts. The others get the remainder, however many are urgent."""


@dataclass(slots=True, kw_only=True)
class ObserveSummary:
    """Counts of attempts for one run. `left` are those for which there was no time."""

    asked: int = 0
    changed: int = 0
    left: int = 0


def observe(*, batch: BatchPort, tick: int) -> ObserveSummary:
    """Poll the attempts that are due in tick number `tick`, and apply the responses, page by page.

    Raises BatchError with nothing changed by that page and the ones after it.
    """
    stop_at_s = time.monotonic() + bridge_settings().observe_time_limit_s
    due = list(attempts_to_poll(tick))
    summary = ObserveSummary()
    for attempt, seen in describe(_shuffled(due, tick), batch=batch, stop_at_s=stop_at_s):
        summary.asked += 1
        summary.changed += apply_observation(attempt, seen)
    summary.left = len(due) - summary.asked
    return summary


def describe(
    attempts: Sequence[Attempt], *, batch: BatchPort, stop_at_s: float
) -> Iterator[tuple[Attempt, Observation]]:
    """Yield the attempts with what DescribeJobs returns, by one call per page; none starts after `stop_at_s`.

    The attempts have Batch jobs. `stop_at_s` is a time of the monotonic clock. Raises BatchError.
    """
    for first in range(0, len(attempts), DESCRIBE_LIMIT_IDS):
        if time.monotonic() > stop_at_s:
            return
        page = {str(attempt.batch_job_id): attempt for attempt in attempts[first : first + DESCRIBE_LIMIT_IDS]}
        for seen in batch.describe(list(page)):
            yield page[seen.batch_job_id], seen


def _shuffled(due: list[Attempt], tick: int) -> list[Attempt]:
    """Keep the first page, which has the most urgent attempts, and shuffle the others."""
    others = due[DESCRIBE_LIMIT_IDS:]
    random.Random(tick).shuffle(others)  # noqa: S311 - an order, not a secret
    return due[:DESCRIBE_LIMIT_IDS] + others


def attempts_to_poll(tick: int) -> Iterable[Attempt]:
    """Return the attempts that tick number `tick` polls, silent ones first, at most `describe_limit_ids`.

    Attempts that may change at any time are polled at each tick, the others every `poll_running_s`,
    or every `audit_s` while events are received. If there are too many for that, each is polled less
    often; none is skipped.
    """
    conf = bridge_settings()
    every_s = conf.audit_s if is_push_healthy() else conf.poll_running_s
    fresh = Now() - timedelta(seconds=2 * conf.heartbeat_s)
    urgent = (
        Q(state=AttemptState.RUNNING, heartbeat_at__lt=fresh)
        | Q(state__in=[AttemptState.SUBMITTED], created_at__gt=Now() - timedelta(seconds=conf.poll_fast_until_s))
        | Q(missing_responses__gt=0)
        # A container that succeeded has a grace period, at whose end nothing else is observed.
        | Q(state__in=LIVE_ATTEMPT_STATES, batch_status__in=FINAL_STATUSES)
    )
    live = Q(state__in=LIVE_ATTEMPT_STATES)
    awaits_final_status = Q(ended_at__gt=Now() - timedelta(seconds=conf.final_status_wait_s)) & ~Q(
        batch_status__in=FINAL_STATUSES
    )
    candidates = Attempt.objects.filter(live | awaits_final_status, batch_job_id__isnull=False)
    counts = candidates.aggregate(urgent=Count("pk", filter=urgent | awaits_final_status), all=Count("pk"))
    of_urgent = max(1, int(conf.describe_limit_ids * _URGENT_SHARE))
    of_others = max(1, conf.describe_limit_ids - min(counts["urgent"], of_urgent))
    every_urgent = max(1, -(-counts["urgent"] // of_urgent))
    every = max(1, round(every_s / conf.observe_tick_s), -(-counts["all"] // of_others))
    urgency = Case(When(urgent, then=0), When(awaits_final_status, then=1), default=2, output_field=IntegerField())
    return (
        candidates.annotate(
            urgency=urgency, turn=Mod(F("id"), Value(every)), urgent_turn=Mod(F("id"), Value(every_urgent))
        )
        .filter(Q(urgency__lt=2, urgent_turn=tick % every_urgent) | Q(urgency=2, turn=tick % every))
        .order_by("urgency", F("heartbeat_at").asc(nulls_last=True), "id")[: conf.describe_limit_ids]
    )
