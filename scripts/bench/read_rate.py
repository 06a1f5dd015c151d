"""How many DescribeJobs calls a minute a site makes while thousands of containers are at work and heard."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db.models.functions import Now
from history import AtOnce, add_history, migrate

from tasks.conf import bridge_settings
from tasks.models import Attempt
from tasks.services.ticks.observe import observe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.lifecycle.observation import Observation

IDS_PER_CALL = 100
"""API reference, DescribeJobs: up to 100 jobs."""


class Counting(AtOnce):
    """Counts the calls that the real port would make, and notes who was asked about in which tick."""

    def __init__(self) -> None:
        self.calls = 0
        self.tick = 0
        self.looks: dict[str, list[int]] = defaultdict(list)

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """Answer, and count one call for each hundred ids."""
        self.calls += -(-len(batch_job_ids) // IDS_PER_CALL)
        for each in batch_job_ids:
            self.looks[each].append(self.tick)
        return super().describe(batch_job_ids)

    def longest_wait_ticks(self, ticks: int) -> int:
        """The longest time between two looks at the same attempt; the whole time where one was never looked at."""
        waits = (b - a for looks in self.looks.values() for a, b in pairwise([0, *looks, ticks]))
        return max(waits, default=ticks)


def measured(active: int) -> dict[str, Any]:
    """Let observe ticks run for ten minutes of their own time, with so many jobs whose heartbeats are fresh."""
    migrate()
    add_history(first=0, until=0, active=active)
    ticks = round(600 / bridge_settings().observe_tick_s)
    batch = Counting()
    for number in range(ticks):
        Attempt.objects.filter(state="RUNNING").update(heartbeat_at=Now())
        batch.tick = number
        observe(batch=batch, tick=number)
    naive = active * 60 / bridge_settings().observe_tick_s
    return {
        "active_jobs": active,
        "describe_calls_per_min": round(batch.calls / 10, 1),
        "attempts_asked_about": len(batch.looks),
        "longest_wait_for_a_look_s": round(batch.longest_wait_ticks(ticks) * bridge_settings().observe_tick_s),
        "one_call_per_job_and_period_per_min": round(naive),
    }
