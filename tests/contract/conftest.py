"""Unmodified boto3 against the running local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from tests.contract.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient


# Without boto3's own second tries, which would hide an answer with 5xx; one connection for each thread of a test.
ONE_TRY = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    return boto3.client("batch", config=ONE_TRY)


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs", config=ONE_TRY)


@pytest.fixture
def jobs(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()
