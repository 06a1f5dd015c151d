"""A container whose clock is an hour wrong is neither taken for dead nor for alive by it: rows have the database's times only."""

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
from tests.integration.batch_answers import describe, log_lines
from tests.integration.container_definitions import define_containers
from tests.integration.container_processes import EncoderBrake, container_pid
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import assert_all_succeeded_once, wait_for_all_ends
from tests.integration.path_videos import upload, wait_for_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

STUCK_THRESHOLD_S = 60
"""Far more than the 0.1 s between heartbeats, however busy the machine is; far less than the clock is wrong."""

WRONG_CLOCK = Path(__file__).with_name("wrong_clock")


@pytest.fixture(params=[-3600, 3600], ids=["behind", "ahead"])
def offset_s(request: pytest.FixtureRequest) -> int:
    """By how much the container's clock is wrong."""
    offset_s: int = request.param
    return offset_s


@pytest.fixture
def site_environment(
    site_environment: dict[str, str], offset_s: int, brake: EncoderBrake, batch_client: BatchClient
) -> dict[str, str]:
    """The quick site, which takes silence for death soon; the clock of its containers is wrong."""
    wrong = {"PYTHONPATH": str(WRONG_CLOCK), "CLOCK_OFFSET_S": str(offset_s)}
    name = define_containers(batch_client, **wrong, **brake.environment)
    settings = json.dumps({**QUICK, "stuck_threshold_s": STUCK_THRESHOLD_S})
    return {**site_environment, "VIDEO_BATCH_JOB_DEFINITION": name, "BATCHREEL": settings}


@pytest.mark.usefixtures("running_site")
def test_nothing_changes_when_the_containers_clock_is_an_hour_wrong(
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
    assert_many_rescues_pass_by(attempt)
    brake.release()
    os.kill(encoder, signal.SIGCONT)

    wait_for_all_ends([video], limit_s=40)
    assert_all_succeeded_once([video], batch=batch_client)
    times = times_in_rows()
    ended_at = database_time()  # after them: whoever still writes rows does so with a later time
    assert [time for time in times if not began_at <= time <= ended_at] == []
    wrong_at = datetime.fromisoformat(
        log_lines(logs_client, describe(batch_client, attempt), last_event="BATCH_JOB_COMPLETED")[-1]["time"]
    )
    assert abs(wrong_at - timedelta(seconds=offset_s) - ended_at) < timedelta(minutes=1), "its clock was right"


def assert_many_rescues_pass_by(attempt: Attempt) -> None:
    """Rescues that may take silence for death come and go, and the container goes on, with a heartbeat of just now."""
    ticks = Tick.objects.filter(name="rescue")
    wait_for(ticks.filter(continuous_since__isnull=False).exists, what="the first rescue")
    age(Tick, "continuous_since", seconds=200)  # as in a site that has run for long
    before = ticks.get().fence
    wait_for(lambda: ticks.get().fence >= before + 3, what="three more rescues")
    attempt.refresh_from_db()
    assert attempt.state == "RUNNING", attempt.reason_message
    assert attempt.heartbeat_at is not None
    assert timedelta() <= database_time() - attempt.heartbeat_at < timedelta(seconds=STUCK_THRESHOLD_S)


def times_in_rows() -> list[datetime]:
    """Every time in every row that there is of a video and its job. What AWS said is in events as text."""
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
