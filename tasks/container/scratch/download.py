"""Download of ranges of an object from a bucket into the same places of a file, over several connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from ...conf import bridge_settings
from ...storage.bucket import Bucket
from ...storage.parts import StoredObject
from ...transcode import ByteRange, ByteRanges, StoppedError, pieces
from ..files import BLOCK_BYTES, retry_deadline

_MIB = 1024 * 1024


class Download:
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

    def end(self) -> None:
        """End all connections, and raise StoppedError from `fetch`."""
        self._failed.set()

    def fetch(self, ranges: ByteRanges, on_part: Callable[[ByteRange], None]) -> None:
        """Fetch the ranges. The first error ends all connections, and is raised. May be called again without one.

        `on_part` gets each part of them once it is in the file.
        """
        conf = bridge_settings()
        parts = pieces(ranges, conf.fetch_range_mib * _MIB)
        with (
            self._path.open("r+b", buffering=0) as file,
            ThreadPoolExecutor(min(conf.fetch_connections, len(parts)), thread_name_prefix="fetch") as pool,
        ):
            running = [pool.submit(self._fetch_part, file.fileno(), part, on_part) for part in parts]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            if any(part.exception() for part in done):
                self._failed.set()
            pool.shutdown(cancel_futures=True)
        for part in done:
            part.result()

    def _fetch_part(self, file: int, part: ByteRange, on_part: Callable[[ByteRange], None]) -> None:
        at, end = part
        if self._failed.is_set():
            raise StoppedError
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
        on_part(part)


def _write_at(file: int, block: bytes, at: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
