"""The kinds of the streams in a transport stream, as its programme map tables (PMT) declare them from place to place.

Follows ISO/IEC 13818-1, 2.4.4.9. Runs only in the probe's child process.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = tuple[int, bytes]
"""The declared type of a stream, and of one with private data the descriptors that name its codec."""

_TABLE_START = re.compile(rb"\x00\x02[\xb0-\xb3]")
"""Where a section of a PMT begins in a packet: the pointer field, the table's id, and the length's highest bits."""
_HEADER = re.compile(rb"\x47[\x40-\x5f].[\x10-\x1f]", re.DOTALL)
"""Of a packet in which a section starts, without an adaptation field."""
_HEADER_BYTES, _PACKET_BYTES = 4, 188
_LENGTH_END_BYTES, _CHECKSUM_BYTES = 3, 4
_STREAMS_AT, _STREAM_BYTES = 12, 5
"""Where the list of streams begins in a section, if no descriptors of the programme are before it."""

_MOST_WAITING_BYTES = 256 * 1024
"""A section of several packets is complete within this: more than a tenth of a second of any broadcast."""

_SAME = {0x01: 0x02, 0x03: 0x04}
"""Types that one decoder reads: video of MPEG-1 and MPEG-2, and their audio."""
_PRIVATE = range(0x05, 0x07)
_NAMING = frozenset({0x05, 0x56, 0x59, 0x6A, 0x7A, 0x7B, 0x7C, 0x7F})
"""Descriptors that name the codec of private data: registration, and those of ETSI EN 300 468, table 12."""
_REGISTRATION = 0x05


class Tables:
    """What the tables declare, collected while a demuxer reads the file."""

    def __init__(self) -> None:
        self._next = 0
        """Offset of the first byte that was not read yet."""
        self._waiting = b""
        """The bytes before that which are still needed."""
        self._sections: dict[bytes, bytes] = {}
        self._kinds: dict[int, list[tuple[int, Kind]]] = {}

    def take(self, offset: int, block: bytes) -> None:
        """Process a block that was read at an offset of the file; those read before are ignored, and jumps ahead."""
        if not offset <= self._next < offset + len(block):
            return
        content = self._waiting + block[self._next - offset :]
        begin = self._next - len(self._waiting)
        self._next = offset + len(block)
        # A packet that is not whole yet.
        kept = max(0, len(content) - _PACKET_BYTES + 1)
        for match in _TABLE_START.finditer(content):
            start = match.start() - _HEADER_BYTES
            if start < 0 or start > len(content) - _PACKET_BYTES or not _HEADER.match(content, start):
                continue
            section = _section(content, start)
            if section is None and len(content) - start < _MOST_WAITING_BYTES:
                kept = min(kept, start)
                break
            if section is not None:
                self._declare(begin + start, content[start + 1 : start + 3], section)
        self._waiting = content[kept:]

    def _declare(self, position: int, table_pid: bytes, section: bytes) -> None:
        if self._sections.get(table_pid) == section:
            return
        self._sections[table_pid] = section
        for pid, kind in _streams(section):
            known = self._kinds.setdefault(pid, [])
            if not known or known[-1][1] != kind:
                known.append((position, kind))

    def kind_at(self, pid: int, position: int) -> Kind | None:
        """Return what the latest table before a packet declares its stream to be; None if there was none."""
        known = self._kinds.get(pid, [])
        at = bisect_right(known, position, key=lambda each: each[0]) - 1
        # A recording may begin before its first table.
        return known[max(at, 0)][1] if known else None


def _section(content: bytes, start: int) -> bytes | None:
    """Return the section that begins in the packet here; None if its end is missing."""
    section = content[start + _HEADER_BYTES + 1 : start + _PACKET_BYTES]
    end = _LENGTH_END_BYTES + (int.from_bytes(section[1:_LENGTH_END_BYTES], "big") & 0x3FF)
    pid = bytes([content[start + 1] & 0x1F, content[start + 2]])
    following = re.compile(b"\x47" + re.escape(pid) + rb"[\x10-\x1f]")
    at = start + _PACKET_BYTES
    while len(section) < end:
        match = following.search(content, at)
        if match is None or match.start() + _PACKET_BYTES > len(content):
            return None
        at = match.start() + _PACKET_BYTES
        section += content[match.start() + _HEADER_BYTES : at]
    return section[:end]


def _streams(section: bytes) -> Iterator[tuple[int, Kind]]:
    """Yield PID and kind of each stream in a section that is in force."""
    if len(section) < _STREAMS_AT + _CHECKSUM_BYTES or not section[5] & 1:
        return
    at = _STREAMS_AT + _length(section, _STREAMS_AT - 2)
    while at + _STREAM_BYTES <= len(section) - _CHECKSUM_BYTES:
        kind, pid = section[at], int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        end = at + _STREAM_BYTES + _length(section, at + 3)
        names = _names(section[at + _STREAM_BYTES : end]) if kind in _PRIVATE else b""
        yield pid, (_SAME.get(kind, kind), names)
        at = end


def _names(descriptors: bytes) -> bytes:
    names, at = b"", 0
    while at + 2 <= len(descriptors):
        tag, end = descriptors[at], at + 2 + descriptors[at + 1]
        if tag in _NAMING:
            names += descriptors[at : at + 6] if tag == _REGISTRATION else bytes([tag])
        at = end
    return names


def _length(section: bytes, at: int) -> int:
    return int.from_bytes(section[at : at + 2], "big") & 0xFFF
