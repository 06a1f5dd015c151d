"""The attempt limit holds without final statuses, and no job is retried while a container runs."""

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


def lose_attempt(claim: Claim) -> None:
    end_attempt(read_attempt(lock_job(claim.job_id), claim.number), AttemptEvent.LOSE, reason=Reason.HEARTBEAT_TIMEOUT)


def five_lost_attempts(batch: ScriptedBatch) -> Attempt:
    """Lose five attempts, all undecided, and return the last one. The job is due."""
    video = uploaded_video()
    for _ in range(5):
        lose_attempt(claimed(submitted_attempt(video, batch=batch)))
        age(Job, "next_attempt_at", seconds=601)
    return newest_attempt(video)


def test_job_is_dead_when_batch_never_reports_the_final_status(batch: ScriptedBatch) -> None:
    five_lost_attempts(batch)
    submit_due(batch=batch)
    assert (Job.objects.get().state, len(batch.submissions)) == ("RETRY_WAIT", 5)
    age(Attempt, "ended_at", seconds=901)
    age(Job, "next_attempt_at", seconds=901)
    submit_due(batch=batch)
    assert (Job.objects.get().state, len(batch.submissions)) == ("DEAD", 5)


def test_job_is_not_due_again_at_once_when_it_waits_for_final_statuses(
    batch: ScriptedBatch,
) -> None:
    video = uploaded_video()
    for _ in range(5):
        lose_attempt(claimed(submitted_attempt(video, batch=batch)))
        age(Job, "next_attempt_at", seconds=601)
        age(Attempt, "ended_at", seconds=240)
    # The final statuses of the first two attempts are overdue, that of the third in three minutes.
    submit_due(batch=batch)
    job = Job.objects.get()
    assert (job.state, Job.objects.filter(next_attempt_at__gt=Now() + timedelta(seconds=60)).count()) == (
        "RETRY_WAIT",
        1,
    ), job.next_attempt_at


def test_job_is_due_at_once_when_its_last_attempt_turns_out_not_to_count(batch: ScriptedBatch) -> None:
    last = five_lost_attempts(batch)
    submit_due(batch=batch)
    assert len(batch.submissions) == 5, "it waits for a final status"
    batch.set_observation(last, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    observe(batch=batch, tick=0)
    submit_due(batch=batch)
    assert len(batch.submissions) == 6


def test_job_is_due_at_once_when_an_earlier_final_status_came_first(batch: ScriptedBatch) -> None:
    last = five_lost_attempts(batch)
    submit_due(batch=batch)
    first = Attempt.objects.get(number=1)
    batch.set_observation(
        first, BatchStatus.FAILED, status_reason="Essential container in task exited", exit_code=1, started=True
    )
    observe(batch=batch, tick=0)
    batch.set_observation(last, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True)
    observe(batch=batch, tick=0)
    assert list(Attempt.objects.filter(number__in=[1, 5]).order_by("number").values_list("counted", flat=True)) == [
        True,
        False,
    ]
    submit_due(batch=batch)
    assert len(batch.submissions) == 6


def test_backoff_does_not_end_early_when_a_final_status_arrives(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt(batch=batch)
    lose_attempt(claimed(attempt))
    waits_until = Job.objects.get().next_attempt_at
    batch.set_observation(
        attempt, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True
    )
    observe(batch=batch, tick=0)
    attempt.refresh_from_db()
    assert (attempt.counted, Job.objects.get().next_attempt_at) == (False, waits_until)


def test_job_gets_another_attempt_when_a_few_final_statuses_never_come(batch: ScriptedBatch) -> None:
    video = uploaded_video()
    for number in range(1, 5):
        attempt = submitted_attempt(video, batch=batch)
        assert attempt.number == number
        lose_attempt(claimed(attempt))
        age(Attempt, "ended_at", seconds=901)
        age(Job, "next_attempt_at", seconds=601)
    assert submitted_attempt(video, batch=batch).number == 5


def test_job_keeps_running_when_one_of_its_two_containers_died() -> None:
    first = claimed(submitted_attempt())
    planned(first)
    claimed(helper_of(first))
    lose_attempt(first)
    job = Job.objects.get()
    assert (job.state, job.next_attempt_at) == ("RUNNING", None)
