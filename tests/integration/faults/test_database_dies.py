"""PostgreSQL crashes in mid-encode and comes back: the same attempt continues, and no DONE unit is redone."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from tasks.models import Unit
from tests.integration.batch_responses import describe
from tests.integration.container_definitions import define_containers
from tests.integration.container_processes import EncoderBrake, container_pid
from tests.integration.faults.final_state import assert_all_succeeded_once, finished_units, wait_for_all_ends
from tests.integration.pipeline_videos import upload, wait_for_attempt
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from tasks.models import Attempt
    from tests.integration.celery_nodes import RunningSite
    from tests.integration.faults.dedicated_postgres import DedicatedPostgres

UNITS = 3
"""The profile plans a unit per 60 s."""


@pytest.fixture
def site_environment(
    site_environment: dict[str, str],
    dedicated_postgres: DedicatedPostgres,
    brake: EncoderBrake,
    batch_client: BatchClient,
) -> dict[str, str]:
    """Return the environment of the fast site on the dedicated PostgreSQL, with containers that have the brake."""
    name = define_containers(batch_client, DATABASE_URL=dedicated_postgres.url, **brake.environment)
    return {**site_environment, "DATABASE_URL": dedicated_postgres.url, "VIDEO_BATCH_JOB_DEFINITION": name}


@pytest.mark.long
def test_job_succeeds_in_one_attempt_when_postgresql_crashes_in_mid_encode(
    *,
    dedicated_postgres: DedicatedPostgres,
    running_site: RunningSite,
    brake: EncoderBrake,
    three_unit_clip: Path,
    batch_client: BatchClient,
    logs_client: CloudWatchLogsClient,
) -> None:
    video = upload(three_unit_clip)
    attempt = wait_for_attempt(video, state="RUNNING")
    container = container_pid(attempt.batch_job_id)
    done = Unit.objects.filter(job=attempt.job_id, kind="video", state="DONE")
    encoder = brake.wait_for_second_encoder(container)
    brake.release()
    assert 0 < done.count() < UNITS

    connection.close()
    dedicated_postgres.crash()
    os.kill(encoder, signal.SIGCONT)
    # PostgreSQL stays down until the container has tried to finish a unit, and the worker to run a
    # tick.
    wait_for(
        lambda: events_in_log(batch_client, logs_client, attempt) & {"DATABASE_UNAVAILABLE", "BATCH_JOB_FAILED"},
        what="the end of the unit",
    )
    wait_for(lambda: "OperationalError" in running_site.worker.logs(), what="a database error in the worker's log")
    dedicated_postgres.start_again()

    wait_for_all_ends([video], limit_s=40)
    assert_all_succeeded_once([video], batch=batch_client)
    finished = finished_units([attempt.job_id])
    assert {unit for _, unit in finished} >= {f"video {index}" for index in range(UNITS)}
    assert set(finished.values()) == {1}, "a finished unit was redone"


def events_in_log(batch: BatchClient, logs: CloudWatchLogsClient, attempt: Attempt) -> set[str]:
    """Return the events that the attempt's container has logged so far."""
    stream = describe(batch, attempt)["container"]["logStreamName"]
    response = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)
    return {json.loads(line["message"])["event"] for line in response["events"]}
