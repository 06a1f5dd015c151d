"""Parameter sets that a container has next to the frames: the decoder configuration of H.264 and HEVC.

A track may have several descriptions with one each (ISO/IEC 14496-12, 8.5.2); libav hands over that of the next
packets when it changes. Follows ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURED = frozenset({"h264", "hevc"})
_VERSION = 1
_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where the size of the length before each unit of a packet is, less one, in two bits."""


def parameter_units(configuration: bytes, codec: str, like: bytes) -> bytes:
    """Return the parameter sets as units of a packet, whose lengths have the size that the configuration `like` states.

    Empty if one of both is no configuration: streams with start codes have none.
    """
    if not (configuration[:1] == like[:1] == bytes([_VERSION])) or len(like) <= _LENGTH_AT[codec]:
        return b""
    size_bytes = (like[_LENGTH_AT[codec]] & 0b11) + 1
    units = _h264_units(configuration) if codec == "h264" else _hevc_units(configuration)
    return b"".join(len(unit).to_bytes(size_bytes, "big") + unit for unit in units if len(unit) >> 8 * size_bytes == 0)


def _h264_units(configuration: bytes) -> Iterator[bytes]:
    at = 5
    for mask in (0b11111, 0xFF):
        count, at = _number(configuration, at, 1) & mask, at + 1
        for _ in range(count):
            length = _number(configuration, at, 2)
            yield configuration[at + 2 : at + 2 + length]
            at += 2 + length


def _hevc_units(configuration: bytes) -> Iterator[bytes]:
    arrays, at = _number(configuration, 22, 1), 23
    for _ in range(arrays):
        count, at = _number(configuration, at + 1, 2), at + 3
        for _ in range(count if at < len(configuration) else 0):
            length = _number(configuration, at, 2)
            yield configuration[at + 2 : at + 2 + length]
            at += 2 + length


def _number(content: bytes, at: int, size_bytes: int) -> int:
    return int.from_bytes(content[at : at + size_bytes], "big")
