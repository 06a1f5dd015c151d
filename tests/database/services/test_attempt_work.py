"""What an attempt got done decides whether it counts, and how much time the next one gets."""

from __future__ import annotations

import pytest

from tasks.lifecycle.reasons import Reason
from tasks.lifecycle.states import AttemptEvent, UnitKind
from tasks.models import Attempt, Job
from tasks.services.container_api.claim import Claim
from tasks.services.container_api.finish import PlannedUnit, fail_attempt, finish_plan, finish_unit
from tasks.services.state.attempt_end import end_attempt
from tasks.services.state.locking import lock_job, read_attempt
from tasks.services.ticks.submit import submit_due
from tests.factories import ScriptedBatch, age, claimed, leased, planned, submitted_attempt, uploaded_video

pytestmark = pytest.mark.django_db

CODE = 1


def end(claim: Claim, reason: Reason) -> None:
    attempt = read_attempt(lock_job(claim.job_id), claim.number)
    end_attempt(attempt, AttemptEvent.LOSE if reason.counts.value is None else AttemptEvent.FAIL, reason=reason)


@pytest.mark.parametrize(
    "reason", [Reason.TIMED_OUT, Reason.EXIT_CODE, Reason.STALLED, Reason.TRANSCODE_FAILED, Reason.HEARTBEAT_TIMEOUT]
)
def test_attempt_is_not_counted_when_it_finished_a_unit(reason: Reason) -> None:
    claim = claimed(submitted_attempt(uploaded_video()))
    planned(claim)
    finish_unit(claim, leased(claim), output={})
    leased(claim)
    end(claim, reason)
    attempt = Attempt.objects.get()
    assert (attempt.counted, attempt.reason) == (False, reason)


def test_attempt_is_counted_when_it_finished_only_the_plan() -> None:
    claim = claimed(submitted_attempt(uploaded_video()))
    planned(claim)
    leased(claim)
    end(claim, Reason.TIMED_OUT)
    assert Attempt.objects.get().counted is True


def test_job_is_dead_when_five_attempts_got_nothing_done(batch: ScriptedBatch) -> None:
    """The attempts that finished units come on top of the limit, and end because the number of units is finite."""
    video = uploaded_video()
    units = 3
    for number in range(5 + units):
        claim = claimed(submitted_attempt(video, batch=batch))
        if number == 0:
            planned(claim, video_units=units + 1, audio=False)
        if number < units:
            finish_unit(claim, leased(claim), output={})
        fail_attempt(claim, reason=Reason.TRANSCODE_FAILED, text="ENCODER_FAILED: no", exit_code=CODE)
        age(Job, "next_attempt_at", seconds=3600)
    submit_due(batch=batch)
    assert (Job.objects.get().state, len(batch.submissions)) == ("DEAD", 5 + units)
    assert Attempt.objects.filter(counted=True).count() == 5


def plan_of(claim: Claim, *, encode_cost_s: float) -> None:
    """Finish a plan of ten equal units with this cost."""
    units = [
        PlannedUnit(kind=UnitKind.VIDEO, index=i, first_frame=i * 60, end_frame=i * 60 + 60, weight_frames=60)
        for i in range(10)
    ]
    finish_plan(claim, leased(claim), plan={}, units=units, plays_directly=False, encode_cost_s=encode_cost_s)


@pytest.mark.parametrize(
    ("encode_cost_s", "done", "timeout_s"),
    [
        # 3,600 s to start, 18,000 s that a container may wait for a disk and the database, and 3 x the
        # CPU seconds of the remaining tenths on 2 vCPUs.
        (20_000, 0, 21_600 + 30_000),
        (20_000, 9, 21_600 + 3_000),
        (20_000, 10, 21_600),
        (2_000_000, 0, 86_400),
    ],
)
def test_time_limit_follows_the_work_that_is_left_when_there_is_a_plan(
    encode_cost_s: float, done: int, timeout_s: int, batch: ScriptedBatch
) -> None:
    video = uploaded_video()
    claim = claimed(submitted_attempt(video, batch=batch))
    assert batch.submissions[0].timeout_s == 86_400
    plan_of(claim, encode_cost_s=encode_cost_s)
    for _ in range(done):
        finish_unit(claim, leased(claim), output={})
    end(claim, Reason.SPOT_INTERRUPTION)
    age(Job, "next_attempt_at", seconds=3600)
    submit_due(batch=batch)
    assert batch.submissions[1].timeout_s == timeout_s
    assert Attempt.objects.get(number=2).timeout_s == timeout_s
