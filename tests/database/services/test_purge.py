"""Purging keeps whatever a viewer may be watching."""

from __future__ import annotations

from copy import copy
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Job, Tick, Video
from tasks.services.removal.purge import prune_jobs, purge, purge_deleted
from tasks.services.requests.request import request_again
from tasks.services.ticks.grant import live_leads_count
from tasks.services.ticks.observe import observe
from tasks.storage.keys import job_folder
from tests.factories import age, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from tests.factories import ScriptedBatch

pytestmark = pytest.mark.django_db


def test_shown_publication_is_not_purged_when_a_newer_one_exists(batch: ScriptedBatch) -> None:
    Tick.objects.get_or_create(name="reap")
    video = published()
    shown = Job.objects.get(pk=video.published_job_id)
    key = default_storage.save(f"{job_folder(shown)}/publish-0000-f1-x/master.m3u8", ContentFile(b"object"))
    Job.objects.update(pruned_at=shown.finished_at)
    request_again(video_id=video.pk)
    assert published(video).published_job_id != shown.pk
    # An operator has switched back to the older version by hand.
    Video.objects.update(published_job=shown)
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)
    assert purge().purged_jobs == 0
    assert default_storage.exists(key)


def test_deleted_video_keeps_its_rows_when_its_batch_job_still_waits_in_the_queue(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(batch=batch)
    attempt.job.video.delete()
    purge_deleted(limit=10)
    assert live_leads_count() == 1, "it counts against the limits"
    batch.set_observation(attempt, BatchStatus.FAILED, status_reason="Terminated by the site.")
    observe(batch=batch, tick=0)
    assert purge_deleted(limit=10) == 1
    assert not Video.objects.exists()


def test_log_names_table_and_constraint_when_a_row_of_the_site_refers_to_the_video(
    caplog: pytest.LogCaptureFixture,
) -> None:
    video = uploaded_video()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE courses_lesson (video_id uuid CONSTRAINT lesson_has_video REFERENCES batchreel_video (id))"
        )
        cursor.execute("INSERT INTO courses_lesson VALUES (%s)", [video.pk])
    video.delete()
    assert purge_deleted(limit=10) == 0
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("PURGE_FAILED")]
    assert line.startswith(f"PURGE_FAILED {video}: ")
    assert "lesson_has_video" in line
    assert "courses_lesson" in line
    assert "\n" not in line


def test_pruning_uses_its_indexes_when_there_are_many_jobs() -> None:
    video = published()
    pruned = Job.objects.get(video=video)
    pruned.automatic, pruned.pruned_at = False, pruned.finished_at
    pruned.save()
    Job.objects.bulk_create(clone(pruned) for _ in range(2000))
    with CaptureQueriesContext(connection) as queries:
        prune_jobs(limit=10)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batchreel_job, batchreel_attempt, batchreel_unit, batchreel_video")
        for query, index in zip(queries, ["job_unpruned", "job_dead_unpruned"], strict=True):
            cursor.execute(f"EXPLAIN {query['sql']}")
            assert any(f" {index} " in line for (line,) in cursor.fetchall()), query


def clone(job: Job) -> Job:
    job = copy(job)
    job.pk = uuid4()
    return job


def test_pruning_stops_in_time_when_each_job_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    video = published()
    request_again(video_id=video.pk)
    Job.objects.filter(state="QUEUED").update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", next_attempt_at=None)
    request_again(video_id=video.pk)
    Attempt.objects.update(batch_status="SUCCEEDED")
    passed_s = count(step=bridge_settings().purge_time_limit_s * 0.75)
    monkeypatch.setattr("tasks.services.removal.purge.time", SimpleNamespace(monotonic=lambda: next(passed_s)))
    assert prune_jobs(limit=10) == 1, "the next tick prunes the second job"
    assert prune_jobs(limit=10) == 1
