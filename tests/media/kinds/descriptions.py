"""Tracks of an MP4 file with two sample descriptions (ISO/IEC 14496-12, 8.5.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.media.kinds.boxes import grow_box

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def _full_box(name: bytes, numbers: list[int]) -> bytes:
    content = bytes(4) + struct.pack(f">{len(numbers)}I", *numbers)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _numbers(file: bytes, name: bytes, at: int) -> tuple[int, ...]:
    """Return the numbers of the next table with this name, after its version and flags."""
    at = file.index(name, at)
    (size,) = struct.unpack_from(">I", file, at - 4)
    return struct.unpack_from(f">{(size - 12) // 4}I", file, at + 8)


def _offsets(file: bytes, track: int) -> list[int]:
    """Return where each sample of a track is."""
    _, count, *sizes = _numbers(file, b"stsz", track)
    _, *runs = _numbers(file, b"stsc", track)
    _, *starts = _numbers(file, b"stco", track)
    firsts, lengths = runs[::3], runs[1::3]
    offsets: list[int] = []
    for number, offset in enumerate(starts, start=1):
        run = max(at for at, first in enumerate(firsts) if first <= number)
        at = offset
        for _ in range(lengths[run]):
            offsets.append(at)
            at += sizes[len(offsets) - 1]
    assert len(offsets) == count
    return offsets


def add_description(path: Path, other: Path, sample: int) -> None:
    """Give the first track that of another file as a second description, for all samples from `sample` on.

    The index must be at the end of the file.
    """
    theirs = other.read_bytes()
    at = theirs.index(b"stsd", theirs.index(b"moov")) + 12
    (size,) = struct.unpack_from(">I", theirs, at)
    entry = theirs[at : at + size]
    file = bytearray(path.read_bytes())
    track = file.index(b"trak", file.index(b"moov"))
    offsets = _offsets(bytes(file), track)
    for name in (b"stsc", b"stco"):
        at = file.index(name, track)
        file[at : at + 4] = b"free"
    struct.pack_into(">I", file, file.index(b"stsd", track) + 8, 2)
    path.write_bytes(file)
    grow_box(path, (*_TABLE, b"stsd"), entry)
    runs = [1, 1, 1, sample + 1, 1, 2]
    grow_box(path, _TABLE, _full_box(b"stsc", [2, *runs]) + _full_box(b"stco", [len(offsets), *offsets]))
