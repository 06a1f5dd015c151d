"""An input that cannot be transcoded: one attempt, and a message that the person who uploaded it understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile

from tasks.lifecycle.exit_codes import ExitCode
from tasks.models import Attempt, Video
from tasks.tasks import observe_tick, rescue_tick, submit_tick, wake
from tests.integration.batch_responses import log_lines, wait_for_final_detail
from tests.integration.pipeline_videos import event_kinds, wait_for_end

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

pytestmark = pytest.mark.usefixtures("fast_settings")

TECHNICAL_TERMS = ("ffmpeg", "moov", "errno", "exception", "traceback", "exit code", "/", "_")


def test_job_fails_after_one_attempt_when_the_file_is_corrupt(
    short_clip: Path, batch_client: BatchClient, logs_client: CloudWatchLogsClient
) -> None:
    half = short_clip.read_bytes()[: short_clip.stat().st_size // 2]
    video = Video(title="Broken off in the middle")
    video.source.save("lecture.mp4", ContentFile(half))
    wake()
    assert_rejected_once(video, batch_client, logs_client)


def assert_rejected_once(video: Video, batch: BatchClient, logs: CloudWatchLogsClient) -> None:
    """Assert that the job FAILED with a readable message after one container reported it, and that no tick retries."""
    job = wait_for_end(video)
    assert job.state == "FAILED"
    assert job.reason.isupper()
    assert job.reason_message[0].isupper()
    assert job.reason_message.endswith(".")
    assert not [word for word in TECHNICAL_TERMS if word in job.reason_message.lower()], job.reason_message

    attempt = Attempt.objects.get(job=job)
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", "INPUT_REJECTED", True)
    assert job.reason_message in attempt.reason_message
    detail = wait_for_final_detail(batch, attempt)
    assert (detail["status"], detail["container"]["exitCode"]) == ("FAILED", ExitCode.INPUT_REJECTED)
    last_line = log_lines(logs, detail, last_event="BATCH_JOB_FAILED")[-1]
    assert (last_line["exit_code"], last_line["text"]) == (ExitCode.INPUT_REJECTED, job.reason_message)

    for tick in (submit_tick, observe_tick, rescue_tick):
        tick()
    assert Attempt.objects.filter(job=job).count() == event_kinds(job).count("job.grant") == 1
    video.refresh_from_db()
    assert video.published_job is None
