"""Packets of a stream that are of another kind than the ones that are decoded: another codec, or no video at all.

A decoder stays what it was when the file was opened. Runs only in the probe's child process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ...splicing import TICKS_PER_S
from .tables import Tables

if TYPE_CHECKING:
    from ..source_file import SourceFile
    from .tables import Kind

_SYNC = 0x47
_HEADER_STARTS = (0, 4, 16)
"""Where the header of a packet is, from the position that libav returns: after a timecode in packets of 192 bytes, and
after the check bytes of the packet before in those of 204.
"""
_HEADER_BYTES = 3


@dataclass
class _Stream:
    kind: Kind | None = None
    """Of the latest packet with a position: those without begin in the same packet of the container."""
    decoded: Kind | None = None
    codec: str = ""
    runs: list[tuple[Kind | None, int, int, int]] = field(default_factory=list)
    """Consecutive packets of one kind: the time that had passed before, and their own first and last time."""


class OtherKinds:
    """Finds the packets that must not be taken for those of the rest, while they are read."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._streams: dict[int, _Stream] = {}
        self._first: int | None = None
        self._passed = 0
        """Ticks from the first packet to the latest one that was taken."""
        self._tables = Tables()
        file.on_block = self._tables.take

    def has(self, packet: Any) -> bool:
        """Return whether a packet is of another kind than those of its stream that decode."""
        stream = self._streams.setdefault(packet.stream_index, _Stream())
        if not packet.size:
            return False
        stream.kind = self._kind_of(packet, stream.kind)
        is_other = stream.decoded is not None and stream.kind != stream.decoded
        now = packet.pts if packet.dts is None else packet.dts
        if now is None:
            return is_other
        if stream.runs and stream.runs[-1][0] == stream.kind:
            kind, passed, start, end = stream.runs[-1]
            stream.runs[-1] = (kind, passed, start, max(end, now + (packet.duration or 0)))
        else:
            stream.runs.append((stream.kind, self._passed, now, now))
        return is_other

    def note(self, packet: Any, *, decodes: bool) -> None:
        """Process a packet that was taken, with its time on the one clock; `decodes` if any frame of its stream did."""
        stream = self._streams.setdefault(packet.stream_index, _Stream())
        now = packet.pts if packet.dts is None else packet.dts
        if packet.size and now is not None:
            self._first = now if self._first is None else self._first
            self._passed = max(self._passed, now - self._first)
        if decodes and stream.decoded is None and stream.kind is not None:
            stream.decoded, stream.codec = stream.kind, packet.stream.codec_context.name

    def _kind_of(self, packet: Any, latest: Kind | None) -> Kind | None:
        if packet.pos is None or packet.pos < 0:
            return latest
        content = self._file.peek(packet.pos, max(_HEADER_STARTS) + _HEADER_BYTES)
        pids = (
            int.from_bytes(content[at + 1 : at + _HEADER_BYTES], "big") & 0x1FFF
            for at in _HEADER_STARTS
            if content[at : at + 1] == bytes([_SYNC])
        )
        return next(filter(None, (self._tables.kind_at(pid, packet.pos) for pid in pids)), latest)

    def spans_s(self) -> list[tuple[Fraction, Fraction]]:
        """Return the times since the first packet at which there were such packets."""
        return [
            (Fraction(passed, TICKS_PER_S), Fraction(passed + max(0, end - start), TICKS_PER_S))
            for stream in self._streams.values()
            for kind, passed, start, end in stream.runs
            if stream.decoded is not None and kind != stream.decoded
        ]

    def decoders(self) -> tuple[tuple[int, str], ...]:
        """Return index and decoder of each stream that has such packets."""
        return tuple(
            (index, stream.codec)
            for index, stream in sorted(self._streams.items())
            if stream.decoded is not None and any(kind != stream.decoded for kind, *_ in stream.runs)
        )
