"""Benchmark: DescribeJobs calls per minute with thousands of running containers with fresh heartbeats."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models.functions import Now

from scripts.bench.measures.history import AtOnce, add_history, migrate
from tasks.conf import bridge_settings
from tasks.models import Attempt
from tasks.services.state.push import record_read
from tasks.services.ticks.observe import observe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.lifecycle.observation import Observation

IDS_PER_CALL = 100
"""API reference, DescribeJobs: up to 100 jobs."""


class Counting(AtOnce):
    """A BatchPort that counts the calls of a real one, and records which ids each tick describes."""

    def __init__(self) -> None:
        self.calls = 0
        self.tick = 0
        self.reads: dict[str, list[int]] = defaultdict(list)

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """Return the observations, and count one call per hundred ids."""
        self.calls += -(-len(batch_job_ids) // IDS_PER_CALL)
        for each in batch_job_ids:
            self.reads[each].append(self.tick)
        return super().describe(batch_job_ids)

    def longest_wait_ticks(self, ticks: int) -> int:
        """Return the longest time between two reads of an attempt, or `ticks` if one was never read."""
        waits = (b - a for reads in self.reads.values() for a, b in pairwise([0, *reads, ticks]))
        return max(waits, default=ticks)


def measured(active: int) -> list[dict[str, Any]]:
    """Run ten minutes of observe ticks with `active` jobs with fresh heartbeats, without and with push.

    Return the results.
    """
    migrate()
    add_history(first=0, until=0, active=active)
    return [_ten_minutes(active, push=push) for push in (False, True)]


def _ten_minutes(active: int, *, push: bool) -> dict[str, Any]:
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = "https://sqs.invalid/1/events" if push else ""
    bridge_settings.cache_clear()
    ticks = round(600 / bridge_settings().observe_tick_s)
    batch = Counting()
    for number in range(ticks):
        Attempt.objects.filter(state="RUNNING").update(heartbeat_at=Now())
        if push:
            record_read(announced=True, oldest_s=0)
        batch.tick = number
        observe(batch=batch, tick=number)
    naive = active * 60 / bridge_settings().observe_tick_s
    return {
        "active_jobs": active,
        "push": push,
        "describe_calls_per_min": round(batch.calls / 10, 1),
        "attempts_described": len(batch.reads),
        "longest_wait_between_reads_s": round(batch.longest_wait_ticks(ticks) * bridge_settings().observe_tick_s),
        "one_call_per_job_and_period_per_min": round(naive),
    }
