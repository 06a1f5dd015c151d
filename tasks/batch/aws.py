"""Implementation of the port with boto3.

Reads may be retried by boto3. SubmitJob must not be, because it has no idempotency token, and boto3
retries by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ..conf import bridge_settings
from ..lifecycle.observation import BatchStatus, Observation
from .calls import count_calls
from .errors import BatchAmbiguousError, BatchError, BatchRejectedError, convert_error
from .port import (
    CONNECT_TIMEOUT_S,
    DESCRIBE_LIMIT_IDS,
    READ_TIMEOUT_S,
    READ_TRIES,
    SUBMIT_TIMEOUT_S,
    BatchPort,
    ListedJob,
    ListedPage,
    Submission,
)

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

READ_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    retries={"total_max_attempts": READ_TRIES, "mode": "standard"},
)
_SUBMIT_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=SUBMIT_TIMEOUT_S,
    retries={"total_max_attempts": 1, "mode": "standard"},
)


@cache
def batch_client(*, retry: bool) -> BatchClient:
    """Return a client of AWS Batch.

    With `retry=False` each call is sent at most once. Raises BatchError if it cannot be
    configured.
    """
    try:
        client = boto3.client("batch", config=READ_CONFIG if retry else _SUBMIT_CONFIG)
    except BotoCoreError as error:
        raise convert_error(error, call="Creating a client", where="this machine's AWS configuration") from error
    count_calls(client)
    return client


@contextmanager
def converted_errors(call: str, client: BatchClient) -> Iterator[None]:
    """Convert boto3's errors into ours.

    A response with a missing field, as from a proxy, counts as lost: the call is ambiguous.
    """
    where = client.meta.endpoint_url or client.meta.region_name
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise convert_error(error, call=call, where=where) from error
    except KeyError as missing:
        message = f"{call} at {where}: the response has no {missing}"
        raise BatchAmbiguousError(message) from missing


class AwsBatch:
    """AWS Batch, or a compatible server at AWS_ENDPOINT_URL."""

    def submit(self, submission: Submission) -> str:
        """See BatchPort."""
        conf = bridge_settings()
        client = batch_client(retry=False)
        with converted_errors("SubmitJob", client):
            return client.submit_job(
                jobName=submission.name,
                jobQueue=submission.queue,
                jobDefinition=conf.job_definition,
                parameters=dict(submission.parameters),
                retryStrategy={"attempts": 1},
                timeout={"attemptDurationSeconds": submission.timeout_s},
                containerOverrides={
                    "environment": [{"name": name, "value": value} for name, value in submission.environment.items()],
                    "resourceRequirements": [
                        {"type": "VCPU", "value": str(submission.vcpus)},
                        {"type": "MEMORY", "value": str(submission.memory_mib)},
                    ],
                },
                tags={"application": conf.job_name_prefix, **submission.tags},
            )["jobId"]

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """See BatchPort."""
        client = batch_client(retry=True)
        observations: list[Observation] = []
        remaining = iter(batch_job_ids)
        while page := list(islice(remaining, DESCRIBE_LIMIT_IDS)):
            with converted_errors("DescribeJobs", client):
                response = client.describe_jobs(jobs=page)
                found = {job["jobId"]: _observation(job) for job in response["jobs"]}
            observations += [
                found.get(each) or Observation(batch_job_id=each, status=BatchStatus.ABSENT) for each in page
            ]
        return observations

    def find(self, *, name: str) -> list[ListedJob]:
        """See BatchPort.

        AWS's JOB_NAME filter ignores case and status, so names are compared exactly here.
        """
        listed = _list_by_name(name)
        return [each for each in listed if each.name == name]

    def list_active(self, *, position: str) -> ListedPage:
        """See BatchPort. A position is the queue's number, a status, and AWS's nextToken if there is one."""
        turns = [f"{number} {status}" for number in range(len(bridge_settings().queues)) for status in _ACTIVE]
        number, _, rest = position.partition(" ")
        status, _, token = rest.partition(" ")
        turn = turns.index(f"{number} {status}") if f"{number} {status}" in turns else 0
        number, _, status = turns[turn].partition(" ")
        queue = bridge_settings().queues[int(number)]
        following = "".join(turns[turn + 1 : turn + 2])
        try:
            jobs, token = _list_from(queue, status, token)
        except BatchRejectedError as error:
            # The queue does not exist, which must not hide the others.
            return ListedPage(jobs=[], next_position=following, error=error)
        return ListedPage(jobs=jobs, next_position=f"{turns[turn]} {token}" if token else following)

    def queue_vcpus(self, queue: str) -> int | None:
        """See BatchPort."""
        client = batch_client(retry=True)
        with converted_errors("DescribeJobQueues", client):
            queues = client.describe_job_queues(jobQueues=[queue])["jobQueues"]
        names = [each["computeEnvironment"] for queue in queues for each in queue["computeEnvironmentOrder"]]
        if not names:
            return None
        with converted_errors("DescribeComputeEnvironments", client):
            environments = client.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
        limits = [
            each.get("computeResources", {}).get("maxvCpus", 0)
            for each in environments
            if each.get("state") == "ENABLED"
        ]
        return sum(limits) or None

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """See BatchPort."""
        client = batch_client(retry=True)
        with converted_errors("TerminateJob", client):
            client.terminate_job(jobId=batch_job_id, reason=reason)

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        """See BatchPort."""
        client = batch_client(retry=True)
        if not hasattr(client, "terminate_jobs"):
            message = "TerminateJobs needs botocore 1.43.100 or newer"
            raise BatchRejectedError(message)
        with converted_errors("TerminateJobs", client):
            response = client.terminate_jobs(jobs=list(batch_job_ids), reason=reason)
            errors = {each["job"]: _bulk_error(each) for each in response["errors"]}
            named = errors.keys() | set(response["successful"])
        not_named = BatchAmbiguousError("TerminateJobs: the response does not name this Batch job")
        return errors | {each: not_named for each in batch_job_ids if each not in named}


_ACTIVE = (BatchStatus.SUBMITTED, BatchStatus.PENDING, BatchStatus.RUNNABLE, BatchStatus.STARTING, BatchStatus.RUNNING)
"""The statuses in the order in which a Batch job has them: one that moves on during a listing is met later."""


def _bulk_error(detail: Any) -> BatchError:
    """Return our error for one Batch job of a bulk call, which reports a code without an HTTP status."""
    code, message = detail.get("code", ""), detail.get("message", "")
    status = HTTPStatus.INTERNAL_SERVER_ERROR if code == "ServerException" else HTTPStatus.BAD_REQUEST
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return convert_error(ClientError(response, "TerminateJobs"), call="TerminateJobs", where=detail["job"])


def _list_from(queue: str, status: str, token: str) -> tuple[list[ListedJob], str]:
    """Return a page and the next token. AWS does not say how long one is valid: after that, the status begins again."""
    if token:
        with suppress(BatchRejectedError):
            return _list_page(queue, status, token)
    return _list_page(queue, status, "")


def _list_page(queue: str, status: str, token: str) -> tuple[list[ListedJob], str]:
    client = batch_client(retry=True)
    with converted_errors("ListJobs", client):
        request: dict[str, Any] = {"jobQueue": queue, "jobStatus": status}
        if token:
            request["nextToken"] = token
        response = client.list_jobs(**request)
        return [_found(summary) for summary in response["jobSummaryList"]], response.get("nextToken") or ""


def _list_by_name(name: str) -> list[ListedJob]:
    """Return what the queues list. Raises BatchRejectedError only if all of them are rejected.

    A queue that does not exist has no Batch job, and must not hide those of the others.
    """
    client = batch_client(retry=True)
    found: list[ListedJob] = []
    rejections: list[BatchRejectedError] = []
    queues = bridge_settings().queues
    for queue in queues:
        try:
            with converted_errors("ListJobs", client):
                pages = client.get_paginator("list_jobs").paginate(
                    jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]
                )
                found += [_found(summary) for page in pages for summary in page["jobSummaryList"]]
        except BatchRejectedError as error:
            rejections.append(error)
    if len(rejections) == len(queues):
        raise rejections[0]
    return found


def _found(summary: Any) -> ListedJob:
    return ListedJob(
        batch_job_id=summary["jobId"],
        name=summary["jobName"],
        status=BatchStatus(summary.get("status", "SUBMITTED")),
        created_at_ms=int(summary.get("createdAt", 0)),
    )


def _observation(job: Any) -> Observation:
    container = job.get("container") or {}
    return Observation(
        batch_job_id=job["jobId"],
        status=BatchStatus(job["status"]),
        status_reason=job.get("statusReason", ""),
        container_reason=container.get("reason", ""),
        exit_code=container.get("exitCode"),
        log_stream=container.get("logStreamName", ""),
        started=bool(job.get("startedAt")),
        started_at_ms=job.get("startedAt"),
        stopped_at_ms=job.get("stoppedAt"),
        machine_arn=machine_arn(container),
        terminated=bool(job.get("isTerminated") or job.get("isCancelled")),
    )


def machine_arn(container: Any) -> str:
    """Return the ARN of a Batch job's machine: its container instance, else the cluster of its task."""
    if instance := container.get("containerInstanceArn"):
        return str(instance)
    prefix, _, path = str(container.get("taskArn") or "").partition(":task/")
    cluster = path.partition("/")[0] if "/" in path else ""
    return f"{prefix}:cluster/{cluster}" if cluster else ""


def aws_batch() -> BatchPort:
    """Return the port that production code uses."""
    return AwsBatch()
