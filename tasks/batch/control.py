"""AWS Batch's control plane, for operators: queue, compute environments and job definition.

The ticks and containers never call it. Every call has bounded time, may be sent twice (reads, and a
registration that would only add an equal revision), and raises only BatchError.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from .aws import batch_client, converted_errors
from .errors import (
    BatchDeniedError,
    BatchError,
    BatchRejectedError,
    BatchThrottledError,
    BatchUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

_CONNECT_TIMEOUT_S = 2
_READ_TIMEOUT_S = 3
OPERATOR_CLIENT_CONFIG = Config(
    connect_timeout=_CONNECT_TIMEOUT_S,
    read_timeout=_READ_TIMEOUT_S,
    retries={"total_max_attempts": 2, "mode": "standard"},
)
"""Client configuration of calls that an operator waits for: two tries with a pause between them end within 8 s."""

_PROGRAM_LIMIT_S = 600
_NO_NAME = "?"
"""A job name that AWS rejects (API reference, SubmitJob: letters, numbers, hyphens and underscores)."""

_MESSAGE_CHARACTERS = 300
"""Maximum length of an error that is shown; the response of a broken proxy may be a whole page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """A job queue as AWS describes it.

    `state` is set by operators; `status` is AWS's progress in applying it.
    """

    name: str
    state: str
    status: str
    status_reason: str
    compute_environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEnvironment:
    """A compute environment as AWS describes it.

    `max_vcpus` is None if AWS does not manage the instances.
    """

    name: str
    state: str
    status: str
    status_reason: str
    max_vcpus: int | None
    kind: str
    """SPOT, EC2, FARGATE ...; empty if AWS does not manage the instances."""
    instance_types: tuple[str, ...]
    """Families, types or `optimal`; empty for Fargate."""
    subnets: tuple[str, ...]
    machine_image_id: str
    """AMI that the environment names; empty if AWS Batch chose one."""
    machine_image_status: str
    """LATEST or UPDATE_AVAILABLE for an AMI that AWS Batch chose; empty before its first machine."""
    launch_template_id: str
    launch_template_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionName:
    """Value of VIDEO_BATCH_JOB_DEFINITION: a definition and, if pinned, one revision of it."""

    name: str
    revision: int | None

    @classmethod
    def parse(cls, text: str) -> DefinitionName:
        """Parse a name, `name:revision` or an ARN, the forms that SubmitJob accepts."""
        name, _, revision = text.rsplit("/", 1)[-1].partition(":")
        return cls(name=name, revision=int(revision) if revision.isdigit() else None)


def describe_queue(name: str) -> JobQueue | None:
    """Return the job queue with this name or ARN, or None if there is none."""
    client = _client()
    with converted_errors("DescribeJobQueues", client):
        found = client.describe_job_queues(jobQueues=[name])["jobQueues"]
    if not found:
        return None
    queue = found[0]
    order = sorted(queue["computeEnvironmentOrder"], key=lambda each: each["order"])
    return JobQueue(
        name=queue["jobQueueName"],
        state=queue["state"],
        status=queue.get("status", ""),
        status_reason=queue.get("statusReason", ""),
        compute_environments=tuple(each["computeEnvironment"] for each in order),
    )


def describe_compute_environments(names: Sequence[str]) -> list[ComputeEnvironment]:
    """Return the compute environments with these names or ARNs, without those that do not exist."""
    if not names:  # to AWS, no name means all of the account
        return []
    client = _client()
    with converted_errors("DescribeComputeEnvironments", client):
        found = client.describe_compute_environments(computeEnvironments=list(names))["computeEnvironments"]
    return [_compute_environment(each) for each in found]


def _compute_environment(found: ComputeEnvironmentDetailTypeDef) -> ComputeEnvironment:
    resources = found.get("computeResources", {})
    images = resources.get("ec2Configuration", [])
    template = resources.get("launchTemplate", {})
    return ComputeEnvironment(
        name=found["computeEnvironmentName"],
        state=found.get("state", ""),
        status=found.get("status", ""),
        status_reason=found.get("statusReason", ""),
        max_vcpus=resources.get("maxvCpus"),
        kind=resources.get("type", ""),
        instance_types=tuple(resources.get("instanceTypes", ())),
        subnets=tuple(resources.get("subnets", ())),
        machine_image_id=next((each["imageIdOverride"] for each in images if each.get("imageIdOverride")), "")
        or resources.get("imageId", ""),
        # UPDATE_AVAILABLE sorts after LATEST: one old image is enough.
        machine_image_status=max((each.get("batchImageStatus", "") for each in images), default=""),
        launch_template_id=template.get("launchTemplateId", ""),
        launch_template_version=template.get("version", "") or "$Default",
    )


def describe_definition(wanted: DefinitionName) -> dict[str, Any] | None:
    """Return the ACTIVE revision that SubmitJob would use: the pinned one, else the newest.

    None if there is none.
    """
    client = _client()
    with converted_errors("DescribeJobDefinitions", client):
        pages = client.get_paginator("describe_job_definitions").paginate(
            jobDefinitionName=wanted.name, status="ACTIVE"
        )
        revisions: list[dict[str, Any]] = [dict(each) for page in pages for each in page["jobDefinitions"]]
    matching = [each for each in revisions if wanted.revision in {None, each["revision"]}]
    return max(matching, key=lambda each: each["revision"], default=None)


def register_definition(arguments: dict[str, Any]) -> int:
    """Call RegisterJobDefinition; return the number of the new revision."""
    client = _client()
    with converted_errors("RegisterJobDefinition", client):
        return client.register_job_definition(**arguments)["revision"]


def submit_command(name: str, command: Sequence[str], *, queue: str, definition: str, tag: str) -> str:
    """Submit the definition with another command, once; return the id of the Batch job."""
    client = batch_client(retry=False)
    with converted_errors("SubmitJob", client):
        return client.submit_job(
            jobName=name,
            jobQueue=queue,
            jobDefinition=definition,
            retryStrategy={"attempts": 1},
            timeout={"attemptDurationSeconds": _PROGRAM_LIMIT_S},
            containerOverrides={"command": list(command)},
            tags={"application": tag},
        )["jobId"]


def permission_probes(*, queues: Sequence[str], definition: str) -> dict[str, Callable[[], object]]:
    """Return IAM action -> a call that requires it and changes nothing.

    Each is a read, or a SubmitJob that AWS rejects for its job name if the action is allowed.
    """
    client, first = _client(), queues[0] if queues else ""

    def submit_no_job(queue: str) -> object:
        return client.submit_job(jobName=_NO_NAME, jobQueue=queue, jobDefinition=definition)

    calls: dict[str, Callable[[], object]] = {
        "batch:DescribeJobs": lambda: client.describe_jobs(jobs=["doctor"]),
        "batch:ListJobs": lambda: client.list_jobs(jobQueue=first, jobStatus="RUNNING", maxResults=1),
        "batch:DescribeJobQueues": lambda: client.describe_job_queues(jobQueues=list(queues)),
        "batch:DescribeComputeEnvironments": lambda: client.describe_compute_environments(maxResults=1),
        "batch:DescribeJobDefinitions": lambda: client.describe_job_definitions(maxResults=1),
        "batch:SubmitJob": lambda: submit_no_job(first),
        **{f"batch:SubmitJob to {name}": partial(submit_no_job, name) for name in queues[1:]},
    }

    def translated_call(action: str, call: Callable[[], object]) -> Callable[[], object]:
        def exercised() -> None:
            with converted_errors(action.partition(":")[2], client):
                call()

        return exercised

    return {action: translated_call(action, call) for action, call in calls.items()}


def region() -> str:
    """Return the AWS region of the calls, from the environment or AWS's own configuration files."""
    return _client().meta.region_name


def error_line(error: BatchError) -> str:
    """Return the error in one line of limited length, without a full stop."""
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS].rstrip(".")


def suggested_fix(error: BatchError) -> str:
    """Return what an operator can do about an error of these calls."""
    match error:
        case BatchDeniedError():
            return 'Check the AWS credentials, and that their policy allows this call (Describe* only on the resource "*").'
        case BatchUnreachableError():
            return "Check the network, AWS_DEFAULT_REGION and AWS_ENDPOINT_URL."
        case BatchThrottledError():
            return "AWS limits the rate of calls for the whole account. Try again in a minute."
        case BatchRejectedError():
            return "Correct the setting that the error of AWS names."
        case _:
            return "There was no usable response. Try again, and check the AWS Health Dashboard."


@cache
def _client() -> BatchClient:
    try:
        return boto3.client("batch", config=OPERATOR_CLIENT_CONFIG)
    except BotoCoreError as error:
        # No region, or a profile that does not exist. Nothing was sent.
        message = f"AWS Batch cannot be called from here: {error} Set AWS_DEFAULT_REGION and the credentials."
        raise BatchRejectedError(message) from error
