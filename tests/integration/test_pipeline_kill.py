"""Killing a container in mid-encode loses the unit in flight and nothing else."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from django.core.files.storage import default_storage

from tasks.models import Attempt, Job, Unit, Video
from tests.integration.container_processes import EncoderBrake, container_pid
from tests.integration.pipeline_videos import event_kinds, upload, wait_for_attempt, wait_for_end
from tests.media.clips import make_clip
from tests.processes import is_alive

if TYPE_CHECKING:
    from pathlib import Path


UNITS = 4
"""The profile plans a unit per 60 s."""

KEPT = ("kind", "index", "attempt_id", "fence", "lease_id", "leased_at", "done_at", "output")


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four minutes of small video without audio: several units, but little work."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    return make_clip(path, frames=UNITS * 60 * 10, rate="10", size="320x180")


@pytest.fixture
def site_environment(site_environment: dict[str, str], braked_definition: str) -> dict[str, str]:
    """Return the environment of the fast site, whose containers have the brake."""
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": braked_definition}


@pytest.mark.usefixtures("running_site")
def test_finished_units_are_kept_when_a_container_is_killed_in_mid_encode(brake: EncoderBrake, long_clip: Path) -> None:
    video = upload(long_clip)
    first = wait_for_attempt(video, state="RUNNING")
    container = container_pid(first.batch_job_id)
    encoder = brake.wait_for_second_encoder(container)
    brake.release()
    assert Unit.objects.filter(job=first.job_id, kind="video", state="DONE").exists(), "no unit is finished"
    os.kill(container, signal.SIGKILL)

    first = wait_for_attempt(video, state="FAILED")
    assert (first.reason, first.exit_code, first.batch_status) == ("EXIT_CODE", 137, "FAILED")
    assert "137" in first.reason_message
    assert first.counted is False, "it finished a unit"
    kept = list(Unit.objects.filter(job=first.job_id, attempt=first, state="DONE").order_by("pk").values(*KEPT))
    assert {unit["kind"] for unit in kept} == {"plan", "video"}
    assert not is_alive(encoder)

    job = wait_for_end(video)
    assert (job.state, job.fence) == ("SUCCEEDED", 2)
    second = Attempt.objects.get(job=job, number=2)
    assert (second.state, second.exit_code) == ("SUCCEEDED", 0)
    assert list(Unit.objects.filter(job=job, attempt=first).order_by("pk").values(*KEPT)) == kept
    assert_second_did_the_remainder(job, second, done_before=sum(unit["kind"] == "video" for unit in kept))
    assert event_kinds(job).count("job.publish") == 1
    assert Video.objects.get(pk=video.pk).published_job_id == job.pk
    assert default_storage.exists(job.playlist_key)


def assert_second_did_the_remainder(job: Job, second: Attempt, *, done_before: int) -> None:
    """Assert that the unit in flight was leased a second time, and those after it for the first time."""
    remainder = Unit.objects.filter(job=job, attempt=second).order_by("kind", "index")
    leases = [(unit.kind, unit.index, unit.fence) for unit in remainder]
    again, *untouched = [("video", index, 1) for index in range(done_before, UNITS)]
    assert leases == [("publish", 0, 1), (*again[:2], 2), *untouched]
