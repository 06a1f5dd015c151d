"""Parser for HLS playlists, DASH manifests and WebVTT files, independent of the code that writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from pathlib import Path

_MPD = {"mpd": "urn:mpeg:dash:schema:mpd:2011"}


@dataclass(frozen=True)
class Piece:
    """A byte range of a file."""

    url: str
    offset: int
    size_bytes: int

    def read(self, folder: Path) -> bytes:
        """Return the bytes of the range. Fails if the file ends before it does."""
        with (folder / self.url).open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size_bytes)
        assert len(content) == self.size_bytes, self
        return content


@dataclass(frozen=True)
class MediaPlaylist:
    """A parsed HLS media playlist."""

    lines: tuple[str, ...]
    init: Piece
    pieces: tuple[Piece, ...]
    durations_s: tuple[float, ...]
    target_s: int


@dataclass(frozen=True)
class Representation:
    """One track of a DASH manifest."""

    attributes: dict[str, str]
    timescale: int
    init: Piece
    pieces: tuple[Piece, ...]
    duration_ticks: int


def hls_attributes(line: str) -> dict[str, str]:
    """Split an attribute list (RFC 8216, 4.2); quoted values may contain commas."""
    return {
        name: value.strip('"') for name, value in re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)', line.partition(":")[2])
    }


def read_media_playlist(path: Path) -> MediaPlaylist:
    """Parse a playlist of segments, or of key frames."""
    lines = path.read_text().splitlines()
    init = hls_attributes(next(line for line in lines if line.startswith("#EXT-X-MAP:")))
    pieces = [
        _hls_piece(lines[at + 1], line.partition(":")[2])
        for at, line in enumerate(lines)
        if line.startswith("#EXT-X-BYTERANGE:")
    ]
    return MediaPlaylist(
        lines=tuple(lines),
        init=_hls_piece(init["URI"], init["BYTERANGE"]),
        pieces=tuple(pieces),
        durations_s=tuple(float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:")),
        target_s=next(int(line.partition(":")[2]) for line in lines if line.startswith("#EXT-X-TARGETDURATION:")),
    )


def _hls_piece(url: str, byte_range: str) -> Piece:
    size, offset = (int(part) for part in byte_range.split("@"))
    return Piece(url, offset, size)


def read_dash(path: Path) -> tuple[dict[str, str], dict[str, Representation]]:
    """Return the MPD's own attributes, and all representations by id, with the attributes of their adaptation set."""
    root = ET.fromstring(path.read_text())  # noqa: S314  # our own file
    assert root.tag == f"{{{_MPD['mpd']}}}MPD"
    found = {}
    for group in root.iterfind("mpd:Period/mpd:AdaptationSet", _MPD):
        for entry in group.iterfind("mpd:Representation", _MPD):
            if entry.find("mpd:SegmentList", _MPD) is not None:
                found[entry.attrib["id"]] = _representation(group, entry)
    return dict(root.attrib), found


def _representation(group: ET.Element, entry: ET.Element) -> Representation:
    (segment_list,) = entry.iterfind("mpd:SegmentList", _MPD)
    # The order required by the schema, ISO/IEC 23009-1 5.3.9.3.
    order = [child.tag.partition("}")[2] for child in segment_list]
    assert order == ["Initialization", *["SegmentURL"] * (len(order) - 1)]
    return Representation(
        attributes=dict(group.attrib) | dict(entry.attrib),
        timescale=int(segment_list.attrib["timescale"]),
        init=_dash_piece(segment_list[0].attrib["sourceURL"], segment_list[0].attrib["range"]),
        pieces=tuple(_dash_piece(each.attrib["media"], each.attrib["mediaRange"]) for each in segment_list[1:]),
        duration_ticks=int(segment_list.attrib["duration"]),
    )


def _dash_piece(url: str, byte_range: str) -> Piece:
    first, last = (int(part) for part in byte_range.split("-"))
    return Piece(url, first, last - first + 1)


@dataclass(frozen=True)
class Cue:
    """One cue of a WebVTT file."""

    start_s: Fraction
    end_s: Fraction
    lines: tuple[str, ...]


def read_webvtt(path: Path) -> list[Cue]:
    """Parse the cues; everything before the first one is skipped."""
    head, *blocks = path.read_text().split("\n\n")
    assert head.startswith("WEBVTT")
    cues = []
    for block in blocks:
        times, *lines = block.strip("\n").split("\n")
        start, _, end = times.partition(" --> ")
        cues.append(Cue(_webvtt_seconds(start), _webvtt_seconds(end), tuple(lines)))
    return cues


def _webvtt_seconds(text: str) -> Fraction:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)


def jpeg_size_px(content: bytes) -> tuple[int, int]:
    """Return the width and height in a baseline JPEG's frame header (ITU-T T.81, B.2.2)."""
    at = content.index(b"\xff\xc0")
    return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])


def dash_seconds(text: str) -> Fraction:
    """Parse a duration that has only seconds, such as PT5.3S."""
    assert text.startswith("PT")
    assert text.endswith("S")
    return Fraction(text[2:-1])
