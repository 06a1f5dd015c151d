"""Gauges: what the rows show now.

Each query reads open work only, through partial indexes, so its cost does not grow with history.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, Min, OuterRef, Q, Sum

from ..conf import bridge_settings
from ..lifecycle.states import (
    ACTIVE_JOB_STATES,
    LIVE_ATTEMPT_STATES,
    OPEN_JOB_STATES,
    WAITING_STAGES,
    AttemptState,
    Channel,
    DeliveryState,
    JobPriority,
    JobState,
)
from ..models import Attempt, DayCost, Delivery, DirectUpload, Job, OutboxEvent, Tick, Video
from ..schedule.ticks import TICKS
from . import definitions as metric
from .definitions import Labels, Metric

Readings = dict[Metric, dict[Labels, float]]
"""Metric -> labels -> value."""

_LATE_HEARTBEATS = 2
"""Number of missing heartbeats after which one is late: a healthy container may miss one."""


def read_gauges() -> Readings:
    """Return the value of each gauge, and of the counters `FROM_ROWS`."""
    now, database_bytes = _server()
    readings: Readings = {metric.DATABASE_BYTES: {(): database_bytes}, metric.TABLE_BYTES: _table_bytes()}
    for part in (_jobs, _attempts, _due, _uploads, _outbox, _ticks):
        readings |= part(now)
    readings |= {metric.COST: _costs(), metric.STUCK: {(): _stuck_s(readings[metric.OLDEST_DUE][()], now)}}
    return readings


def _server() -> tuple[datetime, float]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now(), pg_database_size(current_database())")
        now, size_bytes = cursor.fetchone()
    return now, float(size_bytes)


def _table_bytes() -> dict[Labels, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relname LIKE 'batchreel\\_%' AND relnamespace = current_schema()::regnamespace"
        )
        return {(name,): float(size) for name, size in cursor.fetchall()}


def _jobs(now: datetime) -> Readings:
    unplanned = Q(
        state__in=[JobState.QUEUED, JobState.RETRY_WAIT],
        automatic=True,
        priority=JobPriority.UPLOAD,
        budget_from=0,
        plan__isnull=True,
        # A container that discards a plan leaves its estimate.
        encode_cost_s__isnull=True,
    )
    rows = (
        Job.objects.filter(state__in=OPEN_JOB_STATES)
        .order_by()
        .values_list("state", "priority")
        .annotate(jobs=Count("pk"), since=Min("created_at"), waiting_since=Min("created_at", filter=unplanned))
    )
    jobs: dict[Labels, float] = dict.fromkeys(metric.JOBS.zeros, 0.0)
    oldest: dict[Labels, float] = {}
    waiting_s = 0.0
    for state, priority, count, since, waiting_since in rows:
        jobs[state, priority] = count
        oldest[state, priority] = _age_s(since, now)
        waiting_s = max(waiting_s, _age_s(waiting_since, now))
    return {metric.JOBS: jobs, metric.OLDEST_JOB: oldest, metric.OLDEST_WAITING_UPLOAD: {(): waiting_s}}


def _due(now: datetime) -> Readings:
    due = Job.objects.filter(next_attempt_at__lte=now).aggregate(jobs=Count("pk"), since=Min("next_attempt_at"))
    return {metric.DUE_JOBS: {(): due["jobs"]}, metric.OLDEST_DUE: {(): _age_s(due["since"], now)}}


def _attempts(now: datetime) -> Readings:
    conf = bridge_settings()
    is_late = Q(heartbeat_at__lt=now - timedelta(seconds=_LATE_HEARTBEATS * conf.heartbeat_s))
    rows = (
        Attempt.objects.filter(state__in=LIVE_ATTEMPT_STATES)
        .order_by()
        .values_list("state", "batch_status")
        .annotate(
            each=Count("pk"),
            since=Min("created_at"),
            all_vcpus=Sum("vcpus"),
            heartbeat=Min("heartbeat_at"),
            late=Count("pk", filter=is_late),
        )
    )
    attempts: dict[Labels, float] = dict.fromkeys(metric.ATTEMPTS.zeros, 0.0)
    oldest: dict[Labels, float] = {}
    statuses: dict[Labels, float] = {}
    running = {"vcpus": 0.0, "oldest_s": 0.0, "late": 0.0}
    for state, status, count, since, vcpus, heartbeat, late in rows:
        attempts[state,] += count
        statuses[status or "UNKNOWN",] = statuses.get((status or "UNKNOWN",), 0) + count
        oldest[state,] = max(oldest.get((state,), 0), _age_s(since, now))
        if state == AttemptState.RUNNING:
            running["vcpus"] += vcpus
            running["oldest_s"] = max(running["oldest_s"], _age_s(heartbeat, now))
            running["late"] += late
    undecided = Attempt.objects.filter(
        counted=None, ended_at__gt=now - timedelta(seconds=conf.final_status_wait_s)
    ).count()
    return {
        metric.ATTEMPTS: attempts,
        metric.OLDEST_ATTEMPT: oldest,
        metric.BATCH_JOBS: statuses,
        metric.RUNNING_VCPUS: {(): running["vcpus"]},
        metric.OLDEST_HEARTBEAT: {(): running["oldest_s"]},
        metric.LATE_HEARTBEATS: {(): running["late"]},
        metric.UNDECIDED_ATTEMPTS: {(): undecided},
    }


def _uploads(now: datetime) -> Readings:
    deleted = Video.objects.filter(deleted_at__isnull=False).aggregate(videos=Count("pk"), since=Min("deleted_at"))
    return {
        metric.OPEN_UPLOADS: {(): DirectUpload.objects.count()},
        metric.DELETED_VIDEOS: {(): deleted["videos"]},
        metric.OLDEST_DELETED_VIDEO: {(): _age_s(deleted["since"], now)},
    }


def _outbox(now: datetime) -> Readings:
    on_the_way = Delivery.objects.filter(Q(endpoint=None) | Q(endpoint__enabled=True), state=DeliveryState.PENDING)
    rows = on_the_way.order_by().values_list("channel").annotate(each=Count("pk"), since=Min("event__created_at"))
    count: dict[Labels, float] = dict.fromkeys(metric.UNDELIVERED.zeros, 0.0)
    oldest_s = dict(count)
    for channel, each, since in rows:
        count[channel,], oldest_s[channel,] = each, _age_s(since, now)
    # Every event goes to the signals. Its deliveries are created by the tick.
    new = OutboxEvent.objects.filter(dispatched_at=None).aggregate(each=Count("pk"), since=Min("created_at"))
    signal = (Channel.SIGNAL.value,)
    count[signal] += new["each"]
    oldest_s[signal] = max(oldest_s[signal], _age_s(new["since"], now))
    return {metric.UNDELIVERED: count, metric.OLDEST_UNDELIVERED: oldest_s}


def _costs() -> dict[Labels, float]:
    costs = DayCost.objects.order_by().values_list("purchase").annotate(usd=Sum("cost_usd"))
    return dict.fromkeys(metric.COST.zeros, 0.0) | {(purchase,): float(usd) for purchase, usd in costs}


def _ticks(now: datetime) -> Readings:
    rows = {row.name: row for row in Tick.objects.all()}
    readings: dict[Metric, dict[Labels, float]] = {
        each: {}
        for each in (
            *(metric.TICK_AGE, metric.TICK_PERIOD, metric.TICK_DURATION, metric.TICK_FAILING),
            *(metric.TICK_RUNS, metric.TICK_FAILURES),
        )
    }
    for tick in TICKS:
        labels = (tick.name,)
        row = rows.get(tick.name) or Tick(name=tick.name)
        readings[metric.TICK_PERIOD][labels] = tick.period_s(bridge_settings())
        readings[metric.TICK_AGE][labels] = _age_s(row.started_at, now) if row.started_at else math.inf
        readings[metric.TICK_FAILING][labels] = _is_failing(row, now)
        readings[metric.TICK_RUNS][labels] = row.fence
        readings[metric.TICK_FAILURES][labels] = row.failures
        if row.started_at and row.finished_at and row.finished_at >= row.started_at:
            readings[metric.TICK_DURATION][labels] = _age_s(row.started_at, row.finished_at)
    return readings


def _is_failing(row: Tick, now: datetime) -> bool:
    """Return whether the last run ended with an error, or was killed: then its lease has expired."""
    return bool(row.error_code) or (row.leased_until is not None and row.leased_until < now)


def _stuck_s(oldest_due_s: float, now: datetime) -> float:
    """Return how long work has waited, unless any container works: since it was due, or since its first attempt.

    While one works, the remainder waits for its place: a backlog, but nothing is stuck. So the wait begins
    at the earliest when the last one ended. One that waits for room on its machine's disk does not work.
    Attempts that ended before they worked count as one wait: if no container can start, none of its
    attempts is old.
    """
    worked = Attempt.objects.filter(claimed_at__isnull=False).exclude(stage__in=WAITING_STAGES)
    if worked.filter(state=AttemptState.RUNNING).exists():
        return 0.0
    in_vain = Attempt.objects.filter(
        ~Exists(worked.filter(job=OuterRef("job"), number__gte=OuterRef("number"))),
        helps=None,
        job__state__in=ACTIVE_JOB_STATES,
        job__fence__gt=0,
        number__gt=F("job__budget_from"),
    )
    waited_s = max(oldest_due_s, _age_s(in_vain.aggregate(since=Min("created_at"))["since"], now))
    last_end = worked.filter(ended_at__isnull=False).order_by("-ended_at").values_list("ended_at", flat=True).first()
    return min(waited_s, _age_s(last_end, now)) if last_end else waited_s


def _age_s(since: Any, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
