"""Calls to AWS are counted by name and outcome."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.batch import calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.batch_faults import Faults


@pytest.fixture(autouse=True)
def _no_counts() -> Iterator[None]:
    calls.take_counts()
    yield
    calls.take_counts()


def describe(*, endpoint_url: str | None = None) -> None:
    """Call DescribeJobs once with a client that is counted, whatever the result."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2)
    client = boto3.client("batch", config=config, endpoint_url=endpoint_url)
    calls.count_calls(client)
    with contextlib.suppress(BotoCoreError, ClientError):
        client.describe_jobs(jobs=["no-such-job"])


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("", "ok"),
        ("throttle", "throttled"),
        ("deny", "denied"),
        ("expired", "denied"),
        ("error_before", "ambiguous"),
    ],
)
def test_call_is_counted_by_its_outcome_when_aws_responds(faults: Faults, kind: str, outcome: str) -> None:
    if kind:
        faults.inject(kind, operation="DescribeJobs")
    describe()
    assert calls.take_counts() == {("DescribeJobs", outcome): 1}
    assert not calls.take_counts(), "taken twice"


def test_call_is_counted_as_unreachable_when_nothing_listens() -> None:
    describe(endpoint_url="http://127.0.0.1:1")
    assert calls.take_counts() == {("DescribeJobs", "unreachable"): 1}
    assert calls.OUTCOMES[0] == "ok"


def test_every_outcome_has_a_series_when_an_error_is_added() -> None:
    from tasks.batch.errors import BatchError  # noqa: PLC0415 - only here

    kinds = {kind.code.removeprefix("BATCH_").lower() for kind in BatchError.__subclasses__()}
    assert kinds | {"ok"} == set(calls.OUTCOMES)
