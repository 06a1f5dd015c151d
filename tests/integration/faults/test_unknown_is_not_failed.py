"""AWS denies, throttles or returns nothing: no state changes, one event reports it, `doctor` shows it.

Only what is certainly gone runs again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tasks.doctor.probes.ticks import check_ticks
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick, Unit
from tests.factories import age, claimed, planned, uploaded_video
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.faults.tick_rounds import run_round, run_rounds_until
from tests.polling import wait_for

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.batch_faults import Faults
    from tests.integration.faults.fake_containers import FakeContainers

REFUSALS = [("deny", "BATCH_DENIED"), ("expired", "BATCH_DENIED"), ("throttle", "BATCH_THROTTLED")]


@pytest.fixture
def site(
    fast_settings: BridgeSettings, settings: Settings, fake_container_definition: str, fake_containers: FakeContainers
) -> None:
    """Configure a site with fake containers held at the gate, so that the test claims for them."""
    assert fast_settings.job_definition != fake_container_definition
    fake_containers.gate.clear()
    settings.VIDEO_BATCH_JOB_DEFINITION = fake_container_definition


def running_attempt(*, title: str = "Lecture 1") -> Attempt:
    """Return an attempt that has been observed with a running Batch job."""
    job = Job.objects.get(video=uploaded_video(title=title))
    rows = Attempt.objects.filter(job=job, batch_status="RUNNING").select_related("job")
    return run_rounds_until(rows.first, what="a running Batch job")


def state_rows() -> list[Any]:
    """Return all state of the work except for heartbeats and ticks."""
    return [
        list(model.objects.order_by("pk").values_list("pk", "state", *columns))
        for model, columns in (
            (Job, ("next_attempt_at",)),
            (Attempt, ("missing_responses", "counted", "ended_at")),
            (Unit, ("fence",)),
        )
    ]


@pytest.mark.few(1)
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("kind", "code"), REFUSALS)
def test_state_is_unchanged_and_event_written_once_when_aws_rejects_reads(
    kind: str, code: str, faults: Faults, settings: Settings
) -> None:
    attempt = running_attempt()
    planned(claimed(attempt))
    # Longer than this test takes, so that the missing heartbeats alone do not lead to a rescue.
    settings.BATCHREEL = {**FAST_SETTINGS, "silence_threshold_s": 60}
    before = state_rows()
    fault = faults.inject(kind, operation="DescribeJobs", times=None)
    for _ in range(4):
        run_round()
    assert faults.applied(fault) >= 4
    assert state_rows() == before
    assert Event.objects.filter(kind="tick.failed", text__startswith="observe: ").count() == 1
    assert Tick.objects.get(name="observe").error_code == code
    assert any(each.fails and "DescribeJobs" in each.why for each in check_ticks())

    faults.reset()
    run_round()
    assert Event.objects.filter(kind="tick.recovered", text__startswith="observe: ").count() == 1
    assert Tick.objects.get(name="observe").error_code == ""
    assert state_rows() == before


@pytest.mark.few(2)
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("operation", ["ListJobs", "TerminateJob", "SubmitJob"])
@pytest.mark.parametrize("kind", ["deny", "throttle"])
def test_running_job_is_unaffected_when_another_operation_is_rejected(
    kind: str, operation: str, faults: Faults
) -> None:
    attempt = running_attempt()
    claimed(attempt)
    faults.inject(kind, operation=operation, times=None)
    waiting = uploaded_video(title="waits for SubmitJob")
    for _ in range(3):
        run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.job.state) == ("RUNNING", "RUNNING")
    assert Job.objects.get(video=waiting).state == "QUEUED"
    assert Attempt.objects.filter(job__video=waiting).count() <= 1


@pytest.mark.usefixtures("site")
def test_attempt_is_not_lost_when_one_response_is_empty(faults: Faults, settings: Settings) -> None:
    settings.BATCHREEL = {**FAST_SETTINGS, "missing_min_age_s": 0, "silence_threshold_s": 60}
    attempt = running_attempt()
    # The tick has run for longer than a heartbeat may be missing, so only the number of responses is left.
    age(Tick, "continuous_since", seconds=60)
    fault = faults.inject("empty", operation="DescribeJobs")
    run_rounds_until(lambda: faults.applied(fault), what="the empty response")
    run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_responses) == ("SUBMITTED", 0)


@pytest.mark.usefixtures("site")
def test_attempt_is_lost_and_its_job_retried_when_its_batch_job_vanished(
    faults: Faults, settings: Settings, fake_containers: FakeContainers
) -> None:
    settings.BATCHREEL = {**FAST_SETTINGS, "missing_min_age_s": 60}
    attempt = running_attempt()
    faults.inject("vanish", job_id=attempt.batch_job_id)
    run_round()
    run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_responses) == ("SUBMITTED", 2), "missing twice, but too young to be lost"
    age(Attempt, "created_at", seconds=61)
    lost_attempt = Attempt.objects.filter(pk=attempt.pk, state="LOST").first
    found = run_rounds_until(lost_attempt, what="the loss")
    assert (found.reason, found.counted) == (Reason.BATCH_JOB_MISSING, None)
    fake_containers.gate.set()
    job = run_rounds_until(Job.objects.filter(pk=attempt.job_id, state="SUCCEEDED").first, what="the second attempt")
    assert job.fence == 2
    wait_for(
        lambda: fake_containers.refused == [attempt.batch_job_id],
        what="the rejected claim of the vanished container",
    )


@pytest.mark.usefixtures("site")
def test_other_attempts_are_observed_when_a_response_omits_one_batch_job(faults: Faults) -> None:
    here, gone = running_attempt(title="here"), running_attempt(title="gone")
    faults.inject("partial", operation="DescribeJobs", job_name=gone.batch_job_name, times=None)
    faults.inject("host_loss", job_id=here.batch_job_id)
    ended = Attempt.objects.filter(pk=here.pk, state="FAILED").first
    assert run_rounds_until(ended, what="the failure of the other attempt").reason == Reason.HOST_LOST
    gone.refresh_from_db()
    assert gone.state == "SUBMITTED"
