"""The local AWS Batch puts its transitions into EventBridge, which delivers them to SQS; faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.batch_events import BatchEventQueue
from tests.polling import wait_for

if TYPE_CHECKING:
    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs

ORDER = ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


@pytest.fixture
def events() -> Iterator[BatchEventQueue]:
    queue = BatchEventQueue()
    yield queue
    queue.remove()


def received(events: BatchEventQueue, job_id: str, *, count: int) -> list[dict[str, Any]]:
    """Return the details of the job's first events, as they arrived."""
    found: list[dict[str, Any]] = []

    def poll() -> bool:
        found.extend(each["detail"] for each in events.receive() if each["detail"]["jobId"] == job_id)
        return len(found) >= count

    wait_for(poll, limit_s=20, what=f"{count} events of job {job_id}")
    return found


def statuses(events: BatchEventQueue, job_id: str, *, count: int) -> list[str]:
    return [each["status"] for each in received(events, job_id, count=count)]


def test_every_change_is_an_event_like_the_description_when_a_job_runs(jobs: Jobs, events: BatchEventQueue) -> None:
    job_id = jobs.submit("true", jobName="announced")
    details = received(events, job_id, count=4)
    assert [each["status"] for each in details] == ORDER
    assert details[-1] == jobs.wait_for_end(job_id)


def test_event_has_its_envelope_when_it_arrives(jobs: Jobs, events: BatchEventQueue) -> None:
    jobs.submit_waiting("waits")
    (event,) = wait_for(events.receive, limit_s=20, what="an event")[:1]
    assert (event["source"], event["detail-type"]) == ("aws.batch", "Batch Job State Change")
    assert event["resources"] == [event["detail"]["jobArn"]]
    assert event["time"].endswith("Z")


def test_reason_is_an_event_of_its_own_when_the_queue_is_blocked(
    jobs: Jobs, events: BatchEventQueue, faults: Faults
) -> None:
    faults.inject("stuck_runnable", job_name="stuck", reason="CAPACITY:none")
    job_id = jobs.submit("true", jobName="stuck-1")
    seen = received(events, job_id, count=2)
    assert [(each["status"], each.get("statusReason")) for each in seen] == [
        ("RUNNABLE", None),
        ("RUNNABLE", "CAPACITY:none"),
    ]


def test_event_is_lost_when_its_fault_says_so(jobs: Jobs, events: BatchEventQueue, faults: Faults) -> None:
    fault = faults.inject("event_dropped", job_name="unlucky", times=2)
    assert statuses(events, jobs.submit("true", jobName="unlucky-1"), count=2) == ["RUNNING", "SUCCEEDED"]
    assert faults.applied(fault) == 2


def test_event_arrives_twice_when_its_fault_says_so(jobs: Jobs, events: BatchEventQueue, faults: Faults) -> None:
    faults.inject("event_doubled", job_name="twice", times=1)
    assert statuses(events, jobs.submit("true", jobName="twice-1"), count=5) == ["RUNNABLE", *ORDER]


def test_event_is_overtaken_when_its_fault_says_so(jobs: Jobs, events: BatchEventQueue, faults: Faults) -> None:
    faults.inject("event_reordered", job_name="slow", times=1)
    job_id = jobs.submit("true", jobName="slow-1")
    assert statuses(events, job_id, count=4) == ["STARTING", "RUNNABLE", "RUNNING", "SUCCEEDED"]


def test_event_is_late_when_its_fault_says_so(jobs: Jobs, events: BatchEventQueue, faults: Faults) -> None:
    faults.inject("event_late", job_name="late", times=2, hold_s=2)
    job_id = jobs.submit("true", jobName="late-1")
    assert sorted(statuses(events, job_id, count=2)) == ["RUNNING", "SUCCEEDED"]
    assert sorted(statuses(events, job_id, count=2)) == ["RUNNABLE", "STARTING"]


def test_other_calls_are_answered_when_a_listener_polls_for_long(jobs: Jobs, events: BatchEventQueue) -> None:
    # moto serves one request at a time, and would wait inside a long poll.
    polling = boto3.client("sqs", config=Config(read_timeout=30))
    events.receive(wait_s=0)
    thread = threading.Thread(
        target=polling.receive_message, kwargs={"QueueUrl": events.url, "WaitTimeSeconds": 5, "MaxNumberOfMessages": 1}
    )
    thread.start()
    assert boto3.client("iam", config=Config(read_timeout=3, retries={"total_max_attempts": 1})).list_roles()["Roles"]
    assert thread.is_alive()
    thread.join(timeout=10)
