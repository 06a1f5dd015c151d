"""What each metric is: its name without the prefix, its meaning, and its labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..batch.calls import OUTCOMES
from ..lifecycle.reasons import Counts, Reason
from ..lifecycle.states import LIVE_ATTEMPT_STATES, OPEN_JOB_STATES, AttemptState, Channel, JobPriority, JobState
from ..models.cost import Purchase

PREFIX = "batchreel_"

Labels = tuple[str, ...]
"""Values of a metric's labels, in the order of their names."""

SUCCEEDED = "SUCCEEDED"
"""The label `reason` of an attempt that succeeded: it has no reason."""

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. A series of `zeros` is present, with 0, before anything has happened.

    Without it, the first increase of a series would be invisible: Prometheus computes an increase only
    from two values.
    """

    name: str
    about: str
    labels: Labels = ()
    zeros: tuple[Labels, ...] = field(default=(), hash=False)


def _each(values: object) -> tuple[Labels, ...]:
    return tuple((str(value),) for value in sorted(values))  # type: ignore[call-overload]  # any iterable of names


# Gauges, read from the rows.
JOBS = Metric(
    name="jobs",
    about="Jobs that are not over, by state and priority. DEAD ones wait for an operator.",
    labels=("state", "priority"),
    zeros=tuple((state.value, priority.value) for state in sorted(OPEN_JOB_STATES) for priority in JobPriority),
)
OLDEST_JOB = Metric(
    name="oldest_job_seconds", about="Seconds since the oldest such job was requested.", labels=("state", "priority")
)
DUE_JOBS = Metric(name="due_jobs", about="Jobs whose next attempt is due.", zeros=((),))
OLDEST_DUE = Metric(name="oldest_due_seconds", about="Seconds since the first of them was due.", zeros=((),))
OLDEST_WAITING_UPLOAD = Metric(
    name="oldest_waiting_upload_seconds",
    about="Seconds for which the oldest upload has waited that no container has planned yet.",
    zeros=((),),
)
STUCK = Metric(
    name="stuck_seconds",
    about="Seconds for which the oldest work has waited while no container works; 0 while one does.",
    zeros=((),),
)
ATTEMPTS = Metric(
    name="attempts", about="Live attempts, by state.", labels=("state",), zeros=_each(LIVE_ATTEMPT_STATES)
)
OLDEST_ATTEMPT = Metric(
    name="oldest_attempt_seconds",
    about="Seconds since the oldest live attempt in this state was created.",
    labels=("state",),
)
BATCH_JOBS = Metric(name="batch_jobs", about="Live attempts, by the status of their Batch job.", labels=("status",))
RUNNING_VCPUS = Metric(name="running_vcpus", about="vCPUs of the running containers.", zeros=((),))
OLDEST_HEARTBEAT = Metric(
    name="oldest_heartbeat_seconds", about="Age of the oldest heartbeat of a running container.", zeros=((),)
)
LATE_HEARTBEATS = Metric(
    name="late_heartbeats", about="Running containers whose last two heartbeats are missing.", zeros=((),)
)
UNDECIDED_ATTEMPTS = Metric(
    name="undecided_attempts",
    about="Ended attempts that wait for the final status of AWS Batch, which shows whether they count.",
    zeros=((),),
)
OPEN_UPLOADS = Metric(name="open_uploads", about="Direct uploads that are not complete.", zeros=((),))
DELETED_VIDEOS = Metric(
    name="deleted_videos", about="Deleted videos whose objects or rows are not removed yet.", zeros=((),)
)
OLDEST_DELETED_VIDEO = Metric(
    name="oldest_deleted_video_seconds", about="Seconds since the first of them was deleted.", zeros=((),)
)
UNDELIVERED = Metric(
    name="undelivered_events",
    about="Events of the outbox on their way to a receiver, by the way that they take.",
    labels=("channel",),
    zeros=_each(Channel),
)
OLDEST_UNDELIVERED = Metric(
    name="oldest_undelivered_seconds",
    about="Seconds since the oldest of them was written; without those that wait for a disabled endpoint.",
    labels=("channel",),
    zeros=_each(Channel),
)
TICK_AGE = Metric(
    name="tick_age_seconds", about="Seconds since the tick last started; infinite if it never did.", labels=("tick",)
)
TICK_PERIOD = Metric(name="tick_period_seconds", about="How often the tick should run.", labels=("tick",))
TICK_DURATION = Metric(name="tick_duration_seconds", about="Duration of the tick's last run.", labels=("tick",))
TICK_FAILING = Metric(name="tick_failing", about="Whether the tick's last run ended with an error.", labels=("tick",))
DATABASE_BYTES = Metric(name="database_bytes", about="Size of the database on disk.")
TABLE_BYTES = Metric(name="table_bytes", about="Size of a table with its indexes.", labels=("table",))
BROKER_UP = Metric(name="broker_up", about="Whether Redis answered within a second.")
BROKER_MESSAGES = Metric(name="broker_messages", about="Messages that wait in a queue of Redis.", labels=("queue",))

# Counters that are columns of a tick's row.
TICK_RUNS = Metric(name="tick_runs", about="Runs of the tick.", labels=("tick",))
TICK_FAILURES = Metric(
    name="tick_failures", about="Runs of the tick that ended with an error, or were killed.", labels=("tick",)
)

# A counter that is the sum of each day's row.
COST = Metric(
    name="cost_usd",
    about="What the containers of ended attempts cost in US dollars, by how their machine is paid for.",
    labels=("purchase",),
    zeros=_each((*Purchase, "")),
)
FROM_ROWS = (TICK_RUNS, TICK_FAILURES, COST)
"""Counters that are read like gauges, because something else adds to their rows."""


def _ended_attempts() -> tuple[Labels, ...]:
    # An attempt that finished a unit does not count, whatever its reason.
    may_count = {Counts.YES: (YES, NO), Counts.NO: (NO,), Counts.UNDECIDED: (YES, NO)}
    return (
        (SUCCEEDED, NO),
        *((reason.value, counted) for reason in Reason for counted in may_count[reason.counts]),
    )


_CALLS = (
    *("SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "TerminateJobs"),
    *("DescribeJobQueues", "DescribeComputeEnvironments"),
    *("DescribeContainerInstances", "DescribeSpotPriceHistory", "GetProducts"),
)

# Counters, each series a row.
ATTEMPTS_ENDED = Metric(
    name="attempts_ended",
    about="Ended attempts, by reason and whether they count. One that is undecided is added once it is decided.",
    labels=("reason", "counted"),
    zeros=_ended_attempts(),
)
VCPU_SECONDS = Metric(
    name="vcpu_seconds",
    about="vCPUs times seconds from claim to end, of ended attempts by their state.",
    labels=("state",),
    zeros=_each(set(AttemptState) - LIVE_ATTEMPT_STATES),
)
JOBS_ENDED = Metric(
    name="jobs_ended",
    about="Ended jobs, by state. A job that was revived ends again.",
    labels=("state",),
    zeros=_each((JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD)),
)
INPUTS_REJECTED = Metric(
    name="inputs_rejected", about="FAILED jobs, by the input error that their file has.", labels=("reason",)
)
AWS_CALLS = Metric(
    name="aws_calls",
    about="Calls to AWS by Celery workers, by outcome; without those to the bucket.",
    labels=("call", "outcome"),
    zeros=tuple((call, outcome) for call in _CALLS for outcome in OUTCOMES),
)
COUNTERS = (ATTEMPTS_ENDED, VCPU_SECONDS, JOBS_ENDED, INPUTS_REJECTED, AWS_CALLS)

BUCKETS_S = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)
"""Upper limits of a duration's buckets: a short clip takes minutes, a lecture an hour or two, a backlog days."""

OVER = "+Inf"
"""The last bucket: longer than all of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A histogram of seconds. Its series are counters: one for each bucket, and one for the sum."""

    name: str
    about: str

    @property
    def bucket(self) -> Metric:
        """The counter of the durations within one bucket."""
        zeros = tuple((limit,) for limit in [*map(str, BUCKETS_S), OVER])
        return Metric(name=f"{self.name}_bucket", about=self.about, labels=("le",), zeros=zeros)

    @property
    def sum(self) -> Metric:
        """The counter of their sum in seconds."""
        return Metric(name=f"{self.name}_sum", about=self.about, zeros=((),))


READY = Duration(
    name="ready_seconds", about="Seconds from the end of an upload until its first publication with the whole ladder."
)
DURATIONS = (READY,)
