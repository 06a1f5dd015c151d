"""Job checks: attempts that fail alike, dead jobs, what waits too long, objects that could not be removed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.reasons import FAULTS, Reason
from ...lifecycle.states import AttemptState, JobState
from ...models import Attempt, Event, GrantCounter, Job, Video
from ...services.removal.purge import superseded_publications
from ...services.ticks.alerts import OVERDUE_S, overdue_jobs
from ...services.ticks.grant import UNKNOWN_QUEUE, current_limits
from ...services.ticks.hold import held_attempts
from ...services.ticks.reap import POLL_ENDED_FOR
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

REMOVED_WITHIN = timedelta(hours=1)
"""A purge tick runs every minute, so what waits for longer is not being removed."""

ALIKE = 3
"""Attempts that end in a row for one reason before it counts as a fault of the site: a job has five."""

ALIKE_WITHIN = timedelta(days=1)
"""What failed earlier may have been repaired since, without any new video."""

_PERHAPS_THE_FILE = frozenset(
    {
        Reason.OUT_OF_MEMORY,
        Reason.TIMED_OUT,
        Reason.STALLED,
        Reason.TRANSCODE_FAILED,
        Reason.CONTAINER_ERROR,
        Reason.INPUT_SUSPECT,
    }
)
"""Reasons that one file may cause in each of its attempts, so attempts of several jobs must have them."""

_OVERDUE_FIX = "See `tick submit` above. If it runs, raise BATCHREEL['submit_limit']."


def check_jobs() -> Iterator[Finding]:
    """Yield findings for attempts that fail alike or do not start, DEAD and overdue jobs, and failed purges."""
    try:
        yield _alike()
        yield from _dead()
        yield from _overdue()
        yield from _not_started()
        yield _limit()
        yield _cut_off()
        yield from _not_removed()
    finally:
        connection.close()


def _alike() -> Finding:
    """Return whether the last attempts failed for one reason that is no fault of their files."""
    part = "attempts"
    ended = Attempt.objects.exclude(state=AttemptState.CANCELLED).filter(ended_at__gt=Now() - ALIKE_WITHIN)
    last = list(ended.order_by("-ended_at", "-pk")[:ALIKE])
    newest = last[0] if last else None
    reasons = {attempt.reason for attempt in last}
    if newest is None or len(last) < ALIKE or len(reasons) > 1 or newest.reason not in FAULTS:
        return ok(part, "The last ones did not all fail for the same reason.")
    jobs = {attempt.job_id for attempt in last}
    if newest.reason in _PERHAPS_THE_FILE and len(jobs) == 1:
        return ok(part, "The last ones failed for the same reason, but with one file.")
    log = f"the stream {newest.batch_log_stream} of the log group {bridge_settings().log_group}"
    return failed(
        part,
        f"The last {ALIKE} ended with {newest.reason}: {newest.reason_message}",
        fix=f"Read {log if newest.batch_log_stream else 'the text of AWS Batch'}; attempt {newest.number} of job"
        f" {newest.job_id} in the admin shows it. Then run `manage.py doctor --from-batch`.",
    )


def _dead() -> Iterator[Finding]:
    # A job cannot be revived once its video has a newer job: only the newest job of a video
    # matters.
    newer = Job.objects.filter(video=OuterRef("video"), created_at__gt=OuterRef("created_at"))
    dead = Job.objects.filter(~Exists(newer), state=JobState.DEAD)
    reasons = dead.values_list("reason").annotate(count=Count("pk")).order_by("-count")
    if counts := list(reasons):
        text = ", ".join(f"{count} for {reason}" for reason, count in counts)
        total = sum(count for _, count in counts)
        yield warning(
            "jobs", f"{total} DEAD: {text}.", fix="Inspect them in the admin; revive them once the cause is fixed."
        )
    else:
        yield ok("jobs", "No job is DEAD.")


def _overdue() -> Iterator[Finding]:
    late = overdue_jobs()
    count = late.count()
    if count:
        oldest = late.earliest("next_attempt_at").pk
        text = f"{count} due for more than {OVERDUE_S // 60} min and not submitted; the oldest is {oldest}."
        yield failed("due jobs", text, fix=_OVERDUE_FIX)
    else:
        yield ok("due jobs", "No job is overdue.")


def _not_started() -> Iterator[Finding]:
    alert_after_s = bridge_settings().runnable_alert_s
    waiting = Attempt.objects.filter(
        state="SUBMITTED", batch_status__in=["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"]
    ).filter(created_at__lt=Now() - timedelta(seconds=alert_after_s))
    oldest = waiting.order_by("created_at").first()
    if oldest is None:
        yield ok("starting", f"No attempt has waited for more than {alert_after_s / 60:g} min to start.")
        return
    reason = oldest.batch_status_reason or "AWS gives no reason"
    yield warning(
        "starting",
        f"{waiting.count()} attempts have waited for more than {alert_after_s / 60:g} min; the oldest is {oldest.batch_status}: {reason}.",
        fix="Check the compute environment: capacity, subnets, instance types, maxvCpus.",
    )


def _limit() -> Finding:
    """Return how many attempts may be in AWS Batch, with a warning if that cannot follow the queue's vCPUs."""
    counter = GrantCounter.objects.filter(queue_read_at__isnull=False).first()
    if bridge_settings().max_in_batch or counter is None or counter.queue_vcpus is not None:
        return ok("attempts in Batch", f"At most {current_limits().total} at a time.")
    return warning(
        "attempts in Batch",
        f"The worker could not read the queue's vCPUs yet, so at most {UNKNOWN_QUEUE} attempts are in AWS Batch at a time.",
        fix="Allow batch:DescribeJobQueues and batch:DescribeComputeEnvironments for the worker's role, or set"
        " BATCHREEL['max_in_batch']. QUEUE_NOT_READ in its log has the cause.",
    )


def _cut_off() -> Finding:
    count = held_attempts().count()
    if not count:
        return ok("containers", "No break between containers and database.")
    return failed(
        "containers",
        f"{count} containers became silent together, but AWS Batch reports them as RUNNING: they cannot reach the database.",
        fix="Check the containers' security group and routes, the pooler, max_connections and the containers' role.",
    )


def _not_removed() -> Iterator[Finding]:
    """Yield a finding for what could not be removed, or was not in time, whether or not a tick has tried."""
    late = Now() - REMOVED_WITHIN
    ended = Job.objects.filter(state__in=["CANCELLED", "FAILED", "SUCCEEDED"], pruned_at=None, purged_at=None)
    counts = {
        "deleted videos": Video.objects.filter(deleted_at__lt=late).count(),
        "superseded publications": superseded_publications(older_than=REMOVED_WITHIN).count(),
        # Until AWS Batch reports their end, containers of an ended job count as running for a day.
        "ended jobs": ended.filter(finished_at__lt=late - POLL_ENDED_FOR).count(),
    }
    failed_ones = Video.objects.filter(deleted_at__isnull=False, purge_failed_at__isnull=False).count()
    failed_ones += Job.objects.filter(purge_failed_at__isnull=False, purged_at=None).count()
    backlog = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if failed_ones:
        newest = Event.objects.filter(kind="purge.failed").order_by("-id").values_list("text", flat=True).first()
        yield warning(
            "removal",
            f"Objects or rows of {failed_ones} deleted videos and ended jobs could not be removed:"
            f" {newest or 'see the log'}. Not removed within an hour: {backlog or 'none'}.",
            fix="Each PURGE_FAILED line in the log gives the cause. Every purge tick tries again.",
        )
    elif backlog:
        yield warning(
            "removal",
            f"Not removed within an hour: {backlog}.",
            fix="See `tick purge` above. If it runs, there is more than it can remove: raise BATCHREEL['purge_limit'], or"
            " wait until AWS Batch reports that the containers of these jobs have ended.",
        )
    else:
        yield ok("removal", "What was deleted, superseded or has ended was removed.")
