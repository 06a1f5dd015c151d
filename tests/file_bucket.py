"""A bucket with one large object, for what reads a source in parts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tasks.storage.parts import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tasks.transcode import ByteRange


class FileBucket:
    """A bucket with one object, which is a file. moto would keep gigabytes of it in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.served_bytes = 0

    def find(self, _: str) -> StoredObject:
        return StoredObject(self._path.stat().st_size, "etag")

    def read(self, _: str, *, block_bytes: int, byte_range: ByteRange, **__: object) -> Iterator[bytes]:
        at, end = byte_range
        with self._path.open("rb") as file:
            file.seek(at)
            while block := file.read(min(block_bytes, end - file.tell())):
                with self._lock:
                    self.served_bytes += len(block)
                yield block
