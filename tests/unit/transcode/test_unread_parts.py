"""Parts of a stream that the demuxer does not return: by the identifiers of the packets that are in them."""

from __future__ import annotations

import io
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tasks.transcode.probe.positions import UnreadParts
from tasks.transcode.splicing import TICKS_PER_S

PACKET_BYTES, PACKETS = 188, 200
VIDEO_START = b"\0\0\1\xe0"


def packets(pid: int, content: bytes) -> bytes:
    """Return transport packets in each of which a packet with this content starts."""
    header = b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10"
    return PACKETS * (header + content).ljust(PACKET_BYTES, b"\xff")


def spans_s(between: bytes) -> list[tuple[Fraction, Fraction]]:
    """Return the parts that are left out of a stream of two seconds; what is `between` begins after the first one."""
    known = packets(0x100, VIDEO_START)
    places = range(0, len(known), PACKET_BYTES)
    parts = UnreadParts("mpegts", "video")
    for number, place in enumerate([*places, *(len(known) + len(between) + place for place in places)]):
        stream, time = SimpleNamespace(type="video", index=0), number * TICKS_PER_S // PACKETS
        parts.take(SimpleNamespace(stream=stream, pos=place, size=PACKET_BYTES, pts=time, dts=None))
    return parts.spans_s(cast("Any", io.BytesIO(known + between + known)))


@pytest.mark.parametrize(
    ("pid", "content", "count"),
    [
        (0x101, VIDEO_START, 1),
        (0x100, VIDEO_START, 0),
        (0x101, b"compressed audio" + VIDEO_START, 0),
    ],
    ids=["another PID", "the same PID", "audio with the bytes of a start"],
)
def test_part_is_left_out_when_packets_of_another_stream_start_in_it(pid: int, content: bytes, count: int) -> None:
    assert len(spans_s(2 * packets(pid, content))) == count
