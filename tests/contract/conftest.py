"""Unmodified boto3 against the running local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.contract.jobs import JOB_PLANE, Jobs
from tests.contract.service_model import departures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient


# Without boto3's own second tries, which would hide an answer with 5xx; one connection for each thread of a test.
ONE_TRY = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)


def _as_modelled(http_response: Any, model: OperationModel, **_: object) -> None:
    """Fail where an answer of the job plane is not what botocore's service model says. botocore itself reads over that."""
    if http_response.status_code == 200 and model.name in JOB_PLANE:
        assert not list(departures(json.loads(http_response.content), model.output_shape, model.name))


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    """A client each of whose answers is held to the model."""
    client = boto3.client("batch", config=ONE_TRY)
    client.meta.events.register("after-call.batch", _as_modelled)
    return client


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs", config=ONE_TRY)


@pytest.fixture
def jobs(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()
