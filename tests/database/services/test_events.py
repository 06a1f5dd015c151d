"""Events: observations that may be late, repeated or lost, and what they change about polling."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from tasks.batch.events import SpotWarningEvent, parse_event
from tasks.lifecycle.observation import BatchStatus
from tasks.models import Attempt, Event, Job, Listener
from tasks.services.container_api.heartbeat import HeartbeatReply, send_heartbeat
from tasks.services.events import apply_event
from tasks.services.state.push import is_push_healthy, record_read, record_read_error
from tasks.services.ticks.observe import observe
from tasks.services.ticks.submit import record_batch_job
from tests.batch_events import job_event, spot_event
from tests.db_snapshot import snapshot
from tests.factories import ScriptedBatch, age, claimed, helper_of, submitted_attempt, uploaded_video

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

BLOCKED = "Batch Job Queue Blocked"
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"
ENDED = {"statusReason": "Essential container in task exited", "startedAt": 1}


def receive(body: str) -> bool | None:
    event = parse_event(body)
    assert event is not None
    return apply_event(event)


def known(attempt: Attempt) -> Attempt:
    attempt.refresh_from_db()
    return attempt


@pytest.fixture
def push(settings: Settings) -> None:
    """Let a listener have read the queue just now, and received an event."""
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = "https://sqs.example/1/events"
    record_read(announced=True, oldest_s=0.5)


# Order, repetition, and to which attempt an event belongs.


def test_status_is_written_when_an_event_reports_it() -> None:
    attempt = submitted_attempt()
    assert receive(job_event(attempt, "STARTING"))
    assert known(attempt).batch_status == "STARTING"
    assert Event.objects.filter(kind="batch.status", to_state="STARTING").count() == 1


def test_late_event_changes_nothing_when_the_batch_job_has_ended() -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    assert receive(job_event(attempt, "SUCCEEDED", container={"exitCode": 0}, **ENDED))
    before = snapshot()
    for status in ("RUNNABLE", "STARTING", "RUNNING", "FAILED"):
        assert not receive(job_event(attempt, status))
    assert snapshot() == before


def test_late_response_changes_nothing_when_an_event_was_faster(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    age(Attempt, "heartbeat_at", seconds=60)
    receive(job_event(attempt, "SUCCEEDED", container={"exitCode": 0}, **ENDED))
    before = snapshot()
    batch.set_observation(attempt, BatchStatus.RUNNING, started=True)
    assert observe(batch=batch, tick=0).asked == 1
    assert snapshot() == before


def test_late_event_changes_nothing_when_another_process_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = submitted_attempt()
    late = Attempt.objects.get(pk=attempt.pk)
    receive(job_event(attempt, "RUNNING"))
    event = parse_event(job_event(attempt, "STARTING"))
    # The listener read the row before the other process wrote it.
    monkeypatch.setattr("tasks.services.events._attempt_of", lambda _: late)
    assert event is not None
    assert not apply_event(event)
    assert known(attempt).batch_status == "RUNNING"


def test_failed_attempt_is_retried_at_once_when_an_event_reports_it() -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    assert receive(job_event(attempt, "FAILED", statusReason="Host EC2 (instance i-1) terminated.", startedAt=1))
    assert (known(attempt).state, attempt.reason, attempt.counted) == ("FAILED", "HOST_LOST", False)
    assert Job.objects.get(pk=attempt.job_id).state == "RETRY_WAIT"


def test_repeated_event_changes_nothing_when_it_was_applied() -> None:
    attempt = submitted_attempt()
    bodies = [
        job_event(attempt, "RUNNING", container={"logStreamName": "a"}),
        job_event(attempt, "FAILED", **ENDED, container={"exitCode": 1}),
    ]
    for body in bodies:
        assert receive(body)
        before = snapshot()
        assert receive(body) is False
        assert snapshot() == before


def test_event_is_matched_by_name_when_the_id_is_not_recorded_yet() -> None:
    attempt = submitted_attempt()
    body = job_event(attempt, "STARTING")
    batch_job_id = attempt.batch_job_id
    Attempt.objects.update(batch_job_id=None, state="SUBMITTING", submit_called_at=Now())
    assert receive(body)
    assert (known(attempt).batch_job_id, attempt.state, attempt.batch_status) == (batch_job_id, "SUBMITTED", "STARTING")
    # The response of SubmitJob comes later, with the same id.
    assert record_batch_job(attempt, str(batch_job_id))


def test_second_batch_job_is_not_adopted_when_an_event_names_the_attempt() -> None:
    attempt = submitted_attempt()
    before = snapshot()
    assert receive(job_event(attempt, "RUNNING", jobId="another-batch-job")) is None
    assert snapshot() == before


def test_no_row_is_created_when_an_event_concerns_another_site() -> None:
    attempt = submitted_attempt()
    before = snapshot()
    assert receive(job_event(attempt, "RUNNING", jobId="theirs", jobName="theirs-1")) is None
    assert not receive(spot_event("i-theirs"))
    assert snapshot() == before


def test_event_of_a_purged_video_is_ignored_when_it_is_late() -> None:
    attempt = submitted_attempt()
    body = job_event(attempt, "FAILED", **ENDED)
    Attempt.objects.all().delete()
    Job.objects.all().delete()
    assert receive(body) is None


def test_missing_responses_still_count_when_a_late_event_arrives(batch: ScriptedBatch) -> None:
    # An event proves that the Batch job existed once, a response that it exists now.
    attempt = submitted_attempt()
    Attempt.objects.update(missing_responses=3)
    receive(job_event(attempt, "RUNNING"))
    assert known(attempt).missing_responses == 3
    batch.set_observation(attempt, BatchStatus.RUNNING, started=True)
    observe(batch=batch, tick=0)
    assert known(attempt).missing_responses == 0


def test_times_and_machine_are_stored_when_an_event_reports_them() -> None:
    attempt = submitted_attempt()
    claimed(attempt)
    machine = "arn:aws:ecs:us-east-1:123456789012:container-instance/batchreel_Batch_1/0a1b2c"
    receive(job_event(attempt, "RUNNING", startedAt=1_795_000_000_000, container={"containerInstanceArn": machine}))
    assert known(attempt).machine_arn == machine
    end = {"statusReason": "Host EC2 (instance i-1) terminated.", "stoppedAt": 1_795_000_060_000}
    receive(job_event(attempt, "FAILED", **end))
    assert (known(attempt).state, attempt.machine_arn) == ("FAILED", machine)
    assert attempt.started_at == datetime.fromtimestamp(1_795_000_000, UTC)
    assert attempt.stopped_at == datetime.fromtimestamp(1_795_000_060, UTC)


# A blocked queue.


def test_reason_is_stored_at_once_when_the_queue_is_blocked() -> None:
    attempt = submitted_attempt()
    receive(job_event(attempt, "RUNNABLE"))
    assert receive(job_event(attempt, "RUNNABLE", kind=BLOCKED, statusReason=CAPACITY))
    assert known(attempt).batch_status_reason == CAPACITY


def test_blocking_reason_is_kept_when_an_earlier_event_is_late(batch: ScriptedBatch) -> None:
    attempt = submitted_attempt()
    receive(job_event(attempt, "RUNNABLE", kind=BLOCKED, statusReason=CAPACITY))
    assert not receive(job_event(attempt, "RUNNABLE"))
    assert known(attempt).batch_status_reason == CAPACITY
    # DescribeJobs is up to date: the queue is no longer blocked.
    batch.set_observation(attempt, BatchStatus.RUNNABLE)
    observe(batch=batch, tick=0)
    assert known(attempt).batch_status_reason == ""


# A Spot interruption.


def test_containers_of_the_machine_leave_when_ec2_takes_it_back() -> None:
    claim = claimed(submitted_attempt())
    other = claimed(helper_of(claim))
    Attempt.objects.filter(pk=claim.attempt_id).update(ec2_instance_id="i-going")
    Attempt.objects.filter(pk=other.attempt_id).update(ec2_instance_id="i-staying")
    assert receive(spot_event("i-going"))
    assert not receive(spot_event("i-going"))
    assert send_heartbeat(claim, stage="encode", count=1, encoded_frames=1) is HeartbeatReply.LEAVING
    assert send_heartbeat(other, stage="encode", count=1, encoded_frames=1) is HeartbeatReply.ALIVE
    assert Event.objects.filter(kind="attempt.leaving").count() == 1
    attempt = Attempt.objects.get(pk=claim.attempt_id)
    assert (attempt.stage, attempt.count, attempt.state) == ("encode", 1, "RUNNING")


def test_container_leaves_with_its_first_heartbeat_when_its_machine_was_taken_back_before_its_claim() -> None:
    attempt = submitted_attempt()
    Attempt.objects.update(batch_status="STARTING", ec2_instance_id="i-going")
    assert receive(spot_event("i-going"))
    claim = claimed(attempt)
    assert send_heartbeat(claim, stage="fetch", count=1, encoded_frames=0) is HeartbeatReply.LEAVING


def test_unknown_machine_is_ignored_when_containers_do_not_know_theirs() -> None:
    claimed(submitted_attempt())
    assert not apply_event(SpotWarningEvent(instance_id="i-1"))


# Polling slows down only while events arrive.


def polls(batch: ScriptedBatch, *, ticks: int = 20) -> int:
    """Return how often an attempt with a fresh heartbeat is polled in five minutes."""
    batch.described.clear()
    for tick in range(ticks):
        observe(batch=batch, tick=tick)
    return len(batch.described)


def running() -> Attempt:
    claim = claimed(submitted_attempt())
    return Attempt.objects.get(pk=claim.attempt_id)


def test_running_attempt_is_audited_every_five_minutes_when_events_arrive(batch: ScriptedBatch, push: None) -> None:
    running()
    assert polls(batch) == 1


def silent_listener() -> None:
    age_listener("seen_at", seconds=61)


def late_event() -> None:
    record_read(announced=True, oldest_s=61)


def unreadable_queue() -> None:
    record_read_error(code="BATCH_DENIED", message="not allowed")


def events_end_before_the_queue() -> None:
    # A container started two minutes ago, and the last event is of an hour ago.
    age_listener("event_at", seconds=3600)
    age(Attempt, "claimed_at", seconds=120)


def no_event_ever() -> None:
    Listener.objects.update(event_at=None)
    age(Attempt, "claimed_at", seconds=120)


def no_listener_ever() -> None:
    Listener.objects.all().delete()


def age_listener(column: str, *, seconds: float) -> None:
    Listener.objects.update(**{column: F(column) - timedelta(seconds=seconds)})


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "fault",
    [silent_listener, late_event, unreadable_queue, events_end_before_the_queue, no_event_ever, no_listener_ever],
)
def test_polling_is_back_at_once_when_events_no_longer_arrive(batch: ScriptedBatch, push: None, fault: Any) -> None:
    running()
    assert polls(batch) == 1
    fault()
    assert polls(batch) == 5


def test_polling_slows_again_when_a_listener_has_recovered(batch: ScriptedBatch, push: None) -> None:
    running()
    unreadable_queue()
    assert not is_push_healthy()
    record_read(announced=False, oldest_s=0)
    assert is_push_healthy()
    late_event()
    record_read(announced=False, oldest_s=0)
    assert not is_push_healthy(), "another listener may still be behind"
    age_listener("late_at", seconds=61)
    assert is_push_healthy()


def test_nothing_changes_when_no_queue_is_set(batch: ScriptedBatch, push: None, settings: Settings) -> None:
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = ""
    running()
    assert polls(batch) == 5


def test_silent_attempt_is_still_polled_by_each_tick_when_events_arrive(batch: ScriptedBatch, push: None) -> None:
    running()
    age(Attempt, "heartbeat_at", seconds=41)
    assert polls(batch, ticks=4) == 4


def test_unfinished_attempt_ends_after_its_grace_period_when_events_arrive(batch: ScriptedBatch, push: None) -> None:
    attempt = running()
    receive(job_event(attempt, "SUCCEEDED", container={"exitCode": 0}, **ENDED))
    assert known(attempt).state == "RUNNING"
    batch.set_observation(attempt, BatchStatus.SUCCEEDED, exit_code=0, started=True)
    age(Attempt, "batch_status_at", seconds=61)
    observe(batch=batch, tick=attempt.pk + 1)  # not its turn in the audit
    assert (known(attempt).state, attempt.reason) == ("FAILED", "UNFINISHED")


@pytest.mark.django_db(transaction=True)
def test_event_is_applied_once_when_several_listeners_receive_it() -> None:
    video = uploaded_video()
    attempt = submitted_attempt(video)
    bodies = [job_event(attempt, status) for status in ("RUNNABLE", "STARTING", "RUNNING", "STARTING")] * 2
    start = threading.Barrier(len(bodies))
    errors: list[Exception] = []

    def work(body: str) -> None:
        try:
            start.wait(timeout=30)
            receive(body)
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert known(attempt).batch_status == "RUNNING"
    written = list(Event.objects.filter(kind="batch.status").order_by("id").values_list("to_state", flat=True))
    assert written == sorted(set(written), key=["RUNNABLE", "STARTING", "RUNNING"].index)
