"""AWS says no, later, or nothing: no state changes, it is told once, and `doctor` shows it. Only what is surely gone runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tasks.doctor.probes.ticks import check_ticks
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick, Unit
from tests.factories import age, claimed, planned, uploaded_video
from tests.integration.fast_settings import QUICK
from tests.integration.faults.tick_rounds import run_round, run_rounds_until
from tests.polling import wait_for

if TYPE_CHECKING:
    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.batch_faults import Faults
    from tests.integration.faults.fake_containers import FakeContainers

TROUBLES = [("deny", "BATCH_DENIED"), ("expired", "BATCH_DENIED"), ("throttle", "BATCH_THROTTLED")]


@pytest.fixture
def site(quick: BridgeSettings, settings: Settings, stand_in_definition: str, hall: FakeContainers) -> None:
    """A site whose containers are stand-ins that wait at the door, so that the test claims for them."""
    assert quick.job_definition != stand_in_definition
    hall.doors.clear()
    settings.VIDEO_BATCH_JOB_DEFINITION = stand_in_definition


def running_attempt(*, title: str = "Lecture 1") -> Attempt:
    """An attempt whose Batch job runs; AWS was asked about it once."""
    job = Job.objects.get(video=uploaded_video(title=title))
    rows = Attempt.objects.filter(job=job, batch_status="RUNNING").select_related("job")
    return run_rounds_until(rows.first, what="a running Batch job")


def state_rows() -> list[Any]:
    """All that says where the work stands; heartbeats and ticks aside."""
    return [
        list(model.objects.order_by("pk").values_list("pk", "state", *columns))
        for model, columns in (
            (Job, ("next_attempt_at",)),
            (Attempt, ("missing_answers", "counted", "ended_at")),
            (Unit, ("fence",)),
        )
    ]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("kind", "code"), TROUBLES)
def test_no_state_changes_and_it_is_told_once_when_aws_refuses_to_answer(
    kind: str, code: str, faults: Faults, settings: Settings
) -> None:
    attempt = running_attempt()
    planned(claimed(attempt))
    # Silence enough to be asked about at once, and to be rescued: but not without having asked.
    settings.BATCHREEL = {**QUICK, "stuck_threshold_s": 60}
    before = state_rows()
    fault = faults.plant(kind, operation="DescribeJobs", times=None)
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


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("operation", ["ListJobs", "TerminateJob", "SubmitJob"])
@pytest.mark.parametrize("kind", ["deny", "throttle"])
def test_running_work_is_untouched_when_another_verb_is_refused(kind: str, operation: str, faults: Faults) -> None:
    attempt = running_attempt()
    claimed(attempt)
    faults.plant(kind, operation=operation, times=None)
    waiting = uploaded_video(title="waits for SubmitJob")
    for _ in range(3):
        run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.job.state) == ("RUNNING", "RUNNING")
    assert Job.objects.get(video=waiting).state == "QUEUED"
    assert Attempt.objects.filter(job__video=waiting).count() <= 1


@pytest.mark.usefixtures("site")
def test_nothing_is_lost_when_one_answer_is_empty(faults: Faults, settings: Settings) -> None:
    settings.BATCHREEL = {**QUICK, "missing_min_age_s": 0, "stuck_threshold_s": 60}
    attempt = running_attempt()
    fault = faults.plant("empty", operation="DescribeJobs")
    run_rounds_until(lambda: faults.applied(fault), what="the empty answer")
    run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_answers) == ("SUBMITTED", 0)


@pytest.mark.usefixtures("site")
def test_attempt_is_lost_and_its_job_runs_again_when_its_batch_job_vanished(
    faults: Faults, settings: Settings, hall: FakeContainers
) -> None:
    settings.BATCHREEL = {**QUICK, "missing_min_age_s": 60}
    attempt = running_attempt()
    faults.plant("vanish", job_id=attempt.batch_job_id)
    run_round()
    run_round()
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_answers) == ("SUBMITTED", 2), "absent twice, but too young"
    age(Attempt, "created_at", seconds=61)
    lost = Attempt.objects.filter(pk=attempt.pk, state="LOST").first
    found = run_rounds_until(lost, what="the loss")
    assert (found.reason, found.counted) == (Reason.BATCH_JOB_MISSING, None)
    hall.doors.set()
    job = run_rounds_until(Job.objects.filter(pk=attempt.job_id, state="SUCCEEDED").first, what="the second attempt")
    assert job.fence == 2
    wait_for(lambda: hall.refused == [attempt.batch_job_id], what="the refusal of the vanished one, which wakes late")


@pytest.mark.usefixtures("site")
def test_others_are_observed_when_one_batch_job_is_missing_in_the_answer(faults: Faults) -> None:
    here, gone = running_attempt(title="here"), running_attempt(title="gone")
    faults.plant("partial", operation="DescribeJobs", job_name=gone.batch_job_name, times=None)
    faults.plant("host_loss", job_id=here.batch_job_id)
    ended = Attempt.objects.filter(pk=here.pk, state="FAILED").first
    assert run_rounds_until(ended, what="the loss of the other one").reason == Reason.HOST_LOST
    gone.refresh_from_db()
    assert gone.state == "SUBMITTED"
