"""Events as AWS sends them, and a queue of its own for a test that needs real ones."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

import boto3

from project.local.aws.resources import EVENT_RULES, aws_environment, ensure_event_queue

if TYPE_CHECKING:
    from tasks.models import Attempt

ACCOUNT_ID = "123456789012"
ENVELOPE = {"version": "0", "account": ACCOUNT_ID, "region": "us-east-1", "time": "2026-11-29T09:15:06Z"}


def job_event(
    attempt: Attempt, status: str, *, kind: str = "Batch Job State Change", container: Any = None, **detail: Any
) -> str:
    """Return the event of a status of the attempt's Batch job. `detail` has further members of the JobDetail."""
    shape = {
        "jobArn": f"arn:aws:batch:us-east-1:{ACCOUNT_ID}:job/{attempt.batch_job_id}",
        "jobName": attempt.batch_job_name,
        "jobId": attempt.batch_job_id,
        "jobQueue": f"arn:aws:batch:us-east-1:{ACCOUNT_ID}:job-queue/batchreel",
        "status": status,
        "attempts": [],
        "createdAt": 1_700_000_000_000,
        "container": {"environment": [], "networkInterfaces": [], **(container or {})},
        "tags": {"application": "batchreel"},
        "a field of next year": [1],
        **detail,
    }
    return json.dumps(
        {**ENVELOPE, "id": str(uuid.uuid4()), "source": "aws.batch", "detail-type": kind, "detail": shape}
    )


def spot_event(instance_id: str) -> str:
    """Return EC2's warning that it takes a machine back."""
    return json.dumps(
        {
            **ENVELOPE,
            "id": str(uuid.uuid4()),
            "source": "aws.ec2",
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": instance_id, "instance-action": "terminate"},
        }
    )


class BatchEventQueue:
    """A queue with its dead-letter queue and rules in the local endpoint, removed by `remove`."""

    def __init__(self, *, visibility_s: int = 60) -> None:
        self.name = f"events-{uuid.uuid4().hex[:12]}"
        environment = {**aws_environment(0), **os.environ}
        self.url = ensure_event_queue(environment, name=self.name, visibility_s=visibility_s)
        self.sqs = boto3.client("sqs")
        self.events = boto3.client("events")

    def match(self, **detail: Any) -> None:
        """Let the rule for Batch jobs send only events whose detail matches this part of a pattern."""
        suffix, source, kinds = EVENT_RULES[0]
        pattern = json.dumps({"source": [source], "detail-type": kinds, "detail": detail})
        self.events.put_rule(Name=f"{self.name}-{suffix}", EventPattern=pattern)

    @property
    def dead_url(self) -> str:
        """URL of the dead-letter queue."""
        return f"{self.url}-dead"

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self, url: str = "") -> tuple[int, int]:
        """Return how many messages wait and how many are in flight."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=["All"])["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def receive(self, *, wait_s: int = 1) -> list[dict[str, Any]]:
        """Receive and delete up to ten messages, and return their parsed bodies."""
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
        for each in found.get("Messages", ()):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"]) for each in found.get("Messages", ())]

    def remove(self) -> None:
        for suffix, _, _ in EVENT_RULES:
            rule = f"{self.name}-{suffix}"
            self.events.remove_targets(Rule=rule, Ids=["queue"])
            self.events.delete_rule(Name=rule)
        for url in (self.url, self.dead_url):
            self.sqs.delete_queue(QueueUrl=url)
