"""A container fetches what its units read of the source, over several connections, into a sparse file."""

from __future__ import annotations

import http.client
import json
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.client import BaseClient
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from storages.backends.s3 import S3File

from project.local.aws.served_bytes import SERVED_BYTES_PATH
from tasks.container.failures import failure_of
from tasks.container.scratch.source import LocalSource, NotMountedError, SourceCopy, SourceMissingError
from tasks.lifecycle.exit_codes import ExitCode
from tasks.lifecycle.reasons import Reason
from tasks.storage.bucket import BucketError
from tasks.transcode import StoppedError
from tests.buckets import use_bucket, use_new_bucket
from tests.contract.storage_faults import fail_calls, shorten_retry_pauses, use_proxy
from tests.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django import Settings

    from tasks.transcode import ByteRanges

MIB = 1024 * 1024
SIZE_BYTES = 5 * MIB + 7
RANGES = ((0, 1000), (MIB + 5, 3 * MIB), (SIZE_BYTES - 9, SIZE_BYTES))


@pytest.fixture
def source(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Make a bucket the default storage, and return the content of its object `source`."""
    use_new_bucket(settings)
    settings.BATCHREEL = {"fetch_range_mib": 1, "fetch_connections": 3}
    content = b"".join(number.to_bytes(4, "big") for number in range(SIZE_BYTES // 4 + 1))[:SIZE_BYTES]
    default_storage.save("source", ContentFile(content))

    def refuse(_: S3File) -> None:
        message = "the whole object was about to be read into a temporary file"
        raise AssertionError(message)

    monkeypatch.setattr(S3File, "_get_file", refuse)
    return content


def allocated(path: Path, ranges: ByteRanges) -> None:
    """Make the file large enough, as a reservation does."""
    with path.open("ab") as file:
        file.truncate(max(path.stat().st_size, *(end for _, end in ranges)))


def fetch(
    copy: SourceCopy,
    wanted: ByteRanges | None = None,
    *,
    size_bytes: int = SIZE_BYTES,
    reserve: Callable[[Path, ByteRanges], None] = allocated,
    progress: Callable[[int], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> LocalSource:
    """Fetch from the bucket."""
    return copy.fetch(wanted, size_bytes=size_bytes, reserve=reserve, progress=progress, stop=stop or threading.Event())


def holes_filled_with_zeros(content: bytes, ranges: ByteRanges) -> bytes:
    """Return what a sparse copy of the content reads as."""
    expected = bytearray(len(content))
    for first, end in ranges:
        expected[first:end] = content[first:end]
    return bytes(expected)


def served_bytes() -> int:
    """Return how many bytes of all objects named `source` the local storage has sent."""
    connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=10)
    connection.request("GET", SERVED_BYTES_PATH)
    served = json.load(connection.getresponse())
    connection.close()
    return sum(count for path, count in served.items() if path.endswith("/source"))


def test_whole_source_is_fetched_when_no_ranges_are_wanted(source: bytes, tmp_path: Path) -> None:
    reported: list[int] = []
    served_before = served_bytes()
    local = fetch(SourceCopy("source", tmp_path), progress=reported.append)
    assert local == LocalSource(tmp_path / "source", None)
    assert local.path.read_bytes() == source
    assert reported[0] <= MIB
    assert reported == sorted(reported)
    assert reported[-1] == served_bytes() - served_before == SIZE_BYTES


def test_only_wanted_bytes_are_fetched_when_units_read_a_part(source: bytes, tmp_path: Path) -> None:
    reserved: list[ByteRanges] = []
    served_before = served_bytes()

    def reserve(path: Path, ranges: ByteRanges) -> None:
        reserved.append(ranges)
        allocated(path, ranges)

    local = fetch(SourceCopy("source", tmp_path), RANGES, reserve=reserve)
    assert local.present == RANGES
    assert local.path.read_bytes() == holes_filled_with_zeros(source, RANGES)
    assert served_bytes() - served_before == sum(end - first for first, end in RANGES)
    assert reserved == [RANGES]


def test_each_byte_is_fetched_once_when_units_overlap(source: bytes, tmp_path: Path) -> None:
    copy = SourceCopy("source", tmp_path)
    served_before = served_bytes()
    fetch(copy, RANGES)
    second = fetch(copy, ((500, 2 * MIB),))
    assert second.present == ((0, 3 * MIB), RANGES[2])
    assert second.path.read_bytes() == holes_filled_with_zeros(source, second.present)
    whole = fetch(copy)
    assert whole.present is None
    assert whole.path.read_bytes() == source
    assert fetch(copy, RANGES).present is None
    assert served_bytes() - served_before == SIZE_BYTES


def test_whole_source_is_fetched_when_its_size_is_not_the_planned_one(source: bytes, tmp_path: Path) -> None:
    local = fetch(SourceCopy("source", tmp_path), RANGES, size_bytes=SIZE_BYTES + 1)
    assert local.present is None
    assert local.path.read_bytes() == source


def test_no_more_connections_are_opened_than_allowed_when_a_source_has_many_parts(
    source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_call, lock, running, most = BaseClient._make_api_call, threading.Lock(), 0, 0  # type: ignore[attr-defined]
    together = threading.Barrier(3)

    def call(client: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        nonlocal running, most
        if name != "GetObject":
            return real_call(client, name, arguments)
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=60)
        response = real_call(client, name, arguments)
        with lock:
            running -= 1
        return response

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    assert fetch(SourceCopy("source", tmp_path)).path.read_bytes() == source
    assert most == 3


def test_download_ends_at_once_when_the_container_is_stopped(source: bytes, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError):
        fetch(SourceCopy("source", tmp_path), progress=lambda _: stop.set(), stop=stop)
    assert (tmp_path / "source").read_bytes() != source, "the download did not end"


@pytest.mark.usefixtures("source")
def test_missing_source_is_recognized_when_the_bucket_responds(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError):
        fetch(SourceCopy("another", tmp_path))


def test_settings_are_at_fault_when_the_bucket_does_not_exist(settings: Settings, tmp_path: Path) -> None:
    use_bucket(settings, f"nobody-made-this-{uuid.uuid4().hex}")
    with pytest.raises(ImproperlyConfigured, match=r"does not exist. Check STORAGE_BUCKET") as caught:
        fetch(SourceCopy("sources/v/1/a.mp4", tmp_path))
    assert failure_of(caught.value, was_out_of_memory=False)[:2] == (ExitCode.MISCONFIGURED, Reason.MISCONFIGURED)


@pytest.mark.usefixtures("source")
def test_source_is_missing_when_the_bucket_denies_to_be_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_calls(monkeypatch, "HeadBucket", times=1, status=403, code="403")
    with pytest.raises(SourceMissingError):
        fetch(SourceCopy("another", tmp_path))


def test_machine_is_at_fault_when_the_folder_of_the_uploads_is_not_mounted(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    (tmp_path / "media").mkdir()
    with pytest.raises(NotMountedError, match="not mounted"):
        fetch(SourceCopy("sources/v/1/a.mp4", tmp_path))
    default_storage.save("sources/v/2/b.mp4", ContentFile(b"another upload"))
    with pytest.raises(SourceMissingError):
        fetch(SourceCopy("sources/v/1/a.mp4", tmp_path))


def test_download_resumes_when_the_connection_is_cut_repeatedly(
    source: bytes, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    reported: list[int] = []
    with CuttingProxy(os.environ["AWS_ENDPOINT_URL"], cut_after_bytes=MIB // 2).running() as proxy:
        use_proxy(settings, proxy)
        local = fetch(SourceCopy("source", tmp_path), RANGES, progress=reported.append)
        assert proxy.connections > 4
    assert local.path.read_bytes() == holes_filled_with_zeros(source, RANGES)
    assert reported == sorted(reported)
    assert reported[-1] == sum(end - first for first, end in RANGES), "something was fetched twice"


@pytest.mark.few(3)
@pytest.mark.parametrize("operation", ["HeadObject", "GetObject"])
@pytest.mark.parametrize("error", [(503, "SlowDown"), (500, "InternalError"), (429, ""), (400, "RequestTimeout")])
def test_source_is_fetched_when_the_bucket_was_unavailable_for_a_while(
    operation: str, error: tuple[int, str], source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_retry_pauses(monkeypatch)
    status, code = error
    calls = fail_calls(monkeypatch, operation, times=9, status=status, code=code)
    assert fetch(SourceCopy("source", tmp_path)).path.read_bytes() == source
    assert len(calls) > 9


@pytest.mark.usefixtures("source")
def test_bucket_retry_ends_at_once_when_the_container_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    stop.set()
    fail_calls(monkeypatch, "HeadObject", times=9, status=503, code="")
    with pytest.raises(StoppedError):
        fetch(SourceCopy("source", tmp_path), stop=stop)


@pytest.mark.usefixtures("source")
def test_download_fails_when_the_object_is_another_one_than_before(tmp_path: Path) -> None:
    copy = SourceCopy("source", tmp_path)
    fetch(copy, RANGES)
    default_storage.delete("source")
    default_storage.save("source", ContentFile(b"x" * SIZE_BYTES))
    with pytest.raises(BucketError, match=r"412|PreconditionFailed"):
        fetch(copy)


def test_download_fails_when_the_storage_returns_another_part_than_asked_for(
    source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def without_range(client: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        return real_call(client, name, {key: value for key, value in arguments.items() if key != "Range"})

    monkeypatch.setattr(BaseClient, "_make_api_call", without_range)
    with pytest.raises(BucketError, match="another part"):
        fetch(SourceCopy("source", tmp_path), RANGES)
    assert not (tmp_path / "source").read_bytes().strip(b"\0"), f"it wrote some of {len(source)} bytes"
