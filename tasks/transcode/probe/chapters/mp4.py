"""Chapters of MP4 and MOV files: a text track (QuickTime File Format, "Chapter lists"), and Nero's list `chpl`.

libav returns both lists merged by number, so a longer `chpl` leaves its end behind the track's
chapters; and if an edit list begins inside a chapter, it moves all those that follow
(findings/ffmpeg-mp4-chapters-two-lists.sh).
"""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from ...chapters import ChapterMark
from ...sandbox.limits import MAX_CHAPTERS
from ..sample_index import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..source_file import SourceFile

_DAMAGED = (struct.error, IndexError, ZeroDivisionError, OverflowError)
"""What reading a damaged list raises."""

_TEXT_HANDLERS = frozenset({b"text", b"sbtl", b"subt"})

_MAX_TABLE_BYTES = 1_000_000
"""Of a table that is read: more than MAX_CHAPTERS samples need, however they are stored."""

_MAX_EDITS = 100
_MAX_TITLE_BYTES = 4096
_NERO_TICKS_PER_MS = 10_000


class _Box(NamedTuple):
    start: int
    """First byte of its content."""
    end: int


class _Sample(NamedTuple):
    """A chapter of the track: its times in seconds, then its title."""

    start_s: Fraction
    end_s: Fraction
    title: str


def mp4_chapters(file: SourceFile) -> list[ChapterMark] | None:
    """Return the file's chapters in order of time, more than MAX_CHAPTERS if it has more; None if it has no list.

    The track's, if there is one, because editors keep it up to date. But ffmpeg's muxer leaves out
    untitled chapters there, and begins the first one at 0; then the times are Nero's.
    """
    movie = _find(file, _Box(0, file.seek(0, 2)), b"moov")
    if movie is None:
        return None
    try:
        nero = _nero_marks(file, movie)
    except _DAMAGED:
        nero = []
    try:
        track = _track_marks(file, movie)
    except _DAMAGED:
        track = []
    if not track:
        return nero or None
    # Those that the track has, too.
    common = nero if len(nero) == len(track) else [mark for mark in nero if mark.title]
    if not _agree(track, common):
        return track
    titles = iter(mark.title for mark in track)
    return [mark._replace(title=next(titles)) if mark in common else mark for mark in nero]


def _agree(track: list[ChapterMark], nero: list[ChapterMark]) -> bool:
    """Return whether both have the same titles, and the same times from the second chapter on."""
    return len(track) == len(nero) and all(
        # Nero's titles have 255 bytes at most.
        ours.title.startswith(theirs.title.rstrip("\ufffd")) and (at == 0 or abs(ours.start_ms - theirs.start_ms) <= 1)
        for at, (ours, theirs) in enumerate(zip(track, nero, strict=True))
    )


def _nero_marks(file: SourceFile, movie: _Box) -> list[ChapterMark]:
    """Return the chapters of `moov/udta/chpl`, whose times are in units of 100 ns. They have no ends."""
    content = _content(file, _find(file, movie, b"udta", b"chpl"))
    if not content:
        return []
    at = 9 if content[0] else 5
    marks = []
    for _ in range(content[at - 1]):
        if at + 9 > len(content):
            break
        ticks, title_bytes = struct.unpack_from(">QB", content, at)
        at += 9 + title_bytes
        marks.append(ChapterMark(round(ticks / _NERO_TICKS_PER_MS), None, _text(content[at - title_bytes : at])))
    return marks


def _track_marks(file: SourceFile, movie: _Box) -> list[ChapterMark]:
    """Return the chapters of the first text track that another track names as its chapters."""
    tracks = [_Box(start, end) for kind, start, end in boxes(file, movie.start, movie.end) if kind == b"trak"]
    ids = {
        each
        for track in tracks
        for (each,) in struct.iter_unpack(">I", _content(file, _find(file, track, b"tref", b"chap")))
    }
    for track in tracks:
        handler = _content(file, _find(file, track, b"mdia", b"hdlr"))[8:12]
        if handler in _TEXT_HANDLERS and _by_version(_content(file, _find(file, track, b"tkhd"))) in ids:
            timescale = _by_version(_content(file, _find(file, track, b"mdia", b"mdhd")))
            movie_timescale = _by_version(_content(file, _find(file, movie, b"mvhd")))
            edits = _edits(_content(file, _find(file, track, b"edts", b"elst")), timescale, movie_timescale)
            samples = list(islice(_on_movie_clock(_samples(file, track, timescale), edits), MAX_CHAPTERS + 2))
            if len(samples) > 1 and not samples[0].title:
                # A track has no gaps: this is the time before the first chapter.
                del samples[0]
            return [
                ChapterMark(round(sample.start_s * 1000), round(sample.end_s * 1000), sample.title)
                for sample in samples
            ]
    return []


def _by_version(content: bytes) -> int:
    """Return the track of a `tkhd` or the timescale of an `mdhd` or `mvhd`: after two times of 4 or 8 bytes."""
    return int(struct.unpack_from(">I", content, 20 if content[0] else 12)[0])


def _samples(file: SourceFile, track: _Box, timescale: int) -> list[_Sample]:
    """Return the samples on the track's own clock (ISO/IEC 14496-12, 8.6 and 8.7)."""
    table = _find(file, track, b"mdia", b"minf", b"stbl")
    if table is None:
        return []
    kinds = {kind: _Box(start, end) for kind, start, end in boxes(file, table.start, table.end)}
    durations = (
        duration
        for count, duration in struct.iter_unpack(">II", _rows(_content(file, kinds.get(b"stts")), 8))
        for _ in range(count)
    )
    times = [Fraction(ticks, timescale) for ticks in accumulate(islice(durations, MAX_CHAPTERS + 2), initial=0)]
    places = _places(
        _content(file, kinds.get(b"stsz")),
        _content(file, kinds.get(b"stsc")),
        _content(file, kinds.get(b"stco")) or _content(file, kinds.get(b"co64")),
        offset_format=">I" if b"stco" in kinds else ">Q",
    )
    samples = []
    for (start_s, end_s), (offset, size) in zip(pairwise(times), places, strict=False):
        file.seek(offset)
        content = file.read(min(size, _MAX_TITLE_BYTES))
        # The size of the text, the text, then boxes with its style.
        samples.append(_Sample(start_s, end_s, _text(content[2 : 2 + int.from_bytes(content[:2], "big")])))
    return samples


def _places(sizes: bytes, runs: bytes, places: bytes, *, offset_format: str) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) in bytes of each sample."""
    same_bytes, count = struct.unpack_from(">II", sizes, 4)
    each_bytes = (
        iter([same_bytes] * min(count, MAX_CHAPTERS + 2))
        if same_bytes
        else (size for (size,) in struct.iter_unpack(">I", _rows(sizes[4:], 4)))
    )
    starts = list(struct.iter_unpack(">III", _rows(runs, 12)))
    run = -1
    for number, (offset,) in enumerate(
        struct.iter_unpack(offset_format, _rows(places, struct.calcsize(offset_format)))
    ):
        while run + 1 < len(starts) and starts[run + 1][0] <= number + 1:
            run += 1
        at = offset
        for size in islice(each_bytes, starts[run][1]):
            yield at, size
            at += size


def _rows(content: bytes, row_bytes: int) -> bytes:
    """Return the rows of a table with version, flags and their number before them."""
    count = min(int.from_bytes(content[4:8], "big"), (len(content) - 8) // row_bytes)
    return content[8 : 8 + max(0, count) * row_bytes]


def _edits(content: bytes, timescale: int, movie_timescale: int) -> list[tuple[Fraction, Fraction | None]]:
    """Return the rows of an edit list: length in seconds, and where it begins on the track's clock; None if empty."""
    row = struct.Struct(">QqI" if content and content[0] else ">IiI")
    return [
        (Fraction(length, movie_timescale), None if media_time < 0 else Fraction(media_time, timescale))
        for length, media_time, _ in islice(row.iter_unpack(_rows(content, row.size)), _MAX_EDITS)
    ]


def _on_movie_clock(samples: list[_Sample], edits: list[tuple[Fraction, Fraction | None]]) -> Iterator[_Sample]:
    """Yield what the edits show of the samples (ISO/IEC 14496-12, 8.6.6); all of them without an edit."""
    if not edits:
        yield from samples
    position_s = Fraction(0)
    for length_s, begin_s in edits:
        if begin_s is not None:
            for sample in samples:
                start_s, end_s = max(sample.start_s, begin_s), min(sample.end_s, begin_s + length_s)
                if start_s < end_s:
                    yield _Sample(position_s + start_s - begin_s, position_s + end_s - begin_s, sample.title)
        position_s += length_s


def _text(content: bytes) -> str:
    """Return a title: UTF-16 with its byte order mark, or UTF-8."""
    is_utf16 = content[:2] in {b"\xfe\xff", b"\xff\xfe"}
    return content.decode("utf-16" if is_utf16 else "utf-8", errors="replace")


def _find(file: SourceFile, box: _Box, *path: bytes) -> _Box | None:
    """Return the first box at a path inside another."""
    for name in path:
        found = next((_Box(start, end) for kind, start, end in boxes(file, box.start, box.end) if kind == name), None)
        if found is None:
            return None
        box = found
    return box


def _content(file: SourceFile, box: _Box | None) -> bytes:
    """Return the content of a box, empty if there is none or it is too large."""
    if box is None or box.end - box.start > _MAX_TABLE_BYTES:
        return b""
    file.seek(box.start)
    return file.read(box.end - box.start)
