"""Whether an MP4 or MOV file has one sample index for the whole file (ISO/IEC 14496-12).

Without one, in a fragmented file, browsers know neither its duration nor where to seek.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct(">I4s")
_LONG_SIZE = struct.Struct(">Q")
_MAX_BOXES = 10_000
"""Boxes read of one level. A recording in fragments of a second has as many after three hours, and
its movie box, which answers the question, is always one of the first.
"""


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def has_sample_index(file: _File) -> bool:
    """Return whether the file's movie box (`moov`) announces no fragments (`mvex`).

    False if there is no movie box. Reads box headers only.
    """
    for kind, start, stop in boxes(file, 0, file.seek(0, 2)):
        if kind == b"moov":
            return all(inner != b"mvex" for inner, _, _ in boxes(file, start, stop))
    return False


def boxes(file: _File, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first byte of the content and end of each box from `start` to `stop`."""
    for _ in range(_MAX_BOXES):
        file.seek(start)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        size, kind = _HEADER.unpack(header)
        content = start + _HEADER.size
        if size == 1:
            long_size = file.read(_LONG_SIZE.size)
            if len(long_size) < _LONG_SIZE.size:
                return
            size, content = _LONG_SIZE.unpack(long_size)[0], content + _LONG_SIZE.size
        # A size of 0 means: to the end of the file.
        end = stop if size == 0 else start + size
        if not content <= end <= stop:
            return
        yield kind, content, end
        start = end
        if start == stop:
            return
