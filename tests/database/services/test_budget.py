"""The budget comes to an end though verdicts never come, and a job is nobody's to repeat while one container is at work on it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent
from tasks.models import Attempt, Job
from tasks.services.container_api.claim import Claim
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import submit_due
from tests.factories import (
    ScriptedBatch,
    age,
    claimed,
    helper_of,
    newest_attempt,
    planned,
    submitted_attempt,
    uploaded_video,
)

pytestmark = pytest.mark.django_db


def fall_silent(claim: Claim) -> None:
    end_attempt(read_attempt(lock_job(claim.job_id), claim.number), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)


def silent_five_times(batch: ScriptedBatch) -> Attempt:
    """The last of five attempts of one job whose charges are all open. The job is due."""
    video = uploaded_video()
    for _ in range(5):
        fall_silent(claimed(submitted_attempt(video, batch=batch)))
        age(Job, "next_attempt_at", seconds=601)
    return newest_attempt(video)


def test_job_is_dead_when_batch_never_says_its_final_status(batch: ScriptedBatch) -> None:
    silent_five_times(batch)
    submit_due(batch=batch)
    assert (Job.objects.get().state, len(batch.submissions)) == ("RETRY_WAIT", 5)
    age(Attempt, "ended_at", seconds=901)
    age(Job, "next_attempt_at", seconds=901)
    submit_due(batch=batch)
    assert (Job.objects.get().state, len(batch.submissions)) == ("DEAD", 5)


def test_others_are_submitted_when_a_job_waits_for_final_statuses_that_come_one_after_the_other(
    batch: ScriptedBatch,
) -> None:
    video = uploaded_video()
    for _ in range(5):
        fall_silent(claimed(submitted_attempt(video, batch=batch)))
        age(Job, "next_attempt_at", seconds=601)
        age(Attempt, "ended_at", seconds=240)
    # The first charge is settled by now, the second will be in five minutes.
    submit_due(batch=batch)
    job = Job.objects.get()
    assert (job.state, Job.objects.filter(next_attempt_at__gt=Now() + timedelta(seconds=60)).count()) == (
        "RETRY_WAIT",
        1,
    ), job.next_attempt_at


def test_job_goes_on_at_once_when_a_final_status_frees_its_last_attempt(batch: ScriptedBatch) -> None:
    last = silent_five_times(batch)
    submit_due(batch=batch)
    assert len(batch.submissions) == 5, "it waits for a verdict"
    batch.says(last, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    observe(batch=batch, tick=0)
    submit_due(batch=batch)
    assert len(batch.submissions) == 6


def test_job_goes_on_at_once_when_an_earlier_open_charge_was_settled_before(batch: ScriptedBatch) -> None:
    last = silent_five_times(batch)
    submit_due(batch=batch)
    first = Attempt.objects.get(number=1)
    batch.says(first, BatchStatus.FAILED, status_reason="Essential container in task exited", exit_code=1, started=True)
    observe(batch=batch, tick=0)
    batch.says(last, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    observe(batch=batch, tick=0)
    assert list(Attempt.objects.filter(number__in=[1, 5]).order_by("number").values_list("counted", flat=True)) == [
        True,
        False,
    ]
    submit_due(batch=batch)
    assert len(batch.submissions) == 6


def test_backoff_is_waited_out_when_a_final_status_comes_before_its_end(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(batch=batch)
    fall_silent(claimed(attempt))
    waits_until = Job.objects.get().next_attempt_at
    batch.says(attempt, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    observe(batch=batch, tick=0)
    attempt.refresh_from_db()
    assert (attempt.counted, Job.objects.get().next_attempt_at) == (False, waits_until)


def test_job_goes_on_when_a_few_final_statuses_never_come(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for number in range(1, 5):
        attempt = submitted_attempt(video, batch=batch)
        assert attempt.number == number
        fall_silent(claimed(attempt))
        age(Attempt, "ended_at", seconds=901)
        age(Job, "next_attempt_at", seconds=601)
    assert submitted_attempt(video, batch=batch).number == 5


def test_job_goes_on_without_a_retry_when_one_of_two_containers_died() -> None:
    first = claimed(submitted_attempt())
    planned(first)
    claimed(helper_of(first))
    fall_silent(first)
    job = Job.objects.get()
    assert (job.state, job.next_attempt_at) == ("RUNNING", None)
