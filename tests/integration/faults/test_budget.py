"""What an execution costs: five counted ones and no more; lost machines cost nothing, but not for ever."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tasks.conf import bridge_settings
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tests.factories import age, claimed, leased, planned, uploaded_video
from tests.integration.batch_answers import describe
from tests.integration.fast_settings import QUICK
from tests.integration.faults.final_state import submitted_names
from tests.integration.faults.tick_rounds import run_round, run_rounds_until

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from pytest_django import Settings

    from tests.batch_faults import Faults

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def container_command(settings: Settings, batch_client: BatchClient) -> Any:
    """Makes containers run this command: it encodes nothing, it only lives and dies."""

    def define(*command: str, **bridge: Any) -> None:
        name = f"lives-and-dies-{uuid.uuid4().hex[:8]}"
        resources: Any = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
        batch_client.register_job_definition(
            jobDefinitionName=name,
            type="container",
            parameters={"job_id": "", "attempt": ""},
            containerProperties={"image": "none", "command": list(command), "resourceRequirements": resources},
        )
        settings.VIDEO_BATCH_JOB_DEFINITION = name
        settings.BATCHREEL = {**QUICK, "backoff_first_s": 0.01, "backoff_cap_s": 0.02, **bridge}

    return define


def running_attempt(job: Job, number: int) -> Attempt:
    """Run rounds until AWS Batch says that the attempt's container runs."""
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
    parked = wait_until_dead(job)
    assert parked.reason == Reason.ATTEMPTS_EXHAUSTED
    for _ in range(3):
        run_round()
    attempts = Attempt.objects.filter(job=job)
    assert [(each.number, each.counted, each.reason, each.exit_code) for each in attempts.order_by("number")] == [
        (number, True, Reason.EXIT_CODE, 1) for number in range(1, 6)
    ]
    assert len(submitted_names(batch_client, [job.pk])) == 5


@pytest.mark.parametrize(("kind", "reason"), [("spot_reclaim", Reason.SPOT_RECLAIM), ("host_loss", Reason.HOST_LOST)])
def test_lost_machine_is_not_counted_when_batch_tells_of_it(
    kind: str, reason: Reason, container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60")
    job = Job.objects.get(video=uploaded_video())
    faults.plant(kind, job_id=running_attempt(job, 1).batch_job_id)
    attempt = ended_attempt(job, 1)
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", reason, False)
    assert running_attempt(job, 2).state == "SUBMITTED"


def test_failed_start_is_not_counted_when_the_image_cannot_be_pulled(container_command: Any, faults: Faults) -> None:
    container_command("sleep", "60")
    fault = faults.plant("image_pull", job_name="batchreel-", times=2)
    job = Job.objects.get(video=uploaded_video())
    running_attempt(job, 3)
    assert faults.applied(fault) == 2
    ended = Attempt.objects.filter(job=job, ended_at__isnull=False)
    assert {(each.reason, each.counted) for each in ended} == {(Reason.START_FAILED, False)}


def test_failed_start_is_not_counted_when_it_hangs_until_its_limit(
    container_command: Any, batch_client: BatchClient, faults: Faults
) -> None:
    container_command("sleep", "60", start_timeout_s=60)
    fault = faults.plant("start_hang", job_name="batchreel-")
    job = Job.objects.get(video=uploaded_video())
    starting = Attempt.objects.filter(job=job, number=1, state="SUBMITTED", batch_status="STARTING")
    run_rounds_until(starting.exists, what="attempt 1 in STARTING")
    age(Attempt, "batch_status_at", seconds=61)
    ended = Attempt.objects.filter(job=job, number=1, ended_at__isnull=False)

    def is_over() -> Attempt | None:
        # As in a site that has run for long. Again and again: where this process stood still, the run of ticks is a new one.
        age(Tick, "continuous_since", seconds=61)
        return ended.first()

    attempt = run_rounds_until(is_over, what="the end of attempt 1")
    assert faults.applied(fault) == 1
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.START_TIMEOUT, False)
    assert describe(batch_client, attempt)["statusReason"].startswith("Batchreel:")
    claimed(running_attempt(job, 2))
    attempt.refresh_from_db()
    assert attempt.counted is False, "Batch's verdict came later and counted it"


@pytest.mark.parametrize("kind", ["spot_reclaim", "host_loss"])
def test_lost_machine_is_not_counted_when_silence_comes_first_and_the_final_status_later(
    kind: str, container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60", stuck_threshold_s=0.5)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 1)
    claimed(attempt)
    faults.plant(kind, job_id=attempt.batch_job_id, hold_s=60)
    attempt = ended_attempt(job, 1)
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.HEARTBEAT_TIMEOUT, None)
    faults.reset()
    settled = Attempt.objects.filter(pk=attempt.pk, counted__isnull=False)
    assert run_rounds_until(settled.first, what="Batch's verdict").counted is False
    assert Event.objects.filter(job_id=job.pk, kind="attempt.counted").count() == 1


def test_hung_container_is_counted_when_silence_comes_first_and_it_had_to_be_terminated(container_command: Any) -> None:
    container_command("sleep", "60", stuck_threshold_s=0.5)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 1)
    claimed(attempt)
    assert ended_attempt(job, 1).reason == Reason.HEARTBEAT_TIMEOUT
    settled = Attempt.objects.filter(pk=attempt.pk, counted__isnull=False)
    assert run_rounds_until(settled.first, what="Batch's verdict").counted is True


def test_job_is_dead_when_twenty_machines_are_lost_in_a_row_without_a_finished_unit(
    container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60")
    faults.plant("image_pull", job_name="batchreel-", times=None)
    job = Job.objects.get(video=uploaded_video())
    parked = wait_until_dead(job)
    assert (parked.reason, parked.fence) == (Reason.TOO_MANY_HOSTS_LOST, 20)
    assert not Attempt.objects.filter(job=job, counted=True).exists()


def test_job_goes_on_after_twenty_five_losses_when_a_unit_was_finished_between_them(
    container_command: Any, faults: Faults
) -> None:
    container_command("sleep", "60")
    faults.plant("image_pull", job_name="batchreel-", times=12)
    job = Job.objects.get(video=uploaded_video())
    attempt = running_attempt(job, 13)
    planned(claimed(attempt))
    faults.plant("image_pull", job_name="batchreel-", times=12)
    faults.plant("host_loss", job_id=attempt.batch_job_id)
    running_attempt(job, 26)
    assert Attempt.objects.filter(job=job, ended_at__isnull=False).count() == 25


def test_next_attempt_has_more_memory_and_the_unit_is_named_when_one_ran_out_of_memory(
    container_command: Any, faults: Faults, batch_client: BatchClient
) -> None:
    container_command("sleep", "60")
    job = Job.objects.get(video=uploaded_video())
    first = running_attempt(job, 1)
    claim = claimed(first)
    planned(claim, video_units=1, audio=False)
    leased(claim)
    faults.plant("out_of_memory", job_id=first.batch_job_id)
    ended = ended_attempt(job, 1)
    assert (ended.reason, ended.counted, ended.units_in_progress) == (Reason.OUT_OF_MEMORY, True, ["video 0"])
    assert "video 0" in Event.objects.get(job_id=job.pk, kind="attempt.fail").text
    second = running_attempt(job, 2)
    wanted = {
        each["type"]: each["value"] for each in describe(batch_client, second)["container"]["resourceRequirements"]
    }
    assert int(wanted["MEMORY"]) == int(first.memory_mib * bridge_settings().out_of_memory_factor) > first.memory_mib
