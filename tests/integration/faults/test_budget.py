"""The attempt limit: five counted attempts and no more; lost hosts do not count, up to a separate limit."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tasks.conf import bridge_settings
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tasks.services.container_api.finish import finish_unit
from tests.factories import age, claimed, leased, planned, uploaded_video
from tests.integration.batch_responses import describe
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.final_state import submitted_names
from tests.integration.faults.tick_rounds import run_round, run_rounds_until

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

    from tests.batch_faults import Faults

pytestmark = pytest.mark.usefixtures("fast_settings")


@pytest.fixture
def container_command(settings: Settings, batch_client: BatchClient) -> Any:
    """Return a callable that makes containers run a command instead of the real program."""

    def define(*command: str, **bridge: Any) -> None:
        name = f"command-{uuid.uuid4().hex[:8]}"
        resources: Any = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
        batch_client.register_job_definition(
            jobDefinitionName=name,
            type="container",
            parameters={"job_id": "", "attempt": ""},
            containerProperties={"image": "none", "command": list(command), "resourceRequirements": resources},
        )
        settings.VIDEO_BATCH_JOB_DEFINITION = name
        settings.BATCHREEL = {**FAST_SETTINGS, "backoff_first_s": 0.01, "backoff_cap_s": 0.02, **bridge}

    return define


def running_attempt(job: Job, number: int) -> Attempt:
    """Run rounds until AWS Batch reports the attempt's job as RUNNING."""
    rows = Attempt.objects.filter(job=job, number=number, batch_status="RUNNING").select_related("job")
    return run_rounds_until(rows.first, what=f"attempt {number} in RUNNING")


def ended_attempt(job: Job, number: int) -> Attempt:
    rows = Attempt.objects.filter(job=job, number=number, ended_at__isnull=False)
    return run_rounds_until(rows.first, what=f"the end of attempt {number}")


def wait_until_dead(job: Job) -> Job:
    return run_rounds_until(Job.objects.filter(pk=job.pk, state="DEAD").first, limit_s=60, what="the job in DEAD")


def test_job_is_dead_after_exactly_five_attempts_when_each_is_counted(
    container_command: Any, batch_client: BatchClient
) -> None:
    container_command("false")
    job = Job.objects.get(video=uploaded_video())
    dead_job = wait_until_dead(job)
    assert dead_job.reason == Reason.ATTEMPTS_EXHAUSTED
    for _ in range(3):
        run_round()
    attempts = Attempt.objects.filter(job=job)
    assert [(each.number, each.counted, each.reason, each.exit_code) for each in attempts.order_by("number")] == [
        (number, True, Reason.EXIT_CODE, 1) for number in range(1, 6)
    ]
    assert len(submitted_names(batch_client, [job.pk])) == 5


@pytest.mark.parametrize(
    ("kind", "reason"), [("spot_reclaim", Reason.SPOT_INTERRUPTION), ("host_loss", Reason.HOST_LOST)]
)
def test_host_loss_is_not_counted_when_batch_reports_it(
    kind: str, reason: Reason, container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60")
    job = Job.objects.get(video=uploaded_video())
    faults.inject(kind, job_id=running_attempt(job, 1).batch_job_id)
    attempt = ended_attempt(job, 1)
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", reason, False)
    assert running_attempt(job, 2).state == "SUBMITTED"


def test_failed_start_is_not_counted_when_the_image_cannot_be_pulled(container_command: Any, faults: Faults) -> None:
    container_command("sleep", "60")
    fault = faults.inject("image_pull", job_name="batchreel-", times=2)
    job = Job.objects.get(video=uploaded_video())
    running_attempt(job, 3)
    assert faults.applied(fault) == 2
    ended = Attempt.objects.filter(job=job, ended_at__isnull=False)
    assert {(each.reason, each.counted) for each in ended} == {(Reason.START_FAILED, False)}


def test_failed_start_is_not_counted_when_it_times_out(
    container_command: Any, batch_client: BatchClient, faults: Faults
) -> None:
    container_command("sleep", "60", start_timeout_s=60)
    fault = faults.inject("start_hang", job_name="batchreel-")
    job = Job.objects.get(video=uploaded_video())
    starting = Attempt.objects.filter(job=job, number=1, state="SUBMITTED", batch_status="STARTING")
    run_rounds_until(starting.exists, what="attempt 1 in STARTING")
    age(Attempt, "batch_status_at", seconds=61)
    ended = Attempt.objects.filter(job=job, number=1, ended_at__isnull=False)

    def poll_end() -> Attempt | None:
        # As in a site whose ticks have run for a long time. Repeated, because a stall of this
        # process restarts that continuous run of ticks.
        age(Tick, "continuous_since", seconds=61)
        return ended.first()

    attempt = run_rounds_until(poll_end, what="the end of attempt 1")
    assert faults.applied(fault) == 1
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.START_TIMEOUT, False)
    assert describe(batch_client, attempt)["statusReason"].startswith("Batchreel:")
    claimed(running_attempt(job, 2))
    attempt.refresh_from_db()
    assert attempt.counted is False, "Batch's later final status counted the attempt"


@pytest.mark.parametrize("kind", ["spot_reclaim", "host_loss"])
def test_host_loss_is_not_counted_when_the_heartbeat_timeout_comes_first(
    kind: str, container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60", silence_threshold_s=0.5)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 1)
    claimed(attempt)
    faults.inject(kind, job_id=attempt.batch_job_id, hold_s=60)
    attempt = ended_attempt(job, 1)
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.HEARTBEAT_TIMEOUT, None)
    faults.reset()
    settled = Attempt.objects.filter(pk=attempt.pk, counted__isnull=False)
    assert run_rounds_until(settled.first, what="Batch's final status").counted is False
    assert Event.objects.filter(job_id=job.pk, kind="attempt.counted").count() == 1


def test_hung_container_is_counted_when_a_heartbeat_timeout_terminates_it(container_command: Any) -> None:
    container_command("sleep", "60", silence_threshold_s=0.5)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 1)
    claimed(attempt)
    assert ended_attempt(job, 1).reason == Reason.HEARTBEAT_TIMEOUT
    settled = Attempt.objects.filter(pk=attempt.pk, counted__isnull=False)
    assert run_rounds_until(settled.first, what="Batch's final status").counted is True


def test_job_is_dead_when_twenty_hosts_are_lost_without_a_finished_unit(container_command: Any, faults: Faults) -> None:
    container_command("sleep", "60")
    faults.inject("image_pull", job_name="batchreel-", times=None)
    job = Job.objects.get(video=uploaded_video())
    dead_job = wait_until_dead(job)
    assert (dead_job.reason, dead_job.fence) == (Reason.TOO_MANY_LOSSES, 20)
    assert not Attempt.objects.filter(job=job, counted=True).exists()


@pytest.mark.long
def test_job_survives_25_host_losses_when_a_unit_was_finished_in_between(
    container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60")
    faults.inject("image_pull", job_name="batchreel-", times=12)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 13)
    claim = claimed(attempt)
    planned(claim)
    finish_unit(claim, leased(claim), output={"media": {}})
    faults.inject("image_pull", job_name="batchreel-", times=12)
    faults.inject("host_loss", job_id=attempt.batch_job_id)
    running_attempt(job, 26)
    assert Attempt.objects.filter(job=job, ended_at__isnull=False).count() == 25


def test_next_attempt_gets_more_memory_when_one_ran_out_of_memory(
    container_command: Any, faults: Faults, batch_client: BatchClient
) -> None:
    container_command("sleep", "60")
    job = Job.objects.get(video=uploaded_video())
    first = running_attempt(job, 1)
    claim = claimed(first)
    planned(claim, video_units=1, audio=False)
    leased(claim)
    faults.inject("out_of_memory", job_id=first.batch_job_id)
    ended = ended_attempt(job, 1)
    assert (ended.reason, ended.counted, ended.units_in_progress) == (Reason.OUT_OF_MEMORY, True, ["video 0"])
    assert "video 0" in Event.objects.get(job_id=job.pk, kind="attempt.fail").text
    second = running_attempt(job, 2)
    wanted = {
        each["type"]: each["value"] for each in describe(batch_client, second)["container"]["resourceRequirements"]
    }
    assert int(wanted["MEMORY"]) == int(first.memory_mib * bridge_settings().out_of_memory_factor) > first.memory_mib
