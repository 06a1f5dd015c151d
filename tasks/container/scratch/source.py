"""The source as a local file: the storage's own, or a copy of what this container's units read.

A copy from a bucket is a sparse file: every byte is at its own offset, and what was not fetched is a
hole. It is fetched in ranges over several connections at a time. Other storages only give a whole
file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, default_storage

from ...conf import bridge_settings
from ...storage.bucket import Bucket, RetryDeadline, default_bucket
from ...storage.parts import StoredObject
from ...transcode import ByteRange, ByteRanges, StoppedError, merged, missing, pieces
from ..files import BLOCK_BYTES, retry_deadline, with_retries

_MIB = 1024 * 1024
_PARTS_OF_STEP = 2
"""Parts of a step for each connection. Another slot that needs what comes later does not wait for more than
a step."""

_WAIT_S = 5.0

Reserve = Callable[[Path, ByteRanges], None]


class SourceMissingError(Exception):
    """The storage exists, but the source does not exist in it."""

    code = "SOURCE_MISSING"


class NotMountedError(OSError):
    """This machine does not have the folder with the sources."""

    code = "NOT_MOUNTED"


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A local file, and the byte ranges of it that are present, or None for all of it."""

    path: Path
    present: ByteRanges | None = None


class SourceCopy:
    """Fetches the source, or more and more of it.

    Slots may fetch at the same time, each byte once: one that needs a little does not wait for one that
    needs everything, or that waits for room on the disk.
    """

    def __init__(self, name: str, folder: Path) -> None:
        """Fetch nothing yet. `name` is the source's in the storage, and a copy will be in `folder`."""
        self._name = name
        self._path = folder / "source"
        self._locating = threading.Lock()
        self._changed = threading.Condition()
        self._present: ByteRanges = ()
        self._taken: ByteRanges = ()
        """What a slot fetches at the moment."""
        self._object: StoredObject | None = None
        self._whole: Path | None = None

    def fetch(
        self,
        wanted: ByteRanges | None,
        *,
        size_bytes: int | None = None,
        reserve: Reserve,
        progress: Callable[[int], None],
        stop: threading.Event,
    ) -> LocalSource:
        """Return the source with at least the ranges `wanted`, or all of it for None.

        `size_bytes` is the size of the file for which the ranges were computed. `reserve` is called
        before anything is fetched, with the local file and the ranges that are lacking, and allocates
        them on the disk, unless they are. `progress` gets a growing number of bytes.

        Raises SourceMissingError, NotMountedError or ImproperlyConfigured, StoppedError, what `reserve`
        raises, or the storage's error when the retry deadline has passed.
        """
        bucket = default_bucket()
        with self._alone(progress, stop):
            if self._whole is None:
                self._whole = self._storages_own(stop)
            if self._whole is None and bucket is None:
                self._whole = self._streamed(reserve, progress, stop)
            if self._whole is not None or bucket is None:
                return LocalSource(self._whole or self._path)
            stored = self._object = self._object or self._located(bucket, stop)
        everything = ((0, stored.size_bytes),)
        if wanted is None or size_bytes != stored.size_bytes:
            wanted = everything
        if lacking := missing(wanted, self._present):
            reserve(self._path, lacking)
            if self._path.stat().st_size < stored.size_bytes:
                os.truncate(self._path, stored.size_bytes)
            download = _Download(bucket, self._name, stored, self._path, progress=progress, stop=stop)
            while step := self._take(lacking, progress, stop):
                fetched: ByteRanges = ()
                try:
                    download.fetch(step)
                    fetched = step
                finally:
                    self._put_back(step, fetched)
        elif not stored.size_bytes:
            self._path.touch()
        is_whole = not missing(everything, self._present)
        return LocalSource(self._path, None if is_whole else self._present)

    @contextmanager
    def _alone(self, progress: Callable[[int], None], stop: threading.Event) -> Iterator[None]:
        """Wait until no other slot looks for the source. That one reports its own progress."""
        waits = 0
        while not self._locating.acquire(timeout=_WAIT_S):
            waits += 1
            progress(waits)
            if stop.is_set():
                raise StoppedError
        try:
            yield
        finally:
            self._locating.release()

    def _take(self, wanted: ByteRanges, progress: Callable[[int], None], stop: threading.Event) -> ByteRanges:
        """Take the next step of what is wanted and that no slot fetches; nothing once all of it is present.

        Waits while other slots, which report their own progress, fetch what is left.
        """
        conf = bridge_settings()
        waits = 0
        with self._changed:
            while lacking := missing(wanted, self._present):
                if free := missing(lacking, self._taken):
                    parts = pieces(free, conf.fetch_range_mib * _MIB)
                    step = merged(parts[: conf.fetch_connections * _PARTS_OF_STEP])
                    self._taken = merged((*self._taken, *step))
                    return step
                self._changed.wait(_WAIT_S)
                waits += 1
                progress(waits)
                if stop.is_set():
                    raise StoppedError
        return ()

    def _put_back(self, step: ByteRanges, fetched: ByteRanges) -> None:
        with self._changed:
            self._taken = missing(self._taken, step)
            self._present = merged((*self._present, *fetched))
            self._changed.notify_all()

    def _storages_own(self, stop: threading.Event) -> Path | None:
        path = _local_path(default_storage, self._name)
        deadline = retry_deadline(stop)
        if path is not None and not with_retries(lambda: default_storage.exists(self._name), deadline):
            self._raise_missing(deadline)
        return path

    def _located(self, bucket: Bucket, stop: threading.Event) -> StoredObject:
        deadline = retry_deadline(stop)
        stored = with_retries(lambda: bucket.find(self._name), deadline)
        if stored is None:
            self._raise_missing(deadline)
        return stored

    def _raise_missing(self, deadline: RetryDeadline) -> NoReturn:
        _require_storage(self._name, deadline)
        message = f"the storage has no object {self._name}"
        raise SourceMissingError(message)

    def _streamed(self, reserve: Reserve, progress: Callable[[int], None], stop: threading.Event) -> Path:
        """Fetch all of it from a storage that gives no ranges."""
        deadline = retry_deadline(stop)
        if not with_retries(lambda: default_storage.exists(self._name), deadline):
            self._raise_missing(deadline)
        reserve(self._path, ((0, with_retries(lambda: default_storage.size(self._name), deadline)),))
        # Not "wb", which would release the blocks that `reserve` allocated.
        with default_storage.open(self._name, "rb") as stored, self._path.open("r+b") as local:
            for block in stored.chunks(BLOCK_BYTES):
                if stop.is_set():
                    raise StoppedError
                local.write(block)
                progress(local.tell())
            local.truncate()
        return self._path


def _require_storage(name: str, deadline: RetryDeadline) -> None:
    """Raise an error if it is not the source that is missing, but the storage. It responds alike to both."""
    if bucket := default_bucket():
        if not with_retries(bucket.exists, deadline):
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


class _Download:
    """Fetches ranges of an object into the same places of a file, several at a time."""

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        stored: StoredObject,
        path: Path,
        *,
        progress: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        self._bucket, self._key, self._stored, self._path = bucket, key, stored, path
        self._progress, self._stop = progress, stop
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._done_bytes = 0

    def fetch(self, ranges: ByteRanges) -> None:
        """Fetch the ranges. The first error ends all connections, and is raised. May be called again without one."""
        conf = bridge_settings()
        parts = pieces(ranges, conf.fetch_range_mib * _MIB)
        with (
            self._path.open("r+b", buffering=0) as file,
            ThreadPoolExecutor(min(conf.fetch_connections, len(parts)), thread_name_prefix="fetch") as pool,
        ):
            running = [pool.submit(self._fetch_part, file.fileno(), part) for part in parts]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            if any(part.exception() for part in done):
                self._failed.set()
            pool.shutdown(cancel_futures=True)
        for part in done:
            part.result()

    def _fetch_part(self, file: int, part: ByteRange) -> None:
        at, end = part
        blocks = self._bucket.read(
            self._key,
            block_bytes=BLOCK_BYTES,
            deadline=retry_deadline(self._stop),
            byte_range=part,
            etag=self._stored.etag,
        )
        for block in blocks:
            if self._stop.is_set() or self._failed.is_set():
                raise StoppedError
            _write_at(file, block, at)
            at += len(block)
            with self._lock:
                self._done_bytes += len(block)
                self._progress(self._done_bytes)
        if at != end:
            message = f"the storage returned {at - part[0]} bytes of {end - part[0]}"
            raise OSError(message)


def _write_at(file: int, block: bytes, at: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
