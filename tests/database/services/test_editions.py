"""Captions and chapters that people add are offered by an edition: whole or not at all, over the same media."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.models import Attempt, CaptionPurpose, Captions, Edition, Event, Job, OutboxEvent, Video
from tasks.services.container_api.publish import begin_own_edition
from tasks.services.editing.captions import add_captions, change_captions, keep_own_captions, remove_captions
from tasks.services.editing.chapters import set_chapters
from tasks.services.editions.make import make_editions
from tasks.services.editions.rows import begin_edition, show_edition
from tasks.services.removal.purge import prune_jobs, purge_deleted, purge_editions, purge_superseded
from tasks.services.requests.delete import delete_video
from tests.factories import age
from tests.growing_job import UNITS, GrowingJob

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.django_db

SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"
WEEK_S = 8 * 86400


@pytest.fixture
def job() -> GrowingJob:
    """Return a job with captions of its own that has published, and whose container has exited."""
    made = GrowingJob(captions=True)
    made.finish(*UNITS)
    made.publish()
    Attempt.objects.update(batch_status="SUCCEEDED")
    return made


def add(job: GrowingJob, text: str = "안녕", language: str = "ko", purpose: str = "") -> Captions:
    content = SRT.format(text).encode()
    return add_captions(
        video_id=job.video.pk, content=content, language=language, purpose=CaptionPurpose(purpose), name=""
    )


def shown(job: GrowingJob) -> dict[str, Any]:
    """Return the manifest that the video's pages use."""
    folder = posixpath.dirname(job.job.shown_playlist_key)
    manifest: dict[str, Any] = json.loads(read(f"{folder}/manifest.json"))
    return manifest


def read(key: str) -> bytes:
    with default_storage.open(key) as file:
        return bytes(file.read())


def files_under(folder: str) -> dict[str, bytes]:
    root = Path(default_storage.path(folder))
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def languages(job: GrowingJob) -> list[str]:
    return [each["language"] for each in shown(job)["captions"]]


def published_folder(job: GrowingJob) -> str:
    return f"published/{job.video.pk}/{job.claim.job_id}"


def test_captions_are_offered_without_an_encode_when_they_are_added(job: GrowingJob) -> None:
    before, own = files_under(published_folder(job)), job.job.playlist_key
    captions = add(job)
    assert languages(job) == ["en"]
    assert make_editions() == 1
    assert languages(job) == ["en", "ko"]
    after = job.job
    assert after.playlist_key == own
    assert after.edition_key != own
    folder = posixpath.dirname(after.edition_key)
    master = read(after.edition_key).decode()
    assert 'LANGUAGE="ko"' in master
    assert f"../{posixpath.basename(job.leases[0].key_prefix)}/" in read(f"{folder}/240p.m3u8").decode()
    assert read(f"{folder}/captions-1.vtt").decode() == captions.webvtt
    files = files_under(published_folder(job))
    assert {name: files[name] for name in before} == before
    assert {name.split("/")[0] for name in set(files) - set(before)} == {posixpath.basename(folder)}
    assert Video.objects.get().shown_edit == 1
    assert make_editions() == 0


def test_receivers_get_no_second_event_when_captions_are_added(job: GrowingJob) -> None:
    before = list(OutboxEvent.objects.values_list("kind", flat=True))
    add(job)
    make_editions()
    assert list(OutboxEvent.objects.values_list("kind", flat=True)) == before
    assert Event.objects.filter(kind="video.edition", job_id=job.claim.job_id).count() == 1


def test_tracks_are_as_they_were_when_added_ones_are_changed_and_removed(job: GrowingJob) -> None:
    captions = add(job)
    own = add(job, language="en")
    make_editions()
    assert [(each["language"], each["added"]) for each in shown(job)["captions"]] == [
        ("en", str(own.pk)),
        ("ko", str(captions.pk)),
    ]
    change_captions(video_id=job.video.pk, captions_id=captions.pk, language="de", name="Deutsch (Live)")
    remove_captions(video_id=job.video.pk, captions_id=own.pk)
    make_editions()
    assert [(each["language"], each["name"], each["added"]) for each in shown(job)["captions"]] == [
        ("en", "English", None),
        ("de", "Deutsch (Live)", str(captions.pk)),
    ]
    keep_own_captions(video_id=job.video.pk, keep=False)
    make_editions()
    assert languages(job) == ["de"]


def test_publication_itself_is_shown_when_every_change_is_taken_back(job: GrowingJob) -> None:
    captions = add(job)
    make_editions()
    remove_captions(video_id=job.video.pk, captions_id=captions.pk)
    assert make_editions() == 1
    assert job.job.edition_key == ""
    assert (Video.objects.get().shown_edit, languages(job)) == (2, ["en"])
    assert Edition.objects.filter(ended_at=None).count() == 0


def test_chapters_are_in_the_edition_when_they_are_entered(job: GrowingJob) -> None:
    set_chapters(video_id=job.video.pk, text="0:00 Intro\n0:20 Results")
    make_editions()
    assert [(each["start_s"], each["title"]) for each in shown(job)["chapters"]] == [(0.0, "Intro"), (20.0, "Results")]


def test_old_playlists_stay_byte_identical_when_the_storage_fails(
    job: GrowingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(job)
    make_editions()
    before, key = files_under(published_folder(job)), job.job.edition_key
    add(job, language="de")

    def fail(name: str, content: Any) -> str:
        if name.endswith("manifest.mpd"):
            raise OSError
        return default_storage.save(name, content)

    monkeypatch.setattr("tasks.services.editions.make.published_storage", Storage(fail))
    assert make_editions() == 0
    monkeypatch.undo()
    assert job.job.edition_key == key
    files = files_under(published_folder(job))
    assert {name: files[name] for name in before} == before
    assert make_editions() == 0, "not before a minute"
    Video.objects.update(edition_failed_at=None)
    assert make_editions() == 1
    assert languages(job) == ["en", "de", "ko"]


def test_edition_is_not_shown_when_a_file_of_it_is_damaged(job: GrowingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    add(job)

    def damaged(name: str, content: Any) -> str:
        return default_storage.save(name, ContentFile(b"damage") if name.endswith("captions-1.vtt") else content)

    monkeypatch.setattr("tasks.services.editions.make.published_storage", Storage(damaged))
    assert make_editions() == 0
    assert (job.job.edition_key, Video.objects.get().shown_edit) == ("", 0)


def test_another_edition_is_made_when_a_worker_died_before_it_was_shown(job: GrowingJob) -> None:
    add(job)
    assert begin_edition(video_id=job.video.pk) is not None
    assert make_editions() == 1
    assert languages(job) == ["en", "ko"]
    assert Edition.objects.filter(ended_at=None).count() == 1


def test_late_edition_changes_nothing_when_a_newer_one_is_shown(job: GrowingJob) -> None:
    add(job)
    late = begin_edition(video_id=job.video.pk)
    add(job, language="de")
    make_editions()
    key = job.job.edition_key
    assert late is not None
    assert not show_edition(late)
    assert (job.job.edition_key, Video.objects.get().shown_edit) == (key, 2)


def test_edition_is_not_shown_when_another_job_was_published_meanwhile(job: GrowingJob) -> None:
    add(job)
    late = begin_edition(video_id=job.video.pk)
    newer = republished(job, with_edition=False)
    assert late is not None
    assert not show_edition(late)
    assert (job.job.edition_key, Video.objects.get().published_job_id) == ("", newer.claim.job_id)


class Storage:
    """The storage, with a fault in what it stores."""

    def __init__(self, save: Callable[[str, Any], str]) -> None:
        self.save = save
        self.open = default_storage.open


def republished(job: GrowingJob, *, with_edition: bool = True) -> GrowingJob:
    """Encode the video again, and publish that as its container does."""
    newer = GrowingJob(captions=True, video=job.video)
    newer.finish(*UNITS)
    newer.publish(with_edition=with_edition)
    return newer


def test_captions_are_carried_over_in_the_same_step_when_the_video_is_encoded_again(job: GrowingJob) -> None:
    add(job)
    newer = republished(job)
    assert languages(newer) == ["en", "ko"]
    video = Video.objects.get()
    assert (video.published_job_id, video.shown_edit) == (newer.claim.job_id, 1)
    assert make_editions() == 0


def test_newest_captions_are_offered_when_they_were_added_while_a_job_published(job: GrowingJob) -> None:
    add(job)
    newer = GrowingJob(captions=True, video=job.video)
    newer.finish(*UNITS)
    newer.publish(with_edition=True, before_publishing=lambda: add(job, language="de"))
    assert languages(newer) == ["en", "ko"]
    assert make_editions() == 1
    assert languages(newer) == ["en", "de", "ko"]


def test_captions_follow_when_a_container_could_not_make_the_edition(job: GrowingJob) -> None:
    add(job)
    newer = republished(job, with_edition=False)
    assert (languages(newer), Video.objects.get().shown_edit) == (["en"], 0)
    assert make_editions() == 1
    assert languages(newer) == ["en", "ko"]


def test_container_begins_no_edition_when_the_video_was_deleted(job: GrowingJob) -> None:
    newer = GrowingJob(captions=True, video=job.video)
    newer.finish(*UNITS)
    lease = newer.lease_publish()
    Video.objects.update(deleted_at=newer.job.created_at)
    assert begin_own_edition(newer.claim, lease) is None


def test_shown_edition_and_media_stay_when_jobs_are_pruned_and_old_editions_purged(job: GrowingJob) -> None:
    add(job)
    make_editions()
    old = posixpath.dirname(job.job.edition_key)
    add(job, language="de")
    make_editions()
    files = files_under(published_folder(job))
    assert prune_jobs(limit=10) == 1
    assert purge_editions(limit=10) == 0, "viewers may still have it"
    assert files_under(published_folder(job)) == files
    age(Edition, "created_at", "ended_at", seconds=WEEK_S)
    assert purge_editions(limit=10) == 1
    left = files_under(published_folder(job))
    assert set(files) - set(left) == {name for name in files if name.startswith(posixpath.basename(old))}
    assert languages(job) == ["en", "de", "ko"]
    assert list(Edition.objects.values_list("folder", flat=True)) == [posixpath.dirname(job.job.edition_key)]


def test_files_of_an_edition_are_removed_when_its_worker_died(job: GrowingJob) -> None:
    add(job)
    begun = begin_edition(video_id=job.video.pk)
    assert begun is not None
    age(Edition, "created_at", seconds=WEEK_S)
    assert purge_editions(limit=10) == 1
    assert not Edition.objects.exists()


def test_everything_is_removed_when_a_publication_with_editions_is_superseded(job: GrowingJob) -> None:
    add(job)
    make_editions()
    republished(job)
    age(Job, "superseded_at", seconds=WEEK_S)
    age(Edition, "created_at", "ended_at", seconds=WEEK_S)
    assert purge_superseded(limit=10) == 1
    assert not files_under(published_folder(job))
    assert not Edition.objects.filter(job=job.claim.job_id).exists()


def test_deleted_video_waits_when_an_edition_of_it_is_being_written(job: GrowingJob) -> None:
    age(Attempt, "ended_at", seconds=WEEK_S)
    add(job)
    begin_edition(video_id=job.video.pk)
    delete_video(video_id=job.video.pk)
    assert purge_deleted(limit=10) == 0
    age(Edition, "created_at", seconds=120)
    assert purge_deleted(limit=10) == 1
    assert not Captions.objects.exists()
    assert not Edition.objects.exists()
