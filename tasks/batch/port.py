"""The port: the four verbs that the bridge needs of AWS Batch, and what they take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..lifecycle.observation import OUR_TERMINATE, BatchStatus, Observation

DESCRIBE_LIMIT_IDS = 100
"""AWS: "a list of up to 100 job IDs" (API reference, DescribeJobs)."""

CONNECT_TIMEOUT_S = 2
SUBMIT_TIMEOUT_S = 8
"""A SubmitJob that hangs ends after both; `submit_time_limit_s` and that are no more than Celery's soft limit (a system check)."""
READ_TIMEOUT_S = 4
"""All other calls may be sent twice: 12 s at the most, and `rescue_api_time_limit_s` before that."""

TERMINATE_REASON = OUR_TERMINATE
"""Every TerminateJob of ours gives a reason that begins with this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One SubmitJob: what varies from attempt to attempt. Queue and definition come from the settings."""

    name: str
    parameters: Mapping[str, str]
    environment: Mapping[str, str]
    vcpus: int
    memory_mib: int
    timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """One Batch job as ListJobs shows it. `created_at_ms` is in epoch milliseconds, as AWS gives it."""

    batch_job_id: str
    name: str
    status: BatchStatus
    created_at_ms: int


class BatchPort(Protocol):
    """AWS Batch, as the bridge sees it. Every method raises only BatchError (tasks.batch.errors)."""

    def submit(self, submission: Submission) -> str:
        """Call SubmitJob exactly once; give the id of the Batch job."""

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        """Ask DescribeJobs about any number of ids, 100 a call; those that are missing in the answer come back as ABSENT."""

    def find(self, *, name: str) -> list[ListedJob]:
        """The queue's Batch jobs with exactly this name, in whatever status."""

    def list_active(self, *, prefix: str) -> list[ListedJob]:
        """The queue's Batch jobs that have not ended and whose names begin with the prefix: what it reads never grows with history."""

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Call TerminateJob; ending an ended Batch job is not an error."""
