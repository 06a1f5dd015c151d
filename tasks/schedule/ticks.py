"""The ticks: one row for each periodic task.

Celery task, queue, beat entry, system checks and docs follow from this table. To add a tick:
a row here, its period in `conf.BridgeSettings`, and a function under `@tick` in `tasks.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..conf import BridgeSettings

TASK_PREFIX = "batchreel."
"""Names of Celery tasks begin with this."""

ENTRY_PREFIX = "batchreel: "
"""Names of beat entries begin with this. Other entries belong to the site and are never touched."""

SOFT_TIME_LIMIT_S = 20
"""Seconds after which Celery interrupts a task of ours. Calls to AWS and to the database end before."""

TIME_LIMIT_S = 25
"""Seconds after which Celery kills a task of ours: less than the 30 s between SIGTERM and SIGKILL on ECS,
Kubernetes and Heroku by default."""

STALE_PERIODS = 3
"""A tick that has not started for this number of periods counts as stale, not as late."""

WAKEUP_EXPIRY_S = 60
"""Seconds after which a wake-up that no worker has fetched is dropped: four submit ticks came before it."""


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
    queue="batchreel.submit",
    period_setting="submit_tick_s",
    purpose="Create jobs for complete videos that have none, and submit the jobs that are due.",
)
OBSERVE = Tick(
    name="observe",
    queue="batchreel.observe",
    period_setting="observe_tick_s",
    purpose="Ask DescribeJobs for the status of attempts.",
)
RESCUE = Tick(
    name="rescue",
    queue="batchreel.observe",
    period_setting="rescue_tick_s",
    purpose="Replace containers that send no heartbeat or make no progress.",
)
REAP = Tick(
    name="reap",
    queue="batchreel.maintain",
    period_setting="reap_tick_s",
    purpose="Terminate Batch jobs whose attempts have ended, and orphans.",
)
PURGE = Tick(
    name="purge",
    queue="batchreel.maintain",
    period_setting="purge_tick_s",
    purpose="Remove deleted videos, superseded publications, and what ended jobs no longer need.",
)

METRICS = Tick(
    name="metrics",
    queue="batchreel.maintain",
    period_setting="metrics_tick_s",
    purpose="Add what has ended to the counters, and log the metrics.",
)

COST = Tick(
    name="cost",
    queue="batchreel.maintain",
    period_setting="cost_tick_s",
    purpose="Work out what attempts that have ended cost.",
)

DELIVER = Tick(
    name="deliver",
    queue="batchreel.maintain",
    period_setting="deliver_tick_s",
    purpose="Deliver the events of the outbox: signals, webhooks and mail.",
)

EDIT = Tick(
    name="edit",
    queue="batchreel.maintain",
    period_setting="edit_tick_s",
    purpose="Offer captions and chapters that people changed in the playlists of published videos.",
)

TICKS = (SUBMIT, OBSERVE, RESCUE, REAP, PURGE, METRICS, COST, DELIVER, EDIT)

WAKEUP_TASK = f"{TASK_PREFIX}wake"
"""The Celery task that a wake-up message runs: submit what is due now, instead of at the next tick."""

QUEUES = tuple(dict.fromkeys(tick.queue for tick in TICKS))
"""Every queue that a Celery worker has to consume. Only tasks of ours are in them."""


def beat_schedule(batchreel: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Return the entries of the ticks for CELERY_BEAT_SCHEDULE: name -> entry.

    Only for a site whose beat does not use django-celery-beat's DatabaseScheduler, which has them as
    rows. `batchreel` is the site's BATCHREEL, which may set other periods; Django's settings cannot be
    read yet where this is called.
    """
    defaults = BridgeSettings()
    entries: dict[str, dict[str, Any]] = {}
    for tick in TICKS:
        period_s: float = (batchreel or {}).get(tick.period_setting, tick.period_s(defaults))
        options = {"queue": tick.queue, "expires": math.ceil(period_s)}
        entries[tick.entry] = {"task": tick.task, "schedule": timedelta(seconds=period_s), "options": options}
    return entries
