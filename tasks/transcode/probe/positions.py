"""Where the packets of a stream are in the file, as far as is needed to read a part of it.

Runs only in the probe's child process.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..byte_ranges import merged
from ..source import Stretch

if TYPE_CHECKING:
    from ..byte_ranges import ByteRanges

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
