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
from tasks.services.requests.request import request_by_person
from tasks.services.ticks.purge import prune_jobs
from tasks.services.ticks.reap import reap
from tasks.storage.keys import job_folder
from tests.factories import age, published

if TYPE_CHECKING:
    from tests.factories import ScriptedBatch

pytestmark = pytest.mark.django_db


def test_publication_stays_when_it_is_the_one_that_is_shown_though_there_is_a_newer_one(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = published()
    shown = Job.objects.get(pk=video.published_job_id)
    key = default_storage.save(f"{job_folder(shown)}/publish-0000-f1-x/master.m3u8", ContentFile(b"object"))
    Job.objects.update(pruned_at=shown.finished_at)
    request_by_person(video_id=video.pk)
    assert published(video).published_job_id != shown.pk
    # An operator went back to the older version by hand.
    Video.objects.update(published_job=shown)
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)
    assert reap(batch=batch).purged_jobs == 0
    assert default_storage.exists(key)


def test_tidying_reads_by_its_indexes_when_a_million_jobs_are_prune() -> None:
    with CaptureQueriesContext(connection) as queries:
        prune_jobs(limit=10)
    with connection.cursor() as cursor:
        # The table is small here, so a plan that needs no index would be the cheaper one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query, index in zip(queries, ["job_unpruned", "job_dead_unpruned"], strict=True):
            cursor.execute(f"EXPLAIN {query['sql']}")
            assert any(f" {index} " in line for (line,) in cursor.fetchall()), query


def test_tidying_ends_in_time_when_each_job_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    video = published()
    request_by_person(video_id=video.pk)
    Job.objects.filter(state="QUEUED").update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", next_attempt_at=None)
    request_by_person(video_id=video.pk)
    Attempt.objects.update(batch_status="SUCCEEDED")
    passed_s = count(step=bridge_settings().purge_time_limit_s * 0.75)
    monkeypatch.setattr("tasks.services.ticks.purge.time", SimpleNamespace(monotonic=lambda: next(passed_s)))
    assert prune_jobs(limit=10) == 1, "the second one's turn is in the next tick"
    assert prune_jobs(limit=10) == 1
