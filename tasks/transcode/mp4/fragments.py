"""Cutting of a fragmented MP4 to a range of fragments, with the times of a timeline whose frames may last long."""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..errors import EncodeError
from ..outputs import MediaFile, Segment
from .boxes import Fragment, FragmentReader
from .init_segment import read_init, set_shift
from .moof import Sample, build_moof

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..outputs import Role

_BLOCK_BYTES = 1024 * 1024
_HEAD_BYTES = 16 * 1024
"""Read at a time of boxes other than media data: more than the moof of 10 s of audio."""


def read_fragments(path: Path) -> tuple[bytes, list[Fragment]]:
    """Return the init and all fragments of a file; most of the media data is not read. Raises InvalidBoxError."""
    reader = FragmentReader()
    found: list[Fragment] = []
    with path.open("rb", buffering=0) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        while block := file.read(_HEAD_BYTES):
            found.extend(reader.take(block))
            file.seek(reader.skip(size_bytes - file.tell()), os.SEEK_CUR)
        found.extend(reader.take(b""))
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

    def add_fragments(self, source: BinaryIO, fragments: Sequence[TimedFragment]) -> None:
        """Append a segment of `fragments`, whose data is in `source`; each begins with a key frame."""
        offset = self._bytes
        for each in fragments:
            head_bytes, sizes = len(each.head), each.fragment.sample_sizes
            self._key_frames.append(
                Segment(offset, head_bytes + sizes[0], each.start_ticks, each.end_ticks - each.start_ticks)
            )
            offset += head_bytes + sum(sizes)
        start_ticks = fragments[0].start_ticks
        self.add_segment(_pieces(source, fragments), start_ticks, fragments[-1].end_ticks - start_ticks)

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


def cut_video(
    whole: Path, kept: Path, *, rung: str, first_ticks: int, cuts_ticks: Sequence[int], shift_ticks: int
) -> MediaFile:
    """Copy the fragments of `whole` from the first cut to the last into `kept`, with new times.

    Each cut except the last starts a segment. `first_ticks` is the time of the first frame of `whole`.
    Each frame lasts until the next one, however long that is: the encoder does not know how long a
    fragment's last frame lasts, and the delay in its edit list depends on the distance of the unit's first
    frames. It becomes `shift_ticks` here, because players load one init segment for all units.

    Raises EncodeError unless fragments start exactly at every cut.
    """
    init, fragments = read_fragments(whole)
    init = set_shift(init, shift_ticks)
    shift_ticks = read_init(init).shift_ticks
    delay_ticks = fragments[0].presentation_ticks[0] - first_ticks if fragments else 0
    starts = [fragment.presentation_ticks[0] - delay_ticks for fragment in fragments]
    timed = [
        with_times(fragment, delay_ticks=delay_ticks, end_ticks=end, shift_ticks=shift_ticks)
        for fragment, start, end in zip(fragments, starts, [*starts[1:], cuts_ticks[-1]], strict=True)
        if cuts_ticks[0] <= start < cuts_ticks[-1]
    ]
    _check_cuts(timed, cuts_ticks)
    writer = MediaWriter(kept, init)
    try:
        with whole.open("rb") as file:
            for start, end in itertools.pairwise(cuts_ticks):
                writer.add_fragments(file, [each for each in timed if start <= each.start_ticks < end])
    finally:
        writer.close()
    return writer.describe("video", rung)


class TimedFragment(NamedTuple):
    """A fragment with a new moof, for new times."""

    fragment: Fragment
    head: bytes
    """The moof, and the header of the mdat."""
    start_ticks: int
    end_ticks: int


def with_times(fragment: Fragment, *, delay_ticks: int, end_ticks: int, shift_ticks: int) -> TimedFragment:
    """Return the fragment with a moof in which each frame is presented at its time and lasts until the next one.

    A sample's duration is that of its frame, so with B-frames, decode times may lie behind times of
    presentation. Players do not mind; but Chromium drops a frame before the target of a seek if its own
    sample's duration ends before it.

    Times are in ticks. Raises EncodeError if the fragment is not one GOP that ends at `end_ticks`.
    """
    presented = [ticks - delay_ticks for ticks in fragment.presentation_ticks]
    ordered = sorted(presented)
    lasting = {start: end - start for start, end in itertools.pairwise([*ordered, end_ticks])}
    is_one_gop = presented[0] == ordered[0] and fragment.sync_samples == (0,)
    if not is_one_gop or len(lasting) != len(presented) or min(lasting.values()) <= 0:
        raise EncodeError(
            code="FRAGMENTS", message=f"The fragment at tick {presented[0]} is not one GOP that ends at {end_ticks}."
        )
    samples, decoded = [], presented[0]
    for size_bytes, at in zip(fragment.sample_sizes, presented, strict=True):
        samples.append(Sample(size_bytes, lasting[at], at - decoded + shift_ticks))
        decoded += lasting[at]
    head = build_moof(fragment.sequence, presented[0], samples, all_sync=False)
    return TimedFragment(fragment, head, presented[0], end_ticks)


def _check_cuts(timed: Sequence[TimedFragment], cuts_ticks: Sequence[int]) -> None:
    starts = {each.start_ticks for each in timed}
    if not starts.issuperset(cuts_ticks[:-1]) or timed[-1].end_ticks != cuts_ticks[-1]:
        raise EncodeError(
            code="FRAGMENTS", message=f"The fragments start at {sorted(starts)}, the segments at {[*cuts_ticks]}."
        )


def _pieces(file: BinaryIO, fragments: Sequence[TimedFragment]) -> Iterator[bytes]:
    for timed in fragments:
        yield timed.head
        left = sum(timed.fragment.sample_sizes)
        # A fragment's data is at its end.
        file.seek(timed.fragment.offset + timed.fragment.size_bytes - left)
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise EncodeError(code="FRAGMENTS", message="A temporary file was truncated while it was being read.")
            yield block
            left -= len(block)
