"""The METRICS line of the log: numbers from which CloudWatch makes metrics and alarms.

Its format is CloudWatch's Embedded Metric Format: a JSON object that names its own members which are
metrics. CloudWatch Logs reads it from any log group, so neither an agent nor permission to write
metrics is needed. Each name is a metric that AWS bills, so there are few, and one dimension.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence

from ..conf import bridge_settings
from ..lifecycle.reasons import FAULTS
from ..lifecycle.states import JobState
from . import definitions as metric
from .counters import take_increase
from .readings import Readings, read_gauges

logger = logging.getLogger(__name__)

NAMESPACE = "Batchreel"
DIMENSION = "Site"
"""The only dimension of the metrics: `job_name_prefix`, which differs between two sites in one account."""

MAX_VALUES = 100
"""Maximum number of values of one metric in one line (CloudWatch, "Specification: Embedded metric format")."""

UNITS = {
    "JobsWaiting": "Count",
    "JobsRunning": "Count",
    "OldestWaitingUploadSeconds": "Seconds",
    "StuckSeconds": "Seconds",
    "LateHeartbeats": "Count",
    "OldestUndeliveredSeconds": "Seconds",
    "FailingTicks": "Count",
    "AttemptsFailed": "Count",
    "DisksFull": "Count",
    "JobsRejected": "Count",
    "JobsDead": "Count",
    "AwsCallsFailed": "Count",
    "VcpuSeconds": "Seconds",
    "DatabaseBytes": "Bytes",
    "ReadySeconds": "Seconds",
}
"""Metric -> unit. Each costs the same a month, whatever its unit: docs/monitoring.md has the meanings."""

DISK_FULL_REASONS = frozenset({"SCRATCH_TOO_SMALL", "DISK_FULL", "DISK_FAILED"})
"""Reasons of attempts for which a machine's disk had no room."""

PRICE_CALLS = frozenset({"DescribeContainerInstances", "DescribeSpotPriceHistory", "GetProducts"})
"""Calls that a role need not allow: costs are then worked out from the settings, and no alarm is needed."""

LATE_PERIODS = 4
"""A tick that has not started for this number of periods is late: the alert rules use the same number."""

MIN_LATE_S = 60
"""Added to it, for ticks with a short period."""


def log_metrics(ready_s: Sequence[float]) -> None:
    """Log the line. `ready_s` are the durations from upload to publication since the last one."""
    values = {**_gauges(read_gauges()), **_increases()}
    members: dict[str, float | list[float]] = {name: round(value, 1) for name, value in values.items()}
    if ready_s:
        members["ReadySeconds"] = [round(each, 1) for each in ready_s[:MAX_VALUES]]
    logger.info("METRICS", extra={DIMENSION: bridge_settings().job_name_prefix, **members, "_aws": _metadata(members)})


def _metadata(names: object) -> dict[str, object]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in UNITS.items() if name in names]  # type: ignore[operator]
    return {
        "Timestamp": time.time_ns() // 1_000_000,
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics}],
    }


def _gauges(readings: Readings) -> dict[str, float]:
    jobs: Counter[str] = Counter()
    for (state, _), count in readings[metric.JOBS].items():
        jobs[state] += int(count)
    return {
        "JobsWaiting": jobs[JobState.QUEUED] + jobs[JobState.RETRY_WAIT],
        "JobsRunning": jobs[JobState.RUNNING],
        "OldestWaitingUploadSeconds": readings[metric.OLDEST_WAITING_UPLOAD][()],
        "StuckSeconds": readings[metric.STUCK][()],
        "LateHeartbeats": readings[metric.LATE_HEARTBEATS][()],
        "OldestUndeliveredSeconds": max(readings[metric.OLDEST_UNDELIVERED].values()),
        "FailingTicks": _failing_ticks(readings),
        "DatabaseBytes": readings[metric.DATABASE_BYTES][()],
    }


def _failing_ticks(readings: Readings) -> float:
    periods = readings[metric.TICK_PERIOD]
    return sum(
        bool(readings[metric.TICK_FAILING][tick]) or age_s > LATE_PERIODS * periods[tick] + MIN_LATE_S
        for tick, age_s in readings[metric.TICK_AGE].items()
    )


def _increases() -> dict[str, float]:
    found = take_increase(*metric.COUNTERS)
    sums = dict.fromkeys(
        ("AttemptsFailed", "DisksFull", "JobsRejected", "JobsDead", "AwsCallsFailed", "VcpuSeconds"), 0.0
    )
    for (name, labels), increase in found.items():
        if name == metric.ATTEMPTS_ENDED.name:
            reason, _ = labels
            sums["DisksFull"] += increase * (reason in DISK_FULL_REASONS)
            sums["AttemptsFailed"] += increase * (reason in FAULTS)
        elif name == metric.JOBS_ENDED.name:
            sums["JobsRejected"] += increase * (labels == (JobState.FAILED,))
            sums["JobsDead"] += increase * (labels == (JobState.DEAD,))
        elif name == metric.AWS_CALLS.name:
            sums["AwsCallsFailed"] += increase * (labels[1] != "ok" and labels[0] not in PRICE_CALLS)
        elif name == metric.VCPU_SECONDS.name:
            sums["VcpuSeconds"] += increase
    return sums
