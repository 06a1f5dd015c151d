"""The end-to-end path on real processes, hop by hop, as shown by rows and by AWS Batch's responses over boto3."""

from __future__ import annotations

import json
import os
import posixpath
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.storage import default_storage
from django.db import transaction

from tasks.models import Attempt, Event, Job, Video
from tests.docker_engine import image_under_test
from tests.integration.batch_responses import describe, log_lines
from tests.integration.docker_site import bucket_storages, make_bucket, register_docker_definition
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.pipeline_videos import event_kinds, read_manifest, upload, wait_for_attempt, wait_for_end
from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from pytest_django import Settings

    from tests.integration.celery_nodes import RunningSite

LECTURE_S = 10.0


@pytest.fixture
def lecture_clip(tmp_path: Path) -> Path:
    """Return ten seconds of 480p with audio: enough work for three rungs and several heartbeats."""
    return make_clip(tmp_path / "lecture.mp4", frames=300, rate="30", size="854x480", audio_s=LECTURE_S)


@pytest.fixture(params=["process", pytest.param("docker", marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def bucket(request: pytest.FixtureRequest, settings: Settings) -> str:
    """Return the bucket for files if containers are real, or "" if files are in MEDIA_ROOT."""
    if request.param == "process":
        return ""
    name = make_bucket()
    settings.STORAGES = bucket_storages(name)
    return name


@pytest.fixture
def fast_definition(bucket: str, fast_definition: str, batch_client: BatchClient) -> str:
    """Return the definition that runs the program as a process, or the image in Docker."""
    if not bucket:
        return fast_definition
    return register_docker_definition(batch_client, image=image_under_test(), bucket=bucket)


@pytest.fixture
def site_environment(bucket: str, site_environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of worker and beat. A slow exit of the container is not cut short here."""
    calm = {"BATCHREEL": json.dumps({**FAST_SETTINGS, "succeeded_grace_s": 60})}
    files = {"STORAGE_BUCKET": bucket, "STORAGE_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]} if bucket else {}
    return {**site_environment, **calm, **files}


@pytest.mark.long
def test_every_hop_is_recorded_when_an_uploaded_video_becomes_playable(
    running_site: RunningSite, lecture_clip: Path, batch_client: BatchClient, logs_client: CloudWatchLogsClient
) -> None:
    # Saved -> signal: the job exists as soon as the save returns.
    video = upload(lecture_clip)
    job = Job.objects.get(video=video)
    assert event_kinds(job)[0] == "job.request"

    # Container process of the local Batch -> heartbeats in PostgreSQL.
    with transaction.atomic():
        # Publishing locks the video's row before the job's. Holding that lock keeps the container
        # alive until its heartbeats have been seen.
        Video.objects.select_for_update().get(pk=video.pk)
        attempt = wait_for_attempt(video, state="RUNNING")
        wait_for_heartbeats(attempt, count=3)

    # Wake-up -> Celery worker -> SubmitJob.
    wait_for(
        lambda: re.search(r"Task batchreel\.wake\[[\w-]+\] succeeded", running_site.worker.logs()),
        what="the end of the wake-up",
    )
    running_site.worker.wait_for_log(f"BATCH_SUBMIT {attempt.batch_job_name} {attempt.batch_job_id}")
    assert_batch_job_matches(batch_client, attempt)

    # Units -> published.
    job = wait_for_end(video)
    assert (job.state, job.reason, job.fence) == ("SUCCEEDED", "", 1)
    assert_units_were_done_by(job, attempt)
    assert_publication_is_complete(Video.objects.get(pk=video.pk), job)

    # Observed: the row contains what AWS reported, including the final status.
    wait_for(lambda: Attempt.objects.get(pk=attempt.pk).batch_status == "SUCCEEDED", what="Batch's final status")
    attempt.refresh_from_db()
    assert (attempt.state, attempt.exit_code, attempt.counted) == ("SUCCEEDED", 0, False)
    detail = describe(batch_client, attempt)
    assert (detail["status"], detail["container"]["exitCode"]) == ("SUCCEEDED", 0)
    assert_log_shows_units(logs_client, detail)
    assert attempt.batch_log_stream == detail["container"]["logStreamName"]
    assert_events_are_in_order(job)


def wait_for_heartbeats(attempt: Attempt, *, count: int) -> None:
    """Wait until the row has shown `count` different heartbeat times since the claim."""
    seen: set[object] = set()

    def poll() -> bool:
        row = Attempt.objects.get(pk=attempt.pk)
        assert row.state == "RUNNING", f"the attempt ended after {len(seen)} heartbeats"
        seen.update({row.heartbeat_at} - {row.claimed_at})
        return len(seen) >= count

    wait_for(poll, what=f"{count} heartbeats")


def assert_batch_job_matches(batch: BatchClient, attempt: Attempt) -> None:
    """Assert that AWS Batch has the attempt's job under its name, with every `Ref::` replaced."""
    detail = describe(batch, attempt)
    assert detail["jobName"] == attempt.batch_job_name == f"batchreel-{attempt.job_id}-1"
    assert detail["container"]["command"] == ["python", "-m", "tasks.container", str(attempt.job_id), "1"]
    environment = {each["name"]: each["value"] for each in detail["container"]["environment"]}
    assert (environment["VIDEO_JOB_ID"], environment["VIDEO_JOB_ATTEMPT"]) == (str(attempt.job_id), "1")
    assert detail["retryStrategy"]["attempts"] == 1


def assert_log_shows_units(logs: CloudWatchLogsClient, detail: Any) -> None:
    """Assert that CloudWatch has the container's log lines: the start, each unit once, the end."""
    lines = log_lines(logs, detail, last_event="BATCH_JOB_COMPLETED")
    assert [line["event"] for line in lines[:2]] == ["SANDBOX", "BATCH_PROCESS_START"]
    assert (lines[-1]["exit_code"], lines[-1]["text"]) == (0, "published")
    for event in ("UNIT_START", "UNIT_DONE"):
        kinds = [line["kind"] for line in lines if line["event"] == event]
        assert sorted(kinds) == ["audio", "plan", "publish", "video"]


def assert_units_were_done_by(job: Job, attempt: Attempt) -> None:
    """Assert that this attempt finished every unit in one lease, the plan first and the publish unit last.

    The events show it: the units' rows are removed as soon as a tick prunes the job.
    """
    events = Event.objects.filter(job_id=job.pk, kind__in=["unit.lease", "unit.finish"]).order_by("id")
    assert {event.attempt_number for event in events} == {attempt.number}
    leased, kinds = ([e.text.split()[0] for e in events if e.kind == kind] for kind in ("unit.lease", "unit.finish"))
    assert sorted(leased) == sorted(kinds)
    assert (kinds[0], kinds[-1]) == ("plan", "publish")
    assert sorted(kinds[1:-1]) == ["audio", "video"]


def assert_publication_is_complete(video: Video, job: Job) -> None:
    """Assert that the video shows the job, all objects in the manifest exist, and the playlists reference them."""
    assert video.published_job_id == job.pk
    assert default_storage.exists(job.poster_key)
    folder = posixpath.dirname(job.playlist_key)
    manifest = read_manifest(job)
    assert [rung["height_px"] for rung in manifest["rungs"]] == [480, 360, 240]
    assert manifest["audio"]
    for entry in manifest["objects"]:
        assert default_storage.size(posixpath.normpath(f"{folder}/{entry['url']}")) == entry["bytes"]
    master = read_playlist(job.playlist_key)
    variants = [line for line in master if not line.startswith("#")]
    assert variants == [rung["playlist"] for rung in (*manifest["rungs"], *manifest["audio"])]
    for variant in variants:
        lines = read_playlist(f"{folder}/{variant}")
        assert lines[-1] == "#EXT-X-ENDLIST"
        length_s = sum(float(line.partition(":")[2].rstrip(",")) for line in lines if line.startswith("#EXTINF"))
        assert length_s == pytest.approx(LECTURE_S, abs=1 / 30)  # one frame of video; an AAC frame is shorter
        urls = {line for line in lines if not line.startswith("#")}
        assert urls
        assert urls <= {entry["url"] for entry in manifest["objects"]}


def read_playlist(key: str) -> list[str]:
    with default_storage.open(key, "rb") as file:
        lines: list[str] = file.read().decode().splitlines()
    assert lines[0] == "#EXTM3U"
    return [line for line in lines if line]


def assert_events_are_in_order(job: Job) -> None:
    kinds = event_kinds(job)
    path = ["job.request", "job.grant", "attempt.submit", "attempt.claim", "unit.lease", "unit.finish", "job.publish"]
    # A fast container may claim before the response of SubmitJob is recorded.
    positions = [kinds.index(kind) for kind in path if kind != "attempt.submit"]
    assert positions == sorted(positions)
    for once in ("job.request", "job.grant", "job.publish", "attempt.claim", "attempt.succeed"):
        assert kinds.count(once) == 1, once
    statuses = list(
        Event.objects.filter(job_id=job.pk, kind="batch.status").order_by("id").values_list("to_state", flat=True)
    )
    assert statuses[-1] == "SUCCEEDED"
    assert len(statuses) == len(set(statuses)), "ticks without a status change wrote events"
