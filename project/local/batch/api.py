"""The operations of Batch's job plane: JSON requests and responses as in AWS's API reference."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from project.local.batch.errors import BatchError, reject
from project.local.batch.fields import list_field, number_field, text_field, text_list_field
from project.local.batch.job import BatchStatus
from project.local.batch.submission import PAYLOAD_LIMIT_BYTES, read_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from project.local.batch.control_plane import ControlPlane
    from project.local.batch.job import BatchJob
    from project.local.batch.jobs import JobTable

DESCRIBE_IDS_MAX = 100
"""API_DescribeJobs: at most 100 job ids per call."""
LIST_PAGE_MAX = 1000
LIST_FILTERED_PAGE_MAX = 100
"""API_ListJobs: 1,000 summaries per page by status, 100 with a filter."""
BULK_IDS_MAX = 50
"""API_TerminateJobs, API_CancelJobs: up to 50 jobs."""

_BULK_CODES = {"AccessDeniedException": "AccessDenied"}
"""API_TerminateJobsErrorDetail: codes of single jobs that differ from those of calls."""

Response = tuple[int, dict[str, str], bytes]
"""HTTP status, headers, body."""

_log = logging.getLogger(__name__)


class JobPlane:
    """The operations to submit, describe, list, terminate and cancel jobs. Thread-safe."""

    def __init__(self, table: JobTable, control_plane: ControlPlane) -> None:
        self._table = table
        self._control_plane = control_plane
        self._operations: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
            "/v1/submitjob": self._submit_job,
            "/v1/describejobs": self._describe_jobs,
            "/v1/listjobs": self._list_jobs,
            "/v1/terminatejob": self._terminate_job,
            "/v1/canceljob": self._cancel_job,
            "/v1/terminatejobs": partial(self._end_several, self._table.terminate),
            "/v1/canceljobs": partial(self._end_several, self._table.cancel),
        }

    def handles(self, method: str, path: str) -> bool:
        """Return whether a request belongs to the job plane. moto serves all other Batch requests."""
        return method == "POST" and path in self._operations

    def respond(self, path: str, body: bytes, *, region: str) -> Response:
        """Return HTTP status, headers and body of the response. Raises nothing."""
        try:
            shape = self._operations[path](_parse(path, body), region)
        except BatchError as refusal:
            return error_response(refusal)
        except Exception:  # noqa: BLE001 - the client gets AWS's response for any internal error
            _log.exception("%s failed", path)
            message = "The local AWS Batch failed; see its log."
            error = BatchError(message, code="ServerException", http_status=HTTPStatus.INTERNAL_SERVER_ERROR)
            return error_response(error)
        return HTTPStatus.OK, {"Content-Type": "application/json"}, json.dumps(shape).encode()

    def _submit_job(self, body: Mapping[str, Any], region: str) -> dict[str, Any]:
        job = self._table.submit(read_submission(body, region=region, control_plane=self._control_plane))
        return {"jobArn": job.arn, "jobName": job.submission.name, "jobId": job.job_id}

    def _describe_jobs(self, body: Mapping[str, Any], _region: str) -> dict[str, Any]:
        job_ids = text_list_field(body, "jobs")
        if not job_ids:
            reject("Error executing request, Exception : jobs must be provided")
        if len(job_ids) > DESCRIBE_IDS_MAX:
            reject(f"Error executing request, Exception : Maximum number of jobs supported is {DESCRIBE_IDS_MAX}")
        return {"jobs": self._table.describe(job_ids)}

    def _list_jobs(self, body: Mapping[str, Any], region: str) -> dict[str, Any]:
        if body.get("arrayJobId") or body.get("multiNodeJobId"):
            reject("The local AWS Batch supports only single-container jobs: list by jobQueue.")
        queue = self._control_plane.queue(region, text_field(body, "jobQueue"))
        filters = list_field(body, "filters")
        page_max = LIST_FILTERED_PAGE_MAX if filters else LIST_PAGE_MAX
        limit = number_field(body, "maxResults", default=page_max)
        if limit < 1:
            reject("maxResults must be at least 1")
        summaries, next_before = self._table.list_page(
            queue.arn,
            wanted=_name_filter(filters) if filters else _status_filter(body),
            before=_read_token(body.get("nextToken")),
            limit=min(limit, page_max),
        )
        response: dict[str, Any] = {"jobSummaryList": summaries}
        if next_before is not None:
            response["nextToken"] = _write_token(next_before)
        return response

    def _terminate_job(self, body: Mapping[str, Any], _region: str) -> dict[str, Any]:
        self._table.terminate(text_field(body, "jobId"), text_field(body, "reason"))
        return {}

    def _cancel_job(self, body: Mapping[str, Any], _region: str) -> dict[str, Any]:
        self._table.cancel(text_field(body, "jobId"), text_field(body, "reason"))
        return {}

    def _end_several(self, end: Callable[[str, str], None], body: Mapping[str, Any], _region: str) -> dict[str, Any]:
        """End each of the jobs, and report those that may not be ended. Unknown jobs count as ended, as in AWS."""
        job_ids, reason = text_list_field(body, "jobs"), text_field(body, "reason")
        if not 1 <= len(job_ids) <= BULK_IDS_MAX:
            reject(f"jobs must have 1 to {BULK_IDS_MAX} entries")
        errors = []
        for job_id in job_ids:
            try:
                end(job_id, reason)
            except BatchError as refusal:
                code = _BULK_CODES.get(refusal.code, refusal.code)
                errors.append({"job": job_id, "code": code, "message": refusal.message})
        failed = {each["job"] for each in errors}
        return {"successful": [job_id for job_id in job_ids if job_id not in failed], "errors": errors}


def _parse(path: str, body: bytes) -> Mapping[str, Any]:
    if path == "/v1/submitjob" and len(body) > PAYLOAD_LIMIT_BYTES:
        reject(f"Job payload exceeds the maximum size of {PAYLOAD_LIMIT_BYTES} bytes")
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        reject("The body is not JSON", code="SerializationException")
    if not isinstance(parsed, dict):
        reject("The body is not a JSON object", code="SerializationException")
    return parsed


def error_response(error: BatchError) -> Response:
    """Return the HTTP status, headers and body that botocore turns into a ClientError."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return error.http_status, headers, json.dumps({"message": error.message}).encode()


def _status_filter(body: Mapping[str, Any]) -> Callable[[BatchJob], bool]:
    text = body.get("jobStatus") or BatchStatus.RUNNING
    if text not in set(BatchStatus):
        reject(f"jobStatus {text} is not one of {', '.join(BatchStatus)}")
    return lambda job: job.status == text


def _name_filter(filters: list[dict[str, Any]]) -> Callable[[BatchJob], bool]:
    """Return a predicate for the filter JOB_NAME: case-insensitive, optional trailing `*`, any status."""
    values = text_list_field(filters[0], "values")
    if len(filters) != 1 or filters[0].get("name") != "JOB_NAME" or len(values) != 1:
        reject("The local AWS Batch supports only one filter, JOB_NAME, with one value.")
    pattern = values[0].lower()
    if pattern.endswith("*"):
        return lambda job: job.submission.name.lower().startswith(pattern[:-1])
    return lambda job: job.submission.name.lower() == pattern


def _write_token(sequence: int) -> str:
    return base64.urlsafe_b64encode(str(sequence).encode()).decode()


def _read_token(token: Any) -> int | None:
    if token is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(token))
    except (TypeError, ValueError, binascii.Error):
        reject("nextToken is not one that ListJobs returned")
