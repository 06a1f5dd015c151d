"""Where the packets of a stream are in the file, as far as is needed to read a part of it or to miss one.

Runs only in the probe's child process.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..byte_ranges import merged
from ..source import Stretch
from ..splicing import TICKS_PER_S

if TYPE_CHECKING:
    from ..byte_ranges import ByteRanges
    from .source_file import SourceFile

GAP_BYTES = 128 * 1024
"""Ranges closer together than this are one: demuxers read forward over 32 KiB rather than seek
(SHORT_SEEK_THRESHOLD in libavformat), and a request costs as much time as some hundred kilobytes.
"""

_STRETCH_S, _SHORTEST_STRETCH_S = Fraction(1), Fraction(1, 4)


class _Positions:
    """Byte ranges of consecutive packets."""

    def __init__(self) -> None:
        self.known = True
        """Whether each packet had a position."""
        self._ranges: list[list[int]] = []

    def take(self, packet: Any) -> None:
        """Add a packet; the empty one at the end is ignored."""
        if not packet.size:
            return
        first = packet.pos
        if first is None or first < 0:
            self.known = False
            return
        end = first + packet.size
        if self._ranges and self._ranges[-1][0] <= first <= self._ranges[-1][1] + GAP_BYTES:
            self._ranges[-1][1] = max(self._ranges[-1][1], end)
        else:
            self._ranges.append([first, end])

    def ranges(self) -> ByteRanges:
        """Return the ranges that have the packets."""
        return merged(((first, end) for first, end in self._ranges), gap_bytes=GAP_BYTES) if self.known else ()


class Positions:
    """The stretches of a stream: at most a second each, and of video a new one at key frames."""

    def __init__(self, time_base: Fraction, *, audio: bool = False) -> None:
        self._longest = max(1, int(_STRETCH_S / time_base))
        # Each packet of audio is a key frame.
        self._shortest = self._longest if audio else max(1, int(_SHORTEST_STRETCH_S / time_base))
        self._stretches: list[tuple[int, _Positions]] = []
        self._latest: int | None = None
        self._ordered = True

    def take(self, packet: Any) -> None:
        """Add a packet, in the order in which the demuxer returns them; the empty one at the end is ignored."""
        if not packet.size:
            return
        time = packet.dts if packet.dts is not None else self._latest
        if time is None:
            time = packet.pts
        if time is None or (self._latest is not None and time < self._latest):
            self._ordered = False
            return
        self._latest = time
        passed = time - self._stretches[-1][0] if self._stretches else self._longest
        if passed >= self._longest or (packet.is_keyframe and passed >= self._shortest):
            self._stretches.append((time, _Positions()))
        self._stretches[-1][1].take(packet)

    def stretches(self) -> tuple[Stretch, ...]:
        """Return the stretches in order; none if the clock starts over or a packet has no time or position."""
        if not self._ordered or not all(positions.known for _, positions in self._stretches):
            return ()
        return tuple(Stretch(time, positions.ranges()) for time, positions in self._stretches)


_UNREAD_BYTES, _UNREAD_TICKS = 16 * 1024, TICKS_PER_S
"""What may be between two packets: stuffing, tables, streams that are not transcoded."""

_SEARCHED_BYTES = 1024 * 1024
_PACKETS = {
    "video": re.compile(rb"\x00\x00\x01[\xe0-\xef]", re.DOTALL),
    "audio": re.compile(rb"\x00\x00\x01[\xbd\xc0-\xdf]", re.DOTALL),
}
"""The start of a packet of a stream (ISO/IEC 13818-1, table 2-22), in transport and program streams alike."""

_TS_HEADER = re.compile(rb"\x47([\x40-\x7f].)(?:[\x10-\x1f]|[\x30-\x3f](.).{0,183})\Z", re.DOTALL)
"""The header of a transport packet in which such a packet starts: sync byte, PID with the flag for the start,
and the length of the adaptation field (2.4.3.2).
"""
_TS_SYNC = 0x47
_TS_HEADER_BYTES, _LONGEST_TS_HEADER_BYTES = 4, 188


class UnreadParts:
    """Parts of a transport or program stream that have none of the packets that are transcoded, but video.

    Its streams may continue under other identifiers there. Times are in ticks of `TICKS_PER_S`. With `kind`
    (`video` or `audio`), of the packets of that stream alone: the other one may keep its identifier.
    """

    def __init__(self, demuxer: str, kind: str = "") -> None:
        self._is_transport = demuxer == "mpegts"
        self._kind = kind
        self._gaps: list[tuple[int, int, int, int]] = []
        self._end, self._first, self._latest = 0, 0, 0
        self._is_empty = True
        self._audio: int | None = None
        """Index of the first audio stream: others may be those of a part under other identifiers."""

    def take(self, packet: Any) -> None:
        """Process a packet, in the order in which a demuxer returns them; the empty one at the end is ignored."""
        if self._kind and packet.stream.type != self._kind:
            return
        if packet.size and packet.stream.type == "audio":
            self._audio = packet.stream.index if self._audio is None else self._audio
            if packet.stream.index != self._audio:
                return
        now = packet.pts if packet.dts is None else packet.dts
        if not packet.size or packet.pos is None or packet.pos < 0 or now is None:
            return
        if self._is_empty:
            self._first = self._latest = now
            self._is_empty = False
        elif packet.pos > self._end + _UNREAD_BYTES and self._is_long(packet.pos, now):
            self._gaps.append((self._end, packet.pos, self._latest - self._first, now - self._first))
        self._end = max(self._end, packet.pos + packet.size)
        self._latest = max(self._latest, now)

    def _is_long(self, position: int, now: int) -> bool:
        """Return whether what is before `position` may last half a second, by its clock or its bytes."""
        by_bytes = (self._latest - self._first) * (position - self._end) / max(1, self._end)
        return max(now - self._latest, by_bytes) >= _UNREAD_TICKS / 2

    def spans_s(self, file: SourceFile) -> list[tuple[Fraction, Fraction]]:
        """Return the times of these parts since the first packet; their lengths are estimates from their bytes."""
        size_bytes, length = file.seek(0, 2), self._latest - self._first
        tail = (self._end, size_bytes, length, length)
        gaps = [*self._gaps, tail] if size_bytes > self._end + _UNREAD_BYTES else self._gaps
        read_bytes = max(1, size_bytes - sum(end - first for first, end, _, _ in gaps))
        ticks_of_byte = Fraction(length, read_bytes) if length > 0 else Fraction(TICKS_PER_S, max(1, size_bytes))
        spans = []
        for first, end, start, next_start in gaps:
            # At the end of the file, and between two clocks, no time has passed.
            lost = max(Fraction(next_start - start), (end - first) * ticks_of_byte)
            if lost >= _UNREAD_TICKS and self._is_left_out(file, first, end):
                spans.append((Fraction(start, TICKS_PER_S), (start + lost) / TICKS_PER_S))
        return spans

    def _is_left_out(self, file: SourceFile, first: int, end: int) -> bool:
        # A quarter of the way in: next to the packets that were read are the last bytes of these.
        file.seek(first + (end - first) // 4)
        found = self._identifiers(file.read(min(end - first, _SEARCHED_BYTES)))
        if not self._kind:
            return bool(found)
        # Not those of another programme, or of another language, which were there before.
        file.seek(max(0, first - _SEARCHED_BYTES))
        return bool(found - self._identifiers(file.read(min(first, _SEARCHED_BYTES))))

    def _identifiers(self, content: bytes) -> set[bytes]:
        """Return the PIDs of the streams of the kind whose packets start here; in a program stream, their numbers.

        Compressed audio has such bytes too: a few in a megabyte, of which a transport stream's header is not before.
        """
        starts = [match.start() for match in _PACKETS[self._kind or "video"].finditer(content)]
        if self._is_transport:
            return set(filter(None, (_pid_before(content, start) for start in starts)))
        return {content[start + 3 : start + 4] for start in starts}


def _pid_before(content: bytes, start: int) -> bytes | None:
    """Return the PID of the transport packet in which something starts; None if there is no header before it."""
    before = content[max(0, start - _LONGEST_TS_HEADER_BYTES) : start]
    return next(filter(None, (_pid(before[at:]) for at in range(len(before)) if before[at] == _TS_SYNC)), None)


def _pid(header: bytes) -> bytes | None:
    """Return the PID of a transport packet with nothing but this before its content; None if it cannot be one."""
    match = _TS_HEADER.match(header)
    if match is None:
        return None
    field_bytes = 0 if match[2] is None else 1 + match[2][0]
    return bytes(match[1]) if len(header) == _TS_HEADER_BYTES + field_bytes else None
