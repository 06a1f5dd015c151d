"""The source as libav reads it, so that an error of the disk is not mistaken for a damaged file.

libav returns the same error number for both, and treats either as the end of the file. Runs only in
the probe's child process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from ..arrival import ArrivalClient


class SourceFile:
    """A file for av.open(): `read`, `seek` and `tell`, and the first error of the operating system.

    None of them raises OSError: PyAV would raise it again later, where libav on its own tolerates a
    failed seek.
    """

    def __init__(self, path: str, arrival: ArrivalClient | None = None) -> None:
        """Open the file. With `arrival`, a read waits for the bytes that it needs."""
        self.name = f"file:{path}"
        """What libav takes for the URL."""
        self.error: OSError | None = None
        self.on_block: Callable[[int, bytes], None] | None = None
        """Gets the offset and the content of each block that is read."""
        self._arrival = arrival
        self._file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed by __exit__; libav has a buffer of its own
        self._size_bytes = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end, and after an error."""
        try:
            first = self.tell()
            if self._arrival is not None and first < (end := min(first + size, self._size_bytes)):
                self._arrival.wait_for(first, end)
            block = self._file.read(size)
        except OSError as error:
            self.error = self.error or error
            return b""
        if self.on_block is not None:
            self.on_block(first, block)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset and return it, or -1 if a damaged index contains an impossible one."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -1

    def peek(self, offset: int, size: int) -> bytes:
        """Return bytes that were read before, without moving."""
        try:
            return os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            self.error = self.error or error
            return b""

    def tell(self) -> int:
        """Return the offset."""
        return self._file.tell()
