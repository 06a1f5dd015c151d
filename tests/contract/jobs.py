"""What nearly every contract test needs from Batch, through unmodified boto3."""

from __future__ import annotations

import uuid
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

JOB_PLANE = ("SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "CancelJob", "TerminateJobs", "CancelJobs")
"""The operations that we implement; moto implements the others."""
UNFINISHED = ("SUBMITTED", "RUNNABLE", "STARTING", "RUNNING")


class Jobs:
    """The definitions, queues and jobs of one test, which has its own queue."""

    def __init__(self, batch: BatchClient, logs: CloudWatchLogsClient) -> None:
        self.batch = batch
        self.logs = logs
        self._queues: list[str] = []
        self.queue = self.make_queue()

    def make_queue(self, *, vcpus: int = 4, state: str = "ENABLED") -> str:
        """Create a queue with its own compute environment, and return its name."""
        name = f"queue-{uuid.uuid4().hex[:12]}"
        like = self.batch.describe_compute_environments(computeEnvironments=["batchreel"])["computeEnvironments"][0]
        self.batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            state="ENABLED",
            serviceRole=like["serviceRole"],
            computeResources={**like["computeResources"], "maxvCpus": vcpus},
        )
        order: Any = [{"order": 1, "computeEnvironment": name}]
        self.batch.create_job_queue(jobQueueName=name, state=state, priority=1, computeEnvironmentOrder=order)
        self._queues.append(name)
        return name

    def define(self, *command: str, name: str = "", vcpus: str = "1", container: Any = None, **request: Any) -> str:
        """Register a definition that runs `command`, with further request members by keyword, and return its name."""
        name = name or f"definition-{uuid.uuid4().hex[:12]}"
        resources = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": "512"}]
        properties: Any = {"image": "batchreel", "command": list(command), "resourceRequirements": resources}
        properties |= container or {}
        self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=properties, **request
        )
        return name

    def submit(self, *command: str, **request: Any) -> str:
        """Submit a job that runs `command`, or the definition given by `jobDefinition`, and return its id."""
        if "jobDefinition" not in request:
            request["jobDefinition"] = self.define(*command)
        return self.batch.submit_job(**{"jobName": "job", "jobQueue": self.queue, **request})["jobId"]

    def submit_waiting(self, name: str = "job") -> str:
        """Submit a job that never starts, because it requires more vCPUs than there are, and return its id."""
        return self.submit(jobDefinition=self.define("true", vcpus="64"), jobName=name)

    def describe(self, job_id: str) -> Any:
        """Return the JobDetail of one job."""
        return self.batch.describe_jobs(jobs=[job_id])["jobs"][0]

    def wait_for_status(self, job_id: str, *statuses: str, limit_s: float = 20.0) -> Any:
        """Wait until a job has one of the statuses, and return its JobDetail."""

        def poll() -> Any:
            job = self.describe(job_id)
            return job if job["status"] in statuses else None

        return wait_for(poll, limit_s=limit_s, what=f"{statuses} of job {job_id}")

    def wait_for_end(self, job_id: str, *, limit_s: float = 20.0) -> Any:
        """Wait until a job has ended, and return its JobDetail."""
        return self.wait_for_status(job_id, "SUCCEEDED", "FAILED", limit_s=limit_s)

    def lines_of(self, job_id: str) -> list[str]:
        """Return the lines that a job's current container has written so far."""
        stream = self.describe(job_id)["container"].get("logStreamName")
        if stream is None:
            return []
        response = self.logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)
        return [event["message"] for event in response["events"]]

    def wait_for_lines(self, job_id: str, count: int) -> list[str]:
        """Wait until a job's current container has written `count` lines, and return them."""
        wait_for(lambda: len(self.lines_of(job_id)) >= count, what=f"{count} lines of job {job_id}")
        return self.lines_of(job_id)[:count]

    def end(self) -> None:
        """Terminate all unfinished jobs."""
        for queue in self._queues:
            for job_id in unfinished_job_ids(self.batch, queue):
                self.batch.terminate_job(jobId=job_id, reason="The test is over")


def unfinished_job_ids(batch: BatchClient, queue: str) -> list[str]:
    """Return the ids of the Batch jobs in a queue that wait or run."""
    pages = [batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status) for status in UNFINISHED]
    return [job["jobId"] for page in chain.from_iterable(pages) for job in page["jobSummaryList"]]
