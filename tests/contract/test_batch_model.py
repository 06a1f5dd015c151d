"""Requests and responses of the job plane are checked against botocore's model of AWS Batch, member by member.

The client in conftest.py checks every response in this folder. These tests send requests that the
model forbids.
"""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from tests.contract.jobs import JOB_PLANE, Jobs
from tests.contract.service_model import violations

_MODEL = boto3.client("batch").meta.service_model

_COMPLETE: dict[str, dict[str, Any]] = {
    "SubmitJob": {"jobName": "job", "jobQueue": "batchreel", "jobDefinition": "any"},
    "DescribeJobs": {"jobs": ["id"]},
    "TerminateJob": {"jobId": "id", "reason": "why"},
    "CancelJob": {"jobId": "id", "reason": "why"},
    "TerminateJobs": {"jobs": ["id"], "reason": "why"},
    "CancelJobs": {"jobs": ["id"], "reason": "why"},
}
"""Operation -> a request with all required members. ListJobs has none: it needs one of three members."""

_MISSING_ONE = [
    (operation, member)
    for operation in _COMPLETE
    for member in _MODEL.operation_model(operation).input_shape.required_members
]
_WRONG_TYPE = [(operation, member) for operation, request in _COMPLETE.items() for member in request]


def send(operation: str, document: Any) -> tuple[int, str, Any]:
    """Send a request without botocore, which would reject it, and return HTTP status, AWS's error code and response."""
    connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=10)
    scope = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/batch/aws4_request"
    path = _MODEL.operation_model(operation).http["requestUri"]
    try:
        connection.request("POST", path, body=json.dumps(document), headers={"Authorization": scope})
        response = connection.getresponse()
        return response.status, response.getheader("x-amzn-ErrorType", ""), json.load(response)
    finally:
        connection.close()


@pytest.mark.parametrize(("operation", "member"), _MISSING_ONE)
def test_request_is_rejected_when_it_lacks_a_required_member(operation: str, member: str) -> None:
    request = {name: value for name, value in _COMPLETE[operation].items() if name != member}
    status, code, response = send(operation, request)
    assert (status, code) == (400, "ClientException")
    assert member in response["message"]


@pytest.mark.parametrize(("operation", "member"), _WRONG_TYPE)
def test_request_is_rejected_when_a_member_has_the_wrong_type(operation: str, member: str) -> None:
    status, code, _ = send(operation, {**_COMPLETE[operation], member: {"an": "object"}})
    assert (status, code) == (400, "ClientException")


@pytest.mark.parametrize("operation", JOB_PLANE)
def test_error_code_is_in_the_model_when_a_request_is_rejected(operation: str) -> None:
    _, code, _ = send(operation, {"reason": 1})
    assert code in {shape.name for shape in _MODEL.operation_model(operation).error_shapes}


def test_violations_are_found_when_a_response_deviates_from_the_model(jobs: Jobs) -> None:
    shape = _MODEL.operation_model("DescribeJobs").output_shape
    (job,) = jobs.batch.describe_jobs(jobs=[jobs.submit_waiting()])["jobs"]
    assert not list(violations({"jobs": [job]}, shape))
    del job["jobId"]
    bad = {**job, "status": "ASLEEP", "createdAt": "now", "isTerminated": 0, "colour": "red"}
    found = "\n".join(violations({"jobs": [bad]}, shape))
    for word in ("jobId: missing", "ASLEEP", "createdAt", "isTerminated", "colour: not in the model"):
        assert word in found
