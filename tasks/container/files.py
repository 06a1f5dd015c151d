"""The container's files: the source fetched from the storage, and what was made stored there. Both report bytes as they go."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import Storage, default_storage

from tasks.transcode import Stopped

_BLOCK_BYTES = 1024 * 1024


class SourceMissingError(Exception):
    """The storage has no such source."""

    code = "SOURCE_MISSING"


def fetch_source(name: str, folder: Path, *, progress: Callable[[int], None], stop: threading.Event) -> Path:
    """The source as a local file: the storage's own where it has one, else downloaded into `folder`.

    Raises SourceMissingError, or Stopped; and whatever the storage raises where it cannot be reached.
    """
    storage = default_storage
    if not storage.exists(name):
        message = f"the storage has no object {name}"
        raise SourceMissingError(message)
    path = _local_path(storage, name)
    if path is not None:
        return path
    target = folder / "source"
    with storage.open(name, "rb") as remote, target.open("wb") as local:
        done_bytes = 0
        for block in _blocks(remote):
            if stop.is_set():
                raise Stopped
            local.write(block)
            done_bytes += len(block)
            progress(done_bytes)
    return target


def _blocks(file: Any) -> Iterator[bytes]:
    """The content as it comes.

    A file of django-storages' S3 would first be read as a whole into a temporary file: no progress and no stop in the meantime, and
    twice the disk.
    """
    stored_object = getattr(file, "obj", None)
    if stored_object is None:
        return iter(file.chunks(_BLOCK_BYTES))
    blocks: Iterator[bytes] = stored_object.get()["Body"].iter_chunks(_BLOCK_BYTES)
    return blocks


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
            raise Stopped
        block = self._file.read(size)
        self._read_bytes += len(block)
        self._progress(self._read_bytes)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def store_file(path: Path, key: str, *, progress: Callable[[int], None], stop: threading.Event) -> None:
    """Store a local file under a key that nobody else ever writes. Raises Stopped, or whatever the storage raises."""
    with path.open("rb") as file:
        saved = default_storage.save(key, File(_Watched(file, progress, stop), name=path.name))  # type: ignore[arg-type] # duck-typed file
    if saved != key:
        message = f"the storage has an object {key} already, although keys are never used twice"
        raise OSError(message)


def read_object(key: str) -> Iterator[bytes]:
    """The bytes of a stored object, in blocks. Raises FileNotFoundError."""
    with default_storage.open(key, "rb") as file:
        yield from _blocks(file)


def remove_local(folder: Path) -> None:
    """Remove a unit's local files: a container's disk holds a few units at a time, not the whole job."""
    shutil.rmtree(folder, ignore_errors=True)
