"""The observation table: what AWS Batch's words about a job mean for an attempt.

The texts are AWS's own (statusReason and container.reason of DescribeJobs); they are matched by their stable beginnings or phrases,
and the container's reason is believed before the exit code, because 137 alone may be an out-of-memory kill or a terminate.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from tasks.lifecycle.reasons import Reason


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


_BY_TEXT: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"OutOfMemoryError", Reason.OUT_OF_MEMORY),
        (r"Spot (Task|Instance).*interrupt|spot.*reclaim", Reason.SPOT_RECLAIM),
        (r"^Host EC2 .*terminated", Reason.HOST_LOST),
        (r"Job attempt duration exceeded timeout", Reason.TIMED_OUT),
        (r"CannotPullContainer|CannotCreateContainer|CannotStartContainer|CannotInspectContainer", Reason.START_FAILED),
        (r"ResourceInitializationError|DockerTimeoutError|Task failed to start", Reason.START_FAILED),
        (r"Timeout waiting for network interface provisioning", Reason.START_FAILED),
        (r"Canceled by JobStateTimeLimit action", Reason.NOT_STARTED),
    )
)


def failure_reason(observation: Observation) -> Reason:
    """Why a Batch job with status FAILED failed."""
    for text in (observation.container_reason, observation.status_reason):
        for pattern, reason in _BY_TEXT:
            if text and pattern.search(text):
                return reason
    if observation.exit_code is not None and observation.status_reason.startswith("Essential container"):
        return Reason.EXIT_CODE
    if not observation.started:
        return Reason.NOT_STARTED
    if observation.exit_code is not None and observation.status_reason == "":
        return Reason.EXIT_CODE
    return Reason.TERMINATED
