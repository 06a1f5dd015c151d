"""An upload that every player supports is watchable within seconds, long before its ladder is encoded."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.files.storage import default_storage

from tasks.models import Job, Unit, Video
from tests.integration.container_processes import EncoderBrake, container_pid
from tests.integration.pipeline_videos import event_kinds, upload, wait_for_attempt, wait_for_end
from tests.media.clips import ffmpeg, make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    pass

FRAMES = 2400
CLOSED = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "20", "-x264-params", "open-gop=0")


@pytest.fixture(scope="module")
def compatible_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four minutes as a screen recorder writes them: H.264 with short closed GOPs, AAC."""
    path = tmp_path_factory.mktemp("compatible") / "a.mp4"
    return make_clip(
        path,
        frames=FRAMES,
        rate="10",
        size="320x180",
        codec=CLOSED,
        audio_s=240.0,
        extra=("-c:a", "aac", "-ac", "2"),
    )


@pytest.fixture
def site_environment(site_environment: dict[str, str], braked_definition: str) -> dict[str, str]:
    """Return the environment of the fast site, whose containers have the brake."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": braked_definition}


@pytest.mark.usefixtures("running_site")
def test_preview_is_watchable_before_the_ladder_when_source_is_compatible(
    brake: EncoderBrake, compatible_clip: Path
) -> None:
    video = upload(compatible_clip)
    # The held encoder keeps the ladder from being finished.
    encoder = brake.wait_for_encoder(container_pid(wait_for_attempt(video, state="RUNNING").batch_job_id))
    wait_for(lambda: Video.objects.filter(published_job__isnull=False).exists(), limit_s=40, what="the preview")
    job = Job.objects.get(video=video)
    assert (job.state, job.level) == ("RUNNING", 0)
    assert Unit.objects.filter(job=job, kind="video").exclude(state="DONE").exists(), (
        "the ladder was finished before the preview"
    )
    preview_key = job.playlist_key
    frames = ffmpeg("-i", str(settings.MEDIA_ROOT / preview_key), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-")
    assert len([line for line in frames.splitlines() if not line.startswith(b"#")]) == FRAMES

    brake.release()
    os.kill(encoder, signal.SIGCONT)
    job = wait_for_end(video)
    assert (job.state, job.level) == ("SUCCEEDED", 1)
    assert event_kinds(job).index("job.preview") < event_kinds(job).index("job.publish")
    # A viewer who started with the preview can watch it to the end.
    assert default_storage.exists(preview_key)
    assert job.playlist_key != preview_key
    assert Video.objects.get().published_job_id == job.pk
