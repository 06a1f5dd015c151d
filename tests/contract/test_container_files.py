"""The container's files in a bucket are streamed, and calls are repeated while the bucket is unavailable."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from storages.backends.s3 import S3File

from tasks.conf import bridge_settings
from tasks.container.files import read_object, store_file
from tasks.storage.bucket import BucketError
from tasks.storage.timeouts import MAX_CALL_S
from tests.buckets import use_new_bucket
from tests.contract.storage_faults import fail_calls, shorten_retry_pauses, use_proxy
from tests.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

BLOCK_BYTES = 1024 * 1024
SIZE_BYTES = 5 * BLOCK_BYTES + 7


@pytest.fixture
def source(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Make a bucket the default storage, and return the content of its object `source`."""
    use_new_bucket(settings)
    content = bytes(range(256)) * (SIZE_BYTES // 256 + 1)
    default_storage.save("source", ContentFile(content))

    def refuse(_: S3File) -> None:
        message = "the whole object was about to be read into a temporary file"
        raise AssertionError(message)

    monkeypatch.setattr(S3File, "_get_file", refuse)
    return content


def test_object_is_read_in_blocks_when_it_is_in_a_bucket(source: bytes) -> None:
    blocks = list(read_object("source", stop=threading.Event()))
    assert b"".join(blocks) == source
    assert max(map(len, blocks)) <= BLOCK_BYTES


@pytest.mark.usefixtures("source")
def test_download_fails_when_no_retry_makes_progress(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_retry_pauses(monkeypatch)
    settings.BATCHREEL = {"storage_retry_s": 0.2}
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"], cut_after_bytes=1000).running() as proxy:
        use_proxy(settings, proxy)
        with pytest.raises(BucketError):
            list(read_object("source", stop=threading.Event()))


@pytest.mark.usefixtures("source")
def test_download_fails_when_the_object_was_replaced_meanwhile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"], cut_after_bytes=2 * BLOCK_BYTES).running() as proxy:
        use_proxy(settings, proxy)
        blocks = read_object("source", stop=threading.Event())
        next(blocks)
        default_storage.delete("source")
        default_storage.save("source", ContentFile(b"x" * SIZE_BYTES))
        with pytest.raises(BucketError, match=r"412|PreconditionFailed"):
            list(blocks)


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_file_is_stored_once_when_the_buckets_responses_are_lost(
    after_effect: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    (tmp_path / "made").write_bytes(b"made here")
    fail_calls(monkeypatch, "PutObject", times=1 if after_effect else 9, status=503, code="", after_effect=after_effect)
    store_file(tmp_path / "made", "folder/made", progress=lambda _: None, stop=threading.Event())
    assert default_storage.listdir("folder") == ([], ["made"])
    assert b"".join(read_object("folder/made", stop=threading.Event())) == b"made here"


@pytest.mark.usefixtures("source")
def test_upload_fails_without_retry_when_the_bucket_denies_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").write_bytes(b"made here")
    calls = fail_calls(monkeypatch, "PutObject", times=9, status=403, code="AccessDenied")
    with pytest.raises(BucketError, match="AccessDenied"):
        store_file(tmp_path / "made", "folder/made", progress=lambda _: None, stop=threading.Event())
    assert len(calls) == 1


class SlowStorage:
    """A storage on a fake clock: each call takes time on it, and fails while the storage is unreachable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shorten_retry_pauses(monkeypatch)
        self.passed_s, self.saves, self.failing_saves = 0.0, 0, 0
        self.read_s, self.call_s = 0.0, 0.0
        monkeypatch.setattr("tasks.storage.bucket.time", SimpleNamespace(monotonic=lambda: self.passed_s))
        monkeypatch.setattr("tasks.container.files.published_storage", self)

    def save(self, key: str, file: IO[bytes]) -> str:
        self.saves += 1
        while file.read(1):
            self.passed_s += self.read_s
        self._respond(is_unreachable=self.saves <= self.failing_saves)
        return key

    def exists(self, _: str) -> bool:
        self._respond(is_unreachable=self.call_s > 0)
        return False

    def _respond(self, *, is_unreachable: bool) -> None:
        self.passed_s += self.call_s
        if is_unreachable:
            message = "the storage does not answer"
            raise BucketError(message)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made"
    path.write_bytes(b"made here")
    return path


def test_upload_is_retried_when_the_storage_fails_at_its_end(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = SlowStorage(monkeypatch)
    storage.read_s, storage.failing_saves = 300, 1
    store_file(made, "made", progress=lambda _: None, stop=threading.Event())
    assert storage.saves == 2


def test_upload_retry_ends_when_the_same_bytes_are_sent_repeatedly(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = SlowStorage(monkeypatch)
    storage.read_s, storage.failing_saves = 10, 1000
    with pytest.raises(BucketError):
        store_file(made, "made", progress=lambda _: None, stop=threading.Event())
    assert storage.saves < 10


@pytest.mark.parametrize("call_s", [1, 40, 115, MAX_CALL_S])
def test_storage_retry_ends_before_the_stage_limit_when_calls_are_slow(
    call_s: float, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SlowStorage(monkeypatch)
    storage.call_s, storage.failing_saves = call_s, 1000
    with pytest.raises(BucketError):
        store_file(made, "made", progress=lambda _: None, stop=threading.Event())
    assert storage.passed_s <= bridge_settings().stage_limits_s["store"]
