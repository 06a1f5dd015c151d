"""Benchmark: cost of the operators' page and of its figures alone, with increasing history."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from scripts.bench.measures.database_cost import database_cost
from scripts.bench.measures.history import migrate
from tasks.selectors.operations.figures import read_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUNS = 20
PER_DAY = 10_000
"""Jobs that end in a day. Of a hundred, one has failed."""

_INSERTS = (
    """
    INSERT INTO batchreel_video (id, title, source, requested_source, source_complete, created_at)
    SELECT md5('video' || n)::uuid, n, 'sources/' || n, 'sources/' || n, true, now() - n * %(each)s
      FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, state, fence, budget_from, next_attempt_at, reason,
           reason_message, playlist_key, poster_key, created_at, finished_at, pruned_at, tallied)
    SELECT md5('job' || n)::uuid, md5('video' || n)::uuid, 'sources/' || n, 'standard', true,
           CASE WHEN n %% 100 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END, 1, 0, NULL, CASE WHEN n %% 100 = 0 THEN 'DAMAGED' ELSE '' END, '',
           'm', '', now() - n * %(each)s, now() - n * %(each)s, now(), true
      FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO batchreel_attempt (job_id, number, state, reason, reason_message, counted, vcpus, memory_mib, timeout_s, batch_job_name,
           batch_job_id, created_at, lookup_misses, stage, count, encoded_frames, units_in_progress, ended_at, batch_status,
           batch_status_reason, batch_log_stream, missing_responses, tallied, cost_usd)
    SELECT md5('job' || n)::uuid, 1, 'SUCCEEDED', '', '', false, 2, 3500, 86400, 'b-' || n, 'b-' || n, now() - n * %(each)s, 0, '', 0,
           0, '[]', now() - n * %(each)s, 'SUCCEEDED', '', '', 0, true, 0.01
      FROM generate_series(%(first)s, %(last)s) n
    """,
)


def measured(finished: Iterable[int]) -> list[dict[str, Any]]:
    """Return two rows for each size of history (in finished jobs): the page, and the figures alone."""
    migrate()
    settings.ALLOWED_HOSTS = ["*"]
    settings.SECURE_SSL_REDIRECT = False
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("bench"))

    def open_page() -> None:
        response = client.get(reverse("admin:batchreel_operations_changelist"))
        assert response.status_code == 200, response.status_code  # noqa: PLR2004, S101 - a page that fails costs nothing

    rows: list[dict[str, Any]] = []
    present = 0
    for jobs in sorted(finished):
        sys.stderr.write(f"Measuring with {jobs} finished jobs ...\n")
        with connection.cursor() as cursor:
            for insert in _INSERTS:
                each = f"{86_400 / PER_DAY} s"
                cursor.execute(
                    insert.replace("%(each)s", "%(each)s::interval"), {"first": present + 1, "last": jobs, "each": each}
                )
            cursor.execute("VACUUM ANALYZE")
        present = jobs
        rows += [_cost("figures", jobs, read_figures), _cost("page", jobs, open_page)]
    return rows


def _cost(what: str, jobs: int, body: Callable[[], object]) -> dict[str, Any]:
    cost = database_cost(body, runs=RUNS)
    return {
        "finished_jobs": jobs,
        "what": what,
        "statements": len(cost.statements) - 4,
        "blocks": cost.blocks,
        "ms": round(statistics.median(cost.times_ms), 1),
        "most_ms": round(max(cost.times_ms), 1),
    }
