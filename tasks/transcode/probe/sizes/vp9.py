"""Frame sizes of VP9, which may change at any frame: calls and meetings do so without a key frame.

Follows the VP9 bitstream specification, version 0.6. Runs only in the probe's child process.
"""

from __future__ import annotations

from .bits import Bits

Size = tuple[int, int]
"""Width and height in pixels."""

_FRAME_MARKER, _SUPERFRAME_MARKER, _SYNC_CODE = 0b10, 0b110, 0x498342
_HIGH_BIT_DEPTH_PROFILES, _OTHER_SUBSAMPLING_PROFILES = (2, 3), (1, 3)
_REFERENCES, _USED_REFERENCES = 8, 3
_RGB = 7
_HEADER_BYTES = 40
"""More than the part of a header that is read here."""


class Vp9Sizes:
    """Sizes of the frames that later ones refer to."""

    def __init__(self) -> None:
        self._references: list[Size | None] = [None] * _REFERENCES

    def size_of(self, packet: bytes | memoryview) -> Size | None:
        """Return the size of the frame that a packet shows; None if it shows none or is damaged.

        Packets are given in the order of decoding.
        """
        shown = None
        for frame in _frames(packet):
            shown = self._read(Bits(frame[:_HEADER_BYTES])) or shown
        return shown

    def _read(self, bits: Bits) -> Size | None:
        """Read the header of a frame (6.2), and return its size if it is shown."""
        if bits.read(2) != _FRAME_MARKER:
            return None
        profile = bits.read(1) + 2 * bits.read(1)
        if profile == max(_HIGH_BIT_DEPTH_PROFILES):
            bits.read(1)
        if bits.read(1):
            return self._references[bits.read(3)]
        is_inter, is_shown, is_resilient = bits.read(1), bits.read(1), bits.read(1)
        is_intra_only = is_inter and not is_shown and bits.read(1)
        if is_inter and not is_resilient:
            bits.read(2)
        if is_inter and not is_intra_only:
            refreshed = bits.read(_REFERENCES)
            size = self._size_by_reference(bits)
        elif bits.read(24) == _SYNC_CODE:
            if not is_inter or profile > 0:
                _skip_color(bits, profile)
            refreshed = bits.read(_REFERENCES) if is_inter else (1 << _REFERENCES) - 1
            size = _size(bits)
        else:
            return None
        for at in range(_REFERENCES):
            if refreshed >> at & 1:
                self._references[at] = size
        return size if is_shown else None

    def _size_by_reference(self, bits: Bits) -> Size | None:
        used = [bits.read(4) >> 1 for _ in range(_USED_REFERENCES)]
        same = next((at for at in used if bits.read(1)), None)
        return _size(bits) if same is None else self._references[same]


def _size(bits: Bits) -> Size:
    return bits.read(16) + 1, bits.read(16) + 1


def _skip_color(bits: Bits, profile: int) -> None:
    """Skip color_config (6.2.2)."""
    if profile in _HIGH_BIT_DEPTH_PROFILES:
        bits.read(1)
    if bits.read(3) != _RGB:
        bits.read(1)
        if profile in _OTHER_SUBSAMPLING_PROFILES:
            bits.read(3)
    elif profile in _OTHER_SUBSAMPLING_PROFILES:
        bits.read(1)


def _frames(packet: bytes | memoryview) -> list[bytes | memoryview]:
    """Return the frames of a packet: several if it is a superframe (annex B)."""
    marker = packet[-1] if packet else 0
    count, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index_bytes = 2 + count * size_bytes
    if marker >> 5 != _SUPERFRAME_MARKER or len(packet) < index_bytes or packet[-index_bytes] != marker:
        return [packet]
    frames: list[bytes | memoryview] = []
    at = 0
    for number in range(count):
        first = len(packet) - index_bytes + 1 + number * size_bytes
        size = int.from_bytes(packet[first : first + size_bytes], "little")
        frames.append(packet[at : at + size])
        at += size
    return frames
