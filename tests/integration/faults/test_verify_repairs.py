"""Publications are verified: a damaged object redoes only its unit; a failing new version keeps the old one intact."""

from __future__ import annotations

import hashlib
import os
import posixpath
import signal
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.files.storage import default_storage

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Event, Job, Unit, Video
from tasks.services.requests.request import request_again
from tasks.storage.keys import job_folder, unit_folder
from tests.factories import submitted_attempt
from tests.integration.container_processes import EncoderBrake
from tests.integration.pipeline_videos import read_manifest, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.container_processes import Run

UNITS = 3
"""The profile plans a unit per 60 s."""

pytestmark = pytest.mark.usefixtures("fast_settings")


def removed(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [*(pytest.param(each, marks=pytest.mark.long) for each in (removed, cut_short)), altered]
)
def test_damaged_unit_alone_is_redone_when_an_object_fails_verification(
    damage: Callable[[Path], None], run: Run, three_unit_clip: Path, tmp_path: Path
) -> None:
    video = upload(three_unit_clip)
    attempt = submitted_attempt(video)
    brake = EncoderBrake(tmp_path)
    container = run(attempt, **brake.environment)
    encoder = brake.wait_for_second_encoder(container.pid)
    brake.release()
    bad = Unit.objects.get(job=attempt.job_id, kind="video", state="DONE")
    folder: Path = settings.MEDIA_ROOT / job_folder(attempt.job) / unit_folder(bad)
    damage(next(iter(sorted(folder.glob("*.mp4")))))
    os.kill(encoder, signal.SIGCONT)

    code, lines = container.wait()
    assert code == ExitCode.DONE
    assert [line["event"] for line in lines].count("VERIFY_FAILED") == 1
    job = Job.objects.get(video=video)
    assert (job.state, job.fence, Video.objects.get().published_job_id) == ("SUCCEEDED", 1, job.pk)
    fences = dict(Unit.objects.filter(job=job, kind="video").values_list("index", "fence"))
    assert fences == {index: 2 if index == bad.index else 1 for index in range(UNITS)}
    (redone,) = Event.objects.filter(job_id=job.pk, kind="unit.redo")
    assert f"video {bad.index}" in redone.text
    assert_objects_are_as_the_manifest_says(job)


def assert_objects_are_as_the_manifest_says(job: Job) -> None:
    folder = posixpath.dirname(job.playlist_key)
    for entry in read_manifest(job)["objects"]:
        with default_storage.open(posixpath.normpath(f"{folder}/{entry['url']}"), "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == entry["sha256"]


@pytest.mark.long
@pytest.mark.parametrize(
    "fault", [pytest.param("the source is damaged", marks=pytest.mark.long), "the container is killed"]
)
def test_old_publication_is_byte_identical_when_a_new_version_of_it_fails(
    fault: str, run: Run, short_clip: Path, tmp_path: Path
) -> None:
    video = upload(short_clip)
    assert run(submitted_attempt(video)).wait()[0] == ExitCode.DONE
    old = Job.objects.get(video=video)
    before = published_objects()

    request_again(video_id=video.pk)
    if fault == "the source is damaged":
        (settings.MEDIA_ROOT / str(video.source)).write_bytes(b"not a video")
        container = run(submitted_attempt(video))
        assert container.wait()[0] == ExitCode.INPUT_REJECTED
    else:
        brake = EncoderBrake(tmp_path)
        container = run(submitted_attempt(video), **brake.environment)
        brake.wait_for_encoder(container.pid)
        container.end()
    video.refresh_from_db()
    assert video.published_job_id == old.pk
    then = published_objects()
    assert {name: then[name] for name in before} == before
    unchanged = Job.objects.filter(pk=old.pk).values("state", "playlist_key", "poster_key").get()
    assert unchanged == {
        "state": "SUCCEEDED",
        "playlist_key": old.playlist_key,
        "poster_key": old.poster_key,
    }


def published_objects() -> dict[str, str]:
    root: Path = settings.MEDIA_ROOT
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "published").rglob("*")
        if path.is_file()
    }
