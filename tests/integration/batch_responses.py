"""What AWS Batch and CloudWatch Logs report about a container, over boto3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.polling import wait_for

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from tasks.models import Attempt

_ENDED = ("SUCCEEDED", "FAILED")


def describe(batch: BatchClient, attempt: Attempt) -> Any:
    """Return the JobDetail of the attempt's Batch job."""
    return batch.describe_jobs(jobs=[str(attempt.batch_job_id)])["jobs"][0]


def wait_for_final_detail(batch: BatchClient, attempt: Attempt) -> Any:
    """Wait until the attempt's Batch job has ended, and return its JobDetail."""

    def poll() -> Any:
        detail = describe(batch, attempt)
        return detail if detail["status"] in _ENDED else None

    return wait_for(poll, what=f"the end of Batch job {attempt.batch_job_id}")


def log_lines(logs: CloudWatchLogsClient, detail: Any, *, last_event: str) -> list[dict[str, Any]]:
    """Wait until the container's log stream ends with `last_event`, and return its parsed JSON lines."""

    def poll() -> list[dict[str, Any]]:
        response = logs.get_log_events(
            logGroupName="/aws/batch/job", logStreamName=detail["container"]["logStreamName"], startFromHead=True
        )
        lines = [json.loads(event["message"]) for event in response["events"]]
        return lines if lines and lines[-1]["event"] == last_event else []

    return wait_for(poll, what=f"{last_event} at the end of the container's log")
