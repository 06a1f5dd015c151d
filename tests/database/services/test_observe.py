"""Observing: unknown is not failed, unchanged rows are not written, only own failures count."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tasks.batch.errors import BatchDeniedError
from tasks.conf import bridge_settings
from tasks.lifecycle.observation import BatchStatus
from tasks.lifecycle.reasons import Reason
from tasks.models import Attempt, Event, Job, Tick
from tasks.schedule.ticks import OBSERVE
from tasks.services.ticks.observe import observe
from tests.factories import ScriptedBatch, age, claimed, newest_attempt, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def _observe_all(batch: ScriptedBatch) -> int:
    """Run four ticks, which observe every attempt once."""
    return sum(observe(batch=batch, tick=tick).changed for tick in range(4))


def test_batch_status_is_written_once_when_it_does_not_change(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    batch.set_observation(attempt, BatchStatus.RUNNABLE, status_reason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert observe(batch=batch, tick=0).changed == 1
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert observe(batch=batch, tick=1).changed == 0
    assert not [q for q in queries if not q["sql"].startswith("SELECT")]
    attempt.refresh_from_db()
    assert (attempt.batch_status, attempt.batch_status_reason) == (
        "RUNNABLE",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    )


def test_batch_status_is_written_once_when_the_site_has_no_time_zones(batch: ScriptedBatch, settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Seoul"
    attempt = submitted_attempt()
    batch.set_observation(attempt, BatchStatus.RUNNING, started_at_ms=1_790_000_000_000)
    assert observe(batch=batch, tick=0).changed == 1
    assert observe(batch=batch, tick=1).changed == 0
    settings.USE_TZ = True
    attempt.refresh_from_db()
    assert attempt.started_at == datetime.fromtimestamp(1_790_000_000, UTC)


def test_running_attempt_is_polled_each_minute_when_its_heartbeat_is_fresh(batch: ScriptedBatch) -> None:
    claimed(submitted_attempt())
    for tick in range(8):
        observe(batch=batch, tick=tick)
    assert len(batch.described) == 2


def test_silent_attempt_is_polled_by_each_tick_when_heartbeats_stop(batch: ScriptedBatch) -> None:
    claimed(submitted_attempt())
    age(Attempt, "heartbeat_at", seconds=41)
    for tick in range(4):
        observe(batch=batch, tick=tick)
    assert len(batch.described) == 4


@pytest.mark.parametrize("limit", [1, 2])
def test_urgent_attempt_is_polled_when_the_poll_limit_is_tiny(
    limit: int, batch: ScriptedBatch, settings: Settings
) -> None:
    settings.BATCHREEL = {"describe_limit_ids": limit}
    attempt = submitted_attempt(batch=batch)
    observe(batch=batch, tick=0)
    assert batch.described == [attempt.batch_job_id]


def test_every_attempt_is_polled_in_turn_when_there_are_too_many(batch: ScriptedBatch, settings: Settings) -> None:
    settings.BATCHREEL = {"describe_limit_ids": 8}
    for number in range(59):
        uploaded_video(title=str(number))
    submitted_attempt(batch=batch)
    attempts = list(Attempt.objects.order_by("pk"))
    for attempt in attempts[:30]:
        claimed(attempt)
    silent = attempts[:2]
    Attempt.objects.filter(pk__in=[each.pk for each in silent]).update(heartbeat_at=Now() - timedelta(seconds=60))
    polls: Counter[str] = Counter()
    for tick in range(60):
        batch.described.clear()
        observe(batch=batch, tick=tick)
        assert len(batch.described) <= 8
        polls.update(batch.described)
    running, waiting = ([str(each.batch_job_id) for each in group] for group in (attempts[2:30], attempts[30:]))
    assert min(polls[each] for each in running) >= 1
    # 32 are urgent: they share six of the eight places.
    assert min(polls[str(each.batch_job_id)] for each in silent) >= 10
    assert min(polls[each] for each in waiting) >= 5


@pytest.mark.parametrize(
    ("fields", "reason", "counted"),
    [
        (
            {"status_reason": "Essential container in task exited", "exit_code": 1, "started": True},
            Reason.EXIT_CODE,
            True,
        ),
        ({"status_reason": "Host EC2 (instance i-1) terminated.", "started": True}, Reason.HOST_LOST, False),
        ({"status_reason": "Your Spot Task was interrupted.", "started": True}, Reason.SPOT_INTERRUPTION, False),
        (
            {"status_reason": "Task failed to start", "container_reason": "CannotPullContainerError: x"},
            Reason.START_FAILED,
            False,
        ),
    ],
)
def test_failed_attempt_is_retried_with_its_cause_when_batch_reports_it(
    batch: ScriptedBatch, fields: dict[str, object], reason: Reason, counted: bool
) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    batch.set_observation(attempt, BatchStatus.FAILED, **fields)
    _observe_all(batch)
    attempt.refresh_from_db()
    job = Job.objects.get(pk=attempt.job_id)
    assert (attempt.state, attempt.reason, attempt.counted) == ("FAILED", reason, counted)
    assert (job.state, job.reason) == ("RETRY_WAIT", reason)
    assert job.next_attempt_at is not None


def test_queued_job_is_retried_when_spot_reclaimed_its_host(batch: ScriptedBatch) -> None:
    # If only containers wrote states, the row would stay QUEUED forever after a Spot interruption.
    attempt = submitted_attempt()
    batch.set_observation(attempt, BatchStatus.FAILED, status_reason="Host EC2 (instance i-1) terminated.")
    observe(batch=batch, tick=0)
    assert Job.objects.get(pk=attempt.job_id).state == "RETRY_WAIT"


def test_states_do_not_change_when_aws_denies_describe_jobs(batch: ScriptedBatch) -> None:
    # If a denied DescribeJobs counted as "not found", a container would lose its live encode.
    attempt = submitted_attempt()
    claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=100)
    batch.describe_error = BatchDeniedError("AccessDenied")
    events = Event.objects.count()
    with pytest.raises(BatchDeniedError):
        observe(batch=batch, tick=0)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_responses, Event.objects.count()) == ("RUNNING", 0, events)


def test_attempt_is_lost_only_when_it_is_absent_silent_and_old(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    batch.set_observation(attempt, BatchStatus.ABSENT)
    for _ in range(3):
        _observe_all(batch)
    age(Attempt, "heartbeat_at", seconds=81)
    _observe_all(batch)
    attempt.refresh_from_db()
    assert attempt.state == "RUNNING", "the attempt is too young to be lost"
    age(Attempt, "created_at", seconds=121)
    Attempt.objects.update(heartbeat_at=Now())
    _observe_all(batch)
    attempt.refresh_from_db()
    assert attempt.state == "RUNNING", "a fresh heartbeat outweighs any number of absent responses"
    age(Attempt, "heartbeat_at", seconds=81)
    _observe_all(batch)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason, attempt.counted) == ("LOST", Reason.BATCH_JOB_MISSING, None)


def test_absent_attempt_is_not_lost_when_ticks_had_a_gap(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    batch.set_observation(attempt, BatchStatus.ABSENT)
    age(Attempt, "heartbeat_at", "created_at", seconds=600)
    Tick.objects.create(name=OBSERVE.name, continuous_since=Now())
    for _ in range(3):
        _observe_all(batch)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.missing_responses) == ("RUNNING", bridge_settings().missing_responses_limit)
    age(Tick, "continuous_since", seconds=81)
    _observe_all(batch)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason) == ("LOST", Reason.BATCH_JOB_MISSING)


def test_missing_responses_are_reset_when_the_batch_job_reappears(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    batch.set_observation(attempt, BatchStatus.ABSENT)
    observe(batch=batch, tick=0)
    batch.set_observation(attempt, BatchStatus.RUNNING)
    observe(batch=batch, tick=1)
    assert newest_attempt(attempt.job.video).missing_responses == 0


def test_succeeded_batch_job_is_retried_after_a_grace_period_when_its_job_is_active(batch: ScriptedBatch) -> None:
    # A container that exits early with code 0 must not leave its job unfinished forever.
    attempt = submitted_attempt()
    claimed(attempt)
    batch.set_observation(attempt, BatchStatus.SUCCEEDED, exit_code=0, started=True)
    _observe_all(batch)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.batch_status) == ("RUNNING", "SUCCEEDED")
    age(Attempt, "batch_status_at", seconds=61)
    observe(batch=batch, tick=attempt.pk % 4)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.reason) == ("FAILED", Reason.UNFINISHED)
