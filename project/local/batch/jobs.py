"""The job table of the local AWS Batch: all jobs by id, their state transitions, and their placement.

All methods are thread-safe: one lock covers the table, and no method blocks while it holds the
lock. The cost of a describe depends on the number of ids in the request, not of jobs in the table.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from project.local.batch.job import (
    CONTAINER_EXITED,
    FINISHED,
    NOT_STARTED,
    QUEUE_BLOCKED,
    STATE_CHANGE,
    TIMED_OUT,
    BatchJob,
    BatchStatus,
    ContainerRun,
    Loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from project.local.batch.control_plane import Compute, Queue
    from project.local.batch.submission import Submission

TOO_BIG = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that "
    "can be met by the CE(s) attached to the job queue."
)
"""docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html"""


class JobTable:
    """Jobs and their states. `compute_of` returns the current compute environments of a queue."""

    def __init__(self, compute_of: Callable[[Queue], list[Compute]]) -> None:
        self._compute_of = compute_of
        self._changed = threading.Condition()
        self._jobs: dict[str, BatchJob] = {}
        self._jobs_of_queue: defaultdict[str, list[BatchJob]] = defaultdict(list)
        self._submitted: list[BatchJob] = []
        self._waiting_of_queue: defaultdict[Queue, deque[BatchJob]] = defaultdict(deque)
        self._vcpus_in_use: defaultdict[str, float] = defaultdict(float)
        self._may_place = False
        self._sequence = itertools.count()
        self._held_back: Callable[[str], str | None] = lambda _: None
        self._check_terminate: Callable[[str], None] = lambda _: None
        self._publish: Callable[[str, BatchJob], None] = lambda _kind, _job: None

    def publish_to(self, publish: Callable[[str, BatchJob], None]) -> None:
        """Call `publish` from now on with the kind of each event and its job. It must not block."""
        with self._changed:
            self._publish = publish

    def submit(self, submission: Submission) -> BatchJob:
        """Add a job with status SUBMITTED."""
        with self._changed:
            job = BatchJob(sequence=next(self._sequence), submission=submission, created_at_ms=_now_ms())
            self._jobs[job.job_id] = job
            self._jobs_of_queue[submission.queue.arn].append(job)
            self._submitted.append(job)
            self._place_soon()
            return job

    def describe(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the details of `job_ids`. Unknown ids are silently omitted, as in AWS."""
        with self._changed:
            return [self._jobs[job_id].detail() for job_id in dict.fromkeys(job_ids) if job_id in self._jobs]

    def list_page(
        self, queue_arn: str, *, wanted: Callable[[BatchJob], bool], before: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return up to `limit` summaries, newest first, and the start of the next page or None.

        `before` is the start returned with the previous page: only jobs with a smaller sequence are
        included.
        """
        with self._changed:
            page: list[BatchJob] = []
            for job in reversed(self._jobs_of_queue[queue_arn]):
                if (before is None or job.sequence < before) and wanted(job):
                    if len(page) == limit:
                        return [job.summary() for job in page], page[-1].sequence
                    page.append(job)
            return [job.summary() for job in page], None

    def terminate(self, job_id: str, reason: str) -> None:
        """End a job: immediately if it has not started, otherwise by stopping its process.

        Does nothing for an unknown or finished job. Raises BatchError if it may not be terminated.
        """
        stop: Callable[[], None] | None = None
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.status in FINISHED or job.is_terminated:
                return
            self._check_terminate(job.submission.name)
            job.is_terminated = True
            job.status_reason = reason
            if job.status in NOT_STARTED:
                self._fail_unstarted(job)
            elif job.run is not None:
                stop = job.run.stop
        if stop is not None:
            stop()

    def cancel(self, job_id: str, reason: str) -> None:
        """End a job that has not started. A started job silently continues, as in AWS."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is not None and job.status in NOT_STARTED:
                job.status_reason = reason
                self._fail_unstarted(job)

    def next_to_start(self) -> list[BatchJob]:
        """Wait until jobs can start, and return them as STARTING, each with a new run and its vCPUs allocated."""
        placed: list[BatchJob] = []
        while not placed:
            # Called without holding our lock, because the control plane has its own.
            compute = {queue: self._compute_of(queue) for queue in self._wait_for_queues()}
            with self._changed:
                placed = [job for queue, choices in compute.items() for job in self._place_queue(queue, choices)]
        return placed

    def lose(self, job_id: str, loss: Loss) -> bool:
        """Kill a running job as if its host were lost. Return False if it is not running."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.status is not BatchStatus.RUNNING or job.run is None or job.run.kill is None:
                return False
            job.run.loss = loss
            kill = job.run.kill
        kill()
        return True

    def running(self) -> list[str]:
        """Return the ids of all running jobs, oldest first."""
        with self._changed:
            return [job.job_id for job in self._jobs.values() if job.status is BatchStatus.RUNNING]

    def vanish(self, job_id: str) -> bool:
        """Remove the job from the table; its process keeps running.

        Return False if the id is unknown.
        """
        with self._changed:
            job = self._jobs.pop(job_id, None)
            if job is not None:
                self._jobs_of_queue[job.submission.queue.arn].remove(job)
            return job is not None

    def keep_runnable(self, reason_for: Callable[[str], str | None]) -> None:
        """Keep a job RUNNABLE from now on if this function returns a reason for its name, with that reason."""
        with self._changed:
            self._held_back = reason_for

    def check_terminate(self, check: Callable[[str], None]) -> None:
        """Call `check` from now on with the name of each job to terminate. It may raise BatchError."""
        with self._changed:
            self._check_terminate = check

    def mark_hanging(self, job: BatchJob, *, stop: Callable[[], None]) -> None:
        """Record that the job stays in STARTING. A terminate calls `stop`."""
        with self._changed:
            job.placed_run.stop = stop
            terminated = job.is_terminated
        if terminated:
            stop()

    def mark_running(
        self, job: BatchJob, *, stop: Callable[[], None], kill: Callable[[], None], log_stream_name: str
    ) -> None:
        """Record that the job's process is running.

        If the job was terminated in the meantime, stop the process immediately.
        """
        with self._changed:
            run = job.placed_run
            run.kill = kill
            run.started_at_ms = _now_ms()
            run.log_stream_name = log_stream_name
            run.stop = stop
            self._enter(job, BatchStatus.RUNNING)
            terminated = job.is_terminated
        if terminated:
            stop()

    def mark_timed_out(self, job: BatchJob) -> None:
        """Record that the job's process is being stopped because of its timeout."""
        with self._changed:
            job.placed_run.timed_out = True

    def mark_ended(
        self, job: BatchJob, *, exit_code: int | None, reason: str = "", status_reason: str = CONTAINER_EXITED
    ) -> None:
        """Record the end of the job's run and release its vCPUs.

        The job becomes SUCCEEDED, FAILED, or RUNNABLE for another run.
        """
        with self._changed:
            run = job.placed_run
            if run.loss is not None:
                exit_code, reason, status_reason = run.loss.exit_code, run.loss.reason, run.loss.status_reason
            run.stop = run.kill = None
            run.exit_code = exit_code
            run.reason = reason
            run.stopped_at_ms = _now_ms()
            run.status_reason = (
                job.status_reason if job.is_terminated else TIMED_OUT if run.timed_out else status_reason
            )
            job.ended_runs.append(run)
            job.status_reason = run.status_reason
            self._vcpus_in_use[run.compute_arn] -= job.submission.vcpus
            if exit_code == 0 and not job.is_terminated and not run.timed_out:
                self._finish(job, BatchStatus.SUCCEEDED, at_ms=run.stopped_at_ms)
            elif self._starts_again(job, run):
                self._enter(job, BatchStatus.RUNNABLE)
                self._waiting_of_queue[job.submission.queue].append(job)
            else:
                self._finish(job, BatchStatus.FAILED, at_ms=run.stopped_at_ms)
            self._place_soon()

    def place_again(self) -> None:
        """Check again which jobs can start, because a queue's compute environments may have changed."""
        with self._changed:
            self._place_soon()

    def _place_soon(self) -> None:
        self._may_place = True
        self._changed.notify_all()

    def _wait_for_queues(self) -> list[Queue]:
        """Wait for a change, make submitted jobs RUNNABLE, and return the queues with waiting jobs."""
        with self._changed:
            self._changed.wait_for(lambda: self._may_place)
            self._may_place = False
            for job in self._submitted:
                if job.status is BatchStatus.SUBMITTED:
                    self._enter(job, BatchStatus.RUNNABLE)
                    self._waiting_of_queue[job.submission.queue].append(job)
            self._submitted.clear()
            return [queue for queue, waiting in self._waiting_of_queue.items() if waiting]

    def _place_queue(self, queue: Queue, choices: Sequence[Compute]) -> list[BatchJob]:
        """Place jobs from the head of the queue while they fit.

        First in, first out: a job that does not fit blocks the queue.
        """
        placed: list[BatchJob] = []
        held: list[BatchJob] = []
        waiting = self._waiting_of_queue[queue]
        while waiting:
            job = waiting.popleft()
            if job.status in FINISHED:
                continue
            if reason := self._held_back(job.submission.name):
                self._block(job, reason)
                held.append(job)
                continue
            compute = self._compute_with_room(job, choices)
            if compute is None:
                waiting.appendleft(job)
                break
            self._vcpus_in_use[compute.arn] += job.submission.vcpus
            job.status_reason = ""
            number = len(job.ended_runs) + 1
            job.run = ContainerRun(number, compute.arn, cluster=compute.cluster, machine_arn=compute.machine_arn)
            self._enter(job, BatchStatus.STARTING)
            placed.append(job)
        waiting.extendleft(reversed(held))
        return placed

    def _compute_with_room(self, job: BatchJob, choices: Sequence[Compute]) -> Compute | None:
        for compute in choices:
            if self._vcpus_in_use[compute.arn] + job.submission.vcpus <= compute.max_vcpus:
                return compute
        if all(job.submission.vcpus > compute.max_vcpus for compute in choices):
            self._block(job, TOO_BIG)
        return None

    def _starts_again(self, job: BatchJob, run: ContainerRun) -> bool:
        """Return whether Batch itself retries: never after a terminate or a timeout (job_timeouts.html)."""
        if job.is_terminated or run.timed_out:
            return False
        return job.submission.retry.should_retry(
            attempts_made=run.number, exit_code=run.exit_code, reason=run.reason, status_reason=run.status_reason
        )

    def _fail_unstarted(self, job: BatchJob) -> None:
        job.is_cancelled = True
        self._finish(job, BatchStatus.FAILED, at_ms=_now_ms())
        self._place_soon()

    def _finish(self, job: BatchJob, status: BatchStatus, *, at_ms: int) -> None:
        job.stopped_at_ms = at_ms
        self._enter(job, status)

    def _enter(self, job: BatchJob, status: BatchStatus) -> None:
        job.status = status
        self._publish(STATE_CHANGE, job)

    def _block(self, job: BatchJob, reason: str) -> None:
        """Record why the job at the head of its queue cannot start."""
        if job.status_reason != reason:
            job.status_reason = reason
            self._publish(QUEUE_BLOCKED, job)


def _now_ms() -> int:
    return int(time.time() * 1000)
