"""`manage.py listen` as a process: bad messages, hangs, SIGTERM, several listeners, an unavailable database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from tasks.batch.aws import aws_batch
from tasks.listener import is_alive
from tasks.models import Attempt, Event, Job, Listener
from tasks.services.state.push import is_push_healthy
from tasks.services.ticks.submit import submit_due
from tests.batch_events import BatchEventQueue, job_event, spot_event
from tests.factories import newest_attempt, submitted_attempt, uploaded_video
from tests.integration.celery_nodes import ManageProcess, listener_process
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tasks.conf import BridgeSettings
    from tests.batch_faults import Faults

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

VISIBILITY_S = 2


@pytest.fixture
def events(settings: Settings) -> Iterator[BatchEventQueue]:
    queue = BatchEventQueue(visibility_s=VISIBILITY_S)
    settings.VIDEO_BATCH_EVENT_QUEUE_URL = queue.url
    yield queue
    queue.remove()


@pytest.fixture
def listen(events: BatchEventQueue, program_environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """Start listeners on the test's queue, and end them afterwards."""
    started: list[ManageProcess] = []

    def start(name: str = "listener", **environment: str) -> ManageProcess:
        process = listener_process(
            {
                **program_environment,
                "VIDEO_BATCH_EVENT_QUEUE_URL": events.url,
                "APPLICATION_NAME": f"batchreel-{name}",
                **environment,
            },
            tmp_path,
            name=name,
        )
        started.append(process)
        process.ready()
        return process

    yield start
    for process in started:
        process.teardown()


def status_is(attempt: Attempt, status: str) -> Callable[[], bool]:
    return Attempt.objects.filter(pk=attempt.pk, batch_status=status).exists


def is_empty(events: BatchEventQueue, url: str = "") -> Callable[[], bool]:
    return lambda: events.counts(url) == (0, 0)


def connections_of(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [f"batchreel-{name}"])
        return int(cursor.fetchone()[0])


def test_event_is_applied_and_deleted_when_a_listener_receives_it(listen: Any, events: BatchEventQueue) -> None:
    attempt = submitted_attempt()
    listen()
    events.send(job_event(attempt, "STARTING"), json.dumps({"detail-type": "of next year"}))
    wait_for(status_is(attempt, "STARTING"), what="the status of the event")
    wait_for(is_empty(events), what="the deletion of both messages")
    wait_for(is_push_healthy, what="a healthy listener")


def test_push_is_not_healthy_when_only_other_sites_events_arrive(listen: Any, events: BatchEventQueue) -> None:
    attempt = submitted_attempt()
    listen()
    events.send(job_event(attempt, "RUNNING", jobId="theirs", jobName="theirs-1"), spot_event("i-theirs"))
    wait_for(is_empty(events), what="the deletion of both messages")
    wait_for(Listener.objects.exists, what="the first read of the queue")
    assert Listener.objects.get().event_at is None
    events.send(job_event(attempt, "RUNNING"))
    wait_for(Listener.objects.filter(event_at__isnull=False).exists, what="an event of this site")


@pytest.mark.long
def test_listener_continues_when_messages_are_bad(listen: Any, events: BatchEventQueue) -> None:
    attempt = submitted_attempt()
    process = listen()
    events.send("not JSON", json.dumps({"detail-type": "Batch Job State Change", "detail": {"status": 7}}))
    wait_for(lambda: events.counts(events.dead_url)[0] == 2, what="both messages in the dead-letter queue")
    events.send(job_event(attempt, "RUNNING"))
    wait_for(status_is(attempt, "RUNNING"), what="the status of the event after them")
    assert process.logs().count("EVENT_INVALID") == 6
    assert process.status == "running"


@pytest.mark.long
def test_event_is_delivered_again_when_its_row_was_locked_for_too_long(listen: Any, events: BatchEventQueue) -> None:
    attempt, other = submitted_attempt(), submitted_attempt()
    # Neither lock_timeout nor the pooler ends the wait: only the listener's own limit does.
    limits = {"event_time_limit_s": 0.5, "push_timeout_s": 60}
    process = listen(BATCHREEL=json.dumps(limits), DATABASE_SESSION_OPTIONS="")
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=attempt.job_id)
        events.send(job_event(attempt, "RUNNING"), job_event(other, "RUNNING"))
        wait_for(lambda: "EVENT_FAILED" in process.logs(), what="the time limit of the first event")
        assert "EventTimeoutError" in process.logs()
        wait_for(lambda: Attempt.objects.filter(pk=other.pk, batch_status="RUNNING").exists(), what="the other event")
    wait_for(status_is(attempt, "RUNNING"), what="the event's second delivery")
    wait_for(is_empty(events), what="the deletion of both messages")
    assert events.counts(events.dead_url) == (0, 0)


def test_listener_exits_in_seconds_when_it_gets_sigterm_in_a_long_poll(listen: Any, events: BatchEventQueue) -> None:
    process = listen()
    events.send(json.dumps({"detail-type": "of next year"}))
    wait_for(Listener.objects.exists, what="the first read of the queue")
    wait_for(lambda: connections_of("listener") == 0, limit_s=5, what="a long poll without a connection")
    began = time.monotonic()
    process.kill(signal.SIGTERM)
    wait_for(lambda: process.status == "exited", limit_s=10, what="the exit")
    assert time.monotonic() - began < 5
    assert "LISTENER_STOPPED" in process.logs()


def test_listener_is_noticed_dead_when_it_is_killed(
    listen: Any, events: BatchEventQueue, settings: Settings, tmp_path: Path
) -> None:
    settings.BATCHREEL = {**settings.BATCHREEL, "push_timeout_s": 1}
    process = listen()
    health = tmp_path / "listener.health"
    events.send(*(job_event(submitted_attempt(), "RUNNABLE") for _ in range(2)))
    wait_for(is_push_healthy, what="a healthy listener")
    assert is_alive(health)
    process.kill()
    wait_for(lambda: not is_push_healthy(), what="polling as without events")
    os.utime(health, (time.time() - 181, time.time() - 181))
    assert not is_alive(health)
    check = [sys.executable, "manage.py", "listen", "--check", "--health-file", str(health)]
    ran = subprocess.run(check, cwd=django_settings.BASE_DIR, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 1


@pytest.mark.long
def test_each_event_is_written_once_when_three_listeners_receive_them(listen: Any, events: BatchEventQueue) -> None:
    attempts = [submitted_attempt() for _ in range(8)]
    for number in range(3):
        listen(f"listener-{number}")
    order = ("RUNNABLE", "STARTING", "RUNNING")
    bodies = [job_event(attempt, status) for attempt in attempts for status in order * 2]
    senders = [threading.Thread(target=events.send, args=bodies[number::4]) for number in range(4)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    wait_for(is_empty(events), what="the end of the queue")
    assert set(Attempt.objects.values_list("batch_status", flat=True)) == {"RUNNING"}
    for attempt in attempts:
        written = Event.objects.filter(kind="batch.status", job_id=attempt.job_id, attempt_number=attempt.number)
        states = list(written.order_by("id").values_list("to_state", flat=True))
        assert states == sorted(set(states), key=order.index), states


def test_events_wait_in_the_queue_when_the_database_is_unavailable(listen: Any, events: BatchEventQueue) -> None:
    attempt = submitted_attempt()
    process = listen(DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    events.send(job_event(attempt, "RUNNING"))
    wait_for(lambda: "DATABASE_UNAVAILABLE" in process.logs(), what="the listener's wait")
    assert events.counts() == (1, 0), "the event used up a receive"
    assert process.status == "running"


def test_error_is_shown_when_the_queue_cannot_be_read(listen: Any, events: BatchEventQueue) -> None:
    process = listen(VIDEO_BATCH_EVENT_QUEUE_URL=f"{events.url}-missing")
    wait_for(Listener.objects.exclude(error_code="").exists, what="the error in the row")
    assert "EVENT_QUEUE_FAILED" in process.logs()
    assert process.status == "running"
    assert not is_push_healthy()


def test_listener_only_waits_when_there_is_no_queue(program_environment: dict[str, str], tmp_path: Path) -> None:
    process = ManageProcess(
        name="idle",
        arguments=["listen", "--health-file", str(tmp_path / "health")],
        environment={**program_environment, "VIDEO_BATCH_EVENT_QUEUE_URL": ""},
        log_path=tmp_path / "idle.log",
        ready_line="LISTENER_IDLE",
    )
    try:
        process.ready()
        wait_for((tmp_path / "health").exists, what="the health file")
        process.kill(signal.SIGTERM)
        wait_for(lambda: process.status == "exited", limit_s=10, what="the exit")
    finally:
        process.teardown()
    assert not Listener.objects.exists()


def test_status_is_in_the_row_within_seconds_when_batch_job_changes(
    fast_settings: BridgeSettings, listen: Any, events: BatchEventQueue, faults: Faults
) -> None:
    # Real Batch jobs and no tick: only events can have written the status.
    faults.inject("event_dropped", share=0.05, seed=1, times=None)
    faults.inject("event_doubled", share=0.1, seed=2, times=None)
    faults.inject("event_reordered", share=0.2, seed=3, times=None)
    listen()
    videos = [uploaded_video(title=str(number)) for number in range(3)]
    submit_due(batch=aws_batch())
    attempts = [newest_attempt(video) for video in videos]
    final = Attempt.objects.filter(pk__in=[each.pk for each in attempts], batch_status__in=["FAILED", "SUCCEEDED"])
    wait_for(lambda: final.count() >= 2, what="the ends of the Batch jobs")
