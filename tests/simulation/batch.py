"""Simulated AWS Batch: a stateful port with the faults of the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.batch.errors import BatchAmbiguousError, BatchError, BatchRejectedError, BatchThrottledError
from tasks.batch.port import ListedJob, ListedPage, Submission
from tasks.lifecycle.observation import FINAL_STATUSES, BatchStatus, Observation
from tests.simulation.virtual_clock import VirtualClock

ESSENTIAL = "Essential container in task exited"

_CERTAIN = {"refused": BatchRejectedError, "throttled": BatchThrottledError}
"""Faults after which SubmitJob certainly had no effect."""


@dataclass(kw_only=True)
class BatchJob:
    """One Batch job, as AWS would store it."""

    batch_job_id: str
    name: str
    created_at_s: float
    status: BatchStatus = BatchStatus.RUNNABLE
    status_reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    started: bool = False
    terminated: bool = False
    listed: bool = True
    """Whether ListJobs shows it; it may lag."""
    forgotten: bool = False
    """Whether DescribeJobs omits it."""

    @property
    def is_over(self) -> bool:
        return self.status in FINAL_STATUSES

    def end(self, *, status: BatchStatus = BatchStatus.FAILED, reason: str, exit_code: int | None = None) -> None:
        """End the Batch job, unless it has ended before."""
        if not self.is_over:
            self.status, self.status_reason, self.exit_code = status, reason, exit_code


@dataclass
class SimulatedBatch:
    """Stateful BatchPort. `submit_fault` and `read_fault` apply until they are changed."""

    clock: VirtualClock
    submit_fault: str = ""
    read_fault: bool = False
    terminate_fault: bool = False
    vcpus: int | None = None
    jobs: dict[str, BatchJob] = field(default_factory=dict)

    def submit(self, submission: Submission) -> str:
        if self.submit_fault in _CERTAIN:
            raise _CERTAIN[self.submit_fault](self.submit_fault)
        if self.submit_fault == "lost before":
            raise BatchAmbiguousError(self.submit_fault)
        batch_job_id = f"batch-{len(self.jobs)}"
        self.jobs[batch_job_id] = BatchJob(
            batch_job_id=batch_job_id, name=submission.name, created_at_s=self.clock.now_s
        )
        if self.submit_fault == "lost after, not listed":
            self.jobs[batch_job_id].listed = False
        if self.submit_fault.startswith("lost after"):
            raise BatchAmbiguousError(self.submit_fault)
        return batch_job_id

    def describe(self, batch_job_ids: Sequence[str]) -> list[Observation]:
        self._read()
        return [self._observation(each) for each in batch_job_ids]

    def _observation(self, batch_job_id: str) -> Observation:
        job = self.jobs.get(batch_job_id)
        if job is None or job.forgotten:
            return Observation(batch_job_id=batch_job_id, status=BatchStatus.ABSENT)
        return Observation(
            batch_job_id=batch_job_id,
            status=job.status,
            status_reason=job.status_reason,
            container_reason=job.container_reason,
            exit_code=job.exit_code,
            started=job.started,
            terminated=job.terminated,
        )

    def find(self, *, name: str) -> list[ListedJob]:
        self._read()
        return [self._found(each) for each in self.jobs.values() if each.name == name and each.listed]

    def list_active(self, *, position: str) -> ListedPage:
        self._read()
        active = [each for each in self.jobs.values() if each.listed and not each.is_over and not each.forgotten]
        return ListedPage(jobs=[self._found(each) for each in active], next_position="")

    def queue_vcpus(self, queue: str) -> int | None:
        self._read()
        return self.vcpus

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        if self.terminate_fault:
            raise BatchThrottledError(reason)
        job = self.jobs.get(batch_job_id)
        if job is not None and not job.is_over:
            job.terminated = True
            job.end(reason=reason, exit_code=137 if job.started else None)

    def terminate_many(self, batch_job_ids: Sequence[str], *, reason: str) -> dict[str, BatchError]:
        for each in batch_job_ids:
            self.terminate(each, reason=reason)
        return {}

    def _read(self) -> None:
        if self.read_fault:
            raise BatchError(self)

    def _found(self, job: BatchJob) -> ListedJob:
        return ListedJob(
            batch_job_id=job.batch_job_id,
            name=job.name,
            status=job.status,
            created_at_ms=int(job.created_at_s * 1000),
        )
