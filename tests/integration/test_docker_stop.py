"""A real container that is stopped ends its encoder and records that in its row, well within Batch's grace of 30 s."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tasks.models import Attempt, Unit
from tests.docker_engine import docker, image_under_test
from tests.integration.docker_site import bucket_storages, make_bucket, register_docker_definition
from tests.integration.pipeline_videos import upload, wait_for_attempt
from tests.media.clips import H264, make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

STOP_LIMIT_S = 10.0


@pytest.fixture
def bucket(settings: Settings) -> str:
    name = make_bucket()
    settings.STORAGES = bucket_storages(name)
    return name


@pytest.fixture
def fast_definition(bucket: str, batch_client: BatchClient) -> str:
    return register_docker_definition(batch_client, image=image_under_test(), bucket=bucket)


@pytest.fixture
def site_environment(bucket: str, site_environment: dict[str, str]) -> dict[str, str]:
    return {**site_environment, "STORAGE_BUCKET": bucket, "STORAGE_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}


@pytest.mark.usefixtures("running_site")
def test_encoder_ends_and_attempt_fails_when_docker_stops_the_container(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=1, size="1280x720", filters="loop=-1:1,trim=end_frame=9000", codec=H264)
    attempt = wait_for_attempt(upload(clip), state="RUNNING")
    units = Unit.objects.filter(job=attempt.job_id, kind="video", state="LEASED")
    wait_for(units.exists, what="a leased video unit")
    name = f"batchreel-{attempt.batch_job_id}"
    wait_for(lambda: "ffmpeg" in docker("top", name), what="an encoder")

    started = time.monotonic()
    docker("stop", "--time", "30", name)
    attempt = wait_for(
        lambda: Attempt.objects.filter(pk=attempt.pk, state="FAILED").first(),
        limit_s=STOP_LIMIT_S,
        what="the state FAILED in the row",
    )
    assert time.monotonic() - started < STOP_LIMIT_S
    assert (attempt.reason, attempt.exit_code) == ("SIGTERM", 143)
    assert name not in docker("ps", "--format", "{{.Names}}")
