"""One Batch job of the local endpoint: its states, its attempts, and its representations in the API."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from project.local.batch.control_plane import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from project.local.batch.submission import Submission

CONTAINER_EXITED = "Essential container in task exited"
"""Batch's statusReason for a container that exited by itself, with any exit code."""
STATE_CHANGE = "Batch Job State Change"
QUEUE_BLOCKED = "Batch Job Queue Blocked"
"""Kinds of Batch's events (user guide, "AWS Batch events")."""
START_FAILED = "Task failed to start"
TIMED_OUT = "Job attempt duration exceeded timeout"


class BatchStatus(StrEnum):
    """docs.aws.amazon.com/batch/latest/userguide/job_states.html.

    PENDING is for jobs with dependencies, which are not supported here.
    """

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


NOT_STARTED = frozenset({BatchStatus.SUBMITTED, BatchStatus.PENDING, BatchStatus.RUNNABLE})
FINISHED = frozenset({BatchStatus.SUCCEEDED, BatchStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Loss:
    """How Batch reports a run that did not exit by itself. `delay_report` delays the report."""

    status_reason: str
    reason: str = ""
    exit_code: int | None = None
    delay_report: Callable[[], object] = bool


@dataclass(slots=True)
class ContainerRun:
    """One start of a job's container. Times are epoch milliseconds, as in AWS."""

    number: int
    compute_arn: str
    cluster: str = ""
    machine_arn: str = ""
    task_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    log_stream_name: str = ""
    started_at_ms: int | None = None
    stopped_at_ms: int | None = None
    exit_code: int | None = None
    reason: str = ""
    status_reason: str = ""
    stop: Callable[[], None] | None = None
    """Asks the running process to end. None before it starts and after it has ended."""
    kill: Callable[[], None] | None = None
    """Kills the running process without warning, like the loss of its host."""
    timed_out: bool = False
    loss: Loss | None = None
    """A planted end of the run, reported instead of the process's own exit."""


@dataclass(slots=True)
class BatchJob:
    """A row of the job table. Only the table changes it, under its lock."""

    sequence: int
    """Increases with each submission: the order of the queue and of listings."""
    submission: Submission
    created_at_ms: int
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: BatchStatus = BatchStatus.SUBMITTED
    status_reason: str = ""
    is_cancelled: bool = False
    is_terminated: bool = False
    stopped_at_ms: int | None = None
    run: ContainerRun | None = None
    """The current or most recent start."""
    ended_runs: list[ContainerRun] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """Return the job's ARN, in the region of its queue."""
        return f"arn:aws:batch:{self.submission.queue.region}:{ACCOUNT_ID}:job/{self.job_id}"

    @property
    def placed_run(self) -> ContainerRun:
        """Return the current or most recent start. Raises RuntimeError if there was none."""
        if self.run is None:
            message = f"job {self.job_id} was never placed"
            raise RuntimeError(message)
        return self.run

    def summary(self) -> dict[str, Any]:
        """Return the JobSummary of ListJobs."""
        shape: dict[str, Any] = {
            "jobArn": self.arn,
            "jobId": self.job_id,
            "jobName": self.submission.name,
            "jobDefinition": self.submission.definition_arn,
            "createdAt": self.created_at_ms,
            "status": self.status.value,
            "container": {},
        }
        self._add_times_and_reason(shape)
        if self.run is not None:
            shape["container"] = _ending(self.run)
        return shape

    def detail(self) -> dict[str, Any]:
        """Return the JobDetail of DescribeJobs."""
        submission = self.submission
        shape: dict[str, Any] = {
            "jobArn": self.arn,
            "jobName": submission.name,
            "jobId": self.job_id,
            "jobQueue": submission.queue.arn,
            "status": self.status.value,
            "attempts": [self._attempt(run) for run in self.ended_runs],
            "createdAt": self.created_at_ms,
            "retryStrategy": {"attempts": submission.retry.attempts, "evaluateOnExit": list(submission.retry.on_exit)},
            "dependsOn": [],
            "jobDefinition": submission.definition_arn,
            "parameters": submission.parameters,
            "container": self._container(),
            "tags": submission.tags,
            "propagateTags": False,
            "platformCapabilities": list(submission.platform_capabilities),
            "eksAttempts": [],
            "isCancelled": self.is_cancelled,
            "isTerminated": self.is_terminated,
        }
        if submission.timeout_s is not None:
            shape["timeout"] = {"attemptDurationSeconds": submission.timeout_s}
        self._add_times_and_reason(shape)
        return shape

    def _add_times_and_reason(self, shape: dict[str, Any]) -> None:
        if self.status_reason:
            shape["statusReason"] = self.status_reason
        if self.run is not None and self.run.started_at_ms is not None:
            shape["startedAt"] = self.run.started_at_ms
        if self.status in FINISHED:
            shape["stoppedAt"] = self.stopped_at_ms

    def _container(self) -> dict[str, Any]:
        submission = self.submission
        amounts = {"VCPU": f"{submission.vcpus:g}", "MEMORY": str(submission.memory_mib)}
        shape: dict[str, Any] = {
            "image": submission.image,
            "command": list(submission.command),
            "volumes": [],
            "environment": [{"name": name, "value": value} for name, value in submission.environment.items()],
            "mountPoints": [],
            "ulimits": [],
            "networkInterfaces": [],
            "resourceRequirements": [{"type": kind, "value": amount} for kind, amount in amounts.items()],
            "secrets": [],
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": submission.log_group}},
        }
        if self.run is not None:
            shape |= {**_ending(self.run), **self._place(self.run)}
        return shape

    def _attempt(self, run: ContainerRun) -> dict[str, Any]:
        shape: dict[str, Any] = {
            "container": {**_ending(run), **self._place(run), "networkInterfaces": []},
            "stoppedAt": run.stopped_at_ms,
            "statusReason": run.status_reason,
        }
        if run.started_at_ms is not None:
            shape["startedAt"] = run.started_at_ms
        return shape

    def _place(self, run: ContainerRun) -> dict[str, str]:
        place = {"taskArn": f"arn:aws:ecs:{self.submission.queue.region}:{ACCOUNT_ID}:task/{run.cluster}/{run.task_id}"}
        if run.machine_arn:
            place["containerInstanceArn"] = run.machine_arn
        return place | ({"logStreamName": run.log_stream_name} if run.log_stream_name else {})


def _ending(run: ContainerRun) -> dict[str, Any]:
    ending: dict[str, Any] = {}
    if run.exit_code is not None:
        ending["exitCode"] = run.exit_code
    if run.reason:
        ending["reason"] = run.reason
    return ending
