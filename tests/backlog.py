"""Accounts and thousands of due jobs, inserted by one statement."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import connection


def accounts(count: int) -> list[User]:
    return User.objects.bulk_create(User(username=f"owner {number}") for number in range(count))


_ADD = """
    WITH videos AS (
        INSERT INTO batchreel_video (id, title, owner_id, source, requested_source, source_complete, created_at)
        SELECT gen_random_uuid(), n, %(owner)s, 'sources/old.mp4', 'sources/old.mp4', true, now()
        FROM generate_series(1, %(count)s) n RETURNING id, title
    )
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, priority, state, fence, budget_from,
        next_attempt_at, reason, reason_message, playlist_key, poster_key)
    SELECT gen_random_uuid(), id, 'sources/old.mp4', 'standard', true, %(priority)s, 'QUEUED', %(fence)s, 0,
        now() - %(hours)s * interval '1 h' + title::int * interval '1 ms', '', '', '', ''
    FROM videos RETURNING id, next_attempt_at
"""


def add_jobs(owner: User | None, count: int, *, priority: str = "bulk", fence: int = 0, hours: int = 1) -> list[Any]:
    """Add due jobs as an import or its retries leave them, and return their ids, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD, {"owner": owner and owner.pk, "count": count, "priority": priority, "fence": fence, "hours": hours}
        )
        return [job_id for job_id, _ in sorted(cursor.fetchall(), key=lambda row: row[1])]
