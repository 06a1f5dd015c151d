"""Rescue: silent and stalled containers are replaced; healthy ones and our own outages are not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db.models.functions import Now
from django.db.models.signals import post_save

from tasks.batch.errors import BatchDeniedError
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.ticks.alerts import alert_stuck_runnable
from tasks.services.ticks.observe import observe
from tasks.services.ticks.reap import reap
from tasks.services.ticks.rescue import RescueSummary, rescue
from tasks.services.ticks.resume import resume_idle
from tests.factories import ScriptedBatch, age, claimed, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

_LONG_AGO_S = 100_000


def _rescue(batch: ScriptedBatch, *, watched_s: float = _LONG_AGO_S) -> RescueSummary:
    Tick.objects.update_or_create(name="rescue", defaults={"continuous_since": Now()})
    age(Tick, "continuous_since", seconds=watched_s)
    since = Tick.objects.get(name="rescue").continuous_since
    assert since
    return rescue(batch=batch, continuous_since=since)


def test_dead_container_is_replaced_when_its_heartbeat_stops(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claim = claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=181)
    assert _rescue(batch).rescued == 1
    attempt.refresh_from_db()
    job = Job.objects.get(pk=attempt.job_id)
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.HEARTBEAT_TIMEOUT, None)
    assert (job.state, batch.terminated) == ("RETRY_WAIT", [attempt.batch_job_id])
    assert send_heartbeat(claim, stage="encode", count=1, encoded_frames=1) is HeartbeatReply.FENCED


def test_all_containers_are_replaced_by_one_tick_when_a_zone_is_cut_off(
    batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"rescue_api_time_limit_s": 0}
    for number in range(50):
        uploaded_video(title=str(number))
    submitted_attempt(batch=batch)
    for attempt in Attempt.objects.all():
        claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=181)
    assert _rescue(batch).rescued == 51


@pytest.mark.parametrize("is_old", [False, True], ids=["one call", "a call for each"])
def test_rescue_continues_when_terminate_is_denied(is_old: bool, batch: ScriptedBatch) -> None:
    batch.is_old = is_old
    for _ in range(2):
        claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", seconds=181)
    batch.terminate_error = BatchDeniedError("AccessDenied")
    summary = _rescue(batch)
    assert (summary.rescued, summary.terminate_failures, len(batch.terminated)) == (2, 2, 2)


def test_healthy_container_is_not_replaced_when_it_runs_for_long(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claim = claimed(attempt)
    for count in range(1, 101):
        age(Attempt, "heartbeat_at", "progressed_at", "claimed_at", seconds=0.9 * 180)
        assert _rescue(batch).suspects == 0
        assert send_heartbeat(claim, stage="encode", count=count, encoded_frames=count) is HeartbeatReply.ALIVE
    assert batch.terminated == []


def test_stalled_container_is_replaced_when_its_heartbeat_is_fresh(batch: ScriptedBatch) -> None:
    # ffmpeg has hung at 75 % for up to a day, while the independent heartbeat continued.
    attempt = submitted_attempt()
    claim = claimed(attempt)
    send_heartbeat(claim, stage="encode", count=7, encoded_frames=7)
    age(Attempt, "progressed_at", seconds=599)
    assert _rescue(batch).rescued == 0
    age(Attempt, "progressed_at", seconds=2)
    assert _rescue(batch).rescued == 1
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.STALLED, True)


def test_slow_stage_has_its_own_limit_when_progress_stops(batch: ScriptedBatch) -> None:
    claim = claimed(submitted_attempt())
    send_heartbeat(claim, stage="publish", count=7, encoded_frames=7)
    age(Attempt, "progressed_at", seconds=899)
    assert _rescue(batch).rescued == 0


def test_containers_are_not_replaced_when_our_own_ticks_had_a_gap(batch: ScriptedBatch) -> None:
    claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", "progressed_at", seconds=3600)
    assert _rescue(batch, watched_s=179).suspects == 0
    assert _rescue(batch, watched_s=181).rescued == 1


def test_rescue_uses_the_cause_of_batch_when_it_reports_one(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=181)
    batch.set_observation(
        attempt, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.", started=True
    )
    assert _rescue(batch).rescued == 0
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", Reason.HOST_LOST, False)


def test_silent_container_is_kept_when_a_heartbeat_precedes_the_fence(batch: ScriptedBatch) -> None:
    dead, healthy = submitted_attempt(), submitted_attempt()
    claimed(dead)
    claim = claimed(healthy)
    age(Attempt, "heartbeat_at", seconds=181)
    Attempt.objects.filter(pk=dead.pk).update(heartbeat_at=Now() - timedelta(seconds=200))

    def heartbeat(*, instance: Event, **_: object) -> None:
        if instance.kind == "attempt.lose":
            send_heartbeat(claim, stage="encode", count=1, encoded_frames=1)

    post_save.connect(heartbeat, sender=Event)
    try:
        assert _rescue(batch).rescued == 1
    finally:
        post_save.disconnect(heartbeat, sender=Event)
    healthy.refresh_from_db()
    assert (healthy.state, batch.terminated) == ("RUNNING", [dead.batch_job_id])


def test_container_is_given_up_when_aws_does_not_answer_in_time(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=181)

    class _KilledDuringTerminate(ScriptedBatch):
        def terminate(self, batch_job_id: str, *, reason: str) -> None:
            super().terminate(batch_job_id, reason=reason)
            raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        _rescue(_KilledDuringTerminate())
    attempt.refresh_from_db()
    assert attempt.state == "LOST"
    Tick.objects.get_or_create(name="reap")
    assert reap(batch=batch) == 1
    assert batch.terminated == [attempt.batch_job_id]


@pytest.mark.parametrize("status", [BatchStatus.STARTING, BatchStatus.RUNNING])
def test_container_without_a_claim_is_replaced_when_its_start_hangs(status: BatchStatus, batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    batch.set_observation(attempt, status, started=status is BatchStatus.RUNNING)
    observe(batch=batch, tick=0)
    age(Attempt, "batch_status_at", seconds=899)
    assert _rescue(batch).suspects == 0
    age(Attempt, "batch_status_at", seconds=2)
    assert _rescue(batch).rescued == 1
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.START_TIMEOUT, False)
    assert (Job.objects.get().state, batch.terminated) == ("RETRY_WAIT", [attempt.batch_job_id])


def test_runnable_attempt_is_reported_once_when_it_waits_for_a_host(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    batch.set_observation(
        attempt, BatchStatus.RUNNABLE, status_reason="MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    )
    observe(batch=batch, tick=0)
    assert alert_stuck_runnable() == 0
    age(Attempt, "batch_status_at", seconds=86_400)
    assert [alert_stuck_runnable(), alert_stuck_runnable()] == [1, 0]
    event = Event.objects.get(kind="batch.stuck_runnable")
    assert (event.job_id, event.attempt_number) == (attempt.job_id, 1)
    assert "COMPUTE_ENVIRONMENT_MAX_RESOURCE" in event.text
    assert _rescue(batch).suspects == 0


def test_job_without_a_live_attempt_is_due_when_rows_were_restored() -> None:
    claimed(submitted_attempt())
    assert resume_idle() == 0
    Attempt.objects.update(state="LOST", reason=Reason.HEARTBEAT_TIMEOUT, ended_at=Now())
    assert resume_idle() == 1
    job = Job.objects.get()
    assert (job.state, job.reason) == ("RETRY_WAIT", Reason.NO_LIVE_ATTEMPT)
    assert job.next_attempt_at is not None
    assert resume_idle() == 0


def test_silent_container_is_replaced_without_a_call_when_aws_is_slow(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"rescue_api_time_limit_s": 0}
    claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", seconds=181)
    assert _rescue(batch).rescued == 1
    assert (batch.described, batch.terminated) == ([], [])
