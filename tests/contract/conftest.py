"""Unmodified boto3 against the running local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.contract.jobs import JOB_PLANE, Jobs
from tests.contract.service_model import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient


# Without boto3's retries, which would hide 5xx responses; one connection for each thread of a test.
ONE_TRY = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)


def _check_against_model(http_response: Any, model: OperationModel, **_: object) -> None:
    """Fail if a job-plane response deviates from botocore's service model, which botocore itself does not check."""
    if http_response.status_code == 200 and model.name in JOB_PLANE:
        assert not list(violations(json.loads(http_response.content), model.output_shape, model.name))


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    """Return a client that checks each response against the service model."""
    client = boto3.client("batch", config=ONE_TRY)
    client.meta.events.register("after-call.batch", _check_against_model)
    return client


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs", config=ONE_TRY)


@pytest.fixture
def jobs(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()
