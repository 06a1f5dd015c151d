"""Cancelling and deleting end the work; then objects are removed, then rows. Events stay."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from tasks.batch.errors import BatchRejectedError
from tasks.batch.port import ListedJob
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import HELD, Reason
from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tasks.services.container_api.finish import fail_attempt
from tasks.services.removal.purge import purge
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.request import request_again
from tasks.services.ticks.reap import reap
from tasks.storage.keys import job_folder, unit_folder
from tests.factories import ScriptedBatch, age, claimed, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _database_clock() -> None:
    Tick.objects.get_or_create(name="reap")


def _stored(key: str) -> str:
    return default_storage.save(key, ContentFile(b"object"))


def test_finished_job_stays_succeeded_when_a_cancel_comes_late() -> None:
    video = published()
    assert not cancel_job(job_id=Job.objects.get(video=video).pk)
    assert Job.objects.get(video=video).state == "SUCCEEDED"


def test_batch_job_is_terminated_until_it_ends_when_its_job_is_cancelled(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    cancel_job(job_id=attempt.job_id)
    assert reap(batch=batch) == 1
    assert reap(batch=batch) == 1
    batch.set_observation(attempt, BatchStatus.FAILED, status_reason="Batchreel: CANCELLED", started=True)
    assert reap(batch=batch) == 0
    assert reap(batch=batch) == 0
    assert batch.described.count(str(attempt.batch_job_id)) == 3


def test_container_is_not_terminated_when_it_exits_after_its_failure(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    fail_attempt(claimed(attempt), reason=Reason.SIGTERM, text="SIGTERM", exit_code=30)
    batch.set_observation(attempt, BatchStatus.RUNNING, started=True)
    assert reap(batch=batch) == 0, "its container is exiting"
    age(Attempt, "ended_at", seconds=61)
    assert reap(batch=batch) == 1, "its container did not exit"


@pytest.mark.parametrize("reason", sorted(HELD))
def test_container_keeps_its_place_when_its_machine_may_be_at_fault(reason: Reason, batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    fail_attempt(claimed(attempt), reason=reason, text="a fault", exit_code=1)
    batch.set_observation(attempt, BatchStatus.RUNNING, started=True)
    age(Attempt, "ended_at", seconds=301)
    assert reap(batch=batch) == 0, "the next job would fail in its place"
    age(Attempt, "ended_at", seconds=60)
    assert reap(batch=batch) == 1, "its container did not exit"


def test_objects_of_a_dead_job_are_pruned_when_it_cannot_be_revived(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    job = Job.objects.get(pk=attempt.job_id)
    key = _stored(f"{job_folder(job)}/video-0000-f1-x/360p.mp4")
    Attempt.objects.update(state="FAILED", reason="EXIT_CODE", ended_at=Now(), batch_status="FAILED", counted=True)
    Job.objects.update(state="DEAD", reason="ATTEMPTS_EXHAUSTED", finished_at=Now())
    assert purge().pruned == 0, "an operator may revive it"
    request_again(video_id=job.video_id)
    assert purge().pruned == 1
    assert not default_storage.exists(key)


def test_orphan_is_terminated_only_when_it_is_old_and_ours(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(batch=batch)
    long_ago_ms, far_future_ms = 0, 10**15
    own = ListedJob(
        batch_job_id=str(attempt.batch_job_id),
        name=attempt.batch_job_name,
        status=BatchStatus.RUNNING,
        created_at_ms=long_ago_ms,
    )
    batch.found = [
        own,
        ListedJob(
            batch_job_id="orphan", name=attempt.batch_job_name, status=BatchStatus.RUNNING, created_at_ms=long_ago_ms
        ),
        ListedJob(
            batch_job_id="young", name=attempt.batch_job_name, status=BatchStatus.RUNNING, created_at_ms=far_future_ms
        ),
        ListedJob(
            batch_job_id="foreign", name="other-application-1", status=BatchStatus.RUNNING, created_at_ms=long_ago_ms
        ),
        ListedJob(
            batch_job_id="staging",
            name=f"batchreel-staging-{uuid.uuid4()}-1",
            status=BatchStatus.RUNNING,
            created_at_ms=long_ago_ms,
        ),
    ]
    reap(batch=batch)
    assert batch.terminated == ["orphan"]


def test_finished_container_has_time_to_exit_when_its_batch_job_runs(batch: ScriptedBatch) -> None:
    attempt = Attempt.objects.get(job__video=published())
    id_, name = str(attempt.batch_job_id), attempt.batch_job_name
    batch.found = [ListedJob(batch_job_id=id_, name=name, status=BatchStatus.RUNNING, created_at_ms=0)]
    reap(batch=batch)
    assert batch.terminated == []
    age(Attempt, "ended_at", seconds=61)
    reap(batch=batch)
    assert batch.terminated == [id_]


def test_objects_of_losing_fences_are_pruned_when_the_job_succeeded(batch: ScriptedBatch) -> None:
    video = published()
    job = Job.objects.get(video=video)
    unit = Unit.objects.filter(job=job, kind="video").earliest("index")
    kept = _stored(f"{job_folder(job)}/video-0000-f1-{unit.lease_id}/720p.mp4")
    lost = _stored(f"{job_folder(job)}/video-0000-f0-abc/720p.mp4")
    Attempt.objects.update(batch_status="SUCCEEDED")
    assert purge().pruned == 1
    assert default_storage.exists(kept)
    assert not default_storage.exists(lost)
    assert purge().pruned == 0


def test_superseded_publication_is_purged_when_its_retention_has_passed(batch: ScriptedBatch) -> None:
    video = published()
    old = Job.objects.get(video=video)
    key = _stored(f"{job_folder(old)}/{unit_folder(Unit.objects.get(job=old, kind='publish'))}/master.m3u8")
    Attempt.objects.update(batch_status="SUCCEEDED")
    age(Job, "finished_at", "superseded_at", seconds=30 * 86400)
    assert purge().purged_jobs == 0
    request_again(video_id=video.pk)
    new = Job.objects.get(pk=published(video).published_job_id)
    Attempt.objects.update(batch_status="SUCCEEDED")
    assert new.pk != old.pk
    assert purge().purged_jobs == 0, "viewers may still watch the old one"
    assert default_storage.exists(key)
    age(Job, "finished_at", "superseded_at", seconds=8 * 86400)
    assert purge().purged_jobs == 1
    assert not default_storage.exists(key)
    assert Job.objects.get(pk=new.pk).purged_at is None


@pytest.mark.parametrize("how", ["row", "queryset"])
def test_deleted_video_loses_jobs_objects_and_rows_when_containers_ended(how: str, batch: ScriptedBatch) -> None:
    video = uploaded_video()
    attempt = submitted_attempt(video)
    claimed(attempt)
    source = str(video.source)
    object_key = _stored(f"{job_folder(attempt.job)}/video-0000-f1-abc/720p.mp4")
    if how == "row":
        video.delete()
    else:
        Video.objects.filter(pk=video.pk).delete()
    job = Job.objects.get(video_id=video.pk)
    assert (job.state, job.reason) == ("CANCELLED", Reason.VIDEO_DELETED)
    assert purge().purged_videos == 0, "its container may still write"
    assert default_storage.exists(object_key)
    batch.set_observation(attempt, BatchStatus.FAILED, started=True)
    reap(batch=batch)
    Attempt.objects.update(cost_usd=0)
    assert purge().purged_videos == 1
    assert not default_storage.exists(object_key)
    assert not default_storage.exists(source)
    assert not Video.objects.filter(pk=video.pk).exists()
    kinds = set(Event.objects.filter(video_id=video.pk).values_list("kind", flat=True))
    assert {"job.request", "attempt.claim", "job.cancel", "video.purge"} <= kinds


def test_deleted_video_is_not_published_when_a_container_runs() -> None:
    video = uploaded_video()
    claimed(submitted_attempt(video))
    video.delete()
    assert Video.objects.get(pk=video.pk).published_job is None


def test_purge_continues_when_one_video_cannot_be_purged(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"purge_limit": 1}
    failing, other = uploaded_video(title="failing"), uploaded_video(title="other")
    # The storage rejects names outside of its folder.
    Video.objects.filter(pk=failing.pk).update(source="../outside.mp4")
    failing.delete()
    other.delete()
    assert [purge().purged_videos for _ in range(3)] == [0, 1, 0]
    assert list(Video.objects.all()) == [failing]
    assert Event.objects.filter(kind="purge.failed", video_id=failing.pk).count() == 1


def test_reap_continues_when_one_orphan_cannot_be_terminated(batch: ScriptedBatch) -> None:
    batch.found = [
        ListedJob(batch_job_id=each, name=f"batchreel-{uuid.uuid4()}-1", status=BatchStatus.RUNNING, created_at_ms=1)
        for each in "ab"
    ]
    batch.terminate_error = BatchRejectedError("no")
    with pytest.raises(BatchRejectedError):
        reap(batch=batch)
    assert batch.terminated == ["a", "b"]
