"""The Range header of a request for bytes (RFC 9110, section 14), and the part of a file that it names.

Written here because nothing at hand does it right: WhiteNoise 6.12 refuses ranges of one byte, which Safari asks for, and Django's own
FileResponse knows no ranges.
"""

from __future__ import annotations

import re
from io import BufferedIOBase
from typing import IO, NamedTuple

_SINGLE = re.compile(
    r"\s*bytes\s*=\s*(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-(?P<suffix>\d{1,18}))\s*", re.IGNORECASE
)


class ByteRange(NamedTuple):
    """Bytes `first` to `last` of a file, both included."""

    first: int
    last: int

    @property
    def length_bytes(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


class UnsatisfiableError(ValueError):
    """The range has no byte in common with the file."""


def parse_range(header: str, *, size_bytes: int) -> ByteRange | None:
    """The part that the header asks for. None: answer with the whole file, since there is no range, or several, or nothing readable.

    Raises UnsatisfiableError.
    """
    asked = _SINGLE.fullmatch(header)
    if asked is None:
        return None
    if suffix := asked["suffix"]:
        length_bytes = min(int(suffix), size_bytes)
        first, last = size_bytes - length_bytes, size_bytes - 1
    else:
        first = int(asked["first"])
        last = min(int(asked["last"] or size_bytes), size_bytes - 1)
        if asked["last"] and int(asked["last"]) < first:
            return None
    if first > last:
        raise UnsatisfiableError
    return ByteRange(first, last)


class PartOfFile(BufferedIOBase):
    """A file that begins and ends where a range does. Closing it closes the file."""

    def __init__(self, file: IO[bytes], part: ByteRange) -> None:
        file.seek(part.first)
        self._file = file
        self._left_bytes = part.length_bytes

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, never beyond the range."""
        wanted_bytes = self._left_bytes if size is None or size < 0 else min(size, self._left_bytes)
        block = self._file.read(wanted_bytes)
        self._left_bytes -= len(block)
        return block

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()
