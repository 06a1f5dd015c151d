"""On-Demand: which leads get a machine that EC2 does not take back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Attempt, Job
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.budget import budget_usage
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.state.observation import apply_observation
from tasks.services.ticks.capacity import leave_spot
from tasks.services.ticks.submit import submit_due
from tests.factories import ScriptedBatch, age, claimed, planned, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"


@pytest.fixture(autouse=True)
def _queues(settings: Settings) -> None:
    settings.VIDEO_BATCH_JOB_QUEUE = "leads"
    settings.VIDEO_BATCH_HELPER_QUEUE, settings.VIDEO_BATCH_ON_DEMAND_QUEUE = "helpers", "on-demand"


def end(attempt: Attempt, reason: Reason, **columns: object) -> None:
    end_attempt(read_attempt(lock_job(attempt.job_id), attempt.number), AttemptEvent.LOSE, reason=reason, **columns)


def next_lead(batch: ScriptedBatch) -> tuple[Attempt, str]:
    """Submit the job again, and return its new lead with the queue to which it went."""
    age(Job, "next_attempt_at", seconds=700)
    submit_due(batch=batch)
    return Attempt.objects.filter(helps=None).latest("number"), batch.submissions[-1].queue


def runnable(attempt: Attempt, *, reason: str, seconds: float) -> None:
    """Let the attempt's Batch job have waited for this reason for some seconds."""
    attempt.refresh_from_db()
    seen = Observation(batch_job_id=str(attempt.batch_job_id), status=BatchStatus.RUNNABLE, status_reason=reason)
    apply_observation(attempt, seen)
    age(Attempt, "batch_status_at", "no_capacity_since", seconds=seconds)


HOST = "Host EC2 (instance i-0123456789abcdef0) terminated."


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("reason", "columns"),
    [
        (Reason.SPOT_INTERRUPTION, {}),
        (Reason.HOST_LOST, {}),
        # Not reported by AWS yet.
        (Reason.SIGTERM, {}),
        (Reason.SIGTERM, {"batch_status": "FAILED", "batch_status_reason": HOST}),
        (Reason.HEARTBEAT_TIMEOUT, {"batch_status": "FAILED", "batch_status_reason": HOST}),
        # The bridge terminated its Batch job, which had no container any more.
        (Reason.HEARTBEAT_TIMEOUT, {"batch_status": "FAILED", "batch_status_reason": "Batchreel: no heartbeat"}),
    ],
)
def test_lead_gets_an_on_demand_machine_when_two_in_a_row_were_reclaimed(
    reason: Reason, columns: dict[str, str], batch: ScriptedBatch
) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    end(attempt, reason, **columns)
    attempt, queue = next_lead(batch)
    assert (attempt.on_demand, queue) == (False, "leads")
    end(attempt, reason, **columns)
    attempt, queue = next_lead(batch)
    assert (attempt.on_demand, queue) == (True, "on-demand")


@pytest.mark.parametrize(
    ("between", "columns"),
    [
        (Reason.EXIT_CODE, {}),
        (Reason.SIGTERM, {"batch_status": "FAILED", "batch_status_reason": "Terminated by an operator"}),
        # It hung, and its container was still there.
        (Reason.HEARTBEAT_TIMEOUT, {"counted": False, "units_done": 3}),
        (
            Reason.HEARTBEAT_TIMEOUT,
            {"batch_status": "FAILED", "batch_status_reason": "Batchreel: no heartbeat", "exit_code": 137},
        ),
    ],
)
def test_lead_stays_on_spot_when_only_one_machine_in_a_row_was_reclaimed(
    between: Reason, columns: dict[str, object], batch: ScriptedBatch
) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    end(attempt, Reason.SPOT_INTERRUPTION)
    attempt, _ = next_lead(batch)
    end(attempt, between, **columns)
    _, queue = next_lead(batch)
    assert queue == "leads"


def test_helpers_stay_on_spot_when_their_lead_is_on_demand(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    for _ in range(2):
        end(attempt, Reason.HOST_LOST)
        attempt, queue = next_lead(batch)
    assert queue == "on-demand"
    planned(claimed(attempt), video_units=180, encode_cost_s=12_960.0)
    submit_due(batch=batch)
    submit_due(batch=batch)
    assert {each.queue for each in batch.submissions[3:]} == {"helpers"}


def test_lead_gets_an_on_demand_machine_when_spot_had_no_capacity_for_ten_minutes(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    runnable(attempt, reason=CAPACITY, seconds=601)
    assert leave_spot() == 1
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", "NO_CAPACITY", False)
    assert budget_usage(attempt.job).counted == 0
    attempt, queue = next_lead(batch)
    assert queue == "on-demand"
    runnable(attempt, reason=CAPACITY, seconds=601)
    assert leave_spot() == 0, "there is nowhere else to go"


@pytest.mark.parametrize(
    ("reason", "seconds"), [(CAPACITY, 599), ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large", 601), ("", 601)]
)
def test_lead_waits_on_spot_when_capacity_is_not_what_has_been_missing(
    reason: str, seconds: float, batch: ScriptedBatch
) -> None:
    runnable(submitted_attempt(uploaded_video(), batch=batch), reason=reason, seconds=seconds)
    assert leave_spot() == 0


def test_lead_waits_on_spot_when_it_has_waited_for_something_else_until_now(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(uploaded_video(), batch=batch)
    runnable(attempt, reason="", seconds=601)
    runnable(attempt, reason=CAPACITY, seconds=599)
    assert leave_spot() == 0
    # There was capacity for a moment, though not for this lead: its wait begins again.
    runnable(attempt, reason="", seconds=1)
    runnable(attempt, reason=CAPACITY, seconds=599)
    assert leave_spot() == 0
    age(Attempt, "no_capacity_since", seconds=2)
    assert leave_spot() == 1


def test_lead_waits_on_spot_when_there_is_no_other_queue(batch: ScriptedBatch, settings: Settings) -> None:
    settings.VIDEO_BATCH_ON_DEMAND_QUEUE = ""
    runnable(submitted_attempt(uploaded_video(), batch=batch), reason=CAPACITY, seconds=86_400)
    assert leave_spot() == 0
