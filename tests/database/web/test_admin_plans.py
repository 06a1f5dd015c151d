"""Lists of the admin and of staff read a page of rows, not the table: measured on the plans of their own queries."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.admin.widgets import MAX_COUNTED_ROWS
from tasks.models import Attempt, Event, Job, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

pytestmark = pytest.mark.django_db

ROWS = 25_000
"""More than the admin counts, so a query that reads a whole table is noticed."""

_INSERTS = """
    INSERT INTO batchreel_video (id, title, source, requested_source, source_complete, created_at, deleted_at)
    SELECT md5('v' || n)::uuid, n, 'sources/' || n, 'sources/' || n, true, now() - n * interval '1 minute',
           CASE WHEN n % 10 = 0 THEN now() END FROM generate_series(1, {rows}) n;
    INSERT INTO batchreel_job (id, video_id, source_name, profile, automatic, state, fence, budget_from, next_attempt_at, reason,
           reason_message, playlist_key, poster_key, created_at, finished_at, pruned_at)
    SELECT md5('j' || n)::uuid, md5('v' || n)::uuid, 'sources/' || n, 'standard', true,
           CASE WHEN n = {rows} THEN 'FAILED' ELSE 'SUCCEEDED' END, 1, 0, NULL,
           CASE WHEN n = {rows} THEN 'NOT_A_VIDEO' ELSE '' END, '', 'm', '', now() - n * interval '1 minute', now(), now()
      FROM generate_series(1, {rows}) n;
    INSERT INTO batchreel_attempt (job_id, number, state, reason, reason_message, counted, vcpus, memory_mib, timeout_s, batch_job_name,
           batch_job_id, created_at, lookup_misses, stage, count, encoded_frames, units_in_progress, ended_at, batch_status,
           batch_status_reason, batch_log_stream, missing_responses)
    SELECT md5('j' || n)::uuid, 1, CASE WHEN n = 1 THEN 'LOST' ELSE 'SUCCEEDED' END, CASE WHEN n = 1 THEN 'STALLED' ELSE '' END,
           '', false, 2, 3500, 86400, 'b-' || n, 'b-' || n, now(), 0, '', 0, 0, '[]', now(), 'SUCCEEDED', '', '', 0
      FROM generate_series(1, {rows}) n;
    INSERT INTO batchreel_event (created_at, kind, video_id, job_id, from_state, to_state, reason, text)
    SELECT now(), CASE WHEN n = 1 THEN 'job.dead' ELSE 'job.grant' END, md5('v' || n)::uuid, md5('j' || n)::uuid, '', '', '', ''
      FROM generate_series(1, {rows}) n;
    ANALYZE batchreel_video, batchreel_job, batchreel_attempt, batchreel_event;
"""
_TABLE = re.compile(r'SELECT .* FROM "?batchreel_(video|job|attempt|event)', flags=re.DOTALL)


@pytest.fixture
def _many_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_INSERTS.format(rows=ROWS))
    assert {model.objects.count() for model in (Video, Job, Attempt, Event)} == {ROWS}


@pytest.mark.usefixtures("_many_rows")
def test_lists_read_only_a_page_when_tables_are_large(staff: Client) -> None:
    pages = (
        *("job/", "job/?state__exact=FAILED", "job/?reason=NOT_A_VIDEO", "job/?p=3"),
        *("attempt/", "attempt/?state__exact=LOST", "attempt/?reason=STALLED"),
        *("event/", "event/?kind=job.dead", "video/", "tick/"),
    )
    for page in (*(f"/admin/batchreel/{page}" for page in pages), "/", "/?page=2"):
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(page).status_code == 200, page
        statements = [query["sql"] for query in queries if _TABLE.match(query["sql"])]
        assert statements or page.endswith("tick/")
        for statement in statements:
            most = max(_rows_read(statement))
            counts = statement.startswith("SELECT COUNT") and not page.startswith("/?") and page != "/"
            limit = 1.2 * MAX_COUNTED_ROWS if counts else ROWS if "COUNT(" in statement else 1000
            assert most <= limit, f"{page} reads {most} rows: {statement}"


@pytest.mark.usefixtures("_many_rows")
def test_filter_names_every_reason_that_occurs_when_there_are_many_rows(staff: Client) -> None:
    assert "?reason=NOT_A_VIDEO" in staff.get("/admin/batchreel/job/").content.decode()
    assert "?reason=STALLED" in staff.get("/admin/batchreel/attempt/").content.decode()


def _rows_read(statement: str) -> Iterator[int]:
    """Yield the number of rows that each scan of the statement reads."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        explained: Any = cursor.fetchone()[0]
    plan = json.loads(explained) if isinstance(explained, str) else explained
    yield from _scans(plan[0]["Plan"])


def _scans(node: dict[str, Any]) -> Iterator[int]:
    filtered = node.get("Rows Removed by Filter", 0)
    yield (node["Actual Rows"] + filtered) * node["Actual Loops"] if "Relation Name" in node else 0
    for child in node.get("Plans", []):
        yield from _scans(child)
