"""TerminateJobs through the port: one call for several Batch jobs, and an error for each that does not end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from tasks.batch import aws, calls
from tasks.batch.errors import (
    BatchAmbiguousError,
    BatchDeniedError,
    BatchError,
    BatchRejectedError,
    BatchThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.batch_faults import Faults
    from tests.contract.jobs import Jobs


@pytest.fixture(autouse=True)
def _no_counts() -> Iterator[None]:
    calls.take_counts()
    yield
    calls.take_counts()


def test_several_batch_jobs_end_by_one_call_when_they_wait_or_run(jobs: Jobs) -> None:
    running = jobs.submit("sleep", "600")
    jobs.wait_for_status(running, "RUNNING")
    ids = [running, *(jobs.submit_waiting() for _ in range(20)), "0" * 36]
    assert aws.AwsBatch().terminate_many(ids, reason="Batchreel: not needed") == {}
    for each in ids[:-1]:
        assert jobs.wait_for_end(each)["statusReason"] == "Batchreel: not needed"
    assert calls.take_counts() == {("TerminateJobs", "ok"): 1}


def test_other_batch_jobs_end_when_one_may_not_be_terminated(jobs: Jobs, faults: Faults) -> None:
    denied, other = jobs.submit_waiting("another-site"), jobs.submit_waiting("ours")
    faults.inject("deny_terminate", job_name="another", times=None)
    batch = aws.AwsBatch()
    errors = batch.terminate_many([denied, other], reason="why")
    assert {each: type(error) for each, error in errors.items()} == {denied: BatchDeniedError}
    assert "batch:TerminateJob" in str(errors[denied])
    assert jobs.wait_for_end(other)["status"] == "FAILED"
    with pytest.raises(BatchDeniedError):
        batch.terminate(denied, reason="why")
    assert jobs.describe(denied)["status"] in {"SUBMITTED", "RUNNABLE"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [("deny", BatchDeniedError), ("throttle", BatchThrottledError), ("error_before", BatchAmbiguousError)],
)
def test_call_for_several_fails_as_a_whole_when_aws_answers_with_an_error(
    kind: str, error: type[BatchError], faults: Faults
) -> None:
    faults.inject(kind, operation="TerminateJobs", times=None)
    with pytest.raises(error):
        aws.AwsBatch().terminate_many(["a", "b"], reason="why")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDenied", BatchDeniedError),
        ("ThrottlingException", BatchThrottledError),
        ("ServerException", BatchAmbiguousError),
        ("ClientException", BatchRejectedError),
        ("ValidationException", BatchRejectedError),
        ("", BatchAmbiguousError),
    ],
)
def test_error_of_a_batch_job_has_its_kind_when_the_response_reports_it(
    code: str, error: type[BatchError], monkeypatch: pytest.MonkeyPatch
) -> None:
    response: dict[str, Any] = {"successful": ["good"], "errors": [{"job": "bad", "code": code, "message": "why"}]}
    if not code:  # a response that does not name it
        response["errors"] = []
    client = boto3.client("batch")
    monkeypatch.setattr(aws, "batch_client", lambda **_: client)
    with Stubber(client) as stub:
        # Both are checked against botocore's model.
        stub.add_response("terminate_jobs", response, {"jobs": ["good", "bad"], "reason": "why"})
        errors = aws.AwsBatch().terminate_many(["good", "bad"], reason="why")
    assert {each: type(found) for each, found in errors.items()} == {"bad": error}


def test_call_for_several_is_rejected_when_the_client_is_older(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "batch_client", lambda **_: SimpleNamespace())
    with pytest.raises(BatchRejectedError, match=r"1\.43\.100"):
        aws.AwsBatch().terminate_many(["a", "b"], reason="why")
