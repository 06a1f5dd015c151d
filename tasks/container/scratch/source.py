"""The source as a local file: the storage's own, or a copy of what this container's units read.

A copy from a bucket is a sparse file: every byte is at its own offset, and what was not fetched is a
hole. It is fetched in ranges over several connections at a time. Other storages only give a whole
file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage

from ...conf import bridge_settings
from ...storage.aliases import sources_bucket, sources_storage
from ...storage.bucket import Bucket, RetryDeadline
from ...storage.parts import StoredObject
from ...transcode import ByteRange, ByteRanges, StoppedError, merged, missing, pieces
from ..files import BLOCK_BYTES, retry_deadline, with_retries
from .download import Download

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


@dataclass(frozen=True, slots=True)
class ArrivingSource:
    """A local file of the source's size, and what waits for a range of it, or None if all of it is present."""

    path: Path
    wait_for: Callable[[ByteRange], ByteRange] | None = None


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
        self._first = 0
        """The offset from which on everything is fetched first: where a reader waits."""
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
        begun = self._begin(wanted, size_bytes, reserve, progress, stop)
        if begun is None:
            return LocalSource(self._whole or self._path)
        self._complete(*begun, progress, stop)
        is_whole = not missing(((0, self._path.stat().st_size),), self._present)
        return LocalSource(self._path, None if is_whole else self._present)

    @contextmanager
    def arriving(
        self, *, reserve: Reserve, progress: Callable[[int], None], stop: threading.Event
    ) -> Iterator[ArrivingSource]:
        """Yield the source while all of it is fetched in another thread, first what a reader waits for.

        Returns once everything is present. An error inside the context ends the download. The arguments
        and the errors are those of `fetch`, also of `wait_for`.
        """
        begun = self._begin(None, None, reserve, progress, stop)
        if begun is None:
            yield ArrivingSource(self._whole or self._path)
            return
        download, lacking = begun
        with ThreadPoolExecutor(1, thread_name_prefix="arrival") as pool:
            completed = pool.submit(self._complete, download, lacking, progress, stop)
            completed.add_done_callback(lambda _: self._notify())
            try:
                yield ArrivingSource(self._path, lambda wanted: self._wait_for(wanted, completed))
                completed.result()
            finally:
                download.end()
                self._first = 0

    def _begin(
        self,
        wanted: ByteRanges | None,
        size_bytes: int | None,
        reserve: Reserve,
        progress: Callable[[int], None],
        stop: threading.Event,
    ) -> tuple[Download, ByteRanges] | None:
        """Find the source, and make room for what is lacking; return what fetches that, or None for a whole file."""
        bucket = sources_bucket()
        with self._alone(progress, stop):
            if self._whole is None:
                self._whole = self._storages_own(stop)
            if self._whole is None and bucket is None:
                self._whole = self._streamed(reserve, progress, stop)
            if self._whole is not None or bucket is None:
                return None
            stored = self._object = self._object or self._located(bucket, stop)
        if wanted is None or size_bytes != stored.size_bytes:
            wanted = ((0, stored.size_bytes),)
        if lacking := missing(wanted, self._present):
            reserve(self._path, lacking)
            if self._path.stat().st_size < stored.size_bytes:
                os.truncate(self._path, stored.size_bytes)
        elif not stored.size_bytes:
            self._path.touch()
        return Download(bucket, self._name, stored, self._path, progress=progress, stop=stop), lacking

    def _complete(
        self, download: Download, lacking: ByteRanges, progress: Callable[[int], None], stop: threading.Event
    ) -> None:
        while step := self._take(lacking, progress, stop):
            try:
                download.fetch(step, self._add)
            finally:
                self._put_back(step)

    def _wait_for(self, wanted: ByteRange, completed: Future[None]) -> ByteRange:
        """Have these bytes fetched first; return a range that has them. Raises what the download raised."""
        with self._changed:
            self._first = wanted[0]
            while missing((wanted,), self._present):
                if completed.done():
                    completed.result()
                self._changed.wait(_WAIT_S)
            return next(each for each in self._present if each[0] <= wanted[0] < each[1])

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
                    parts.sort(key=lambda part: (part[1] <= self._first, part))
                    step = merged(parts[: conf.fetch_connections * _PARTS_OF_STEP])
                    self._taken = merged((*self._taken, *step))
                    return step
                self._changed.wait(_WAIT_S)
                waits += 1
                progress(waits)
                if stop.is_set():
                    raise StoppedError
        return ()

    def _add(self, part: ByteRange) -> None:
        with self._changed:
            self._present = merged((*self._present, part))
            self._changed.notify_all()

    def _put_back(self, step: ByteRanges) -> None:
        with self._changed:
            self._taken = missing(self._taken, step)
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _storages_own(self, stop: threading.Event) -> Path | None:
        path = _local_path(sources_storage, self._name)
        deadline = retry_deadline(stop)
        if path is not None and not with_retries(lambda: sources_storage.exists(self._name), deadline):
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
        if not with_retries(lambda: sources_storage.exists(self._name), deadline):
            self._raise_missing(deadline)
        reserve(self._path, ((0, with_retries(lambda: sources_storage.size(self._name), deadline)),))
        # Not "wb", which would release the blocks that `reserve` allocated.
        with sources_storage.open(self._name, "rb") as stored, self._path.open("r+b") as local:
            for block in stored.chunks(BLOCK_BYTES):
                if stop.is_set():
                    raise StoppedError
                local.write(block)
                progress(local.tell())
            local.truncate()
        return self._path


def _require_storage(name: str, deadline: RetryDeadline) -> None:
    """Raise an error if it is not the source that is missing, but the storage. It responds alike to both."""
    if bucket := sources_bucket():
        if not with_retries(bucket.exists, deadline):
            message = f"The bucket {bucket.name} does not exist. Check STORAGE_BUCKET of the containers."
            raise ImproperlyConfigured(message)
        return
    folder = _local_path(sources_storage, name.partition("/")[0] if "/" in name else "")
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
