"""Requests and answers of the job plane are held to botocore's own model of AWS Batch, member by member.

Every answer in this folder is: the client in conftest.py sees to it. Here are the requests, which the model says what must be refused in.
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
from tests.contract.service_model import departures

_MODEL = boto3.client("batch").meta.service_model

_COMPLETE: dict[str, dict[str, Any]] = {
    "SubmitJob": {"jobName": "job", "jobQueue": "batchreel", "jobDefinition": "any"},
    "DescribeJobs": {"jobs": ["id"]},
    "TerminateJob": {"jobId": "id", "reason": "why"},
    "CancelJob": {"jobId": "id", "reason": "why"},
    "TerminateJobs": {"jobs": ["id"], "reason": "why"},
    "CancelJobs": {"jobs": ["id"], "reason": "why"},
}
"""Operation -> a request with each required member. ListJobs has none: it wants one of three."""

_WITHOUT_ONE = [
    (operation, member)
    for operation in _COMPLETE
    for member in _MODEL.operation_model(operation).input_shape.required_members
]
_OF_ANOTHER_KIND = [(operation, member) for operation, request in _COMPLETE.items() for member in request]


def ask(operation: str, document: Any) -> tuple[int, str, Any]:
    """Send a request past botocore, which would refuse it itself: HTTP status, AWS's code, the answer."""
    connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=10)
    scope = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/batch/aws4_request"
    path = _MODEL.operation_model(operation).http["requestUri"]
    try:
        connection.request("POST", path, body=json.dumps(document), headers={"Authorization": scope})
        answer = connection.getresponse()
        return answer.status, answer.getheader("x-amzn-ErrorType", ""), json.load(answer)
    finally:
        connection.close()


@pytest.mark.parametrize(("operation", "member"), _WITHOUT_ONE)
def test_request_is_refused_when_it_lacks_what_the_model_requires(operation: str, member: str) -> None:
    request = {name: value for name, value in _COMPLETE[operation].items() if name != member}
    status, code, answer = ask(operation, request)
    assert (status, code) == (400, "ClientException")
    assert member in answer["message"]


@pytest.mark.parametrize(("operation", "member"), _OF_ANOTHER_KIND)
def test_request_is_refused_when_a_member_is_of_another_kind(operation: str, member: str) -> None:
    status, code, _ = ask(operation, {**_COMPLETE[operation], member: {"an": "object"}})
    assert (status, code) == (400, "ClientException")


@pytest.mark.parametrize("operation", JOB_PLANE)
def test_refusal_is_an_error_that_the_model_names(operation: str) -> None:
    _, code, _ = ask(operation, {"reason": 1})
    assert code in {shape.name for shape in _MODEL.operation_model(operation).error_shapes}


def test_judge_sees_what_is_wrong_when_an_answer_departs_from_the_model(jobs: Jobs) -> None:
    shape = _MODEL.operation_model("DescribeJobs").output_shape
    (job,) = jobs.batch.describe_jobs(jobs=[jobs.submit_waiting()])["jobs"]
    assert not list(departures({"jobs": [job]}, shape))
    del job["jobId"]
    bad = {**job, "status": "ASLEEP", "createdAt": "now", "isTerminated": 0, "colour": "red"}
    told = "\n".join(departures({"jobs": [bad]}, shape))
    for word in ("jobId: missing", "ASLEEP", "createdAt", "isTerminated", "colour: not in the model"):
        assert word in told
