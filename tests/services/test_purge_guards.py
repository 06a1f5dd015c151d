"""What a viewer may be watching stays, whatever else there is."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.conf import bridge_settings
from tasks.models import Attempt, Job, Tick, Video
from tasks.services.claim import job_prefix
from tasks.services.purge import tidy_jobs
from tasks.services.reap import reap
from tasks.services.request import request_by_person
from tests.services.making import age, published

if TYPE_CHECKING:
    from tests.services.making import ScriptedBatch

pytestmark = pytest.mark.django_db


def test_publication_stays_when_it_is_the_one_that_is_shown_though_there_is_a_newer_one(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = published()
    shown = Job.objects.get(pk=video.published_job_id)
    key = default_storage.save(f"{job_prefix(shown)}/publish-0000-f1-x/master.m3u8", ContentFile(b"object"))
    Job.objects.update(tidied_at=shown.finished_at)
    request_by_person(video_id=video.pk)
    assert published(video).published_job_id != shown.pk
    # An operator went back to the older version by hand.
    Video.objects.update(published_job=shown)
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)
    assert reap(batch=batch).purged_jobs == 0
    assert default_storage.exists(key)


def test_tidying_reads_by_its_indexes_when_a_million_jobs_are_tidy() -> None:
    with CaptureQueriesContext(connection) as queries:
        tidy_jobs(limit=10)
    with connection.cursor() as cursor:
        # The table is small here, so a plan that needs no index would be the cheaper one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query, index in zip(queries, ["job_untidied", "job_dead_untidied"], strict=True):
            cursor.execute(f"EXPLAIN {query['sql']}")
            assert any(f" {index} " in line for (line,) in cursor.fetchall()), query


def test_tidying_ends_in_time_when_each_job_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    video = published()
    request_by_person(video_id=video.pk)
    Job.objects.filter(state="QUEUED").update(state="DEAD", reason="BUDGET_SPENT", next_attempt_at=None)
    request_by_person(video_id=video.pk)
    Attempt.objects.update(batch_status="SUCCEEDED")
    passed_s = count(step=bridge_settings().purge_run_s * 0.75)
    monkeypatch.setattr("tasks.services.purge.time", SimpleNamespace(monotonic=lambda: next(passed_s)))
    assert tidy_jobs(limit=10) == 1, "the second one's turn is in the next tick"
    assert tidy_jobs(limit=10) == 1
