"""A DEAD job: its owner reads why in plain words, and operators keep the technical text."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Event, Job, Video
from tasks.selectors.history.timeline import video_timeline
from tasks.selectors.videos import video_overview
from tasks.services.container_api.finish import fail_attempt
from tasks.services.container_api.suspect import suspect_input
from tasks.services.requests.request import request_again
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.submit import submit_due
from tests.factories import age, claimed, newest_attempt, published, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.factories import ScriptedBatch

pytestmark = pytest.mark.django_db

FFMPEG = "ENCODER_FAILED: ffmpeg failed with exit code 1 (Failed to configure output pad on Parsed_aresample)."
SAME_WAY = "5 attempts failed, each the same way: the encoder cannot process this file. Export the file again"


def fail(video: Video, batch: ScriptedBatch, *, reason: Reason = Reason.TRANSCODE_FAILED, text: str = FFMPEG) -> None:
    fail_attempt(claimed(submitted_attempt(video, batch=batch)), reason=reason, text=text, exit_code=21)
    age(Job, "next_attempt_at", seconds=601)


def lose(video: Video, batch: ScriptedBatch, *, reason: Reason) -> None:
    claim = claimed(submitted_attempt(video, batch=batch))
    end_attempt(read_attempt(lock_job(claim.job_id), claim.number), AttemptEvent.LOSE, reason=reason)
    age(Job, "next_attempt_at", seconds=601)


def dead_job(video: Video, batch: ScriptedBatch) -> Job:
    submit_due(batch=batch)
    job = Job.objects.filter(video=video).latest("created_at")
    assert job.state == "DEAD"
    return job


def test_owner_reads_the_cause_when_five_attempts_failed_the_same_way(
    batch: ScriptedBatch, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: object
) -> None:
    video = uploaded_video()
    for _ in range(5):
        fail(video, batch)
    with caplog.at_level(logging.ERROR), django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        job = dead_job(video, batch)
    assert job.reason == Reason.ATTEMPTS_EXHAUSTED
    assert video_overview(video).message == job.reason_message
    assert job.reason_message.startswith(SAME_WAY)
    assert "ffmpeg" not in job.reason_message
    entry = next(each for each in video_timeline(video.pk) if each.kind == "job.dead")
    assert SAME_WAY in entry.details
    assert "Failed to configure output pad" in entry.details
    assert newest_attempt(video).reason_message == FFMPEG
    (line,) = [record for record in caplog.records if record.message == "JOB_DEAD"]
    assert line.cause == "TRANSCODE_FAILED ENCODER_FAILED"  # type: ignore[attr-defined]


def test_owner_reads_the_cause_when_every_machine_suspected_the_file(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"max_consecutive_losses": 2, "one_machine_verdicts": 3}
    video = uploaded_video()
    for _ in range(2):
        suspect_input(claimed(submitted_attempt(video, batch=batch)), code="DEADLINE_PASSED", message="")
        age(Job, "next_attempt_at", seconds=601)
    job = dead_job(video, batch)
    assert job.reason == Reason.TOO_MANY_LOSSES
    assert "a step took longer than it should for a file of this size" in job.reason_message


def test_owner_reads_only_the_last_cause_when_attempts_failed_in_different_ways(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for _ in range(4):
        fail(video, batch)
    lose(video, batch, reason=Reason.HOST_LOST)  # does not count
    fail(video, batch, reason=Reason.STORAGE_FAILED, text="[Errno 5] Input/output error")
    message = dead_job(video, batch).reason_message
    assert message.startswith("5 attempts failed, not all the same way. The last one: a file could not be read")


def test_uncounted_attempts_are_ignored_when_the_counted_ones_failed_the_same_way(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for number in range(5):
        fail(video, batch)
        if number < 4:
            lose(video, batch, reason=Reason.SPOT_INTERRUPTION)
    assert dead_job(video, batch).reason_message.startswith(SAME_WAY)


def test_attempts_before_a_revival_are_ignored_when_the_job_is_dead_again(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for _ in range(5):
        fail(video, batch, reason=Reason.STORAGE_FAILED, text="[Errno 5] Input/output error")
    dead_job(video, batch)
    request_again(video_id=video.pk)
    for _ in range(5):
        fail(video, batch)
    assert dead_job(video, batch).reason_message.startswith(SAME_WAY)


def test_owner_reads_that_machines_were_lost_when_twenty_were(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    fail(video, batch)
    for _ in range(20):
        lose(video, batch, reason=Reason.SPOT_INTERRUPTION)
    job = dead_job(video, batch)
    assert job.reason == Reason.TOO_MANY_LOSSES
    expected = "20 attempts were lost in a row, each the same way: the cloud provider took the machine back."
    assert job.reason_message.startswith(expected)
    assert Event.objects.get(kind="job.dead").text.startswith(expected)


def test_owner_reads_the_cause_when_a_new_version_is_dead_and_the_old_one_is_shown(batch: ScriptedBatch) -> None:
    video = published()
    request_again(video_id=video.pk)
    for _ in range(5):
        fail(video, batch)
    dead_job(video, batch)
    assert f"A newer version could not be processed. {SAME_WAY}" in video_overview(video).message


def test_page_calls_only_a_lost_machine_an_interruption_when_the_next_attempt_waits(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    lose(video, batch, reason=Reason.SPOT_INTERRUPTION)
    lost = video_overview(video)
    assert lost.message.startswith("Processing was interrupted.")
    assert lost.progress.stage_label == "Interrupted; continues automatically"
    fail(video, batch)
    failed = video_overview(video)
    assert failed.message.startswith("An attempt failed.")
    assert failed.progress.stage_label == "An attempt failed; the next follows"
