"""The container's files: the source fetched from the storage, and what was made stored there. Both report bytes as they go."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.files import File
from django.core.files.storage import Storage, default_storage

from ..conf import bridge_settings
from ..storage.bucket import BucketError, RetryDeadline, bucket_errors, default_bucket
from ..transcode import StoppedError

_BLOCK_BYTES = 1024 * 1024
_GIB = 1024**3

Result = TypeVar("Result")


class SourceMissingError(Exception):
    """The storage has no such source."""

    code = "SOURCE_MISSING"


class ScratchTooSmallError(Exception):
    """The local disk has no room for the source and for what is made of it."""

    code = "SCRATCH_TOO_SMALL"


def fetch_source(name: str, folder: Path, *, progress: Callable[[int], None], stop: threading.Event) -> Path:
    """Return the source as a local file: the storage's own if it has one, else downloaded once into `folder`.

    Raises SourceMissingError, ScratchTooSmallError or StoppedError, and the storage's own error once retries are over.
    """
    patience = _retry_deadline(stop)
    if not _with_retries(lambda: default_storage.exists(name), patience):
        message = f"the storage has no object {name}"
        raise SourceMissingError(message)
    path = _local_path(default_storage, name)
    if path is not None:
        return path
    _require_room(_with_retries(lambda: default_storage.size(name), patience), folder)
    target = folder / "source"
    with target.open("wb") as local:
        for block in _blocks(name, patience):
            if stop.is_set():
                raise StoppedError
            local.write(block)
            progress(local.tell())
    return target


def _require_room(size_bytes: int, folder: Path) -> None:
    free_bytes = shutil.disk_usage(folder).free
    needed_bytes = size_bytes + bridge_settings().scratch_reserve_mib * 1024 * 1024
    if free_bytes < needed_bytes:
        message = (
            f"The source has {size_bytes / _GIB:.1f} GiB, and {needed_bytes / _GIB:.1f} GiB are needed with what is made of it;"
            f" the disk at {folder} has {free_bytes / _GIB:.1f} GiB free. Give containers more scratch (scratch_gib in Terraform), or"
            " fewer of them a machine."
        )
        raise ScratchTooSmallError(message)


def _local_path(storage: Storage, name: str) -> Path | None:
    try:
        return Path(storage.path(name))
    except NotImplementedError:
        return None


class _Watched:
    """A file that reports how many bytes were read from it, and refuses to go on once told to stop."""

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
    """Store a local file under a key that nobody else ever writes.

    Raises StoppedError, or whatever the storage raises: where it is away, `storage_retry_s` after it last took something.
    """
    patience = _retry_deadline(stop)
    most_bytes = 0

    def taken(done_bytes: int) -> None:
        # Each try begins at the first byte again: only what no try had reached before shows that the storage is there.
        nonlocal most_bytes
        if done_bytes > most_bytes:
            most_bytes = done_bytes
            patience.renew()
        progress(done_bytes)

    while True:
        try:
            saved = _save(path, key, progress=taken, stop=stop)
            break
        except BucketError as error:
            patience.wait_or_raise(error)
        if _is_stored(key, path.stat().st_size, patience):
            # Only the answer was lost.
            return
    if saved != key:
        message = f"the storage has an object {key} already, although keys are never used twice"
        raise OSError(message)


def _save(path: Path, key: str, *, progress: Callable[[int], None], stop: threading.Event) -> str:
    with path.open("rb") as file, bucket_errors():
        watched = File(_Watched(file, progress, stop), name=path.name)  # type: ignore[arg-type] # duck-typed file
        return default_storage.save(key, watched)


def _is_stored(key: str, size_bytes: int, patience: RetryDeadline) -> bool:
    return _with_retries(lambda: default_storage.exists(key) and default_storage.size(key) == size_bytes, patience)


def _with_retries(call: Callable[[], Result], patience: RetryDeadline) -> Result:
    while True:
        try:
            with bucket_errors():
                return call()
        except BucketError as error:
            patience.wait_or_raise(error)


def _retry_deadline(stop: threading.Event) -> RetryDeadline:
    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    return RetryDeadline(bridge_settings().storage_retry_s, wait=wait)


def read_object(key: str, *, stop: threading.Event) -> Iterator[bytes]:
    """The bytes of a stored object, in blocks, as they come. Raises FileNotFoundError, StoppedError, or whatever the storage raises."""
    return _blocks(key, _retry_deadline(stop))


def _blocks(key: str, patience: RetryDeadline) -> Iterator[bytes]:
    if bucket := default_bucket():
        # A file of django-storages would first be read as a whole into a temporary file: no progress, no stop, and twice the disk.
        yield from bucket.read(key, block_bytes=_BLOCK_BYTES, patience=patience)
        return
    with default_storage.open(key, "rb") as file:
        yield from file.chunks(_BLOCK_BYTES)


def remove_local(folder: Path) -> None:
    """Remove a unit's local files: a container's disk holds a few units at a time, not the whole job."""
    shutil.rmtree(folder, ignore_errors=True)
