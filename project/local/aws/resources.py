"""The AWS resources that the project requires, created in the local endpoint: role, compute, queues, rules.

The job definition is not created here: `manage.py register_job_definition` registers it, locally as
in production.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

from project.local.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
JOB_QUEUE = "batchreel"
JOB_DEFINITION = "batchreel-transcode"
COMPUTE_ENVIRONMENT = "batchreel"
ROLE = "batchreel-batch"

EVENT_QUEUE = "batchreel-events"
EVENT_RECEIVES = 3
"""Number of receives after which a message goes to the dead-letter queue."""

EVENT_RULES = (
    ("batch", "aws.batch", ["Batch Job State Change", "Batch Job Queue Blocked"]),
    ("spot", "aws.ec2", ["EC2 Spot Instance Interruption Warning"]),
)

QUEUE_VCPUS = 16
"""More than most laptops have, so that a container that requests 8 vCPUs starts there as well, if slowly."""


def aws_environment(port: int) -> dict[str, str]:
    """Return the environment that makes an unmodified boto3 use the local endpoint on `port`."""
    return {
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "VIDEO_BATCH_JOB_QUEUE": JOB_QUEUE,
        "VIDEO_BATCH_JOB_DEFINITION": JOB_DEFINITION,
    }


def ensure_job_queue(environment: Mapping[str, str]) -> None:
    """Create the role, the compute environment and the job queue, unless they exist."""
    batch = _client("batch", environment)
    if batch.describe_job_queues(jobQueues=[JOB_QUEUE])["jobQueues"]:
        return
    if not batch.describe_compute_environments(computeEnvironments=[COMPUTE_ENVIRONMENT])["computeEnvironments"]:
        ec2 = _client("ec2", environment)
        batch.create_compute_environment(
            computeEnvironmentName=COMPUTE_ENVIRONMENT,
            type="MANAGED",
            state="ENABLED",
            serviceRole=_ensure_role(environment),
            computeResources={
                "type": "FARGATE",
                "maxvCpus": QUEUE_VCPUS,
                "subnets": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]],
                "securityGroupIds": [group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]],
            },
        )
    batch.create_job_queue(
        jobQueueName=JOB_QUEUE,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": COMPUTE_ENVIRONMENT}],
    )


def ensure_event_queue(environment: Mapping[str, str], *, name: str = EVENT_QUEUE, visibility_s: int = 60) -> str:
    """Create the queue of AWS Batch's events with its dead-letter queue and rules, and return its URL.

    Calling it again changes nothing. scripts/infra/events.tf creates the same on AWS.
    """
    sqs, events = _client("sqs", environment), _client("events", environment)
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    dead_arn = _queue_arn(sqs, dead)
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": EVENT_RECEIVES})
    attributes = {"VisibilityTimeout": str(visibility_s), "RedrivePolicy": redrive}
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = _queue_arn(sqs, url)
    rules = []
    for suffix, source, kinds in EVENT_RULES:
        pattern = json.dumps({"source": [source], "detail-type": kinds})
        rules.append(events.put_rule(Name=f"{name}-{suffix}", EventPattern=pattern)["RuleArn"])
        events.put_targets(Rule=f"{name}-{suffix}", Targets=[{"Id": "queue", "Arn": arn}])
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rules}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url


def _queue_arn(sqs: Any, url: str) -> str:
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def _ensure_role(environment: Mapping[str, str]) -> str:
    iam = _client("iam", environment)
    try:
        arn: str = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        principal = {"Effect": "Allow", "Principal": {"Service": "batch.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [principal]})
        arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    return arn


def _client(service: str, environment: Mapping[str, str]) -> Any:
    return boto3.Session().client(
        service,  # type: ignore[call-overload]  # the stubs accept only literal names
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
