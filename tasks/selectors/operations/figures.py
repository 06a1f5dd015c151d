"""The six figures of the operators' page. No query reads history: each has an index with the rows that it counts.

Ended jobs are counted within a day by `job_ready` and `job_failed`, open work by `job_open`, `job_due` and
`attempt_live`, and costs come from the sums of days (docs/adr/0056).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Case, Count, DateTimeField, F, Q, Sum, When

from ...lifecycle.states import ACTIVE_JOB_STATES, AttemptState, JobState
from ...models import Attempt, DayCost, Job

WINDOW = timedelta(hours=24)

_WAITING = (AttemptState.SUBMITTING, AttemptState.SUBMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOf:
    """Jobs that failed for one reason within WINDOW."""

    reason: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What operators see first."""

    now: datetime
    """By the database's clock."""
    waiting: int
    """Active jobs that no container works on."""
    running: int
    """Jobs that a container has claimed."""
    containers: int
    """Containers that run now."""
    vcpus: int
    oldest_wait: timedelta | None
    """How long the first of the waiting jobs has waited for a container; None if none does."""
    oldest_job_id: uuid.UUID | None
    ready: int
    """Jobs that were published within WINDOW."""
    ready_last_hour: int
    failed: list[FailedOf]
    """Within WINDOW, the most frequent reason first."""
    today_usd: Decimal
    """Cost of the containers that started on this day in UTC and have ended."""
    month_usd: Decimal

    @property
    def ready_per_h(self) -> float:
        """Published jobs per hour within WINDOW."""
        return self.ready / (WINDOW.total_seconds() / 3600)

    @property
    def failed_jobs(self) -> int:
        """Jobs that failed within WINDOW."""
        return sum(each.jobs for each in self.failed)


def read_figures() -> Figures:
    """Return the figures, in eight queries."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    jobs = dict(
        Job.objects.filter(state__in=ACTIVE_JOB_STATES).order_by().values_list("state").annotate(each=Count("pk"))
    )
    live = Attempt.objects.filter(state=AttemptState.RUNNING).aggregate(each=Count("pk"), vcpus=Sum("vcpus", default=0))
    waiting_since, job_id = _oldest(now)
    ready = Job.objects.filter(state=JobState.SUCCEEDED, finished_at__gt=now - WINDOW).aggregate(
        day=Count("pk"), hour=Count("pk", filter=Q(finished_at__gt=now - timedelta(hours=1)))
    )
    failed = (
        Job.objects.filter(state__in=[JobState.DEAD, JobState.FAILED], finished_at__gt=now - WINDOW)
        .order_by()
        .values_list("reason")
        .annotate(each=Count("pk"))
    )
    today_usd, month_usd = _costs(now.astimezone(UTC).date())
    return Figures(
        now=now,
        waiting=jobs.get(JobState.QUEUED, 0) + jobs.get(JobState.RETRY_WAIT, 0),
        running=jobs.get(JobState.RUNNING, 0),
        containers=live["each"],
        vcpus=live["vcpus"],
        oldest_wait=now - waiting_since if waiting_since else None,
        oldest_job_id=job_id,
        ready=ready["day"],
        ready_last_hour=ready["hour"],
        failed=[
            FailedOf(reason=reason, jobs=each) for reason, each in sorted(failed, key=lambda row: (-row[1], row[0]))
        ],
        today_usd=today_usd,
        month_usd=month_usd,
    )


def _oldest(now: datetime) -> tuple[datetime | None, uuid.UUID | None]:
    """Return since when the first job has waited for a container, and which one: due ones, and those in AWS Batch.

    The first attempt of a job has waited since the request, a later one since it was due.
    """
    due = Job.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at")
    since: DateTimeField[datetime, datetime] = DateTimeField()
    submitted = (
        Attempt.objects.filter(state__in=_WAITING, helps=None, job__state=JobState.QUEUED)
        .annotate(since=Case(When(number=1, then=F("job__created_at")), default=F("created_at"), output_field=since))
        .order_by("since")
    )
    found = [*due.values_list("next_attempt_at", "pk")[:1], *submitted.values_list("since", "job_id")[:1]]
    return min(found, default=(None, None), key=lambda each: each[0])


def _costs(today: date) -> tuple[Decimal, Decimal]:
    sums = DayCost.objects.filter(day__gte=today.replace(day=1), day__lte=today).aggregate(
        today=Sum("cost_usd", filter=Q(day=today), default=Decimal(0)), month=Sum("cost_usd", default=Decimal(0))
    )
    return sums["today"], sums["month"]
