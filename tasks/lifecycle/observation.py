"""The observation table: what AWS Batch's texts about a Batch job mean for an attempt.

The texts are AWS's own (statusReason and container.reason of DescribeJobs), matched by their stable
beginnings or phrases. The container's reason takes precedence over the exit code, because 137 alone
may be an out-of-memory kill or a TerminateJob. An unknown text proves nothing: the attempt stays
undecided.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .exit_codes import ExitCode
from .reasons import Reason


class BatchStatus(enum.StrEnum):
    """Status of a Batch job in AWS's terms, plus ABSENT: requested, but missing from the response."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABSENT = "ABSENT"


FINAL_STATUSES = frozenset({BatchStatus.SUCCEEDED, BatchStatus.FAILED})

_RANKS = {
    BatchStatus.SUBMITTED: 0,
    BatchStatus.PENDING: 1,
    BatchStatus.RUNNABLE: 2,
    BatchStatus.STARTING: 3,
    BatchStatus.RUNNING: 4,
    BatchStatus.SUCCEEDED: 5,
    BatchStatus.FAILED: 5,
}
"""The order in which a Batch job has its statuses. It never goes back: AWS Batch starts each only once."""

TERMINATE_REASON_PREFIX = "Batchreel:"
"""Prefix of the reason of every TerminateJob call of the bridge, to distinguish it from an operator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one DescribeJobs response, or one event, reports about one Batch job. Never the source of truth."""

    batch_job_id: str
    status: BatchStatus
    status_reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    log_stream: str = ""
    started: bool = False
    started_at_ms: int | None = None
    stopped_at_ms: int | None = None
    """When the container started and stopped, in epoch milliseconds, as in AWS's response."""
    machine_arn: str = ""
    """The machine: ECS's container instance. Only its cluster if AWS names none, as on Fargate; empty if unknown."""
    terminated: bool = False
    """TerminateJob or CancelJob was called. AWS reports this separately from the caller's reason."""
    pushed: bool = False
    """It is from an event, which may be late or repeated, and not from a response of DescribeJobs."""

    @property
    def started_at(self) -> datetime | None:
        """When the container started, if AWS has reported it."""
        return _time(self.started_at_ms)

    @property
    def stopped_at(self) -> datetime | None:
        """When the container stopped, if AWS has reported it."""
        return _time(self.stopped_at_ms)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(epoch_ms: Any) -> datetime | None:
    """Return the time, or None for no time and for nonsense, which is no reason to lose the whole observation."""
    try:
        return _EPOCH + timedelta(milliseconds=epoch_ms) if epoch_ms and epoch_ms > 0 else None
    except (TypeError, OverflowError):
        return None


_BY_TEXT: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"^OutOfMemory", Reason.OUT_OF_MEMORY),
        (r"^Your Spot Task was interrupted", Reason.SPOT_INTERRUPTION),
        (r"^Host EC2 .*(terminated|stopped)", Reason.HOST_LOST),
        (r"^Container instance deregistration forced", Reason.HOST_LOST),
        (r"ECS is performing maintenance on the underlying infrastructure", Reason.HOST_LOST),
        (r"^Job attempt duration exceeded timeout", Reason.TIMED_OUT),
        # The agent lost track of a container that had run, so how it ended is unknown. The same timeout before
        # the start is a different case.
        (r"^(CannotInspectContainer|CannotStopContainer)Error", Reason.UNKNOWN_CAUSE),
        (r"TimeoutError: Could not transition to (inspecting|stopped)", Reason.UNKNOWN_CAUSE),
        (r"^(CannotPullContainer|CannotCreateContainer|CannotStartContainer|CannotCreateVolume)", Reason.START_FAILED),
        (r"^(ResourceInitialization|DockerTimeout|ContainerRuntimeTimeout)Error", Reason.START_FAILED),
        (r"^Timeout waiting for network interface provisioning", Reason.START_FAILED),
        (r"^Unexpected EC2 error while attempting to Create Network Interface", Reason.START_FAILED),
        (r"^ECS was unable to assume the role", Reason.START_FAILED),
        (r"^Task failed to start", Reason.START_FAILED),
        (r"^Canceled by JobStateTimeLimit action", Reason.NOT_STARTED),
    )
)

_BY_EXIT_CODE: dict[int, Reason] = {
    ExitCode.DATABASE_UNAVAILABLE: Reason.DATABASE_UNAVAILABLE,
    ExitCode.MISCONFIGURED: Reason.MISCONFIGURED,
}
"""Reasons that a container can report only by exit code: it could not write them to its row."""


def goes_back(known: str, seen: BatchStatus) -> bool:
    """Return whether a Batch job whose status was `known` cannot have the status `seen` any more.

    Events are repeated and arrive in any order, and a response may be older than an event. `known`
    is empty before the first observation.
    """
    if not known or seen is BatchStatus.ABSENT or known == seen:
        return False
    before = BatchStatus(known)
    return before in FINAL_STATUSES or _RANKS[seen] < _RANKS[before]


def is_machine_loss(status_reason: str, exit_code: int | None) -> bool:
    """Return whether a Batch job that is FAILED lost its machine.

    If the bridge terminated it first, because the container was silent, only the exit code shows
    whether there was still a machine.
    """
    if status_reason.startswith(TERMINATE_REASON_PREFIX):
        return exit_code is None
    losses = (Reason.SPOT_INTERRUPTION, Reason.HOST_LOST)
    return any(pattern.search(status_reason) for pattern, reason in _BY_TEXT if reason in losses)


def failure_reason(observation: Observation) -> Reason:
    """Return why a FAILED Batch job failed, or UNKNOWN_CAUSE if its texts leave that open.

    docs/reference/observations.md lists the texts.
    """
    for text in (observation.container_reason, observation.status_reason):
        for pattern, reason in _BY_TEXT:
            if text and pattern.search(text):
                return reason
    if observation.status_reason.startswith(TERMINATE_REASON_PREFIX):
        return Reason.REPLACED
    if not observation.started:
        return Reason.NOT_STARTED
    if observation.terminated:
        return Reason.TERMINATED
    ended_by_itself = observation.status_reason == "" or observation.status_reason.startswith("Essential container")
    if not observation.exit_code or not ended_by_itself:
        return Reason.UNKNOWN_CAUSE
    return _BY_EXIT_CODE.get(observation.exit_code, Reason.EXIT_CODE)
