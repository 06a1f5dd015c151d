"""Cutting of a fragmented MP4 to a range of fragments, and writing of new fragments."""

from __future__ import annotations

import hashlib
import itertools
import struct
from typing import TYPE_CHECKING, BinaryIO

from ..errors import EncodeError
from ..outputs import MediaFile, Segment
from .boxes import Fragment, FragmentReader
from .init_segment import read_init

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..outputs import Role

_BLOCK_BYTES = 1024 * 1024


def read_fragments(path: Path) -> tuple[bytes, list[Fragment]]:
    """Return the init and all fragments of a file. Raises InvalidBoxError."""
    reader = FragmentReader()
    found: list[Fragment] = []
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.extend(reader.take(block))
    reader.close()
    return reader.init, found


class MediaWriter:
    """Writer for one media file (init, then segments) that also returns its description."""

    def __init__(self, path: Path, init: bytes) -> None:
        self._path = path
        self._init = init
        self._file: BinaryIO = path.open("wb")
        self._sum = hashlib.sha256()
        self._bytes = 0
        self._segments: list[Segment] = []
        self._key_frames: list[Segment] = []
        self._write(init)

    def add_segment(self, pieces: Iterator[bytes], start_ticks: int, duration_ticks: int) -> None:
        """Append a segment that consists of `pieces`."""
        offset = self._bytes
        for piece in pieces:
            self._write(piece)
        self._segments.append(Segment(offset, self._bytes - offset, start_ticks, duration_ticks))

    def add_fragments(self, source: BinaryIO, fragments: Sequence[Fragment]) -> None:
        """Append a segment of `fragments` of `source`, each of which begins with a key frame."""
        offset = self._bytes
        for fragment in fragments:
            self._key_frames.append(
                Segment(offset, fragment.first_frame_bytes, fragment.decode_ticks, fragment.duration_ticks)
            )
            offset += fragment.size_bytes
        duration_ticks = sum(fragment.duration_ticks for fragment in fragments)
        self.add_segment(_copy(source, fragments), fragments[0].decode_ticks, duration_ticks)

    def close(self) -> None:
        """Close the file, writing out what is buffered."""
        self._file.close()

    def describe(self, role: Role, rung: str | None) -> MediaFile:
        """Return the description of what was written."""
        facts = read_init(self._init)
        return MediaFile(
            name=self._path.name,
            role=role,
            rung=rung,
            content_type=f"{role}/mp4",
            bytes=self._bytes,
            sha256=self._sum.hexdigest(),
            init_bytes=len(self._init),
            init_sha256=hashlib.sha256(self._init).hexdigest(),
            timescale=facts.timescale,
            codec=facts.codec,
            segments=tuple(self._segments),
            key_frames=tuple(self._key_frames),
        )

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._sum.update(piece)
        self._bytes += len(piece)


def cut_video(whole: Path, kept: Path, *, rung: str, cuts_ticks: Sequence[int]) -> MediaFile:
    """Copy the fragments of `whole` from the first cut to the last into `kept`.

    Each cut except the last starts a segment.

    Raises EncodeError unless fragments start exactly at every cut and follow each other without a
    gap.
    """
    init, fragments = read_fragments(whole)
    inside = [fragment for fragment in fragments if cuts_ticks[0] <= fragment.decode_ticks < cuts_ticks[-1]]
    _check_continuous(inside, cuts_ticks)
    writer = MediaWriter(kept, init)
    try:
        with whole.open("rb") as file:
            for start, end in itertools.pairwise(cuts_ticks):
                writer.add_fragments(file, [fragment for fragment in inside if start <= fragment.decode_ticks < end])
    finally:
        writer.close()
    return writer.describe("video", rung)


def _check_continuous(fragments: Sequence[Fragment], cuts_ticks: Sequence[int]) -> None:
    expected = cuts_ticks[0]
    starts = set()
    for fragment in fragments:
        if fragment.decode_ticks != expected or fragment.sync_samples[:1] != (0,):
            raise EncodeError(
                code="FRAGMENTS", message=f"A fragment starts at tick {fragment.decode_ticks} instead of {expected}."
            )
        starts.add(expected)
        expected += fragment.duration_ticks
    if expected != cuts_ticks[-1] or not starts.issuperset(cuts_ticks[:-1]):
        raise EncodeError(
            code="FRAGMENTS", message=f"The fragments end at tick {expected} instead of {cuts_ticks[-1]}."
        )


def _copy(file: BinaryIO, fragments: Sequence[Fragment]) -> Iterator[bytes]:
    for fragment in fragments:
        file.seek(fragment.offset)
        left = fragment.size_bytes
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise EncodeError(code="FRAGMENTS", message="A temporary file was truncated while it was being read.")
            yield block
            left -= len(block)


def build_moof(sequence: int, decode_ticks: int, sample_ticks: int, sample_sizes: Sequence[int]) -> bytes:
    """Return a moof and the header of its mdat, for sync samples of equal duration."""
    default_base_is_moof, default_duration, default_flags = 0x020000, 0x8, 0x20
    tfhd = _box(
        b"tfhd",
        struct.pack(">IIII", default_base_is_moof | default_duration | default_flags, 1, sample_ticks, 0x0200_0000),
    )
    tfdt = _box(b"tfdt", struct.pack(">B3xQ", 1, decode_ticks))
    mfhd = _box(b"mfhd", struct.pack(">II", 0, sequence))
    trun_bytes = 8 + 12 + 4 * len(sample_sizes)
    moof_bytes = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + trun_bytes
    data_offset, sizes = 0x1, 0x200
    trun = _box(
        b"trun",
        struct.pack(f">III{len(sample_sizes)}I", data_offset | sizes, len(sample_sizes), moof_bytes + 8, *sample_sizes),
    )
    moof = _box(b"moof", mfhd + _box(b"traf", tfhd + tfdt + trun))
    return moof + struct.pack(">I4s", 8 + sum(sample_sizes), b"mdat")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
