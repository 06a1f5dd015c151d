"""Removing objects from a bucket: few calls, nothing beyond the folder, no error missed, and in time."""

from __future__ import annotations

import uuid
from collections import Counter
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.conf import bridge_settings
from tasks.models import Attempt, Job, Tick, Unit, Video
from tasks.services.removal.purge import prune_jobs, purge_deleted
from tasks.storage.aliases import sources_bucket
from tasks.storage.bucket import BucketError
from tasks.storage.folders import remove_folders
from tasks.storage.keys import job_folder, unit_folder
from tests.buckets import use_new_bucket
from tests.factories import published, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def s3_calls(_own_storage: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Use a new bucket in which DeleteObjects takes three keys, and count the calls of the storage's client."""
    use_new_bucket(settings)
    monkeypatch.setattr("tasks.storage.bucket.DELETE_LIMIT_KEYS", 3)
    Tick.objects.get_or_create(name="purge")
    calls: Counter[str] = Counter()

    def counted(model: Any, **_: object) -> None:
        calls[model.name] += 1

    _client().meta.events.register("before-call.s3", counted)
    return calls


def _client() -> Any:
    return default_storage.connection.meta.client  # type: ignore[attr-defined]  # a bucket's


def stored(*keys: str) -> list[str]:
    return [default_storage.save(key, ContentFile(b"object")) for key in keys]


def objects() -> set[str]:
    response = _client().list_objects_v2(Bucket=default_storage.bucket_name)  # type: ignore[attr-defined]  # a bucket's
    return {entry["Key"] for entry in response.get("Contents", [])}


def never_late() -> None:
    """Do nothing: there is time left."""


def test_folder_is_emptied_by_few_calls_when_it_has_many_objects(s3_calls: Counter[str]) -> None:
    stored(*(f"published/v/j/unit-{number}/{rung}p.mp4" for number in range(4) for rung in (360, 720)))
    others = stored("published/v/j-1/unit-0/360p.mp4", "published/v/k", "published/v2/j/x")
    s3_calls.clear()
    remove_folders("published/v/j", before_call=never_late)
    assert s3_calls == {"ListObjectsV2": 1, "DeleteObjects": 3}, "eight objects, three per call"
    assert objects() == set(others)


def test_video_is_removed_by_one_deletion_when_it_has_few_objects(s3_calls: Counter[str]) -> None:
    video, other = uploaded_video(), uploaded_video()
    job = Job.objects.get(video=video)
    stored(f"{job_folder(job)}/video-0000-f1-x/360p.mp4")
    Video.objects.filter(pk=video.pk).update(source="legacy/lecture.mp4")
    stored("legacy/lecture.mp4")
    video.delete()
    s3_calls.clear()
    assert purge_deleted(limit=10) == 1
    assert s3_calls == {"ListObjectsV2": 2, "DeleteObjects": 1}
    assert objects() == {str(other.source)}
    assert list(Video.objects.all()) == [other]


def test_video_is_kept_when_the_bucket_reports_that_one_object_stays() -> None:
    video = uploaded_video()
    video.delete()

    def one_stays(parsed: dict[str, Any], **_: object) -> None:
        parsed["Errors"] = [{"Key": str(video.source), "Code": "AccessDenied", "Message": "Access Denied"}]

    _client().meta.events.register("after-call.s3.DeleteObjects", one_stays)
    assert purge_deleted(limit=10) == 0
    assert Video.objects.get().purge_failed_at is not None
    with pytest.raises(BucketError, match="AccessDenied"):
        remove_folders(f"sources/{video.pk}", names=["sources/x"], before_call=never_late)


def test_deletion_continues_at_the_next_tick_when_it_does_not_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    video = uploaded_video()
    stored(*(f"published/{video.pk}/j/unit-{number}/360p.mp4" for number in range(10)))
    video.delete()
    passed_s = count(step=bridge_settings().purge_time_limit_s * 0.4)
    monkeypatch.setattr("tasks.services.removal.purge.time", SimpleNamespace(monotonic=lambda: next(passed_s)))
    left, ticks = [len(objects())], 0
    while Video.objects.exists():
        assert Video.objects.get().purge_failed_at is None, "too little time is no failure"
        purge_deleted(limit=10)
        left.append(len(objects()))
        ticks += 1
    assert ticks > 1
    assert left == sorted(set(left), reverse=True), "each tick removed something"
    assert objects() == set()


def test_units_of_a_publication_are_kept_when_it_is_pruned(s3_calls: Counter[str]) -> None:
    video = published()
    job = Job.objects.get(video=video)
    folders = [unit_folder(unit) for unit in Unit.objects.filter(job=job).exclude(kind="plan")]
    kept = stored(*(f"{job_folder(job)}/{folder}/720p.mp4" for folder in folders))
    stored(*(f"{job_folder(job)}/{folder}0/720p.mp4" for folder in folders), f"{job_folder(job)}/video-0000-f0-abc/x")
    Attempt.objects.update(batch_status="SUCCEEDED")
    s3_calls.clear()
    assert prune_jobs(limit=10) == 1
    assert s3_calls == {"ListObjectsV2": 1, "DeleteObjects": 2}
    assert objects() == {*kept, str(video.source)}


def test_checksums_of_both_kinds_are_sent_when_objects_are_deleted() -> None:
    sent = []

    def record(request: Any, **_: object) -> None:
        sent.append({name.lower() for name in request.headers})

    _client().meta.events.register("before-send.s3.DeleteObjects", record)
    bucket = sources_bucket()
    assert bucket
    bucket.delete_objects([str(uuid.uuid4())], before_call=never_late)
    assert {"content-md5", "x-amz-checksum-crc32"} <= sent[0]


def test_whole_bucket_is_never_listed_when_a_folder_has_no_name() -> None:
    stored("published/v/j/x")
    with pytest.raises(ValueError, match="no name"):
        remove_folders("", before_call=never_late)
    assert objects()
