"""Looks at the jobs: which of them need an operator, does anything wait too long, and is anything left that was to be removed?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import Now

from ...conf import bridge_settings
from ...lifecycle.states import JobState
from ...models import Attempt, Event, Job, Video
from ...services.ticks.alerts import OVERDUE_S, overdue_jobs
from ..finding import failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding

_OVERDUE_FIX = "See the submit tick above; raise BATCHREEL['submit_per_s'] and ['submit_limit'] if it runs."


def check_jobs() -> Iterator[Finding]:
    """Findings for DEAD jobs, due jobs that nobody submits, attempts that AWS does not start, and objects that stay."""
    try:
        yield from _dead()
        yield from _overdue()
        yield from _not_started()
        yield from _not_removed()
    finally:
        connection.close()


def _dead() -> Iterator[Finding]:
    # One whose video has a newer job cannot be revived: that one counts.
    newer = Job.objects.filter(video=OuterRef("video"), created_at__gt=OuterRef("created_at"))
    dead = Job.objects.filter(~Exists(newer), state=JobState.DEAD)
    reasons = dead.values_list("reason").annotate(count=Count("pk")).order_by("-count")
    if counts := list(reasons):
        text = ", ".join(f"{count} for {reason}" for reason, count in counts)
        total = sum(count for _, count in counts)
        yield warning(
            "jobs", f"{total} DEAD: {text}.", fix="Look at them in admin; revive them when the cause is gone."
        )
    else:
        yield ok("jobs", "None is DEAD.")


def _overdue() -> Iterator[Finding]:
    late = overdue_jobs()
    count = late.count()
    if count:
        text = f"{count} due for more than {OVERDUE_S // 60} min and not submitted; the oldest is {late.earliest('next_attempt_at').pk}."
        yield failed("due jobs", text, fix=_OVERDUE_FIX)
    else:
        yield ok("due jobs", "None is overdue.")


def _not_started() -> Iterator[Finding]:
    retry_s = bridge_settings().runnable_alert_s
    waiting = Attempt.objects.filter(
        state="SUBMITTED", batch_status__in=["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"]
    ).filter(created_at__lt=Now() - timedelta(seconds=retry_s))
    oldest = waiting.order_by("created_at").first()
    if oldest is None:
        yield ok("starting", f"AWS Batch starts attempts within {retry_s / 60:g} min.")
        return
    reason = oldest.batch_status_reason or "AWS gives no reason"
    yield warning(
        "starting",
        f"{waiting.count()} attempts wait for more than {retry_s / 60:g} min; the oldest is {oldest.batch_status}: {reason}.",
        fix="Look at the compute environment: capacity, subnets, instance types, maxvCpus.",
    )


def _not_removed() -> Iterator[Finding]:
    videos = Video.objects.filter(deleted_at__isnull=False, purge_failed_at__isnull=False)
    jobs = Job.objects.filter(purge_failed_at__isnull=False, purged_at=None)
    count = videos.count() + jobs.count()
    if not count:
        yield ok("removal", "What was deleted is removed.")
        return
    newest = Event.objects.filter(kind="purge.failed").order_by("-id").values_list("text", flat=True).first()
    yield warning(
        "removal",
        f"Of {count} deleted videos and ended jobs, objects or rows could not be removed: {newest or 'see the log'}.",
        fix="The log has the cause of each, after PURGE_FAILED. They are tried again at each reap tick.",
    )
