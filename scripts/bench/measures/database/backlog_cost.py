"""Benchmark: database cost of one submit run while a backlog of bulk jobs waits in the rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from scripts.bench.measures.history import AtOnce, add_history, migrate
from tasks.services.ticks.submit import submit_due

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 5
OWNERS = 50

_BACKLOG = """
    WITH videos AS (
        INSERT INTO batchreel_video (id, title, owner_id, source, requested_source, source_complete, created_at)
        SELECT gen_random_uuid(), n, %(first_owner)s + n %% %(owners)s, 'sources/old', 'sources/old', true, now()
          FROM generate_series(1, %(jobs)s) n RETURNING id, title
    )
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, priority, state, fence, budget_from,
                               next_attempt_at, reason, reason_message, playlist_key, poster_key)
    SELECT gen_random_uuid(), id, 'sources/old', 'standard', true, %(priority)s, 'QUEUED', 0, 0,
           now() - interval '1 h' + title::int * interval '1 ms', '', '', '', ''
      FROM videos
"""


def measured(jobs: int) -> list[dict[str, Any]]:
    """Return one row per case, with `jobs` bulk jobs of 50 owners waiting: statements, fewest milliseconds."""
    migrate()
    add_history(first=0, until=1000, active=0)
    batch = AtOnce()
    first_owner = _add_accounts()
    add_backlog(jobs, first_owner=first_owner)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    while submit_due(batch=batch).submitted:
        pass

    def nothing() -> None:
        """Leave the rows as they are: as many bulk jobs are in AWS Batch as may be."""

    def upload() -> None:
        add_backlog(1, first_owner=first_owner, priority="upload")

    def container_ends() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE batchreel_attempt SET state = 'CANCELLED', reason = 'CANCELLED', ended_at = now(), batch_status = 'FAILED'"
                " WHERE id IN (SELECT id FROM batchreel_attempt WHERE ended_at IS NULL LIMIT 2)"
            )

    cases = {"nothing may be granted": nothing, "an upload is due": upload, "two containers have ended": container_ends}
    return [{"waiting": jobs, "case": name, **_cost(prepare, batch)} for name, prepare in cases.items()]


def _add_accounts() -> int:
    from django.contrib.auth.models import User  # noqa: PLC0415 - after Django is set up

    return min(user.pk for user in User.objects.bulk_create(User(username=f"owner {n}") for n in range(OWNERS)))


def add_backlog(jobs: int, *, first_owner: int, priority: str = "bulk") -> None:
    """Add due jobs in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _BACKLOG,
            {"jobs": jobs, "owners": OWNERS, "first_owner": first_owner, "priority": priority},
        )


def _cost(prepare: Callable[[], None], batch: AtOnce) -> dict[str, Any]:
    times_ms, submitted, count = [], 0, 0
    for _ in range(RUNS):
        with transaction.atomic():
            prepare()
            began = time.perf_counter()
            with CaptureQueriesContext(connection) as statements:
                submitted = submit_due(batch=batch).submitted
            times_ms.append((time.perf_counter() - began) * 1000)
            count = len(statements)
            transaction.set_rollback(True)
    return {"submitted": submitted, "statements": count, "ms": round(min(times_ms), 1)}
