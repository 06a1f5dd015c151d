"""A database with years of history, written in a few statements, and a stub for AWS Batch."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from tasks.batch.port import ListedPage
from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.states import AttemptState, JobState, UnitState
from tasks.models import Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.batch.errors import BatchError
    from tasks.batch.port import ListedJob, Submission


class AtOnce:
    """A BatchPort that reports every Batch job as RUNNING."""

    def submit(self, submission: Submission) -> str:
        return f"batch-{submission.name}"

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        return [Observation(batch_job_id=each, status=BatchStatus.RUNNING, started=True) for each in batch_job_ids]

    def find(self, *, name: str) -> list[ListedJob]:
        return []

    def list_active(self, *, position: str) -> ListedPage:
        return ListedPage(jobs=[], next_position="")

    def queue_vcpus(self, queue: str) -> int | None:
        return None

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Do nothing: there are no Batch jobs."""

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        return {}


_INSERTS = (
    """
    INSERT INTO batchreel_video (id, title, source, requested_source, source_complete, created_at)
    SELECT md5('video' || n)::uuid, n, 'sources/' || n || '.mp4', 'sources/' || n || '.mp4', true, now() - %(age)s
    FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, state, fence, budget_from, next_attempt_at, reason,
        reason_message, playlist_key, poster_key, created_at, finished_at, pruned_at, tallied)
    SELECT md5('job' || n)::uuid, md5('video' || n)::uuid, 'sources/' || n || '.mp4', 'standard', true, %(job_state)s, 1, 0, NULL, '',
        '', 'master.m3u8', '', now() - %(age)s, CASE WHEN %(is_over)s THEN now() - %(age)s END,
        CASE WHEN %(is_over)s THEN now() - %(age)s END, %(is_over)s
    FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO batchreel_attempt (job_id, number, state, reason, reason_message, counted, vcpus, memory_mib, timeout_s, batch_job_name,
        batch_job_id, created_at, lookup_misses, claimed_at, heartbeat_at, progressed_at, stage, count, encoded_frames, units_in_progress,
        ended_at, batch_status, batch_status_reason, batch_log_stream, missing_responses, tallied)
    SELECT md5('job' || n)::uuid, 1, %(attempt_state)s, '', '', %(counted)s, 2, 3500, 86400, 'batchreel-' || n, 'batch-' || n,
        now() - %(age)s, 0, now() - %(age)s, now() - %(age)s, now() - %(age)s, 'encode', 1, 1, '[]',
        CASE WHEN %(is_over)s THEN now() - %(age)s END, %(batch_status)s, '', '', 0, %(is_over)s
    FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO batchreel_unit (job_id, kind, index, first_frame, end_frame, weight_frames, state, fence, attempt_id, lease_id, leased_at,
        done_at)
    SELECT job_id, kind, 0, 0, 1, 1, CASE WHEN kind = 'plan' THEN 'DONE' ELSE %(unit_state)s END, 1, id, 'bench', claimed_at,
        CASE WHEN kind = 'plan' THEN claimed_at ELSE ended_at END
    FROM batchreel_attempt, unnest(ARRAY['plan', 'video', 'audio']) kind
    WHERE batch_job_id = ANY (SELECT 'batch-' || n FROM generate_series(%(first)s, %(last)s) n)
    """,
    """
    INSERT INTO batchreel_event (created_at, kind, video_id, job_id, attempt_number, from_state, to_state, reason, text)
    SELECT now() - %(age)s, kind, md5('video' || n)::uuid, md5('job' || n)::uuid, 1, '', '', '', ''
    FROM generate_series(%(first)s, %(last)s) n, unnest(ARRAY['job.request', 'job.grant', 'attempt.submit', 'attempt.claim', 'unit.lease',
        'unit.finish', 'job.publish']) kind
    """,
    """
    UPDATE batchreel_video SET published_job_id = md5('job' || n)::uuid
    FROM generate_series(%(first)s, %(last)s) n WHERE %(is_over)s AND id = md5('video' || n)::uuid
    """,
)
_AGE = timedelta(days=40)
"""Longer than every retention period, so that nothing is left to do for such a job."""


def migrate() -> None:
    """Create the tables."""
    call_command("migrate", verbosity=0)


def add_history(*, first: int, until: int, active: int) -> None:
    """Add published videos, numbered from `first` up to `until`, and `active` running jobs."""
    Tick.objects.get_or_create(name="rescue", defaults={"continuous_since": Now()})
    _add(first, until - 1, is_over=True)
    if active:
        _add(-active, -1, is_over=False)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _add(first: int, last: int, *, is_over: bool) -> None:
    columns = {
        "first": first,
        "last": last,
        "is_over": is_over,
        "age": _AGE if is_over else timedelta(),
        "counted": False if is_over else None,
        "job_state": JobState.SUCCEEDED if is_over else JobState.RUNNING,
        "attempt_state": AttemptState.SUCCEEDED if is_over else AttemptState.RUNNING,
        "batch_status": BatchStatus.SUCCEEDED if is_over else BatchStatus.RUNNING,
        "unit_state": UnitState.DONE if is_over else UnitState.LEASED,
    }
    with connection.cursor() as cursor:
        for insert in _INSERTS:
            cursor.execute(insert, columns)


def add_backlog(jobs: int) -> None:
    """Add videos whose jobs are due and have no attempt, as after an import."""
    ids = {"first": -1_000_000 - jobs, "last": -1_000_001, "is_over": False, "age": timedelta(hours=1)}
    with connection.cursor() as cursor:
        cursor.execute(_INSERTS[0], ids)
        cursor.execute(_INSERTS[1], {**ids, "job_state": JobState.QUEUED})
        cursor.execute("UPDATE batchreel_job SET fence = 0, next_attempt_at = created_at WHERE state = 'QUEUED'")
        cursor.execute("VACUUM ANALYZE")


def blocks() -> int:
    """Return the number of pages that statements in this database have touched so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
