"""The container's files in the storage: uploads the results, and reads them back.

Both report the bytes transferred. `scratch.source` fetches the source.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.files import File

from ..conf import bridge_settings
from ..storage.aliases import published_bucket, published_storage
from ..storage.bucket import BucketError, RetryDeadline, bucket_errors
from ..transcode import StoppedError

BLOCK_BYTES = 1024 * 1024

Result = TypeVar("Result")


class _Watched:
    """File wrapper that reports how many bytes were read, and raises StoppedError once `stop` is set."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None], stop: threading.Event) -> None:
        self._file = file
        self._progress = progress
        self._stop = stop
        self._read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise StoppedError
        block = self._file.read(size)
        self._read_bytes += len(block)
        self._progress(self._read_bytes)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def store_file(path: Path, key: str, *, progress: Callable[[int], None], stop: threading.Event) -> None:
    """Store a local file under a key that no other writer uses.

    Raises StoppedError or any error of the storage. If the storage is unavailable, its error is
    raised `storage_retry_s` after it last accepted new bytes.
    """
    deadline = retry_deadline(stop)
    most_bytes = 0

    def accepted(done_bytes: int) -> None:
        # Each retry starts at the first byte, so only bytes beyond those of all earlier tries show
        # that the storage is available.
        nonlocal most_bytes
        if done_bytes > most_bytes:
            most_bytes = done_bytes
            deadline.renew()
        progress(done_bytes)

    while True:
        try:
            saved = _save(path, key, progress=accepted, stop=stop)
            break
        except BucketError as error:
            deadline.wait_or_raise(error)
        if _is_stored(key, path.stat().st_size, deadline):
            # The object was stored; only the response was lost.
            return
    if saved != key:
        message = f"the storage already has an object {key}, although keys are never reused"
        raise OSError(message)


def _save(path: Path, key: str, *, progress: Callable[[int], None], stop: threading.Event) -> str:
    with path.open("rb") as file, bucket_errors():
        watched = File(_Watched(file, progress, stop), name=path.name)  # type: ignore[arg-type] # duck-typed file
        return published_storage.save(key, watched)


def _is_stored(key: str, size_bytes: int, deadline: RetryDeadline) -> bool:
    return with_retries(lambda: published_storage.exists(key) and published_storage.size(key) == size_bytes, deadline)


def with_retries(call: Callable[[], Result], deadline: RetryDeadline) -> Result:
    """Return the result of `call`, which is repeated while the storage is unavailable, until the deadline."""
    while True:
        try:
            with bucket_errors():
                return call()
        except BucketError as error:
            deadline.wait_or_raise(error)


def retry_deadline(stop: threading.Event) -> RetryDeadline:
    """Return a deadline of `storage_retry_s` from now. Its waits raise StoppedError once `stop` is set."""

    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    return RetryDeadline(bridge_settings().storage_retry_s, wait=wait)


def read_object(key: str, *, stop: threading.Event) -> Iterator[bytes]:
    """Yield the bytes of a stored object in blocks.

    Raises FileNotFoundError, StoppedError or any error of the storage.
    """
    if bucket := published_bucket():
        # django-storages would first download the whole file to a temporary file: no progress, no
        # stop, and twice the disk space.
        yield from bucket.read(key, block_bytes=BLOCK_BYTES, deadline=retry_deadline(stop))
        return
    with published_storage.open(key, "rb") as file:
        yield from file.chunks(BLOCK_BYTES)


def remove_local(folder: Path) -> None:
    """Remove a unit's local files, because a container's disk has space for a few units, not for the whole job."""
    shutil.rmtree(folder, ignore_errors=True)
