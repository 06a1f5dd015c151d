"""The observation table: what AWS Batch's words about a job mean for an attempt.

The texts are AWS's own (statusReason and container.reason of DescribeJobs); they are matched by their stable beginnings or phrases,
and the container's reason is believed before the exit code, because 137 alone may be an out-of-memory kill or a terminate. A text that
is not known here proves nothing: its charge stays open.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from .exit_codes import ExitCode
from .reasons import Reason


class BatchStatus(enum.StrEnum):
    """The status of a Batch job, as AWS names it, and ABSENT: asked for, and not in the answer."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABSENT = "ABSENT"


FINAL_STATUSES = frozenset({BatchStatus.SUCCEEDED, BatchStatus.FAILED})

OUR_TERMINATE = "Batchreel:"
"""How the reason of every TerminateJob of ours begins, so that it can be told from an operator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one DescribeJobs answer said about one Batch job. Never the truth by itself."""

    batch_job_id: str
    status: BatchStatus
    status_reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    log_stream: str = ""
    started: bool = False
    terminated: bool = False
    """Somebody called TerminateJob or CancelJob: AWS says so apart from the reason, which is the caller's own words."""


_BY_TEXT: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"^OutOfMemory", Reason.OUT_OF_MEMORY),
        (r"^Your Spot Task was interrupted", Reason.SPOT_RECLAIM),
        (r"^Host EC2 .*(terminated|stopped)", Reason.HOST_LOST),
        (r"^Container instance deregistration forced", Reason.HOST_LOST),
        (r"ECS is performing maintenance on the underlying infrastructure", Reason.HOST_LOST),
        (r"^Job attempt duration exceeded timeout", Reason.TIMED_OUT),
        # The agent lost sight of a container that had run: how it ended is not known. The same time-out before the start is another matter.
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
"""What a container can say in no other way: it could not reach the row that it would write it to."""


def failure_reason(observation: Observation) -> Reason:
    """Why a Batch job with status FAILED failed: docs/observations.md lists the words. What they leave open is UNKNOWN_CAUSE."""
    for text in (observation.container_reason, observation.status_reason):
        for pattern, reason in _BY_TEXT:
            if text and pattern.search(text):
                return reason
    if observation.status_reason.startswith(OUR_TERMINATE):
        return Reason.REPLACED
    if not observation.started:
        return Reason.NOT_STARTED
    if observation.terminated:
        return Reason.TERMINATED
    ended_by_itself = observation.status_reason == "" or observation.status_reason.startswith("Essential container")
    if not observation.exit_code or not ended_by_itself:
        return Reason.UNKNOWN_CAUSE
    return _BY_EXIT_CODE.get(observation.exit_code, Reason.EXIT_CODE)
