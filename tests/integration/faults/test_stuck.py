"""Silent and stalled containers are detected and replaced on real Batch jobs; a database outage counts as neither."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.ticks.lease import TickLease, run_tick
from tasks.services.ticks.rescue import rescue
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video
from tests.integration.batch_responses import describe
from tests.integration.container_processes import ContainerRun, EncoderBrake
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import assert_done_once
from tests.integration.faults.tick_rounds import run_rounds_until
from tests.integration.pipeline_videos import upload
from tests.polling import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.batch_faults import Faults
    from tests.integration.faults.dedicated_postgres import DedicatedPostgres
    from tests.integration.faults.fake_containers import FakeContainers

THRESHOLD_S = 1.0

OUTAGE_THRESHOLD_S = 30.0
"""For real containers with continuous heartbeats: much longer than a busy machine delays one of them."""

RESCUE_PERIOD_S = 1.0


@pytest.fixture
def site(
    fast_settings: BridgeSettings, settings: Settings, fake_container_definition: str, fake_containers: FakeContainers
) -> None:
    """Configure a site whose first containers are held at the gate; the test claims for them and stays silent."""
    assert fast_settings.job_definition != fake_container_definition
    fake_containers.gate.clear()
    settings.VIDEO_BATCH_JOB_DEFINITION = fake_container_definition
    settings.BATCHREEL = {**FAST_SETTINGS, "silence_threshold_s": THRESHOLD_S}


def running_attempt() -> Attempt:
    job = Job.objects.get(video=uploaded_video())
    rows = Attempt.objects.filter(job=job, batch_status="RUNNING").select_related("job")
    return run_rounds_until(rows.first, what="a running Batch job")


def wait_until_lost(attempt: Attempt, settings: Settings) -> Attempt:
    """Wait until the attempt is LOST, then restore the default threshold; call it once per test."""
    rows = Attempt.objects.filter(pk=attempt.pk, state="LOST").select_related("job")
    found = run_rounds_until(rows.first, what="the loss")
    settings.BATCHREEL = FAST_SETTINGS  # so that the next container is not lost only because this machine is busy
    return found


@pytest.mark.usefixtures("site")
def test_job_is_submitted_again_when_its_container_sends_no_heartbeats(
    fake_containers: FakeContainers, batch_client: BatchClient, settings: Settings
) -> None:
    attempt = running_attempt()
    claimed(attempt)
    assert wait_until_lost(attempt, settings).reason == Reason.HEARTBEAT_TIMEOUT
    assert attempt.job.state == "QUEUED"  # the row as read before the loss
    terminated = wait_for(
        lambda: (d := describe(batch_client, attempt))["status"] == "FAILED" and d, what="the end of the Batch job"
    )
    assert terminated["statusReason"].startswith("Batchreel: ")
    fake_containers.gate.set()
    job = run_rounds_until(Job.objects.filter(pk=attempt.job_id, state="SUCCEEDED").first, what="the second attempt")
    states = (
        Event.objects.filter(job_id=job.pk, kind__startswith="job.").order_by("id").values_list("to_state", flat=True)
    )
    assert list(states) == ["QUEUED", "QUEUED", "RUNNING", "RETRY_WAIT", "QUEUED", "RUNNING", "SUCCEEDED"]
    assert job.fence == 2


@pytest.mark.usefixtures("site")
def test_recovery_continues_when_terminate_job_is_denied(
    faults: Faults, fake_containers: FakeContainers, settings: Settings
) -> None:
    attempt = running_attempt()
    claimed(attempt)
    fault = faults.inject("deny", operation="TerminateJob", times=None)
    wait_until_lost(attempt, settings)
    fake_containers.gate.set()
    job = run_rounds_until(Job.objects.filter(pk=attempt.job_id, state="SUCCEEDED").first, what="the second attempt")
    assert (job.fence, faults.applied(fault) > 0) == (2, True)
    assert Event.objects.filter(job_id=job.pk, kind="rescue.terminate_failed").exists()


@pytest.mark.usefixtures("site")
def test_stalled_attempt_is_lost_when_only_its_heartbeats_continue(settings: Settings) -> None:
    limits = {**dict.fromkeys(("claim", "plan", "encode"), 1.0), **dict.fromkeys(("fetch", "store", "publish"), 60.0)}
    settings.BATCHREEL = {**FAST_SETTINGS, "silence_threshold_s": 30, "stage_limits_s": limits}
    attempts = {stage: running_attempt() for stage in ("encode", "fetch", "publish", "store")}
    claims = {stage: claimed(attempt) for stage, attempt in attempts.items()}

    def send_all_heartbeats() -> Any:
        for stage, claim in claims.items():
            send_heartbeat(claim, stage=stage, count=7, encoded_frames=7)
        return Attempt.objects.filter(state="LOST").first()

    assert run_rounds_until(send_all_heartbeats, what="the loss of the stalled attempt").reason == Reason.STALLED
    for stage, claim in claims.items():
        expected = HeartbeatReply.FENCED if stage == "encode" else HeartbeatReply.ALIVE
        assert send_heartbeat(claim, stage=stage, count=7, encoded_frames=7) is expected, stage


@pytest.mark.long
@pytest.mark.parametrize("containers", [4, 20])
def test_containers_survive_when_the_database_is_down_beyond_the_threshold(
    *,
    containers: int,
    dedicated_postgres: DedicatedPostgres,
    program_environment: dict[str, str],
    settings: Settings,
    short_clip: Path,
    tmp_path: Path,
) -> None:
    settings.BATCHREEL = {**FAST_SETTINGS, "silence_threshold_s": OUTAGE_THRESHOLD_S}
    brake = EncoderBrake(tmp_path)
    environment = {
        **program_environment,
        **brake.environment,
        "DATABASE_URL": dedicated_postgres.url,
        "BATCHREEL": json.dumps(FAST_SETTINGS),
    }
    videos = [upload(short_clip, title=f"Lecture {number}") for number in range(containers)]
    batch = ScriptedBatch()
    attempts = [submitted_attempt(video, batch=batch) for video in videos]
    runs: list[ContainerRun] = []
    encoders: list[int] = []
    try:
        for attempt in attempts:
            names = (attempt.job_id, attempt.number)
            runs.append(ContainerRun(*names, environment=environment, batch_job_id=attempt.batch_job_id))
            encoders.append(brake.wait_for_encoder(runs[-1].pid))
        brake.release()
        rescue_tick(batch)
        age(Tick, "continuous_since", seconds=100)
        connection.close()
        dedicated_postgres.crash()
        signal_all(runs, signal.SIGSTOP)
        dedicated_postgres.start_again()
        age(Attempt, "heartbeat_at", seconds=2 * OUTAGE_THRESHOLD_S)  # simulates the duration of the outage
        age(Tick, "started_at", seconds=2 * OUTAGE_THRESHOLD_S)
        # The first tick runs before any heartbeat, while all heartbeats are older than the
        # threshold.
        rescue_tick(batch)
        assert Attempt.objects.filter(state="RUNNING").count() == containers
        signal_all(runs, signal.SIGCONT)
        for encoder in encoders:
            os.kill(encoder, signal.SIGCONT)

        def all_ended() -> bool:
            rescue_tick(batch)
            return not any(run.is_running for run in runs)

        wait_for(all_ended, limit_s=20 * containers, what="the end of all containers")
        assert [run.wait()[0] for run in runs] == [0] * containers
    finally:
        for run in runs:
            run.end()
    assert batch.terminated == []
    assert_done_once(videos)


def rescue_tick(batch: ScriptedBatch) -> None:
    def body(lease: TickLease) -> None:
        rescue(batch=batch, continuous_since=lease.continuous_since)

    run_tick("rescue", period_s=RESCUE_PERIOD_S, body=body)


def signal_all(runs: list[ContainerRun], number: signal.Signals) -> None:
    for run in runs:
        os.kill(run.pid, number)
