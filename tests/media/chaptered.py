"""Files with chapters: of ffmpeg's muxers, and lists that these do not write."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.media.clips import ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Row = tuple[int, int, str]
"""Start and end in milliseconds, and the title."""


def mux_chapters(clip: Path, target: Path, rows: Sequence[Row], *before_clip: str) -> Path:
    """Write a clip's streams with chapters; `before_clip` are input options of the clip."""
    escapes = str.maketrans({char: f"\\{char}" for char in "=;#\\\n"})
    chapters = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start_ms}\nEND={end_ms}\ntitle={title.translate(escapes)}\n"
        for start_ms, end_ms, title in rows
    ]
    listed = target.with_suffix(".ffmetadata")
    listed.write_text("".join([";FFMETADATA1\n", *chapters]))
    ffmpeg(
        *(*before_clip, "-i", str(clip), "-f", "ffmetadata", "-i", str(listed)),
        *("-map", "0", "-map_chapters", "1", "-c", "copy", str(target)),
    )
    return target


def box(name: bytes, *contents: bytes) -> bytes:
    """Return an MP4 box."""
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    while content:
        size, name = struct.unpack_from(">I4s", content)
        yield name, content[8:size]
        content = content[size:]


def nero_list(rows: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a `udta` box with a `chpl` list of (start in milliseconds, title)."""
    chapters = [struct.pack(">QB", start_ms * 10_000, len(title)) + title for start_ms, title in rows]
    return box(b"udta", box(b"chpl", b"\1\0\0\0\0\0\0\0", bytes([len(rows)]), *chapters))


def with_nero_list(source: Path, target: Path, rows: Sequence[tuple[int, bytes]]) -> Path:
    """Copy an MP4 file with this Nero list instead of its own; its movie box has to be the last."""
    return _with_movie(
        source, target, lambda name, content: b"" if name == b"udta" else box(name, content), nero_list(rows)
    )


def with_chapter_edits(source: Path, target: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """Copy an MP4 file with an edit list of (length, start) in milliseconds for its chapter track; start -1 is empty.

    Its Nero list is left out.
    """

    def edited(name: bytes, content: bytes) -> bytes:
        if name == b"udta":
            return b""
        if name == b"mvhd":
            nonlocal movie_timescale
            (movie_timescale,) = struct.unpack_from(">I", content, 12)
        if name != b"trak" or b"gmhd" not in content:
            return box(name, content)
        at = content.index(b"mdhd") + 4
        (timescale,) = struct.unpack_from(">I", content, at + 12)
        rows = [
            struct.pack(
                ">IiI",
                length_ms * movie_timescale // 1000,
                start_ms * timescale // 1000 if start_ms >= 0 else -1,
                1 << 16,
            )
            for length_ms, start_ms in edits
        ]
        edit_list = box(b"edts", box(b"elst", struct.pack(">II", 0, len(rows)), *rows))
        parts = [box(*part) for part in _boxes(content) if part[0] != b"edts"]
        return box(name, parts[0], edit_list, *parts[1:])

    movie_timescale = 0
    return _with_movie(source, target, edited)


def _with_movie(source: Path, target: Path, changed: Callable[[bytes, bytes], bytes], more: bytes = b"") -> Path:
    parts = list(_boxes(source.read_bytes()))
    assert parts[-1][0] == b"moov"
    movie = box(b"moov", *(changed(name, content) for name, content in _boxes(parts[-1][1])), more)
    target.write_bytes(b"".join(box(*part) for part in parts[:-1]) + movie)
    return target


def element(kind: int, *contents: bytes) -> bytes:
    """Return an EBML element (RFC 8794)."""
    content = b"".join(contents)
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _number(kind: int, value: int) -> bytes:
    return element(kind, value.to_bytes(8, "big"))


def atom(
    start_ms: int, end_ms: int | None, title: str | bytes, *inside: bytes, hidden: bool = False, enabled: bool = True
) -> bytes:
    """Return a Matroska chapter (RFC 9559, 5.1.7.1.4)."""
    text = title if isinstance(title, bytes) else title.encode()
    return element(
        0xB6,
        _number(0x73C4, 1 + start_ms),
        _number(0x91, start_ms * 1_000_000),
        b"" if end_ms is None else _number(0x92, end_ms * 1_000_000),
        _number(0x98, int(hidden)),
        _number(0x4598, int(enabled)),
        element(0x80, element(0x85, text), element(0x437C, b"eng")),
        *inside,
    )


def edition(*atoms: bytes, hidden: bool = False, default: bool = False) -> bytes:
    """Return a Matroska list of chapters (RFC 9559, 5.1.7.1)."""
    return element(0x45B9, _number(0x45BD, int(hidden)), _number(0x45DB, int(default)), *atoms)


def with_editions(clip: Path, target: Path, *editions: bytes, at_end: bool = False) -> Path:
    """Write a clip as Matroska with these lists: before its frames, or at its end, named by an index."""
    # Written into a pipe, the file has no index of its own, and a segment of unknown size.
    content = ffmpeg("-i", str(clip), "-c", "copy", "-f", "matroska", "pipe:1")
    chapters = element(0x1043A770, *editions)
    start = content.index(bytes.fromhex("18538067")) + 12
    cluster = content.index(bytes.fromhex("1f43b675"))
    if not at_end:
        target.write_bytes(content[:cluster] + chapters + content[cluster:])
        return target
    index_bytes = len(_index(0))
    target.write_bytes(content[:start] + _index(index_bytes + len(content) - start) + content[start:] + chapters)
    return target


def _index(offset: int) -> bytes:
    return element(0x114D9B74, element(0x4DBB, element(0x53AB, bytes.fromhex("1043a770")), _number(0x53AC, offset)))
