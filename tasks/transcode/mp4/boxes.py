"""Incremental reader for the boxes of a fragmented MP4 (ISO/IEC 14496-12).

It does not keep the media data in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = (b"ftyp", b"moov", b"moof")
_MAX_KEPT_BYTES = 16 * 1024 * 1024
_HEADER_BYTES = 8
_LONG_HEADER_BYTES = 16
_NON_SYNC = 0x0001_0000
"""sample_is_non_sync_sample, clause 8.8.3.1."""


class InvalidBoxError(ValueError):
    """The bytes are not the expected boxes; the reason states where."""

    def __init__(self, *, reason: str) -> None:
        """Use the reason as the error's text."""
        super().__init__(reason)


@dataclass(frozen=True)
class Box:
    """A top-level box and its position in the file.

    For ftyp, moov and moof, `content` is the box with its header; for all others it is empty.
    """

    kind: bytes
    offset: int
    size_bytes: int
    content: bytes


@dataclass(frozen=True)
class Fragment:
    """One moof and its mdat. Times are in ticks of the track."""

    offset: int
    size_bytes: int
    sequence: int
    decode_ticks: int
    duration_ticks: int
    sample_sizes: tuple[int, ...]
    sync_samples: tuple[int, ...]
    """Indexes of the samples from which decoding can start."""
    presentation_ticks: tuple[int, ...]
    """Time of each sample, in the order of decoding, before the edit list is applied."""

    @property
    def first_frame_bytes(self) -> int:
        """Bytes from the start of the fragment to the end of its first sample.

        They are all that is needed to show that frame.
        """
        return self.size_bytes - sum(self.sample_sizes[1:])


class BoxReader:
    """Incremental parser of top-level boxes, for a file's bytes in pieces of any size."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._offset = 0
        self._skip = 0
        self._skipped: Box | None = None

    def take(self, piece: bytes) -> Iterator[Box]:
        """Yield the boxes that `piece` completes. Raises InvalidBoxError."""
        self._held += piece
        while True:
            if self._skip:
                skipped = min(self._skip, len(self._held))
                del self._held[:skipped]
                self._skip -= skipped
            if self._skip:
                return
            if self._skipped is not None:
                yield self._skipped
                self._skipped = None
            box = self._next()
            if box is not None:
                yield box
            elif not self._skip:
                return

    def skip(self, most_bytes: int) -> int:
        """Leave out up to `most_bytes` of what comes next and is not needed; return how many bytes."""
        skipped = min(self._skip, most_bytes)
        self._skip -= skipped
        return skipped

    def close(self) -> None:
        """Raise InvalidBoxError if the file ended inside a box."""
        if self._held or self._skip or self._skipped is not None:
            raise InvalidBoxError(reason=f"the file ends inside the box at byte {self._offset}")

    def _next(self) -> Box | None:
        if len(self._held) < _LONG_HEADER_BYTES and len(self._held) < self._header_bytes():
            return None
        size, kind = struct.unpack_from(">I4s", self._held)
        header_bytes = self._header_bytes()
        if size == 1:
            size = struct.unpack_from(">Q", self._held, _HEADER_BYTES)[0]
        if size < header_bytes:
            raise InvalidBoxError(reason=f"the box at byte {self._offset} declares a size of {size} bytes")
        offset = self._offset
        if kind in _KEPT:
            if size > _MAX_KEPT_BYTES:
                raise InvalidBoxError(reason=f"the box at byte {offset} has {size} bytes, too many for its kind")
            if len(self._held) < size:
                return None
            content = bytes(self._held[:size])
            del self._held[:size]
            self._offset += size
            return Box(kind, offset, size, content)
        self._offset += size
        self._skip, self._skipped = size, Box(kind, offset, size, b"")
        return None

    def _header_bytes(self) -> int:
        """Return the header size of the current box, as far as the bytes held show it."""
        if len(self._held) < _HEADER_BYTES:
            return _HEADER_BYTES
        return _LONG_HEADER_BYTES if self._held[:4] == b"\0\0\0\1" else _HEADER_BYTES


class FragmentReader:
    """Incremental parser of fragments, for bytes in pieces of any size; it keeps the init."""

    def __init__(self) -> None:
        self._boxes = BoxReader()
        self._moof: Box | None = None
        self.init = b""
        """ftyp and moov; complete once the first fragment has been yielded."""

    def take(self, piece: bytes) -> Iterator[Fragment]:
        """Yield the fragments that `piece` completes. Raises InvalidBoxError."""
        for box in self._boxes.take(piece):
            if box.kind in {b"ftyp", b"moov"}:
                if box.offset != len(self.init):
                    raise InvalidBoxError(
                        reason=f"{box.kind.decode()} at byte {box.offset} is not at the start of the file"
                    )
                self.init += box.content
            elif box.kind == b"moof" and self._moof is None:
                self._moof = box
            elif box.kind == b"mdat" and self._moof is not None:
                yield read_fragment(self._moof, box.size_bytes)
                self._moof = None
            else:
                raise InvalidBoxError(reason=f"unexpected box {box.kind!r} at byte {box.offset}")

    def skip(self, most_bytes: int) -> int:
        """Leave out up to `most_bytes` of the media data that comes next; return how many bytes."""
        return self._boxes.skip(most_bytes)

    def close(self) -> None:
        """Raise InvalidBoxError if the file ended inside a fragment."""
        self._boxes.close()
        if self._moof is not None:
            raise InvalidBoxError(reason=f"the fragment at byte {self._moof.offset} has no data")


def children(content: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, content without header) of the boxes in `content` from `start` on.

    Raises InvalidBoxError.
    """
    while start < len(content):
        if start + _HEADER_BYTES > len(content):
            raise InvalidBoxError(reason="a box is truncated inside its parent")
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < _HEADER_BYTES or start + size > len(content):
            raise InvalidBoxError(reason=f"box {kind!r} does not fit into its parent")
        yield kind, content[start + _HEADER_BYTES : start + size]
        start += size


def descend(content: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at `path` inside `content`, both without header.

    Raises InvalidBoxError.
    """
    for kind in path:
        for found, inner in children(content, 0):
            if found == kind:
                content = inner
                break
        else:
            raise InvalidBoxError(reason=f"there is no box {kind!r}")
    return content


def read_fragment(moof: Box, mdat_bytes: int) -> Fragment:
    """Read a moof with one track fragment, given the size of the mdat that follows.

    Raises InvalidBoxError.
    """
    inner = moof.content[_HEADER_BYTES:]
    try:
        (sequence,) = struct.unpack_from(">4xI", descend(inner, b"mfhd"))
        header = descend(inner, b"traf", b"tfhd")
        time = descend(inner, b"traf", b"tfdt")
        (decode_ticks,) = struct.unpack_from(">Q" if time[0] else ">I", time, 4)
        runs = [run for kind, run in children(descend(inner, b"traf"), 0) if kind == b"trun"]
        # A false count could take hours to process: no sample is smaller than a byte.
        if sum(struct.unpack_from(">4xI", run)[0] for run in runs) > mdat_bytes:
            raise InvalidBoxError(
                reason=f"the fragment at byte {moof.offset} lists more samples than its data has bytes"
            )
        samples = [sample for run in runs for sample in _samples(run, *_defaults(header))]
    except (struct.error, IndexError) as error:
        raise InvalidBoxError(reason=f"the moof at byte {moof.offset} is truncated") from error
    if sum(sample.size_bytes for sample in samples) != mdat_bytes - _HEADER_BYTES:
        raise InvalidBoxError(
            reason=f"the fragment at byte {moof.offset} lists sample sizes that do not match its data"
        )
    starts = list(accumulate((sample.duration_ticks for sample in samples), initial=decode_ticks))
    return Fragment(
        offset=moof.offset,
        size_bytes=moof.size_bytes + mdat_bytes,
        sequence=sequence,
        decode_ticks=decode_ticks,
        duration_ticks=starts[-1] - decode_ticks,
        sample_sizes=tuple(sample.size_bytes for sample in samples),
        sync_samples=tuple(at for at, sample in enumerate(samples) if not sample.flags & _NON_SYNC),
        presentation_ticks=tuple(start + sample.offset_ticks for start, sample in zip(starts, samples, strict=False)),
    )


class _Sample(NamedTuple):
    """A row of a track run; `offset_ticks` is from its decode time to its presentation."""

    duration_ticks: int
    size_bytes: int
    flags: int
    offset_ticks: int


def _defaults(header: bytes) -> tuple[int, int, int]:
    """Return the default duration, size and flags of samples (tfhd, clause 8.8.7).

    A track run can override them.
    """
    (flags,) = struct.unpack_from(">I", header)
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    found = []
    for bit in (0x8, 0x10, 0x20):
        found.append(struct.unpack_from(">I", header, at)[0] if flags & bit else 0)
        at += 4 if flags & bit else 0
    return found[0], found[1], found[2]


def _samples(run: bytes, duration: int, size: int, sample_flags: int) -> Iterator[_Sample]:
    """Yield the samples of a track run (trun, clause 8.8.8)."""
    flags, count = struct.unpack_from(">II", run)
    flags &= 0xFFFFFF
    at = 8 + (4 if flags & 0x1 else 0)
    first_flags = None
    if flags & 0x4:
        (first_flags,) = struct.unpack_from(">I", run, at)
        at += 4
    present = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    # Offsets are signed since version 1.
    kinds = "III" + ("i" if run[0] else "I")
    row = struct.Struct(">" + "".join(kind for kind, is_present in zip(kinds, present, strict=True) if is_present))
    for index in range(count):
        values = iter(row.unpack_from(run, at))
        at += row.size
        own = [next(values) if is_present else None for is_present in present]
        mine = own[2] if own[2] is not None else sample_flags
        yield _Sample(
            duration if own[0] is None else own[0],
            size if own[1] is None else own[1],
            first_flags if index == 0 and first_flags is not None else mine,
            own[3] or 0,
        )
