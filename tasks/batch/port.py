"""The port: the AWS Batch operations that the bridge needs, with their argument and result types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from ..lifecycle.observation import BatchStatus, Observation
from .errors import BatchError

DESCRIBE_LIMIT_IDS = 100
"""AWS: "a list of up to 100 job IDs" (API reference, DescribeJobs)."""

DESCRIBE_LIMIT_MACHINES = 100
"""AWS: "up to 100 container instances" (API reference, ECS DescribeContainerInstances), of one cluster."""

TERMINATE_LIMIT_IDS = 50
"""AWS: "up to 50 jobs" (API reference, TerminateJobs)."""

CONNECT_TIMEOUT_S = 2
SUBMIT_TIMEOUT_S = 8
"""A SubmitJob that hangs ends after both timeouts.

A system check ensures that they and `submit_time_limit_s` are together not more than Celery's soft
time limit.
"""

READ_TIMEOUT_S = 4
READ_TRIES = 2
MAX_READ_S = READ_TRIES * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S)
"""All other calls may be sent twice: 12 s at most, after up to `observe_time_limit_s`,
`rescue_api_time_limit_s` or `reap_time_limit_s` of a tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Arguments of one SubmitJob that differ between attempts. The definition comes from the settings."""

    name: str
    queue: str
    parameters: Mapping[str, str]
    environment: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    """In addition to `application`, by which the bridge recognises its Batch jobs."""
    vcpus: int
    memory_mib: int
    timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """One Batch job as ListJobs returns it.

    `created_at_ms` is in epoch milliseconds, as in AWS's response.
    """

    batch_job_id: str
    name: str
    status: BatchStatus
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPage:
    """One page of a listing. `next_position` is empty after the last page."""

    jobs: list[ListedJob]
    next_position: str
    error: BatchError | None = None
    """Why there are none, if AWS rejects the queue. The other queues follow."""


class BatchPort(Protocol):
    """The bridge's interface to AWS Batch.

    Every method raises only BatchError (tasks.batch.errors).
    """

    def submit(self, submission: Submission) -> str:
        """Call SubmitJob exactly once; return the id of the Batch job."""

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """Call DescribeJobs for any number of ids, 100 per call.

        Ids missing from the response are returned as ABSENT.
        """

    def find(self, *, name: str) -> list[ListedJob]:
        """Return the Batch jobs of our queues with exactly this name, in any status."""

    def list_active(self, *, position: str) -> ListedPage:
        """Call ListJobs once: return a page of our queues' Batch jobs that have not ended.

        An empty position is the beginning; each page names the position of the next one. A Batch job
        that moves to a later status in the meantime is not missed. The number of pages does not grow
        with history.
        """

    def queue_vcpus(self, queue: str) -> int | None:
        """Return the vCPUs that the queue's enabled compute environments may have together.

        None if AWS limits none of them, or there is no such queue.
        """

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Call TerminateJob. Terminating a Batch job that has ended is not an error."""

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        """Call TerminateJobs once, for at most `TERMINATE_LIMIT_IDS`; return the errors by id.

        Raises BatchRejectedError also if boto3 or the endpoint is older than that operation.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMachine:
    """A machine as ECS describes it. Empty texts, or 0 vCPUs, if AWS does not name them."""

    arn: str
    ec2_instance_id: str
    instance_type: str
    availability_zone: str
    vcpus: float


class MachinePort(Protocol):
    """What costs are worked out from. Every method raises only BatchError."""

    def purchases(self) -> dict[str, str]:
        """Return how machines are paid for (`models.cost.Purchase`), by the name of their ECS cluster.

        AWS Batch makes a cluster for each compute environment, so this takes two calls for all of our queues.
        """

    def describe(self, arns: Sequence[str]) -> list[SeenMachine]:
        """Call DescribeContainerInstances, 100 per call. Machines that ECS has forgotten are missing."""

    def spot_price(self, instance_type: str, zone: str, at: datetime) -> Decimal | None:
        """Return the Spot price in US dollars of a machine for an hour, as it was at a time; None if there is none."""

    def list_price(self, instance_type: str) -> Decimal | None:
        """Return the On-Demand price in US dollars of a machine for an hour; None if the list has none."""
