"""The container's files in a bucket are streamed: progress is reported from the first block on, and a stop ends it."""

from __future__ import annotations

import os
import threading
import uuid
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from storages.backends.s3 import S3File

from tasks.conf import bridge_settings
from tasks.container.failures import failure_of
from tasks.container.files import NotMountedError, SourceMissingError, fetch_source, read_object, store_file
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.storage.bucket import MAX_CALL_S, BucketError
from tasks.transcode import StoppedError
from tests.buckets import use_bucket, use_new_bucket
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


def allocated(path: Path, size_bytes: int) -> None:
    """Give the file its size, as a reservation does."""
    path.touch()
    os.truncate(path, size_bytes)


def test_download_reports_progress_per_block_when_source_is_in_a_bucket(source: bytes, tmp_path: Path) -> None:
    reported_bytes: list[int] = []
    path = fetch_source("source", tmp_path, reserve=allocated, progress=reported_bytes.append, stop=threading.Event())
    assert path.read_bytes() == source
    assert reported_bytes[0] <= BLOCK_BYTES
    assert reported_bytes[-1] == len(source)
    assert b"".join(read_object("source", stop=threading.Event())) == source


def test_download_ends_at_once_when_the_container_is_stopped(source: bytes, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError):
        fetch_source("source", tmp_path, reserve=allocated, progress=lambda _: stop.set(), stop=stop)
    assert not (tmp_path / "source").read_bytes().startswith(source), "the download did not end"


@pytest.mark.usefixtures("source")
def test_missing_source_is_recognized_when_the_bucket_responds(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError):
        fetch_source("another", tmp_path, reserve=allocated, progress=lambda _: None, stop=threading.Event())


def test_settings_are_at_fault_when_the_bucket_does_not_exist(settings: Settings, tmp_path: Path) -> None:
    use_bucket(settings, f"nobody-made-this-{uuid.uuid4().hex}")
    with pytest.raises(ImproperlyConfigured, match=r"does not exist. Check STORAGE_BUCKET") as caught:
        fetch_source("sources/v/1/a.mp4", tmp_path, reserve=allocated, progress=lambda _: None, stop=threading.Event())
    assert failure_of(caught.value, was_out_of_memory=False)[:2] == (ExitCode.MISCONFIGURED, Reason.MISCONFIGURED)


def test_source_is_missing_when_the_bucket_denies_to_be_looked_up(
    source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source
    fail_calls(monkeypatch, "HeadBucket", times=1, status=403, code="403")
    with pytest.raises(SourceMissingError):
        fetch_source("another", tmp_path, reserve=allocated, progress=lambda _: None, stop=threading.Event())


def test_machine_is_at_fault_when_the_folder_of_the_uploads_is_not_mounted(settings: Settings, tmp_path: Path) -> None:
    def fetch() -> Path:
        return fetch_source(
            "sources/v/1/a.mp4", tmp_path, reserve=allocated, progress=lambda _: None, stop=threading.Event()
        )

    settings.MEDIA_ROOT = tmp_path / "media"
    (tmp_path / "media").mkdir()
    with pytest.raises(NotMountedError, match="not mounted"):
        fetch()
    default_storage.save("sources/v/2/b.mp4", ContentFile(b"another upload"))
    with pytest.raises(SourceMissingError):
        fetch()


def shorten_retry_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses between retries short."""
    monkeypatch.setattr("tasks.storage.bucket._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("tasks.storage.bucket._LONGEST_PAUSE_S", 0.01)


def use_proxy(settings: Settings, proxy: CuttingProxy) -> None:
    """Make the default storage reach its bucket through the proxy from now on."""
    storage = settings.STORAGES["default"]
    options = {**storage["OPTIONS"], "endpoint_url": proxy.url}
    settings.STORAGES = {**settings.STORAGES, "default": {**storage, "OPTIONS": options}}


def test_download_resumes_when_the_connection_is_cut_repeatedly(
    source: bytes, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    reported_bytes: list[int] = []
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"], cut_after_bytes=2 * BLOCK_BYTES).running() as proxy:
        use_proxy(settings, proxy)
        path = fetch_source(
            "source", tmp_path, reserve=allocated, progress=reported_bytes.append, stop=threading.Event()
        )
        assert proxy.connections > SIZE_BYTES // (2 * BLOCK_BYTES)
    assert path.read_bytes() == source
    assert reported_bytes == sorted(reported_bytes), "something was fetched twice"


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


def fail_calls(
    monkeypatch: pytest.MonkeyPatch, operation: str, *, times: int, status: int, code: str, after_effect: bool = False
) -> list[str]:
    """Fail the next `times` calls of one operation with an error, and return the growing list of its calls."""
    real_call, calls = BaseClient._make_api_call, []  # type: ignore[attr-defined]

    def response(client: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name != operation:
            return real_call(client, name, arguments)
        calls.append(name)
        if len(calls) > times:
            return real_call(client, name, arguments)
        if after_effect:
            real_call(client, name, arguments)
        response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, name)

    monkeypatch.setattr(BaseClient, "_make_api_call", response)
    return calls


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject"])
@pytest.mark.parametrize("error", [(503, "SlowDown"), (500, "InternalError"), (429, ""), (400, "RequestTimeout")])
def test_source_is_fetched_when_the_bucket_was_unavailable_for_a_while(
    operation: str, error: tuple[int, str], source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    status, code = error
    calls = fail_calls(monkeypatch, operation, times=9, status=status, code=code)
    path = fetch_source("source", tmp_path, reserve=allocated, progress=lambda _: None, stop=threading.Event())
    assert path.read_bytes() == source
    assert len(calls) > 9


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


@pytest.mark.usefixtures("source")
def test_bucket_retry_ends_at_once_when_the_container_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    stop.set()
    fail_calls(monkeypatch, "HeadObject", times=9, status=503, code="")
    with pytest.raises(StoppedError):
        fetch_source("source", tmp_path, reserve=allocated, progress=lambda _: None, stop=stop)


class SlowStorage:
    """A storage on a fake clock: each call takes time on it, and fails while the storage is unreachable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shorten_retry_pauses(monkeypatch)
        self.passed_s, self.saves, self.failing_saves = 0.0, 0, 0
        self.read_s, self.call_s = 0.0, 0.0
        monkeypatch.setattr("tasks.storage.bucket.time", SimpleNamespace(monotonic=lambda: self.passed_s))
        monkeypatch.setattr("tasks.container.files.default_storage", self)

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
