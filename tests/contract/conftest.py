"""Unmodified boto3 against the running local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from tests.contract.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient


@pytest.fixture(scope="session")
def batch_client() -> BatchClient:
    return boto3.client("batch")


@pytest.fixture(scope="session")
def logs_client() -> CloudWatchLogsClient:
    return boto3.client("logs")


@pytest.fixture
def jobs(batch_client: BatchClient, logs_client: CloudWatchLogsClient) -> Iterator[Jobs]:
    jobs = Jobs(batch_client, logs_client)
    yield jobs
    jobs.end()
