"""The container's files: downloads the source from the storage and uploads the results.

Both report the bytes transferred.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.storage import Storage, default_storage

from ..conf import bridge_settings
from ..storage.bucket import BucketError, RetryDeadline, bucket_errors, default_bucket
from ..transcode import StoppedError

_BLOCK_BYTES = 1024 * 1024

Result = TypeVar("Result")


class SourceMissingError(Exception):
    """The storage exists, but the source does not exist in it."""

    code = "SOURCE_MISSING"


class NotMountedError(OSError):
    """This machine does not have the folder with the sources."""

    code = "NOT_MOUNTED"


def fetch_source(
    name: str,
    folder: Path,
    *,
    reserve: Callable[[Path, int], None],
    progress: Callable[[int], None],
    stop: threading.Event,
) -> Path:
    """Return the source as a local file: the storage's own, or else a download into `folder`.

    `reserve` is called before the download with the local file and its size in bytes, and gives the
    file that size on the disk. Raises SourceMissingError, NotMountedError or ImproperlyConfigured,
    StoppedError, what `reserve` raises, or the storage's error when the retry deadline has passed.
    """
    deadline = _retry_deadline(stop)
    if not _with_retries(lambda: default_storage.exists(name), deadline):
        _require_storage(name, deadline)
        message = f"the storage has no object {name}"
        raise SourceMissingError(message)
    path = _local_path(default_storage, name)
    if path is not None:
        return path
    target = folder / "source"
    reserve(target, _with_retries(lambda: default_storage.size(name), deadline))
    deadline.renew()
    # Not "wb", which would release the blocks that `reserve` allocated.
    with target.open("r+b") as local:
        for block in _blocks(name, deadline):
            if stop.is_set():
                raise StoppedError
            local.write(block)
            progress(local.tell())
        local.truncate()
    return target


def _require_storage(name: str, deadline: RetryDeadline) -> None:
    """Raise an error if it is not the source that is missing, but the storage. It responds alike to both."""
    if bucket := default_bucket():
        if not _with_retries(bucket.exists, deadline):
            message = f"The bucket {bucket.name} does not exist. Check STORAGE_BUCKET of the containers."
            raise ImproperlyConfigured(message)
        return
    folder = _local_path(default_storage, name.partition("/")[0] if "/" in name else "")
    if folder is not None and not folder.is_dir():
        message = (
            f"This machine has no folder {folder}, so the files of the uploads are probably not mounted on it, or STORAGE_BUCKET"
            " is not set for the containers."
        )
        raise NotMountedError(message)


def _local_path(storage: Storage, name: str) -> Path | None:
    try:
        return Path(storage.path(name))
    except NotImplementedError:
        return None


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
    deadline = _retry_deadline(stop)
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
        return default_storage.save(key, watched)


def _is_stored(key: str, size_bytes: int, deadline: RetryDeadline) -> bool:
    return _with_retries(lambda: default_storage.exists(key) and default_storage.size(key) == size_bytes, deadline)


def _with_retries(call: Callable[[], Result], deadline: RetryDeadline) -> Result:
    while True:
        try:
            with bucket_errors():
                return call()
        except BucketError as error:
            deadline.wait_or_raise(error)


def _retry_deadline(stop: threading.Event) -> RetryDeadline:
    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    return RetryDeadline(bridge_settings().storage_retry_s, wait=wait)


def read_object(key: str, *, stop: threading.Event) -> Iterator[bytes]:
    """Yield the bytes of a stored object in blocks.

    Raises FileNotFoundError, StoppedError or any error of the storage.
    """
    return _blocks(key, _retry_deadline(stop))


def _blocks(key: str, deadline: RetryDeadline) -> Iterator[bytes]:
    if bucket := default_bucket():
        # django-storages would first download the whole file to a temporary file: no progress, no
        # stop, and twice the disk space.
        yield from bucket.read(key, block_bytes=_BLOCK_BYTES, deadline=deadline)
        return
    with default_storage.open(key, "rb") as file:
        yield from file.chunks(_BLOCK_BYTES)


def remove_local(folder: Path) -> None:
    """Remove a unit's local files, because a container's disk has space for a few units, not for the whole job."""
    shutil.rmtree(folder, ignore_errors=True)
