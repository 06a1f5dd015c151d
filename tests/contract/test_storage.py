"""S3 in the same local endpoint as Batch: uploads that wait for "100 Continue", ranges, concurrent uploads."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import boto3
import pytest

SIZE_BYTES = 300_000
PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 accepts, except for the last part."""


@pytest.fixture(scope="module")
def s3() -> Any:
    return boto3.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def test_object_is_returned_whole_or_in_part_when_a_range_is_given(s3: Any, bucket: str) -> None:
    body = bytes(range(256)) * (SIZE_BYTES // 256)
    s3.put_object(Bucket=bucket, Key="reels/1/720p.mp4", Body=body, ContentType="video/mp4")
    whole = s3.get_object(Bucket=bucket, Key="reels/1/720p.mp4")
    assert whole["ContentType"] == "video/mp4"
    assert whole["Body"].read() == body
    part = s3.get_object(Bucket=bucket, Key="reels/1/720p.mp4", Range="bytes=1000-1999")
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["Body"].read() == body[1000:2000]


def test_large_upload_is_complete_when_it_is_sent_in_parts(s3: Any, bucket: str) -> None:
    body = b"reel" * (2 * PART_BYTES // 4)
    s3.upload_fileobj(BytesIO(body), bucket, "large")
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == len(body)


def test_uploads_succeed_when_eight_run_concurrently(s3: Any, bucket: str) -> None:
    def upload(number: int) -> None:
        s3.put_object(Bucket=bucket, Key=f"object-{number}", Body=bytes([number]) * SIZE_BYTES)

    with ThreadPoolExecutor(8) as uploads:
        list(uploads.map(upload, range(32)))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 32
    assert s3.get_object(Bucket=bucket, Key="object-31")["Body"].read() == bytes([31]) * SIZE_BYTES
