"""The container's files in a bucket: they stream, so there is progress from the first block on, and a stop ends it."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from storages.backends.s3 import S3File

from tasks.container.files import SourceMissingError, fetch_source, read_object
from tasks.transcode import Stopped

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

BLOCK_BYTES = 1024 * 1024
SIZE_BYTES = 5 * BLOCK_BYTES + 7


@pytest.fixture
def source(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The content of an object named `source` in a bucket that is the default storage."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    options = {"bucket_name": bucket, "file_overwrite": False, "default_acl": None}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
    }
    content = bytes(range(256)) * (SIZE_BYTES // 256 + 1)
    default_storage.save("source", ContentFile(content))

    def refuse(_: S3File) -> None:
        message = "the whole object was about to be read into a temporary file"
        raise AssertionError(message)

    monkeypatch.setattr(S3File, "_get_file", refuse)
    return content


def test_download_tells_progress_block_by_block_when_the_source_is_in_a_bucket(source: bytes, tmp_path: Path) -> None:
    told: list[int] = []
    path = fetch_source("source", tmp_path, progress=told.append, stop=threading.Event())
    assert path.read_bytes() == source
    assert told[0] <= BLOCK_BYTES
    assert told[-1] == len(source)
    assert b"".join(read_object("source")) == source


def test_download_ends_at_once_when_the_container_is_told_to_stop(source: bytes, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        fetch_source("source", tmp_path, progress=lambda _: stop.set(), stop=stop)
    assert (tmp_path / "source").stat().st_size < len(source)


@pytest.mark.usefixtures("source")
def test_missing_source_is_told_apart_when_the_bucket_answers(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError):
        fetch_source("another", tmp_path, progress=lambda _: None, stop=threading.Event())
