"""The ticks: one row for each periodic task.

Celery task, queue, route, beat entry, system checks and docs follow from this table. To add a tick:
a row here, its period in `conf.BridgeSettings`, and a function under `@tick` in `tasks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..conf import BridgeSettings

TASK_PREFIX = "batchreel."
"""Names of Celery tasks begin with this."""

ENTRY_PREFIX = "batchreel: "
"""Names of beat entries begin with this. Other entries belong to the site and are never touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One periodic task. Its period in seconds is the setting named `period_setting`."""

    name: str
    queue: str
    period_setting: str
    purpose: str

    @property
    def task(self) -> str:
        """Return the name of its Celery task."""
        return f"{TASK_PREFIX}{self.name}"

    @property
    def entry(self) -> str:
        """Return the name of its beat entry."""
        return f"{ENTRY_PREFIX}{self.name}"

    def period_s(self, conf: BridgeSettings) -> float:
        """Return its period in seconds under these settings."""
        period_s: float = getattr(conf, self.period_setting)
        return period_s


SUBMIT = Tick(
    name="submit",
    queue="submit",
    period_setting="submit_tick_s",
    purpose="Create jobs for complete videos that have none, and submit the jobs that are due.",
)
OBSERVE = Tick(
    name="observe",
    queue="observe",
    period_setting="observe_tick_s",
    purpose="Ask DescribeJobs for the status of attempts.",
)
RESCUE = Tick(
    name="rescue",
    queue="observe",
    period_setting="rescue_tick_s",
    purpose="Replace containers that send no heartbeat or make no progress.",
)
REAP = Tick(
    name="reap",
    queue="maintain",
    period_setting="reap_tick_s",
    purpose="Terminate Batch jobs whose attempts have ended, and orphans.",
)
PURGE = Tick(
    name="purge",
    queue="maintain",
    period_setting="purge_tick_s",
    purpose="Remove deleted videos, superseded publications, and what ended jobs no longer need.",
)

METRICS = Tick(
    name="metrics",
    queue="maintain",
    period_setting="metrics_tick_s",
    purpose="Add what has ended to the counters, and log the metrics.",
)

COST = Tick(
    name="cost",
    queue="maintain",
    period_setting="cost_tick_s",
    purpose="Work out what attempts that have ended cost.",
)

DELIVER = Tick(
    name="deliver",
    queue="maintain",
    period_setting="deliver_tick_s",
    purpose="Deliver the events of the outbox: signals, webhooks and mail.",
)

TICKS = (SUBMIT, OBSERVE, RESCUE, REAP, PURGE, METRICS, COST, DELIVER)

WAKEUP_TASK = f"{TASK_PREFIX}wake"
"""The Celery task that a wake-up message runs: submit what is due now, instead of at the next tick."""

ROUTES = {WAKEUP_TASK: {"queue": SUBMIT.queue}, **{tick.task: {"queue": tick.queue} for tick in TICKS}}
"""Celery's `task_routes`."""

QUEUES = tuple(dict.fromkeys(tick.queue for tick in TICKS))
"""Every queue that a Celery worker has to consume."""
