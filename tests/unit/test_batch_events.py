"""Events of AWS: known ones are read like responses of DescribeJobs, others ignored, damaged ones refused."""

from __future__ import annotations

import json
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.batch.aws import _observation
from tasks.batch.events import BatchJobEvent, EventInvalidError, SpotWarningEvent, parse_event
from tasks.lifecycle.observation import BatchStatus, Observation, goes_back
from tests.batch_events import job_event, spot_event

ATTEMPT: Any = SimpleNamespace(batch_job_id="946b9eb6", batch_job_name="batchreel-1")

ENDED: dict[str, Any] = {
    "statusReason": "Essential container in task exited",
    "container": {
        "exitCode": 137,
        "reason": "OutOfMemoryError: x",
        "logStreamName": "batchreel/default/1",
        "containerInstanceArn": "arn:aws:ecs:us-east-1:123456789012:container-instance/batchreel_Batch_1/0a1b2c",
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/batchreel_Batch_1/9f8e7d",
    },
    "startedAt": 1_700_000_000_500,
    "stoppedAt": 1_700_000_060_750,
    "isTerminated": True,
}


def changed(**changes: Any) -> str:
    """Return a valid event with other members in its detail."""
    event = json.loads(job_event(ATTEMPT, "FAILED", **ENDED))
    event["detail"] |= changes
    return json.dumps(event)


def test_event_is_read_like_a_response_when_both_report_the_same() -> None:
    body = job_event(ATTEMPT, "FAILED", **ENDED)
    event = parse_event(body)
    assert isinstance(event, BatchJobEvent)
    polled = _observation(json.loads(body)["detail"])
    assert event.observation.pushed
    assert not polled.pushed
    for name in {each.name for each in fields(Observation)} - {"pushed"}:
        assert getattr(polled, name), f"the event has no {name} to compare"
        assert getattr(event.observation, name) == getattr(polled, name), name
    assert event.job_name == ATTEMPT.batch_job_name


def test_blocked_queue_is_read_as_a_waiting_job_when_batch_reports_it() -> None:
    event = parse_event(
        job_event(ATTEMPT, "RUNNABLE", kind="Batch Job Queue Blocked", statusReason="CAPACITY:INSUFFICIENT - no")
    )
    assert isinstance(event, BatchJobEvent)
    assert (event.observation.status, event.observation.status_reason) == (
        BatchStatus.RUNNABLE,
        "CAPACITY:INSUFFICIENT - no",
    )


def test_machine_is_its_cluster_when_an_event_names_only_the_task() -> None:
    event = parse_event(changed(container={"taskArn": ENDED["container"]["taskArn"]}))
    assert isinstance(event, BatchJobEvent)
    assert event.observation.machine_arn == "arn:aws:ecs:us-east-1:123456789012:cluster/batchreel_Batch_1"


def test_spot_warning_names_its_machine_when_ec2_takes_it_back() -> None:
    assert parse_event(spot_event("i-0123456789abcdef0")) == SpotWarningEvent(instance_id="i-0123456789abcdef0")


@pytest.mark.parametrize(
    "body",
    [
        '{"detail-type": "EC2 Instance Rebalance Recommendation", "detail": {}}',
        '{"detail-type": "A kind of next year", "detail": []}',
        changed(arrayProperties={"size": 22}),
    ],
)
def test_event_is_ignored_when_it_does_not_concern_the_bridge(body: str) -> None:
    assert parse_event(body) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[" * 100_000,
        "[]",
        "{}",
        '{"detail-type": 7}',
        '{"detail-type": "Batch Job State Change"}',
        '{"detail-type": "EC2 Spot Instance Interruption Warning", "detail": {}}',
        changed(status="PAUSED"),
        changed(status="ABSENT"),
        changed(status=None),
        changed(jobId=""),
        changed(jobId=7),
        changed(jobName=None),
        changed(jobName="x" * 600),
        changed(statusReason="a\x00b"),
        changed(statusReason=["a list"]),
        changed(container=["a list"]),
        changed(container={"exitCode": 2**40}),
        changed(container={"exitCode": True}),
        changed(container={"containerInstanceArn": ["a list"]}),
        changed(container={"taskArn": 7}),
        changed(startedAt="2026-11-29T09:15:06Z"),
        changed(startedAt=True),
        changed(stoppedAt=1_700_000_000_500.5),
    ],
)
def test_event_is_refused_with_a_code_when_it_is_damaged(body: str) -> None:
    with pytest.raises(EventInvalidError) as caught:
        parse_event(body)
    assert caught.value.code == "EVENT_INVALID"


def test_reason_is_cut_when_it_is_longer_than_any_of_aws() -> None:
    event = parse_event(changed(statusReason="x" * 100_000))
    assert isinstance(event, BatchJobEvent)
    assert len(event.observation.status_reason) == 4096


STATUSES = [each for each in BatchStatus if each is not BatchStatus.ABSENT]


@pytest.mark.parametrize("known", STATUSES)
def test_status_never_goes_back_when_an_observation_is_late(known: BatchStatus) -> None:
    order = list(STATUSES)
    for seen in STATUSES:
        earlier = order.index(seen) < order.index(known) or known == BatchStatus.SUCCEEDED
        assert goes_back(known, seen) == (earlier and seen != known), (known, seen)
    assert not goes_back("", known)
    assert not goes_back(known, BatchStatus.ABSENT)
