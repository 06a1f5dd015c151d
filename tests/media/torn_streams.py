"""Transport streams in packets of each size, and streams that were cut in the middle of a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PACKET_BYTES = 188


def in_packets_of(size_bytes: int, stream: bytes) -> bytes:
    """Return a plain transport stream in packets of 188, 192 (a timecode first) or 204 bytes (check bytes last)."""
    before, after = {188: (0, 0), 192: (4, 0), 204: (0, 16)}[size_bytes]
    packets = (stream[at : at + _PACKET_BYTES] for at in range(0, len(stream), _PACKET_BYTES))
    return b"".join(bytes(before) + packet + bytes(after) for packet in packets)


def rewrite(path: Path, *, packet_bytes: int = _PACKET_BYTES, zeros: int = 0, without: int = 0) -> Path:
    """Rewrite a plain stream without its first bytes, or with zeros before it."""
    stream = path.read_bytes()
    if packet_bytes != _PACKET_BYTES:
        stream = in_packets_of(packet_bytes, stream)
    path.write_bytes(bytes(zeros) + stream[without:])
    return path
