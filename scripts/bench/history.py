"""A database with as much history as a site has after years, written in a few statements; and an AWS Batch that answers at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.states import AttemptState, JobState, UnitKind, UnitState
from tasks.models import Attempt, Job, Tick, Unit, Video

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.batch.port import Found, Submission


class AtOnce:
    """A BatchPort: every Batch job runs."""

    def submit(self, submission: Submission) -> str:
        return f"batch-{submission.name}"

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        return [Observation(batch_job_id=each, status=BatchStatus.RUNNING, started=True) for each in batch_job_ids]

    def find(self, *, name: str) -> list[Found]:
        return []

    def list_active(self, *, prefix: str) -> list[Found]:
        return []

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Nothing runs."""


_BATCH_ROWS = 5000
_AGE = timedelta(days=40)
"""Older than every retention: such a job is wholly over."""


def migrate() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def add_history(*, first: int, until: int, active: int) -> None:
    """Add published videos numbered from `first` up to `until`, and `active` jobs whose containers are at work."""
    Tick.objects.get_or_create(name="rescue", defaults={"unbroken_since": Now()})
    for start in range(first, until, _BATCH_ROWS):
        _add(range(start, min(until, start + _BATCH_ROWS)), JobState.SUCCEEDED, AttemptState.SUCCEEDED)
    if active:
        _add(range(-active, 0), JobState.RUNNING, AttemptState.RUNNING)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _add(numbers: range, job_state: JobState, attempt_state: AttemptState) -> None:
    over = job_state is JobState.SUCCEEDED
    then = Now() - _AGE if over else Now()
    videos = Video.objects.bulk_create(
        Video(title=str(n), source=f"sources/{n}.mp4", requested_source=f"sources/{n}.mp4") for n in numbers
    )
    jobs = Job.objects.bulk_create(
        Job(
            video=video,
            source_name=str(video.source),
            profile="standard",
            state=job_state,
            fence=1,
            next_attempt_at=None,
            manifest={} if over else None,
            manifest_key="master.m3u8" if over else "",
            created_at=then,
            finished_at=then if over else None,
            tidied_at=then if over else None,
        )
        for video in videos
    )
    attempts = Attempt.objects.bulk_create(
        Attempt(
            job=job,
            number=1,
            state=attempt_state,
            charged=False if over else None,
            vcpus=2,
            memory_mib=4096,
            batch_job_name=f"batchreel-{job.pk}-1",
            batch_job_id=f"batch-{job.pk}",
            batch_status="SUCCEEDED" if over else "RUNNING",
            claimed_at=then,
            heartbeat_at=then,
            progressed_at=then,
            ended_at=then if over else None,
        )
        for job in jobs
    )
    Unit.objects.bulk_create(
        Unit(
            job=attempt.job,
            kind=kind,
            state=UnitState.DONE if over or kind == UnitKind.PLAN else UnitState.LEASED,
            fence=1,
            lease_id="bench",
            attempt=attempt,
            leased_at=then,
            done_at=then if over or kind == UnitKind.PLAN else None,
        )
        for attempt in attempts
        for kind in (UnitKind.PLAN, UnitKind.VIDEO, UnitKind.AUDIO)
    )
    if over:
        for video, job in zip(videos, jobs, strict=True):
            video.published_job = job
        Video.objects.bulk_update(videos, ["published_job"])
