"""The container runner of the local AWS Batch, in this process, so that timeouts may be shorter than AWS allows."""

from __future__ import annotations

import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from project.local.batch.control_plane import Compute, Queue
from project.local.batch.faults.plan import FaultTable
from project.local.batch.jobs import JobTable
from project.local.batch.runner import ContainerRunner
from project.local.batch.submission import RetryRules, Submission
from tests.polling import wait_for

QUEUE = Queue(arn="arn:aws:batch:us-east-1:123456789012:job-queue/q", name="q", region="us-east-1", enabled=True)
KNOWN_JOBS = 10_000
DESCRIBE_LIMIT_MS = 5.0
"""For 100 ids, regardless of the number of known jobs; in CPU time, which other programs do not affect."""


class MemoryLogs:
    """Keeps log lines in memory instead of writing them to CloudWatch."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def open_stream(self, **_: str) -> Any:
        return self.lines.append


def submission(*command: str, **changes: Any) -> Submission:
    values: dict[str, Any] = {
        "name": "job",
        "queue": QUEUE,
        "definition_arn": "arn:aws:batch:us-east-1:123456789012:job-definition/d:1",
        "parameters": {},
        "command": command,
        "environment": {},
        "image": "batchreel",
        "vcpus": 1.0,
        "memory_mib": 512,
        "retry": RetryRules(attempts=1, on_exit=()),
        "timeout_s": None,
        "tags": {},
        "log_group": "/aws/batch/job",
        "log_stream_prefix": "d",
        "platform_capabilities": (),
    }
    return Submission(**{**values, **changes})


@pytest.fixture
def table() -> JobTable:
    return JobTable(lambda _queue: [Compute(arn="compute/c", max_vcpus=2)])


@pytest.fixture
def logs(table: JobTable) -> MemoryLogs:
    """Start a runner for the table's jobs, and return the output of their containers."""
    logs = MemoryLogs()
    runner = ContainerRunner(
        table,
        logs,  # type: ignore[arg-type]
        environment=dict(os.environ),
        folder=Path.cwd(),
        faults=FaultTable(),
    )
    threading.Thread(target=runner.start_jobs_forever, daemon=True).start()
    return logs


def test_batch_job_fails_without_retry_when_it_exceeds_its_timeout(table: JobTable, logs: MemoryLogs) -> None:
    # The timeout is long enough for the shell to set its trap even if the machine stalls for a
    # while.
    command = ("sh", "-c", "trap 'echo stopped; exit 0' TERM; echo started; while :; do sleep 0.05; done")
    job = table.submit(submission(*command, timeout_s=5, retry=RetryRules(attempts=5, on_exit=())))
    wait_for(lambda: job.status == "FAILED", limit_s=60, what="the end of the job")
    [detail] = table.describe([job.job_id])
    assert detail["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(detail["attempts"]) == 1
    assert 5000 <= detail["stoppedAt"] - detail["startedAt"] < 25_000
    assert logs.lines == ["started", "stopped"]


def test_batch_job_is_stopped_at_once_when_terminated_before_its_start(table: JobTable) -> None:
    job = table.submit(submission("sleep", "600"))
    assert table.next_to_start() == [job]
    table.terminate(job.job_id, "too early")
    assert table.describe([job.job_id])[0]["status"] == "STARTING"
    stopped = threading.Event()
    table.mark_running(job, stop=stopped.set, kill=stopped.set, log_stream_name="d/default/1")
    assert stopped.is_set()
    table.mark_ended(job, exit_code=143)
    [detail] = table.describe([job.job_id])
    assert (detail["status"], detail["statusReason"]) == ("FAILED", "too early")


def test_vcpus_are_released_when_a_batch_job_ends_in_any_way(table: JobTable, logs: MemoryLogs) -> None:
    endings = [table.submit(submission(*command, vcpus=2.0)) for command in (("true",), ("false",), ("no-such",))]
    last = table.submit(submission("true", vcpus=2.0))
    wait_for(lambda: last.status == "SUCCEEDED", what="the end of the last job")
    assert [job.status for job in endings] == ["SUCCEEDED", "FAILED", "FAILED"]
    assert logs.lines == []


def test_describe_takes_under_5_ms_for_100_jobs_when_10_000_are_known(table: JobTable) -> None:
    jobs = [table.submit(submission("true", vcpus=64.0)) for _ in range(KNOWN_JOBS)]
    took_ms = []
    for first in range(0, KNOWN_JOBS, 400):
        job_ids = [job.job_id for job in jobs[first : first + 100]]
        began = time.thread_time()
        assert len(table.describe(job_ids)) == 100
        took_ms.append((time.thread_time() - began) * 1000)
    assert statistics.median(took_ms) < DESCRIBE_LIMIT_MS
