"""A container clock that is an hour wrong affects no decision about it: rows contain only the database's times."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, models

from tasks.models import Attempt, Event, Job, Tick, Unit, Video
from tests.factories import age
from tests.integration.batch_responses import describe, log_lines
from tests.integration.container_definitions import define_containers
from tests.integration.container_processes import EncoderBrake, container_pid
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.pipeline_videos import upload, wait_for_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

STUCK_THRESHOLD_S = 60
"""Much longer than the 0.1 s between heartbeats, even on a busy machine; much shorter than the clock error."""

WRONG_CLOCK = Path(__file__).with_name("wrong_clock")


@pytest.fixture(params=[-3600, 3600], ids=["behind", "ahead"])
def offset_s(request: pytest.FixtureRequest) -> int:
    """Return the error of the container's clock."""
    offset_s: int = request.param
    return offset_s


@pytest.fixture
def site_environment(
    site_environment: dict[str, str], offset_s: int, brake: EncoderBrake, batch_client: BatchClient
) -> dict[str, str]:
    """Return the environment of the fast site with a low silence threshold, whose containers have a wrong clock."""
    wrong = {"PYTHONPATH": str(WRONG_CLOCK), "CLOCK_OFFSET_S": str(offset_s)}
    name = define_containers(batch_client, **wrong, **brake.environment)
    settings = json.dumps({**FAST_SETTINGS, "silence_threshold_s": STUCK_THRESHOLD_S})
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": name, "BATCHREEL": settings}


@pytest.mark.long
@pytest.mark.usefixtures("running_site")
def test_job_is_unaffected_when_its_containers_clock_is_an_hour_wrong(
    *,
    offset_s: int,
    brake: EncoderBrake,
    short_clip: Path,
    batch_client: BatchClient,
    logs_client: CloudWatchLogsClient,
) -> None:
    began_at = database_time()
    video = upload(short_clip)
    attempt = wait_for_attempt(video, state="RUNNING")
    encoder = brake.wait_for_encoder(container_pid(attempt.batch_job_id))
    assert_survives_rescues(attempt)
    brake.release()
    os.kill(encoder, signal.SIGCONT)

    wait_for_all_ends([video], limit_s=40)
    assert_all_succeeded_once([video], batch=batch_client)
    times = times_in_rows()
    ended_at = database_time()  # read after the rows, so that no row can have a later time
    assert [time for time in times if not began_at <= time <= ended_at] == []
    container_time = datetime.fromisoformat(
        log_lines(logs_client, describe(batch_client, attempt), last_event="BATCH_JOB_COMPLETED")[-1]["time"]
    )
    assert abs(container_time - timedelta(seconds=offset_s) - ended_at) < timedelta(minutes=1), (
        "the container's clock was not wrong"
    )


def assert_survives_rescues(attempt: Attempt) -> None:
    """Assert that the container survives several rescue ticks and has a fresh heartbeat."""
    ticks = Tick.objects.filter(name="rescue")
    wait_for(ticks.filter(continuous_since__isnull=False).exists, what="the first rescue")
    age(Tick, "continuous_since", seconds=200)  # as in a site whose ticks have run for a long time
    before = ticks.get().fence
    wait_for(lambda: ticks.get().fence >= before + 3, what="three more rescues")
    attempt.refresh_from_db()
    assert attempt.state == "RUNNING", attempt.reason_message
    assert attempt.heartbeat_at is not None
    assert timedelta() <= database_time() - attempt.heartbeat_at < timedelta(seconds=STUCK_THRESHOLD_S)


def times_in_rows() -> list[datetime]:
    """Return every time in the rows of videos and jobs. Times from AWS are only in the text of events."""
    found: list[Any] = []
    for model in (Video, Job, Attempt, Unit, Event):
        columns = [field.attname for field in model._meta.concrete_fields if isinstance(field, models.DateTimeField)]
        for row in model.objects.values_list(*columns):
            found += [time for time in row if time is not None]
    assert len(found) > 10
    return found


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now
